"""Calibrations from the squared errors of an evaluation equal those from the definition of the score."""

import numpy as np
import pytest

from trainer.data import dataset
from trainer.data.dataset import Dataset, Split
from trainer.evaluation import scores
from trainer.evaluation.held_out import HeldOut


def make(examples, scale=1.0, **facts):
    labels = np.zeros(len(examples), np.int64)
    splits = {"train": Split(examples[:1], labels[:1]), "evaluation": Split(examples, labels)}
    return Dataset(name="d", **splits, label_names=("all",), scale=scale, source="arithmetic", **facts)


def expected(examples, reconstructions, scoring, unit=None):
    values = scores.total(scores.parts(examples, reconstructions, scoring=scoring, unit=unit))
    return np.sort(values[~np.isnan(values)])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_are_scored_relative_to_their_own_variance(dtype, monkeypatch):
    monkeypatch.setattr(dataset, "CHUNK_BYTES", 100)  # Several chunks.
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (9, 4, 4, 3)).astype(np.uint8)
    stored[3] = 200  # A plain image.
    scale = 255.0 if dtype == np.uint8 else 1.0
    images = stored if dtype == np.uint8 else np.float32(stored) / 255
    originals, reconstructions = np.float32(images) / np.float32(scale), rng.random((9, 4, 4, 3)).astype(np.float32)
    errors = np.square(originals - reconstructions).reshape(9, -1).sum(axis=1)
    some = HeldOut(make(images, scale)).calibration(errors)
    assert some.scoring == scores.RELATIVE
    np.testing.assert_allclose(some.scores, expected(originals, reconstructions, scores.RELATIVE), rtol=1e-5)


def test_rows_are_scored_in_standard_deviations_and_without_missing_numbers():
    rng, unit = np.random.default_rng(0), np.float32([1, 10, 100])
    rows = (rng.normal(size=(6, 3)) * unit).astype(np.float32)
    rows[1, 2] = rows[4, 0] = np.nan
    rows[3] = np.nan
    reconstructions = rows * 0 + unit
    squares = np.square((rows - reconstructions) / unit)
    errors = np.nansum(squares, axis=1) * 3 / np.maximum(1, np.count_nonzero(~np.isnan(rows), axis=1))
    some = HeldOut(make(rows, unit, has_missing=True)).calibration(errors.astype(np.float32))
    assert (some.count, some.scoring) == (5, scores.SQUARED)  # A row without numbers has no score.
    np.testing.assert_allclose(some.scores, expected(rows, np.tile(unit, (6, 1)), scores.SQUARED, unit), rtol=1e-6)


def test_without_a_finite_score_there_is_no_calibration():
    held_out = HeldOut(make(np.full([2, 3], np.nan, np.float32), has_missing=True))
    assert held_out.calibration(np.zeros(2, np.float32)) is None
    assert HeldOut(make(np.zeros([2, 3], np.float32))).calibration(np.float32([1, np.inf])) is None


def test_examples_that_were_trained_on_give_no_calibration():
    data = make(np.zeros([2, 3], np.float32))
    assert HeldOut(data).calibration(np.ones(2, np.float32)).count == 2
    assert HeldOut(data.with_splits(data.evaluation, data.evaluation)).calibration(np.ones(2, np.float32)) is None
