"""Custom tables."""

import re
import subprocess

import custom_data
import numpy as np
import pytest
from custom_data import load, load_error, load_table

from trainer.data.limits import Limits
from trainer.errors import DataError, UsageError

READERS = {
    "rows": Limits(),
    "blocks": Limits(min_parsed_bytes=0, table_block_bytes=64),
    "cache": Limits(min_parsed_bytes=0, uncached_table_bytes=0, in_memory_bytes=0),
}


@pytest.fixture(autouse=True, params=READERS)
def reader(request, monkeypatch):
    """Reads tables row by row, in small blocks, or through the cache."""
    monkeypatch.setattr(custom_data, "LIMITS", READERS[request.param])


def written(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",
        "a,b\n1,2\n3,4",
        '"a";"b, of it"\r\n1;2\r\n3;4\r\n',
        "\ufeffa\tb\n1\t2\n\n3\t4\n",
        "a|b\n1e0| 2 \n3.0|4\n",
        '"a\nb",c\n1,2\n3,4\n',
    ],
    ids=["no heading", "heading", "semicolons", "tabs and a byte order mark", "bars", "a heading of two lines"],
)
def test_delimiters_headings_and_encodings_are_detected(text, tmp_path):
    data = load_table(tmp_path, text)
    assert data.train.examples.tolist() == [[1, 2], [3, 4]]
    assert data.train.examples.dtype == np.float32


def test_all_rows_are_read(tmp_path):
    for count in (49, 50, 51, 52, 1_000):
        data = load_table(tmp_path, "".join(f"{number}\n" for number in range(count)))
        assert data.train.examples[:, 0].tolist() == list(range(count))


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a,b,c\n1,2,3\n4,5,6\n", "the first line is the heading: a, b, c"),
        (",a,b\n0,2,3\n1,5,6\n", "the first line is the heading: column 1, a, b"),
        ("0,1,2\n1.5,2,3\n4,5,6\n", "the first line is the heading: 0, 1, 2; if it is a row, give --heading=no"),
        (
            "lab,0,1,2\nx,1,2,3\ny,4,5,6\n",
            "the first line is the heading: lab, 0, 1, 2; if it is a row, give --heading=no",
        ),
        ("x,1,2,7\ny,4,5,6\n", "there is no heading: the first line is a row: x, 1, 2, 7"),
        ("7,8,9\n4,5,6\n", "there is no heading: the first line is a row: 7, 8, 9"),
    ],
)
def test_heading_is_detected(text, note, tmp_path):
    data = load_table(tmp_path, text)
    assert data.train.examples.shape == (2, 3)
    assert note in data.notes


def test_delimiter_in_quotes_is_ignored(tmp_path):
    assert load_table(tmp_path, '1,"x; y",2\n3,"z; z",4\n').train.examples.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("first", ["3,?,5", "NA,1,2", "1O,1,2", "?,NA,-", ",1,2", ",1,x"])
def test_first_row_with_a_wrong_cell_is_not_a_heading(first, tmp_path):
    with pytest.raises(DataError, match=r"line 1 in .* taken for a row, not for the heading") as error:
        load_table(tmp_path, f"{first}\n3,4,5\n6,7,8\n")
    assert "remedy: give --heading=yes if it is the heading" in str(error.value)
    assert load_table(tmp_path, f"{first}\n3,4,5\n6,7,8\n", heading="yes").train.examples.tolist() == [
        [3, 4, 5],
        [6, 7, 8],
    ]


@pytest.mark.parametrize(
    "text", ["1,5;2,5\n3,5;4,5\n", "7;7,5\n8;8,5\n", "id;price\n1;1,5\n", 'a,b\n1,"1,234"\n', "1;1,5e+00\n2;2,5e-01\n"]
)
def test_numbers_with_commas_are_rejected(text, tmp_path):
    with pytest.raises(DataError, match="has numbers with commas, such as"):
        load_table(tmp_path, text)


def test_rows_keep_their_splits_when_another_row_is_bad(tmp_path):
    rows = [f"{number},7" for number in range(100, 300)]
    all_good = load_table(tmp_path, "\n".join(rows), eval_fraction=0.1)
    one_bad = load_table(tmp_path, "\n".join([*rows[:2], "x,7", *rows[3:]]), eval_fraction=0.1, on_bad_file="skip")
    evaluation = [{int(row[0]) for row in data.evaluation.examples} for data in (all_good, one_bad)]
    assert 102 in evaluation[0]
    assert evaluation[1] == evaluation[0] - {102}


def test_label_column_is_read_and_text_columns_are_skipped(tmp_path):
    text = "name,size,kind\nx,1,b\ny,2,a\nz,3,b\n"
    for column in ("kind", "3"):
        data = load_table(tmp_path, text, label_column=column)
        assert data.label_names == ("a", "b")
        assert data.train.labels.tolist() == [1, 0, 1]
        assert data.train.examples.tolist() == [[1], [2], [3]]
        assert data.notes == (
            "the first line is the heading: name, size, kind",
            "skipped columns without numbers: name",
        )
    with pytest.raises(UsageError, match="columns: name, size, kind"):
        load_table(tmp_path, text, label_column="color")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3 in"),
        ("a,b\n1,2\n3,\n", "line 3 in"),
        ("a,b\n1,2\n3,x\n", "'x' in the column 'b'"),
        ("a,b\n1,nan\n3,1\n", "'nan' in the column 'b'"),
        ("a,b\n1,1e39\n3,1\n", "'1e39' in the column 'b'"),
        ("a,b\n1,1_0\n3,1\n", "'1_0' in the column 'b'"),
        ("", "has no rows"),
        ("a,b\nx,y\n", "no column of numbers"),
        (b"a,b\n1,\xff\n", ": line 2 is not UTF-8"),
        ('a,b\n1,"2\n3,4\n', "not a row of a table"),
        ("a,b\n1,2\n1,2\x00\n", "cannot be used"),
    ],
)
def test_bad_table_is_rejected_with_line_and_column(text, message, tmp_path):
    with pytest.raises(DataError) as error:
        load_table(tmp_path, text)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_long_row_is_rejected_before_it_is_read(tmp_path):
    limits = Limits(row_characters=100)
    assert len(load_table(tmp_path, "a,b\n" + "1,2\n" * 100, limits=limits).train.examples) == 100
    for row in ("1," * 60, '"\n",' * 60, '"' + "1\n" * 60):
        with pytest.raises(DataError, match="line 3 is not a row of a table") as error:
            load_table(tmp_path, f"a,b\n1,2\n{row}\n", limits=limits)
        assert "more than 100 characters" in str(error.value)


def test_bad_rows_are_skipped_with_on_bad_file_skip(tmp_path):
    data = load_table(tmp_path, "a,b\n1,2\n3\nx,4\n5,6\n", on_bad_file="skip")
    assert data.train.examples.tolist() == [[1, 2], [5, 6]]
    assert data.notes[0].startswith("skipped 2 of 4 rows: line 3 has 1 cells; the first line has 2; line 4 has 'x'")


def test_standardized_table_has_standard_deviations_as_scale(tmp_path):
    data = load_table(tmp_path, "1,10,5\n3,50,5\n", standardise=True)
    np.testing.assert_allclose(data.scale, [1, 20, 1])
    assert data.fingerprint != load_table(tmp_path, "1,10,5\n3,50,5\n").fingerprint
    assert "constant columns: 1: 'column 3'" in data.notes
    np.save(tmp_path / "p.npy", np.zeros((4, 4, 4), np.uint8))
    assert "its examples are images" in load_error(UsageError, tmp_path, "array", tmp_path / "p.npy", standardise=True)


def test_labels_that_are_numbers_are_compared_and_ordered_by_value(tmp_path):
    cells = ["1.0000000e+01", "2.000000000000000000e+00", "-1", "0.50", "2", "1e1"]
    text = "".join(f"{cell},{row}.5,{row}\n" for row, cell in enumerate(cells))
    data = load_table(tmp_path, text, label_column="1")
    assert data.label_names == ("-1", "0.5", "2", "10")
    assert data.train.labels.tolist() == [3, 2, 0, 1, 2, 3]
    assert "labels of equal value are one class: 1.0000000e+01, 1e1 are 10" in data.notes
    for given in ("2", "2.0", "2e0"):
        assert load_table(tmp_path, text, label_column="1", classes=(given,)).train.examples[:, 1].tolist() == [1, 4]
    with pytest.raises(UsageError, match=r"known: -1, 0\.5, 2, 10"):
        load_table(tmp_path, text, label_column="1", classes=("1",))


def test_number_of_the_label_column_is_not_a_name_in_a_heading_of_numbers(tmp_path):
    text = "label,0,1,2\n7,10,20,30\n8,11,21,33\n7,12,24,31\n"
    for column in ("1", "label"):
        data = load_table(tmp_path, text, label_column=column)
        assert data.label_names == ("7", "8")
        assert data.train.examples.tolist() == [[10, 20, 30], [11, 21, 33], [12, 24, 31]]
    note = "--label_column=1 is the number of the column 'label', not the column named 1"
    assert note in load_table(tmp_path, text, label_column="1").notes


def test_option_heading_decides_instead_of_recognition(tmp_path):
    text = "900,902,904\n" + "".join(f"0.{row},0.3,0.{9 - row}\n" for row in range(9))
    counts = {
        choice: len(load_table(tmp_path, text, heading=choice).train.examples) for choice in ("auto", "yes", "no")
    }
    assert counts == {"auto": 9, "yes": 9, "no": 10}
    assert len(load_table(tmp_path, "1,5\n3,2\n4,4\n", heading="yes").train.examples) == 2


def test_command_for_decimal_commas_between_white_space_writes_equal_numbers(tmp_path):
    text = "".join(f"  {row},5   -{row},25\t {row},0 \n" for row in range(1, 5))
    message = load_error(DataError, tmp_path, "table", written(tmp_path / "my t.txt", text))
    assert "its numbers have decimal commas, and its cells are separated by white space" in message
    subprocess.run(message[message.index("sed ") :], shell=True, check=True)
    data = load(tmp_path, "table", tmp_path / "my t_points.txt", eval_fraction=0.0)
    assert data.train.examples.tolist() == [[row + 0.5, -row - 0.25, row] for row in range(1, 5)]


@pytest.mark.parametrize(
    "preamble", ["sep=;\n", "# by hand\n# in 2021\n", "Exported by logger 2\n\n"], ids=["Excel", "comments", "a title"]
)
@pytest.mark.parametrize("label_column", [None, "c"])
def test_lines_before_the_table_are_named_and_deleting_them_helps(preamble, label_column, tmp_path):
    text = preamble + "a;b;c\n" + "1;2;3\n4;5;6\n7;8;9\n"
    for choice in ("error", "skip"):
        with pytest.raises(DataError, match="does not begin with the table") as error:
            load_table(tmp_path, text, on_bad_file=choice, label_column=label_column)
    start = int(re.search(r"delete the lines before line (\d+)", str(error.value))[1])
    rest = "".join(text.splitlines(keepends=True)[start - 1 :])
    assert load_table(tmp_path, rest).train.examples.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_columns_that_are_skipped_with_numbers_in_them_are_noted_with_the_reason(tmp_path):
    late = "".join(f"{row % 7}.5,{'' if row < 60 else row},x\n" for row in range(200))
    data = load_table(tmp_path, "a,late,text\n" + late)
    assert data.shape == (1,)
    assert any(note.startswith("skipped columns whose first 50 lines have no number") for note in data.notes)
    assert any("'late' (140 numbers)" in note for note in data.notes)
    assert "skipped columns without numbers: text" in data.notes
    filled = load_table(tmp_path, "a,late,text\n" + late.replace(",,", ",0,"))
    assert filled.shape == (2,)
    rates = load_table(tmp_path, "a,rate\n1,12.5%\n2,3%\n")
    assert "skipped columns of numbers with signs or units: 'rate' (12.5%); to train on them, write plain numbers" in (
        rates.notes
    )
    with pytest.raises(DataError, match=r"cells such as '12.5%', '\$3.10' are not numbers"):
        load_table(tmp_path, "rate,price\n12.5%,$3.10\n3%,$4\n")


def test_table_without_a_good_row_is_not_told_to_skip_rows(tmp_path):
    with pytest.raises(DataError, match="has no row that can be used") as error:
        load_table(tmp_path, "a,b\n1,\n,2\n3,\n")
    assert "on_bad_file" not in str(error.value)


def test_columns_that_look_like_ids_or_differ_by_orders_of_magnitude_are_noted(tmp_path):
    values = np.random.default_rng(0).normal(size=(40, 3))
    codes = np.random.default_rng(1).permutation(9_000)[:40]
    rows = [f"{row},{a:.3f},{b:.3f},{codes[row]}" for row, (a, b, _) in enumerate(values)]
    note = "columns that look like ids or indices are trained on: {}; give --ignore_columns={}, unless they are"
    note += " measurements"
    for heading, names, given in (
        (",a,b,user_id", "'column 1', 'user_id'", "1,user_id"),
        ("Unnamed: 0,a,b,ID", "'Unnamed: 0', 'ID'", "1,ID"),
    ):
        text = "\n".join([heading, *rows])
        assert note.format(names, given) in load_table(tmp_path, text).notes
        ignoring = load_table(tmp_path, text, ignore_columns=given.split(","))
        np.testing.assert_array_equal(ignoring.train.examples, np.round(values[:, :2], 3).astype(np.float32))
        assert len(ignoring.notes) == 1  # the heading
    humid = load_table(tmp_path, "\n".join(["n,a,b,humid", *rows])).notes
    assert note.format("'n'", "n") in humid
    scales = "\n".join(f"{a:.3f},{b:.3f},{c * 5_000:.1f}" for a, b, c in values)
    assert any("that of 'column 2'" in note and "--standardise" in note for note in load_table(tmp_path, scales).notes)
    assert not any("magnitude" in note for note in load_table(tmp_path, scales, standardise=True).notes)
    plain = load_table(tmp_path, "\n".join(f"{a:.3f},{b:.3f},{c * 30:.1f}" for a, b, c in values))
    assert len(plain.notes) == 1  # the first line


@pytest.mark.parametrize(
    ("dataset", "name", "remedy"),
    [
        ("table", "t.csv.xz", "unpack it, and give the path of the unpacked file"),
        ("table", "t.tar.gz", "unpack it, and give the path of the unpacked file"),
        ("table", "t.csv.gz", "copy or download it again"),
        ("table", "t.ZIP", "copy or download it again"),
        ("table", "t.xlsx", "save the sheet as t.csv, and give that file"),
        ("table", "t.xls", "save the sheet as t.csv, and give that file"),
        ("table", "t.dat", "if it is a table of text, rename it to t.csv, and give that path"),
        ("table", "t.feather", "save its table as t.csv, for example with pandas, and give that file"),
        ("table", "t.npy", "use --dataset=array"),
        ("array", "t.csv", "use --dataset=table"),
        ("array", "t.parquet", "use --dataset=table"),
        ("array", "t.npz.xz", "unpack it, and give the path of the unpacked file"),
        ("images", "t.tgz", "unpack it, and give the path of the unpacked folder"),
        ("images", "t.npz", "use --dataset=array"),
    ],
)
def test_file_of_another_format_is_told_what_to_do_with_it(dataset, name, remedy, tmp_path):
    assert load_error(DataError, tmp_path, dataset, written(tmp_path / name, "x")).endswith(f"remedy: {remedy}")
