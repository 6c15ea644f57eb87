"""Table files and .npz files as inputs of a trained network."""

import numpy as np
import pytest

from trainer.data.inputs import reader
from trainer.data.inputs.reader import TableSource
from trainer.data.options import DataOptions
from trainer.data.schema import Schema
from trainer.data.sources import Sources
from trainer.errors import DataError

NAMED = Schema(names=("id", "a", "kind", "b"), has_heading=True, trained=(1, 3), label=2, ignored=(0,), delimiter=",")
PLAIN = Schema(
    names=("column 1", "column 2", "column 3"), has_heading=False, trained=(0, 1), label=2, ignored=(), delimiter=","
)


def read(path, text, schema, offset=None, **options):
    path.write_text(text)
    source = TableSource(Sources(DataOptions(**options)), lambda: schema)
    return reader.read(str(path), (2,), offset=offset, table=source)


def test_labels_may_be_missing_in_a_table_with_a_heading(tmp_path):
    inputs = read(tmp_path / "a.csv", "b,a\n1,2\n3,4\n", NAMED)
    assert inputs.examples.tolist() == [[2, 1], [4, 3]]
    assert (inputs.labels, inputs.columns) == (None, ("a", "b"))
    assert inputs.numbers.tolist() == [1, 2]


def test_labels_of_a_table_are_read(tmp_path):
    inputs = read(tmp_path / "a.csv", "kind,b,a\nx,1,2\ny,3,4\n", NAMED)
    assert inputs.labels.tolist() == ["x", "y"]


def test_without_a_heading_only_the_last_column_may_be_missing(tmp_path):
    inputs = read(tmp_path / "a.csv", "1,2\n3,4\n", PLAIN)
    assert inputs.examples.tolist() == [[1, 2], [3, 4]]
    assert read(tmp_path / "a.csv", "1,2,x\n", PLAIN).labels.tolist() == ["x"]
    with pytest.raises(DataError, match="has 4 columns"):
        read(tmp_path / "a.csv", "9,1,2,x\n", PLAIN)
    first = Schema(names=PLAIN.names, has_heading=False, trained=(1, 2), label=0, delimiter=",")
    with pytest.raises(DataError, match="has 2 columns"):
        read(tmp_path / "a.csv", "1,2\n", first)


def test_the_offset_is_subtracted_before_numbers_become_float32(tmp_path):
    inputs = read(tmp_path / "a.csv", "a,b\n1700000000.25,2\n", NAMED, np.array([1.7e9, 0.0]))
    assert inputs.examples.tolist() == [[0.25, 2]]


def test_missing_numbers_are_kept_if_the_run_was_trained_with_them(tmp_path):
    inputs = read(tmp_path / "a.csv", "a,b\n,2\n1,3\n", NAMED, missing="mean")
    np.testing.assert_array_equal(inputs.examples, [[np.nan, 2], [1, 3]])
    assert any("missing numbers: 1" in note for note in inputs.notes)


def test_a_run_that_was_not_trained_on_a_table_reads_the_columns_by_position(tmp_path):
    inputs = read(tmp_path / "a.csv", "kind,x,y\nu,1,2\nv,3,4\n", None)
    assert inputs.examples.tolist() == [[1, 2], [3, 4]]
    assert any("taken from the columns x, y" in note for note in inputs.notes)
    with pytest.raises(DataError, match="3 columns of numbers: x, y, z"):
        read(tmp_path / "a.csv", "x,y,z\n1,2,3\n", None)


def test_an_npz_file_is_read_by_the_names_of_training(tmp_path):
    rows = np.arange(6.0).reshape(3, 2)
    np.savez(tmp_path / "a.npz", data=rows, target=[5, 6, 5], other=np.zeros(2))
    inputs = reader.read(str(tmp_path / "a.npz"), (2,))
    assert inputs.examples.tolist() == rows.tolist()
    assert (inputs.names, inputs.labels.tolist()) == (("row 0", "row 1", "row 2"), ["5", "6", "5"])
    assert any("not used: other" in note for note in inputs.notes)
    np.savez(tmp_path / "b.npz", x_train=np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"b\.npz: x_train has an array of shape \[2, 3\]"):
        reader.read(str(tmp_path / "b.npz"), (2,))
    (tmp_path / "c.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read"):
        reader.read(str(tmp_path / "c.npz"), (2,))
