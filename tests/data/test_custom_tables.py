"""Custom tables."""

import numpy as np
import pytest
from custom_data import load_error, load_table

from trainer.data.limits import Limits
from trainer.errors import DataError, UsageError


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
        ("0,1,2\n1.5,2,3\n4,5,6\n", "the first line is the heading: 0, 1, 2"),
        ("label,0,1,2\nx,1,2,3\ny,4,5,6\n", "the first line is the heading: label, 0, 1, 2"),
        ("x,1,2,7\ny,4,5,6\n", "there is no heading: the first line is a row"),
        ("7,8,9\n4,5,6\n", "there is no heading: the first line is a row"),
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
    with pytest.raises(DataError, match="line 1 in"):
        load_table(tmp_path, f"{first}\n3,4,5\n6,7,8\n")


@pytest.mark.parametrize("text", ["1,5;2,5\n3,5;4,5\n", "7;7,5\n8;8,5\n", "id;price\n1;1,5\n", 'a,b\n1,"1,234"\n'])
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
        (b"a,b\n1,\xff\n", "not UTF-8"),
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
    assert "constant columns: 1; the first is column 3" in data.notes
    np.save(tmp_path / "p.npy", np.zeros((4, 4, 4), np.uint8))
    assert "its examples are images" in load_error(UsageError, tmp_path, "array", tmp_path / "p.npy", standardise=True)
