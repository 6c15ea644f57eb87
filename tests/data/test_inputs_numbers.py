"""Numbers on the command line, and what is neither a path nor numbers."""

import os

import numpy as np
import pytest
from given import GREY, PIXELS, TABLE, refused, save

from trainer.data.inputs import reader
from trainer.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("8,4,6,2", [[8, 4, 6, 2]]),
        ("8,4,6,2;5,3,1,0", [[8, 4, 6, 2], [5, 3, 1, 0]]),
        (" 5.1, -3.5e0 ,.5, 1E2 ; 0,0,0,0", [[5.1, -3.5, 0.5, 100], [0, 0, 0, 0]]),
    ],
)
def test_numbers_are_rows(text, rows):
    found = reader.read(text, TABLE)
    assert found.examples.dtype == np.float32
    np.testing.assert_array_equal(found.examples, np.float32(rows))
    assert found.names == ("row 0", "row 1")[: len(rows)]


def test_a_single_column_takes_a_single_number():
    assert reader.read("-7;8", (1,)).examples.tolist() == [[-7], [8]]


def test_numbers_of_pictures_go_from_0_to_1_row_by_row_channels_last():
    found = reader.read("0,0.2,0.4, 0.6,0.8,1; 1,1,1, 0,0,0", (1, 2, 3))
    pixels = np.float32([[[[0, 0.2, 0.4], [0.6, 0.8, 1]]], [[[1] * 3, [0] * 3]]])
    np.testing.assert_array_equal(found.images, pixels)
    assert found.names == ("0", "1")
    assert "picture 0, row 1, column 0 holds 17.0" in refused(UsageError, "0,1,17,1", (2, 2, 1))


@pytest.mark.parametrize(
    ("text", "count"), [("8,4,6", "row 0 has 3 numbers"), ("1,2,3,4;5", "row 1 has 1 number"), ("1", "row 0 has 1 ")]
)
def test_a_wrong_count_of_numbers_is_a_usage_error_that_says_the_right_one(text, count):
    message = refused(UsageError, text, TABLE)
    assert count in message
    assert "4 numbers" in message
    assert UsageError.exit_code == 1


@pytest.mark.parametrize("word", ["nan", "inf", "1e39"])
def test_a_number_on_the_command_line_that_is_not_finite_is_a_usage_error(word):
    assert "row 1, column 2 holds" in refused(UsageError, f"1,2,3,4;1,2,{word},4", TABLE)


@pytest.mark.parametrize("text", ["", " ", "photo.jpg", "~nobody/a.png", "8,4,6,x", "8;4,,2", "1,2,3,4;", "x" * 5000])
@pytest.mark.parametrize("shape", [TABLE, GREY])
def test_what_is_neither_a_path_nor_numbers_is_told_what_both_look_like(text, shape):
    message = refused(UsageError, text, shape)
    assert "neither a path nor numbers" in message
    assert ("path/to/rows.npy" if shape == TABLE else "photo.png") in message
    assert ("4 numbers ('1.5,1.5,1.5,1.5'" if shape == TABLE else "24 numbers from 0 to 1 ('0.5,0.5,...") in message
    assert len(message) < 500


def test_the_word_that_is_no_number_is_named():
    assert "'l2' is no number" in refused(UsageError, "8,4,l2,2", TABLE)


def test_a_path_that_exists_is_a_path_even_where_it_reads_as_numbers(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(4))
    (tmp_path / "8,4,6,2").write_bytes((tmp_path / "a.npy").read_bytes())
    assert "is no .npy file" in refused(UsageError, "8,4,6,2", TABLE)


@pytest.mark.parametrize("name", ["a.png", "."])
def test_a_table_takes_no_pictures_and_says_what_it_takes(name, tmp_path):
    save(tmp_path / "a.png", PIXELS)
    message = refused(UsageError, tmp_path / name, TABLE)
    assert "rows of 4 numbers" in message
    assert "[4] or [N, 4]" in message


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert "neither a file nor a folder" in refused(UsageError, tmp_path / "a.png", GREY)
    assert "no pictures" in refused(DataError, tmp_path, GREY)


def test_inputs_do_not_change():
    with pytest.raises(AttributeError):
        reader.read("1", (1,)).names = ()
