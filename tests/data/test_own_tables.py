"""Tables of one's own."""

import numpy as np
import pytest
from own_data import refused, table

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
    ids=["bare", "heading", "semicolons", "tabs and a mark", "bars", "a heading of two lines"],
)
def test_tables_are_read_however_they_are_written(text, tmp_path):
    data = table(tmp_path, text)
    assert data.train.examples.tolist() == [[1, 2], [3, 4]]
    assert data.train.examples.dtype == np.float32


def test_no_row_is_lost_however_many_there_are(tmp_path):
    for count in (49, 50, 51, 52, 1_000):
        data = table(tmp_path, "".join(f"{number}\n" for number in range(count)))
        assert data.train.examples[:, 0].tolist() == list(range(count))


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a,b,c\n1,2,3\n4,5,6\n", "the first line is a heading: a, b, c"),
        (",a,b\n0,2,3\n1,5,6\n", "the first line is a heading: column 1, a, b"),
        ("0,1,2\n1.5,2,3\n4,5,6\n", "the first line is a heading: 0, 1, 2"),
        ("label,0,1,2\nx,1,2,3\ny,4,5,6\n", "the first line is a heading: label, 0, 1, 2"),
        ("x,1,2,7\ny,4,5,6\n", "no heading: the first line is a row"),
        ("7,8,9\n4,5,6\n", "no heading: the first line is a row"),
    ],
)
def test_a_heading_is_told_from_a_row(text, note, tmp_path):
    data = table(tmp_path, text)
    assert data.train.examples.shape == (2, 3)
    assert note in data.notes


def test_what_stands_in_quotes_parts_nothing(tmp_path):
    assert table(tmp_path, '1,"x; y",2\n3,"z; z",4\n').train.examples.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("first", ["3,?,5", "NA,1,2", "1O,1,2", "?,NA,-", ",1,2", ",1,x"])
def test_a_wrong_cell_in_the_first_row_makes_no_heading_of_it(first, tmp_path):
    with pytest.raises(DataError, match="line 1 in"):
        table(tmp_path, f"{first}\n3,4,5\n6,7,8\n")


@pytest.mark.parametrize("text", ["1,5;2,5\n3,5;4,5\n", "7;7,5\n8;8,5\n", "id;price\n1;1,5\n", 'a,b\n1,"1,234"\n'])
def test_numbers_with_commas_are_told_and_not_cut(text, tmp_path):
    with pytest.raises(DataError, match="has numbers with commas, such as"):
        table(tmp_path, text)


def test_mending_a_row_moves_no_other_to_the_other_side(tmp_path):
    rows = [f"{number},7" for number in range(100, 300)]
    whole = table(tmp_path, "\n".join(rows), eval_fraction=0.1)
    less = table(tmp_path, "\n".join([*rows[:2], "x,7", *rows[3:]]), eval_fraction=0.1, on_bad_file="skip")
    evaluate = [{int(row[0]) for row in data.evaluation.examples} for data in (whole, less)]
    assert 102 in evaluate[0]
    assert evaluate[1] == evaluate[0] - {102}


def test_a_column_labels_the_rows_and_words_are_left_out(tmp_path):
    text = "name,size,kind\nx,1,b\ny,2,a\nz,3,b\n"
    for column in ("kind", "3"):
        data = table(tmp_path, text, label_column=column)
        assert data.label_names == ("a", "b")
        assert data.train.labels.tolist() == [1, 0, 1]
        assert data.train.examples.tolist() == [[1], [2], [3]]
        assert data.notes == (
            "the first line is a heading: name, size, kind",
            "left out, columns that are no numbers: name",
        )
    with pytest.raises(UsageError, match="columns: name, size, kind"):
        table(tmp_path, text, label_column="colour")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3\n", "line 3 in"),
        ("a,b\n1,2\n3,\n", "line 3 in"),
        ("a,b\n1,2\n3,x\n", "'x' in the column 'b'"),
        ("a,b\n1,nan\n3,1\n", "'nan' in the column 'b'"),
        ("a,b\n1,1e39\n3,1\n", "'1e39' in the column 'b'"),
        ("a,b\n1,1_0\n3,1\n", "'1_0' in the column 'b'"),
        ("", "holds no rows"),
        ("a,b\nx,y\n", "no column of numbers"),
        (b"a,b\n1,\xff\n", "not UTF-8"),
        ('a,b\n1,"2\n3,4\n', "no row of a table"),
        ("a,b\n1,2\n1,2\x00\n", "cannot be used"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_by_its_line(text, words, tmp_path):
    with pytest.raises(DataError) as caught:
        table(tmp_path, text)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_row_that_goes_on_and_on_is_not_read_into_memory(tmp_path):
    limits = Limits(row_characters=100)
    assert len(table(tmp_path, "a,b\n" + "1,2\n" * 100, limits=limits).train.examples) == 100
    for row in ("1," * 60, '"\n",' * 60, '"' + "1\n" * 60):
        with pytest.raises(DataError, match="line 3 is no row of a table") as caught:
            table(tmp_path, f"a,b\n1,2\n{row}\n", limits=limits)
        assert "more than 100 characters" in str(caught.value)


def test_bad_rows_are_left_out_where_that_is_wanted(tmp_path):
    data = table(tmp_path, "a,b\n1,2\n3\nx,4\n5,6\n", on_bad_file="skip")
    assert data.train.examples.tolist() == [[1, 2], [5, 6]]
    assert data.notes[0].startswith("left out 2 of 4 rows: line 3 has 1 cells; the first line has 2; line 4 has 'x'")


def test_a_standardised_table_is_seen_in_standard_deviations(tmp_path):
    data = table(tmp_path, "1,10,5\n3,50,5\n", standardise=True)
    np.testing.assert_allclose(data.scale, [1, 20, 1])
    assert data.fingerprint != table(tmp_path, "1,10,5\n3,50,5\n").fingerprint
    assert "the same in every row: 1 columns, the first is number 3" in data.notes
    np.save(tmp_path / "p.npy", np.zeros((4, 4, 4), np.uint8))
    assert "they are pictures" in refused(UsageError, tmp_path, "array", tmp_path / "p.npy", standardise=True)
