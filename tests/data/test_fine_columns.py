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
GOOD = {
    "small": RANDOM.normal(size=300),
    "year": RANDOM.integers(1990, 2020, 300),
    "large": 1e6 * (1 + RANDOM.random(300)),
    "constant": np.full(300, 0.1),
    "height": 2e4 + RANDOM.normal(size=300),
}


def fine_notes(tmp_path, kind, named):
    """Returns the notes on float32 for a table or an array with these columns, by name."""
    values = np.stack(list(named.values()), axis=1)
    if kind == "table":
        path = tmp_path / "table.csv"
        np.savetxt(path, values, delimiter=",", header=",".join(named), comments="", fmt="%.17g")
    else:
        path = tmp_path / "array.npy"
        np.save(path, values)
    options = DataOptions(dataset=kind, data_dir=str(path), standardise=True)
    data = datasets.load(kind, Sources(options, lambda line: None))
    return [note for note in data.notes if note.startswith(columns.FINE)]


@pytest.mark.parametrize(("kind", "names"), [("table", ("pressure", "time")), ("array", ("column 6", "column 7"))])
def test_columns_that_float32_cannot_tell_apart_are_named(tmp_path, kind, names):
    (note,) = fine_notes(tmp_path, kind, {**GOOD, "pressure": PRESSURE, "time": TIME})
    shown = f"'{names[0]}' ({PRESSURE.min():.10g} to {PRESSURE.max():.10g}), '{names[1]}' (1600000000 to 1600003588)"
    assert note == f"{columns.FINE}: {shown}; subtract a constant, such as the smallest value, from each of them"


@pytest.mark.parametrize("kind", ["table", "array"])
def test_the_remedy_works_and_other_columns_have_no_note(tmp_path, kind):
    remedied = {"pressure": PRESSURE - PRESSURE.min(), "time": TIME - TIME.min()}
    assert fine_notes(tmp_path, kind, {**GOOD, **remedied}) == []
