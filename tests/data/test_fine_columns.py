"""Columns whose values are so large beside their differences that float32 loses these."""

import numpy as np
import pytest

from trainer.data import datasets
from trainer.data.custom import columns
from trainer.data.options import DataOptions
from trainer.data.sources import Sources

RANDOM = np.random.default_rng(0)
PRESSURE = 1e5 + 1e-3 * RANDOM.normal(size=300)  # one number in float32
TIME = 1.6e9 + np.arange(300) * 12.0  # 29 numbers in float32
FINE = {"pressure": PRESSURE, "time": TIME}
GOOD = {
    "small": RANDOM.normal(size=300),
    "year": RANDOM.integers(1990, 2020, 300),
    "large": 1e6 * (1 + RANDOM.random(300)),
    "constant": np.full(300, 0.1),
    "height": 2e4 + 10 * RANDOM.normal(size=300),
}


def load(tmp_path, kind, named, dtype=np.float64, **changes):
    """Loads a table or an array with these columns, by name."""
    values = np.stack(list(named.values()), axis=1)
    if kind == "table":
        path = tmp_path / "table.csv"
        np.savetxt(path, values, delimiter=",", header=",".join(named), comments="", fmt="%.17g")
    else:
        path = tmp_path / "array.npy"
        np.save(path, values.astype(dtype))
    options = DataOptions(dataset=kind, data_dir=str(path), standardise=True, eval_fraction=0, **changes)
    return datasets.load(kind, Sources(options, lambda line: None))


def notes(data):
    return [note for note in data.notes if note.startswith((columns.FINE, columns.CENTERED))]


@pytest.mark.parametrize(("kind", "names"), [("table", ("pressure", "time")), ("array", ("column 6", "column 7"))])
def test_columns_that_float32_would_round_are_centered_before_and_named(tmp_path, kind, names):
    data = load(tmp_path, kind, {**GOOD, **FINE})
    assert notes(data) == [
        f"{columns.CENTERED}: '{names[0]}' ({PRESSURE.min():.10g} to {PRESSURE.max():.10g}),"
        f" '{names[1]}' (1600000000 to 1600003588)"
    ]
    originals = data.train.examples + data.offset
    np.testing.assert_allclose(originals[:, 5], PRESSURE, rtol=0, atol=1e-8)
    np.testing.assert_allclose(originals[:, 6], TIME, rtol=0, atol=1e-3)
    np.testing.assert_allclose(data.scale[5:], [PRESSURE.std(), TIME.std()], rtol=1e-6)
    assert data.original_range == (pytest.approx(GOOD["small"].min()), TIME.max())


def test_a_column_with_missing_numbers_is_centered_too(tmp_path):
    times = TIME.copy()
    times[::7] = np.nan
    data = load(tmp_path, "array", {**GOOD, "time": times}, missing="mean")
    assert notes(data) == [f"{columns.CENTERED}: 'column 6' (1600000012 to 1600003588)"]
    np.testing.assert_allclose(data.train.examples[:, 5] + data.offset[5], times, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", ["table", "array"])
def test_other_columns_are_not_changed_and_have_no_note(tmp_path, kind):
    centered = {"pressure": PRESSURE - PRESSURE.min(), "time": TIME - TIME.min()}
    data = load(tmp_path, kind, {**GOOD, **centered})
    assert (notes(data), data.offset) == ([], None)
    np.testing.assert_array_equal(data.train.examples[:, 2], GOOD["large"].astype(np.float32))
    both = load(tmp_path, kind, {**GOOD, **FINE})
    np.testing.assert_array_equal(both.train.examples[:, :5], data.train.examples[:, :5])
    assert both.offset[:5].tolist() == [0] * 5


def test_columns_that_are_float32_already_are_named(tmp_path):
    (note,) = notes(load(tmp_path, "array", {**GOOD, "time": TIME}, np.float32))
    remedy = "subtract a constant, such as the smallest value, from each of them"
    assert note == f"{columns.FINE}: 'column 6' (1600000000 to 1600003584); {remedy}"


def test_a_different_offset_is_a_different_fingerprint(tmp_path):
    first, second = (load(tmp_path, "table", {"a": GOOD["small"], "time": TIME + shift}) for shift in (0, 4096))
    np.testing.assert_array_equal(first.train.examples, second.train.examples)
    assert first.fingerprint != second.fingerprint
