"""Missing numbers in rows of arrays: `--missing=mean`."""

import re

import numpy as np
import pytest
from custom_data import load, load_error
from input_files import read_error

from trainer.data.inputs import reader
from trainer.data.limits import Limits
from trainer.errors import DataError, UsageError

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(40, 5))
HOLED = ROWS.copy()
HOLED[3, 1] = HOLED[3, 4] = HOLED[20, 0] = np.nan
LIMITS = {"memory": Limits(), "cache": Limits(in_memory_bytes=100, chunk_bytes=999)}
MEAN = {"missing": "mean", "eval_fraction": 0.0}


def saved(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    return tmp_path / "a.npy"


@pytest.mark.parametrize("limits", LIMITS)
def test_nan_is_kept_as_missing_and_counted(limits, tmp_path):
    data = load(tmp_path, "array", saved(tmp_path, HOLED), LIMITS[limits], **MEAN)
    np.testing.assert_array_equal(data.train.examples, HOLED.astype(np.float32))
    assert data.has_missing
    assert data.notes == ("missing numbers: 3, in 2 of 40 rows; they do not count in errors",)
    assert data.value_range == (np.nanmin(HOLED).astype(np.float32), np.nanmax(HOLED).astype(np.float32))


@pytest.mark.parametrize("limits", LIMITS)
def test_rows_of_both_splits_are_counted(limits, tmp_path):
    np.savez(tmp_path / "a.npz", x_train=ROWS, x_test=HOLED)
    data = load(tmp_path, "array", tmp_path / "a.npz", LIMITS[limits], missing="mean")
    assert data.has_missing
    assert "missing numbers: 3, in 2 of 80 rows; they do not count in errors" in data.notes


def test_rows_without_missing_numbers_are_read_as_before(tmp_path):
    path = saved(tmp_path, ROWS)
    data, before = (load(tmp_path, "array", path, missing=missing, eval_fraction=0.0) for missing in ("mean", "error"))
    assert (data.has_missing, data.notes, data.fingerprint) == (False, before.notes, before.fingerprint)


@pytest.mark.parametrize("limits", LIMITS)
def test_without_the_option_the_error_names_it(limits, tmp_path):
    message = load_error(DataError, tmp_path, "array", saved(tmp_path, HOLED), limits=LIMITS[limits])
    assert "data[3, 1] is nan" in message
    assert message.endswith("; or give --missing=mean to keep rows with missing numbers")


@pytest.mark.parametrize(
    ("place", "value", "shown", "true"),
    [
        ((7, 2), np.inf, "data[7, 2] is inf", 40),
        ((7, 2), -1e300, "data[7, 2] is -1e+300", 40),
        (7, np.nan, "data[7, 0] is nan", 39),
    ],
)
def test_infinite_numbers_and_rows_without_a_number_are_refused_with_a_remedy(place, value, shown, true, tmp_path):
    rows = HOLED.copy()
    rows[place] = value
    message = load_error(DataError, tmp_path, "array", saved(tmp_path, rows), **MEAN)
    assert shown in message
    (code,) = re.findall("`(.*)`", message)
    with np.errstate(over="ignore"):
        corrected = eval(code, {"x": rows, "np": np})
    data = load(tmp_path, "array", saved(tmp_path, corrected), **MEAN)
    assert len(data.train.examples) == true
    assert "--missing" not in load_error(DataError, tmp_path, "array", saved(tmp_path, rows), eval_fraction=0.0)


def test_a_column_without_a_number_is_named(tmp_path):
    rows = HOLED.copy()
    rows[:, [1, 3]] = np.nan
    data = load(tmp_path, "array", saved(tmp_path, rows), standardise=True, **MEAN)
    assert "columns without a number in any training row: 2, 4" in data.notes
    assert np.isfinite(data.scale).all()


def test_columns_that_need_an_offset_are_read_with_missing_numbers(tmp_path):
    rows = HOLED.copy()
    rows[:, 2] += 1.6e9
    data = load(tmp_path, "array", saved(tmp_path, rows), **MEAN)
    np.testing.assert_array_equal(np.isnan(data.train.examples), np.isnan(rows))


def test_pixels_cannot_be_missing(tmp_path):
    path = saved(tmp_path, np.zeros((4, 5, 6), np.uint8))
    assert "only numbers of rows can be missing" in load_error(UsageError, tmp_path, "array", path, **MEAN)


def test_inputs_may_have_missing_numbers_if_the_run_fills_them(tmp_path):
    path = saved(tmp_path, HOLED)
    inputs = reader.read(str(path), (5,), can_be_missing=True)
    np.testing.assert_array_equal(inputs.examples, HOLED.astype(np.float32))
    assert np.isnan(reader.read("1,nan,2,3,4", (5,), can_be_missing=True).examples[0, 1])
    assert "row 3, column 1 is nan" in read_error(DataError, path, (5,))
    for rows in (np.full((1, 5), np.nan), np.where(np.arange(5) == 2, np.inf, HOLED)):
        with pytest.raises(DataError):
            reader.read(str(saved(tmp_path, rows)), (5,), can_be_missing=True)
