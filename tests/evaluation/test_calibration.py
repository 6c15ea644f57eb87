"""Thresholds from held-out scores, compared with their definition by counting."""

import json
import math

import numpy as np
import pytest

from trainer.evaluation.calibration import MAX_STORED, Calibration
from trainer.evaluation.scores import SQUARED

SHARES = (0.0, 1e-3, 0.01, 0.05, 0.07, 0.1, 0.29, 1 / 3, 0.5, 0.9, 0.99, 1.0)


def calibration(values):
    return Calibration.of(np.float32(values), SQUARED)


def counted(values, scores):
    """The p-values by their definition."""
    return np.array([(1 + np.count_nonzero(values >= score)) / (len(values) + 1) for score in scores])


@pytest.mark.parametrize("count", [1, 2, 19, 99, 999, 1_000, 5_000])
def test_a_score_is_above_the_threshold_exactly_if_its_p_value_is_at_most_the_share(count):
    rng = np.random.default_rng(count)
    held_out = rng.integers(0, max(2, count // 3), count).astype(np.float32)  # With many equal scores.
    some, new = calibration(held_out), np.concatenate([np.unique(held_out), np.unique(held_out) + 0.5, [-1.0]])
    p_values = some.p_values(new)
    for share in (*SHARES, *(k / (count + 1) for k in range(0, count + 1, 1 + count // 20))):
        np.testing.assert_array_equal(new > some.threshold(share), p_values <= share, str(share))


def test_p_values_and_thresholds_of_few_scores_are_those_by_counting():
    held_out = np.float32([3, 1, 2, 2])
    some, new = calibration(held_out), np.float32([0, 1, 1.5, 2, 3, 4])
    np.testing.assert_allclose(some.p_values(new), [1, 1, 0.8, 0.8, 0.4, 0.2])
    np.testing.assert_array_equal(some.p_values(new), counted(held_out, new))
    assert [some.threshold(share) for share in (0.2, 0.4, 0.6, 0.8, 1)] == [3, 2, 2, 1, -math.inf]


def test_a_share_below_that_of_one_example_has_no_threshold():
    some = calibration(np.arange(99))
    assert some.least == 0.01
    assert (some.threshold(0.01), some.threshold(0.0099)) == (98, math.inf)


@pytest.mark.parametrize("count", [MAX_STORED + 1, 20_000, 300_000])
def test_many_scores_are_thinned_out_to_shares_that_are_never_lower_and_within_two_percent(count):
    rng = np.random.default_rng(count)
    held_out, new = np.sort(rng.gamma(2, size=count).astype(np.float32)), rng.gamma(2, size=5_000).astype(np.float32)
    some = calibration(rng.permutation(held_out))
    assert len(some.ranks) <= MAX_STORED
    exact = (1 + count - np.searchsorted(held_out, new)) / (count + 1)
    ratios = some.p_values(new) / exact
    assert ratios.min() == 1
    assert ratios.max() < 1.02
    for share in (1e-3, 0.01, 0.05, 0.3, 0.9):
        threshold = some.threshold(share)
        assert threshold >= held_out[math.ceil((1 - share) * (count + 1) - 1e-6) - 1]
        assert 0.98 * share < (1 + np.count_nonzero(held_out > threshold)) / (count + 1) <= share


def test_examples_without_a_score_are_left_out():
    some = calibration([1, np.nan, 2])
    assert some.count == 2
    np.testing.assert_array_equal(some.p_values(np.float32([np.nan, 5])), [np.nan, 1 / 3])
    with pytest.raises(ValueError, match="no scores"):
        calibration([np.nan])


@pytest.mark.parametrize("count", [1, 7, 5_000])
def test_json_restores_every_bit(count):
    some = calibration(np.random.default_rng(count).gamma(2, size=count))
    text = json.dumps(some.to_json())
    restored = Calibration.from_json(json.loads(text))
    assert (restored.count, restored.scoring) == (count, SQUARED)
    np.testing.assert_array_equal(restored.ranks, some.ranks)
    np.testing.assert_array_equal(restored.scores, some.scores)
    assert max(len(f"{score:.17g}".rstrip("0")) for score in some.scores) > 12  # A float64 needs more digits.
    assert all(float(f"{score:.9g}") == score for score in json.loads(text)["scores"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "change",
    [
        {"scores": [2, 1]},
        {"scores": [1]},
        {"scores": [1, float("nan")]},
        {"scores": [1, float("inf")]},
        {"scores": "12"},
        {"scores": {"a": 1}},
        {"scores": [1, None]},
        {"scores": [[1], [2]]},
        {"ranks": [2, 1]},
        {"ranks": [2, 2]},
        {"ranks": [0, 2]},
        {"ranks": [1, 3]},
        {"ranks": [1, 10**30]},
        {"scores": [1, 1e300]},
        {"ranks": [1, 10**30], "count": 10**30},
        {"ranks": [], "scores": []},
        {"count": 3},
        {"count": None},
        {"scoring": "other"},
        {"scoring": None},
    ],
    ids=str,
)
def test_damaged_json_is_refused(change):
    content = calibration([1, 2]).to_json()
    Calibration.from_json(content)
    with pytest.raises((KeyError, TypeError, ValueError)):
        Calibration.from_json({**content, **change})
    for name in change:
        with pytest.raises(KeyError):
            Calibration.from_json({key: value for key, value in content.items() if key != name})
