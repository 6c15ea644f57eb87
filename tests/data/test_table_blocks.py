"""Blocks of lines: parsed with Polars, they give what Python reads row by row."""

import random

import numpy as np
import pytest
from custom_data import load_table

from trainer.data.custom import table_blocks
from trainer.data.custom.table_layout import Layout
from trainer.data.limits import Limits
from trainer.errors import DataError

ROWS = Limits()
BLOCKS = Limits(min_parsed_bytes=0, table_block_bytes=300)
CACHE = Limits(min_parsed_bytes=0, uncached_table_bytes=0, in_memory_bytes=0)
LAYOUT = Layout(names=["a", "b", "c"], numeric=[0, 2], label=1)
MARKS = ["", "?", "NA", "nan", "x", "1,5", "inf", "1e39", "1_0", "  ", " 7 ", "\u0663", "-inf", "5."]


def contents(data):
    """Returns what a run sees; the fingerprint is that of all numbers."""
    labels = [[data.label_names[label] for label in split.labels] for split in (data.train, data.evaluation)]
    return data.fingerprint, labels, data.notes, data.value_range, data.has_missing


def assert_equal(tmp_path, text, **options):
    expected = load_table(tmp_path, text, limits=ROWS, **options)
    for limits in (BLOCKS, CACHE):
        data = load_table(tmp_path, text, limits=limits, **options)
        np.testing.assert_array_equal(data.train.examples, expected.train.examples)
        assert contents(data) == contents(expected)
    return expected


@pytest.fixture
def parsed(monkeypatch):
    """Counts the blocks that are parsed, and those that are left to Python."""
    counts = {True: 0, False: 0}
    parse = table_blocks.parse

    def counting(*arguments):
        block = parse(*arguments)
        counts[block is not None] += 1
        return block

    monkeypatch.setattr(table_blocks, "parse", counting)
    return counts


def test_all_numbers_are_rounded_as_python_does():
    draw = random.Random(0)
    cells = [repr(draw.uniform(-1, 1) * 10.0 ** draw.randint(-320, 300)) for _ in range(500)]
    cells += [f"{draw.uniform(-1, 1):.{draw.randint(0, 30)}e}" for _ in range(500)]
    cells += [f"{draw.getrandbits(64)}.{draw.getrandbits(64)}" for _ in range(500)]
    cells += [f"{np.float32(draw.gauss(0, 1))}5" for _ in range(500)]
    layout = Layout(names=["a"], numeric=[0])
    block = table_blocks.parse("".join(f"{cell}\n" for cell in cells).encode(), layout, ",")
    is_sure = ~block.is_doubtful
    assert is_sure.mean() > 0.9
    assert block.values[is_sure, 0].tolist() == [float(cells[row]) for row in np.flatnonzero(is_sure)]


@pytest.mark.parametrize(("rate", "end"), [(0.0, "\n"), (0.02, "\r\n"), (0.2, "\r")], ids=["none", "few", "many"])
@pytest.mark.parametrize("missing", ["error", "mean"])
def test_tables_with_errors_of_all_kinds_are_read_alike(rate, end, missing, tmp_path):
    draw = random.Random(f"{rate} {end}")
    lines = []
    for row in range(150):
        cells = [f"{draw.gauss(0, 9):.4g}", draw.choice(["1", "1.0", "cat"]), f"{draw.random()}", f"{row}"]
        cells = [draw.choice(MARKS).replace(",", ";") if draw.random() < rate else cell for cell in cells]
        lines.append(",".join([*cells, "text", "" if row < 60 else "7"]))
        lines += [draw.choice(["", " ", ",,,,,", "1,2", lines[-1] + ",3"])] if draw.random() < rate else []
    options = {"label_column": "2", "on_bad_file": "skip", "eval_fraction": 0.2, "missing": missing}
    assert_equal(tmp_path, end.join(lines), **options)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_quoted_cells_are_parsed_with_the_rest(delimiter, tmp_path, parsed):
    rows = [
        delimiter.join([f'"{row}.5"', f'"a{delimiter} ""b"" {row % 3}"', f"{row} ", '""', ' "x"']) for row in range(99)
    ]
    data = assert_equal(tmp_path, "\n".join([delimiter.join("nkmeq"), *rows]), label_column="k")
    assert data.train.examples[3].tolist() == [3.5, 3]
    assert data.label_names == tuple(" ".join(f'a{delimiter} "b" {number}'.split()) for number in range(3))
    assert parsed[True] == 0 < parsed[False]  # ` "x"` is not quoted as in RFC 4180.
    assert_equal(tmp_path, "\n".join(rows).replace(' "x"', '"x"'), label_column="2")
    assert parsed[True] > 9


@pytest.mark.parametrize("text", ['"two\nlines"', '"1""2"', '"\n\n"'])
def test_cells_of_several_lines_are_read_and_the_lines_are_counted(text, tmp_path):
    rows = [f"{row},{text if row % 10 == 9 else 'x'},{'y' if row in (5, 95) else row}" for row in range(120)]
    data = assert_equal(tmp_path, "\n".join(rows), on_bad_file="skip")
    assert len(data.train.examples) == 118
    line = 96 + "\n".join(rows[:95]).count("\n") - 94
    assert f"line {line} has 'y' in the column 'column 3'" in data.notes[0]


def test_bad_lines_are_named_with_their_numbers(tmp_path):
    rows = [f"{row},{row * row}" for row in range(300)]
    rows[200], rows[250] = "7", "8,x"
    for limits in (ROWS, BLOCKS, CACHE):
        with pytest.raises(DataError) as error:
            load_table(tmp_path, "\n".join(["a,b", *rows]), limits=limits)
        message = str(error.value)
        assert "line 202 in" in message
        assert "it has 1 cells; the first line has 2; in total, 2 of 300 rows cannot be used" in message


def test_text_that_is_not_utf_8_is_named_with_its_line(tmp_path):
    text = "".join(f"{row},2\n" for row in range(300)).encode().replace(b"250,2", b"250,\xff")
    for limits in (ROWS, BLOCKS, CACHE):
        with pytest.raises(DataError, match="line 251 is not UTF-8"):
            load_table(tmp_path, text, limits=limits)


def test_lines_of_other_lengths_do_not_shift_the_cells_of_the_next_lines():
    block = table_blocks.parse(b"1,x,2\n3,x\n4,y,5,6\n-inf,x,7\n8,x,9\n", LAYOUT, ",")
    assert block.lines.tolist() == [0, 3, 4]
    assert block.values[~block.is_doubtful].tolist() == [[1, 2], [8, 9]]
    assert [block.cells(1), block.cells(2)] == [["3", "x"], ["4", "y", "5", "6"]]


def test_a_parser_that_fails_leaves_its_block_to_python(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise table_blocks.polars.exceptions.ComputeError("a failure")

    text = "\n".join(f"{row},{row * row}" for row in range(100))
    expected = load_table(tmp_path, text)
    monkeypatch.setattr(table_blocks.polars, "read_csv", fail)
    assert contents(load_table(tmp_path, text, limits=BLOCKS)) == contents(expected)


def test_columns_of_numbers_may_be_in_another_order_than_in_the_file():
    layout = Layout(names=["a", "b"], numeric=[1, 0])
    assert table_blocks.parse(b"1,2\n3,4\n", layout, ",").values.tolist() == [[2, 1], [4, 3]]


@pytest.mark.parametrize("limits", [Limits(table_block_bytes=60, min_parsed_bytes=50), BLOCKS], ids=["rows", "blocks"])
def test_lines_that_are_longer_than_a_block_do_not_end_the_table(limits, tmp_path):
    text = "1,2\n3," + "0" * 900 + "4\n" + "5,6\n" * 3
    expected = load_table(tmp_path, text, limits=Limits())
    assert contents(load_table(tmp_path, text, limits=limits)) == contents(expected)
    assert len(expected.train.examples) == 5


def test_only_short_tables_are_read_without_the_parser(tmp_path, parsed):
    load_table(tmp_path, "1,2\n" * 100)
    assert parsed == {True: 0, False: 0}
    load_table(tmp_path, "1,2\n" * 100, limits=Limits(min_parsed_bytes=400, table_block_bytes=400))
    assert parsed == {True: 1, False: 0}


@pytest.mark.parametrize("name", ["x^2", "x\x01", "x\x5e\x00"])
def test_texts_that_begin_like_a_packed_file_are_not_unpacked(name, tmp_path, parsed):
    text = "".join(f"{name},{row}.5,{row}\n" for row in range(60))
    data = assert_equal(tmp_path, text, label_column="1", eval_fraction=0.0, heading="no")
    assert data.label_names[0].startswith("x")
    assert len(data.train.examples) == 60
    assert parsed[True] > 3
    assert table_blocks.lines_of(text.encode())[0] == f"{name},0.5,0"
