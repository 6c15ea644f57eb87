"""How well scores tell anomalies from normal examples, by labels."""

import numpy as np


def metrics(scores: np.ndarray, is_anomalous: np.ndarray, threshold: float) -> dict[str, float]:
    """Returns the metrics of [N] scores, given which of the examples are anomalies, [N] bool, both kinds at least once.

    Precision and recall are those of the examples whose score exceeds the threshold; precision is 0 if there are none.
    """
    from sklearn import metrics as sklearn_metrics  # Takes 0.5 s.

    finite = np.minimum(scores, np.finfo(np.float64).max)  # scikit-learn refuses infinity.
    is_flagged = scores > threshold
    hits = int(np.count_nonzero(is_flagged & is_anomalous))
    return {
        "auroc": float(sklearn_metrics.roc_auc_score(is_anomalous, finite)),
        "average_precision": float(sklearn_metrics.average_precision_score(is_anomalous, finite)),
        "precision": hits / max(1, int(np.count_nonzero(is_flagged))),
        "recall": hits / int(np.count_nonzero(is_anomalous)),
    }
