"""Anomaly scores: their definition, by value."""

import warnings

import numpy as np
import pytest

from trainer.evaluation import scores
from trainer.evaluation.scores import AUTO, RELATIVE, SQUARED

NAN = np.nan


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_rows_are_scored_by_squared_errors_and_images_relative_to_their_variance():
    assert [scores.resolve(AUTO, is_image=image) for image in (False, True)] == [SQUARED, RELATIVE]
    assert scores.resolve(SQUARED, is_image=True) == SQUARED


def test_the_score_of_a_row_is_the_mean_of_its_squared_errors():
    rows, reconstructions = np.float32([[1, 2, 3, 4], [0, 0, 0, 0]]), np.float32([[1, 4, 3, 5], [2, 0, 0, 0]])
    parts = scores.parts(rows, reconstructions, scoring=SQUARED)
    np.testing.assert_array_equal(parts, [[0, 1, 0, 0.25], [1, 0, 0, 0]])
    np.testing.assert_array_equal(scores.total(parts), [1.25, 1])
    assert parts.dtype == scores.total(parts).dtype == np.float32
    np.testing.assert_array_equal(rows, [[1, 2, 3, 4], [0, 0, 0, 0]])


def test_columns_of_a_standardized_table_are_divided_by_their_unit():
    rows, reconstructions, unit = np.float32([[30, 3]]), np.float32([[10, 0]]), np.float32([10, 1])
    np.testing.assert_array_equal(scores.parts(rows, reconstructions, scoring=SQUARED, unit=unit), [[2, 4.5]])
    # The row is 3, 3 in these units: its variance is 0.
    parts = scores.parts(rows, reconstructions, scoring=RELATIVE, unit=unit)
    np.testing.assert_allclose(parts, [[2e6, 4.5e6]], rtol=1e-6)


def test_missing_numbers_do_not_count():
    rows, reconstructions = np.float32([[1, NAN, 3], [NAN, NAN, 4]]), np.float32([[0, 9, 3], [9, 9, 2]])
    parts = scores.parts(rows, reconstructions, scoring=SQUARED)
    np.testing.assert_array_equal(parts, [[0.5, 0, 0], [0, 0, 4]])
    np.testing.assert_array_equal(scores.total(parts), [0.5, 4])
    np.testing.assert_array_equal(scores.variances(rows), [1, 0])


@pytest.mark.parametrize("scoring", [SQUARED, RELATIVE])
def test_a_row_without_numbers_has_no_score(scoring):
    rows = np.float32([[NAN, NAN], [1, 3]])
    totals = scores.total(scores.parts(rows, np.float32([[0, 0], [1, 2]]), scoring=scoring))
    np.testing.assert_allclose(totals, [NAN, 0.5], rtol=1e-5)


def test_a_reconstruction_that_is_not_a_number_is_not_a_low_score():
    totals = scores.total(scores.parts(np.float32([[1, 2]]), np.float32([[1, NAN]]), scoring=SQUARED))
    assert np.isnan(totals).all()


def test_an_error_too_large_for_float32_is_an_infinite_score():
    totals = scores.total(scores.parts(np.float32([[1e30, 0]]), np.float32([[0, 0]]), scoring=SQUARED))
    np.testing.assert_array_equal(totals, [np.inf])


def test_the_score_of_an_image_is_its_error_divided_by_its_variance():
    image = np.float32([0, 1, 0, 1]).reshape(1, 2, 2, 1)
    parts = scores.parts(image, np.full_like(image, 0.5), scoring=RELATIVE)
    np.testing.assert_allclose(parts, np.full([1, 4], 0.25 * 0.25 / 0.250001), rtol=1e-6)


def test_the_score_of_a_plain_image_is_finite():
    image = np.full([1, 2, 2, 1], 0.7, np.float32)
    assert scores.variances(image) == pytest.approx(0, abs=1e-12)
    perfect, worse = (scores.total(scores.parts(image, image + d, scoring=RELATIVE)) for d in np.float32([0, 0.01]))
    assert perfect == 0
    assert worse == pytest.approx(1e-4 / scores.MIN_VARIANCE, rel=1e-4)


def test_variances_equal_those_of_numpy_far_from_zero():
    rows = (np.random.default_rng(1).normal(size=(20, 30)) + 1e5).astype(np.float32)
    np.testing.assert_allclose(scores.variances(rows), np.var(rows, axis=1, dtype=np.float64), rtol=1e-6)
