"""Measures of a detector from the scores of its rows; higher scores are more anomalous. No TensorFlow."""

import math

import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.evaluation import scores
from trainer.evaluation.calibration import Calibration


def auroc(values: np.ndarray, is_anomaly: np.ndarray) -> float:
    """Returns the area under the ROC curve: the probability that an anomaly has the higher score, ties counting half.

    Args:
      values: [N] scores.
      is_anomaly: [N] bool, with both values.
    """
    return float(roc_auc_score(is_anomaly, values))


def false_alarms(held_out: np.ndarray, unseen: np.ndarray, share: float) -> float | None:
    """Returns the share of the scores of unseen normal rows above the threshold that promises `share`.

    None if the scores of held-out rows are too few for such a threshold; see `Calibration`.
    """
    threshold = Calibration.of(held_out, scores.SQUARED).threshold(share)
    return None if math.isinf(threshold) else float(np.mean(unseen > threshold))
