"""scripts/anomalies: the measures of a detector, and the scores of a trained network."""

import numpy as np
import pytest
from detection import measures
from detection.__main__ import line, scores

from trainer.models.portable import Dense, Network


def test_the_auroc_is_the_share_of_pairs_in_the_right_order_with_ties_counting_half():
    scores = np.array([1.0, 2.0, 2.0, 3.0])
    assert measures.auroc(scores, np.array([False, False, True, True])) == (2 + 1.5) / 4
    assert measures.auroc(-scores, np.array([False, False, True, True])) == 0.5 / 4


@pytest.mark.parametrize(
    ("count", "share", "rank"),
    [(99, 0.01, 99), (98, 0.01, None), (199, 0.01, 198), (150, 0.01, 150), (19, 0.05, 19), (18, 0.05, None)],
)
def test_the_threshold_is_a_held_out_score_of_the_right_rank(count, share, rank):
    held_out = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    at_threshold = measures.false_alarms(held_out, np.array([rank or count, (rank or count) + 1e-6]), share)
    assert at_threshold == (None if rank is None else 0.5)


def test_false_alarms_are_scores_above_the_threshold():
    held_out = np.arange(1.0, 20)
    assert measures.false_alarms(held_out, np.array([18.0, 19.0, 20.0, 21.0]), 0.05) == 0.5
    assert measures.false_alarms(held_out, np.array([20.0]), 0.01) is None


def test_a_score_is_the_mean_squared_error_in_standard_deviations():
    nothing = Dense(np.zeros((2, 1), np.float32), np.zeros(1, np.float32), "linear")
    back = Dense(np.zeros((1, 2), np.float32), None, "linear")
    network = Network(
        mean=np.zeros(2, np.float32),
        unit=np.array([1, 10], np.float32),
        offset=None,
        encoder=(nothing,),
        decoder=(back,),
        log_variance=None,
        bias=np.zeros(2, np.float32),
        output_activation="linear",
    )
    rows = np.array([[1.0, 0.0], [0.0, 10.0], [2.0, 20.0]]) + 1000
    np.testing.assert_allclose(scores(network, np.full(2, 1000.0), rows), [0.5, 0.5, 4.0])


def test_a_value_that_cannot_be_measured_is_printed_as_a_dash():
    assert line("wine", {"rows": 1042, "AUROC": 0.91849, "alarms %": None}) == "| wine | 1,042 | 0.918 | - |"
