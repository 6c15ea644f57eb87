"""Tables of new rows, read with the columns of a training table."""

import gzip
import io

import numpy as np
import pytest

from trainer.data import datasets
from trainer.data.inputs.table_stream import TableInput
from trainer.data.limits import Limits
from trainer.data.options import DataOptions
from trainer.data.schema import Schema
from trainer.data.sources import Sources
from trainer.errors import DataError

SCHEMA = Schema(names=("id", "x", "y", "label"), has_heading=True, trained=(1, 2), label=3, delimiter=",")
TABLE = DataOptions(dataset="table")
HEADING = "id,x,y,label\n"
PARSERS = {"by Python": Limits(), "by Polars": Limits(min_parsed_bytes=1, table_block_bytes=40)}


@pytest.fixture(params=PARSERS)
def read(request, tmp_path):
    """Reads a text: read(text, schema) -> (the input, its blocks)."""

    def run(text, schema=SCHEMA, *, name="new.csv", options=TABLE, offset=None, **arguments):
        path = tmp_path / name
        content = text.encode()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        sources = Sources(options, limits=PARSERS[request.param])
        table = TableInput(path, schema, sources, offset=offset, **arguments)
        return table, list(table.blocks())

    return run


def lines(blocks):
    return [line for block in blocks for line in block.lines]


def values(blocks):
    return np.concatenate([block.examples for block in blocks]).tolist()


def reasons(blocks):
    return {int(block.numbers[index]): reason for block in blocks for index, _, reason in block.bad}


def test_lines_stay_as_they_are_and_good_rows_are_numbers(read):
    text = 'a,1e0,02,p\n"b, c", 3 ,4,p\n\n,,,\nd,5,6,p\n'
    table, blocks = read(HEADING + text)
    assert list(table.heading) == [HEADING.strip()]
    assert lines(blocks) == text.splitlines()
    assert values(blocks) == [[1, 2], [3, 4], [5, 6]]
    assert [bool(flag) for block in blocks for flag in block.is_row] == [True, True, False, True, True]
    assert reasons(blocks) == {5: "has only empty cells"}
    assert [number for block in blocks for number in block.numbers.tolist()] == [2, 3, 4, 5, 6]


def test_rows_with_line_breaks_keep_all_their_lines(read):
    _, blocks = read(HEADING + 'a,1,2,p\n"two\nlines",3,4,p\nc,5,6,p\n')
    assert lines(blocks) == ["a,1,2,p", '"two\nlines",3,4,p', "c,5,6,p"]
    assert values(blocks) == [[1, 2], [3, 4], [5, 6]]


def test_bad_rows_have_the_reasons_of_training(read):
    _, blocks = read(HEADING + "a,n/a,2,p\nb,1,2\nc,1,inf,p\nd,1,2,p\n")
    assert reasons(blocks) == {
        2: "has 'n/a' in the column 'x', not a finite number",
        3: "has 3 cells; the first line has 4",
        4: "has 'inf' in the column 'y', not a finite number",
    }
    assert values(blocks) == [[1, 2]]
    assert [bool(flag) for block in blocks for flag in block.is_good] == [False, False, False, True]


def test_missing_numbers_stay_missing_if_the_run_replaces_them(read):
    _, blocks = read(HEADING + "a,,2,p\nb,,?,p\n", options=DataOptions(dataset="table", missing="mean"))
    np.testing.assert_array_equal(values(blocks), [[np.nan, 2]])
    assert reasons(blocks) == {3: "has no number"}


def test_columns_are_matched_by_name_and_others_are_passed_through(read):
    table, blocks = read("y,new,x\n2,q,1\n4,r,3\n")
    assert values(blocks) == [[1, 2], [3, 4]]
    assert lines(blocks) == ["2,q,1", "4,r,3"]
    assert table.notes == [
        "columns that are not in the training data: new",
        "the columns are in another order than in the training data; they are matched by their names",
    ]


def test_missing_columns_are_named(read):
    with pytest.raises(DataError) as caught:
        read("id,x,label\na,1,p\n")
    assert "missing: y" in str(caught.value)


def test_tables_without_a_heading_need_the_same_number_of_columns(read):
    schema = Schema.of_array(2)
    table, blocks = read("1,2\n3,4\n", schema)
    assert values(blocks) == [[1, 2], [3, 4]]
    assert (table.has_heading, list(table.heading)) == (False, [])
    with pytest.raises(DataError, match="has 3 columns"):
        read("1,2,3\n3,4,5\n", schema)


def test_labels_are_read_on_demand(read):
    _, blocks = read(HEADING + "a,1,2,p\nb,oops,2,q\nc,1,2,r\nd,1,2,p\n", needs_label=True)
    names = [block.labels[index] for block in blocks for index in block.label_of_row.tolist()]
    assert names == ["p", "r", "p"]
    _, blocks = read(HEADING + "a,1,2,p\n", needs_label=True, label_column="id")
    assert blocks[0].labels[blocks[0].label_of_row[0]] == "a"


def test_the_same_text_gives_the_same_float32_as_in_training(read, tmp_path):
    rng = np.random.default_rng(1)
    rows = np.stack([1.7e9 + rng.random(50) * 100, rng.normal(size=50)], axis=1).tolist()
    text = "x,y\n" + "".join(f"{x!r},{y!r}\n" for x, y in rows)
    (tmp_path / "train.csv").write_text(text)
    options = DataOptions(dataset="table", data_dir=str(tmp_path / "train.csv"), eval_fraction=0)
    data = datasets.load("table", Sources(options))
    assert data.offset is not None
    _, blocks = read(text, data.schema, offset=data.offset)
    np.testing.assert_array_equal(values(blocks), data.train.examples)


def test_packed_tables_and_carriage_returns_are_read(read):
    _, blocks = read("\ufeffid;x;y;label\r\na;1;2;p\r\n", name="new.csv.gz")
    assert lines(blocks) == ["a;1;2;p"]
    assert values(blocks) == [[1, 2]]


def test_two_lines_are_separated_by_white_space_if_those_of_training_are(read):
    schema = Schema(names=("id", "x"), has_heading=True, trained=(1,), delimiter=" ")
    _, blocks = read("id  x\na   1\n", schema)
    assert values(blocks) == [[1]]


def test_standard_input_is_read_once(monkeypatch):
    text = HEADING + "".join(f"a{n},{n},2,p\n" for n in range(50_000))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode()))))
    table = TableInput(None, SCHEMA, Sources(limits=Limits(table_block_bytes=1 << 16)), offset=None)
    assert np.concatenate([block.examples for block in table.blocks()])[:, 0].tolist() == list(range(50_000))
