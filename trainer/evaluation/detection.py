"""Metrics of anomaly detection from scores and labels."""

import numpy as np


def metrics(scores: np.ndarray, is_anomalous: np.ndarray, threshold: float) -> dict[str, float]:
    """Returns AUROC, average precision, and precision and recall at a threshold.

    Args:
      scores: [N]; higher scores are more anomalous.
      is_anomalous: [N] bool, with both values.
      threshold: examples with a higher score are flagged. Precision is 0 if none is.
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
