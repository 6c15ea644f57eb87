"""Scores by a network."""

import numpy as np

from trainer.evaluation import scores
from trainer.runs.scoring import Scorer


def scorer(reconstruct, **attributes):
    options = {"scoring": scores.SQUARED, "unit": None, "offset": None, **attributes}
    return Scorer((2,), reconstruct, **options)


def test_scores_are_mean_squared_errors_in_the_unit_of_the_run():
    rows = np.array([[1, 2], [3, -4]], np.float32)
    result = scorer(np.zeros_like, unit=np.array([1, 2], np.float32))(rows)
    np.testing.assert_allclose(result.scores, [(1 + 1) / 2, (9 + 4) / 2])
    np.testing.assert_allclose(result.parts.sum(axis=1), result.scores)


def test_a_row_whose_reconstruction_is_not_a_number_has_an_infinite_score():
    rows = np.array([[1, 2], [9, 2], [np.nan, 2]], np.float32)
    result = scorer(lambda examples: np.where(examples > 5, np.nan, np.nan_to_num(examples)))(rows)
    assert result.scores.tolist() == [0, np.inf, 0]


def test_no_rows_have_no_scores():
    result = scorer(np.zeros_like)(np.zeros((0, 2), np.float32))
    assert result.parts.shape == (0, 2)
    assert result.scores.shape == (0,)


def test_the_offset_is_added_in_float64():
    rows = np.array([[0.25, 1]], np.float32)
    originals = scorer(np.zeros_like, offset=np.array([1.7e9, 0])).originals(rows)
    assert originals.tolist() == [[1.7e9 + 0.25, 1]]
