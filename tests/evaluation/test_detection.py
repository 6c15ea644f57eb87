"""How well scores tell anomalies from normal examples."""

import numpy as np
import pytest

from trainer.evaluation import detection


def test_metrics_are_those_of_their_definitions():
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    is_anomalous = np.array([False, False, True, True])
    values = detection.metrics(scores, is_anomalous, threshold=0.3)
    assert values["auroc"] == 0.75  # 3 of 4 pairs are in order
    assert values["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert values["precision"] == pytest.approx(2 / 3)
    assert values["recall"] == 1


def test_infinite_scores_are_the_highest():
    values = detection.metrics(np.array([1.0, np.inf]), np.array([False, True]), threshold=2)
    assert values == {"auroc": 1, "average_precision": 1, "precision": 1, "recall": 1}


def test_the_precision_is_zero_if_nothing_is_flagged():
    values = detection.metrics(np.array([1.0, 2.0]), np.array([False, True]), threshold=3)
    assert (values["precision"], values["recall"]) == (0, 0)
