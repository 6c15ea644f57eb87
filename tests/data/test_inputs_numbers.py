"""Numbers as inputs of a trained network, and inputs that are neither a path nor numbers."""

import os

import numpy as np
import pytest
from input_files import GRAY, PIXELS, TABLE, read_error, save

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
def test_numbers_are_read_as_rows(text, rows):
    inputs = reader.read(text, TABLE)
    assert inputs.examples.dtype == np.float32
    np.testing.assert_array_equal(inputs.examples, np.float32(rows))
    assert inputs.names == ("row 0", "row 1")[: len(rows)]


def test_table_with_one_column_takes_one_number_per_row():
    assert reader.read("-7;8", (1,)).examples.tolist() == [[-7], [8]]


def test_numbers_are_read_as_images_row_by_row_with_channels_last():
    inputs = reader.read("0,0.2,0.4, 0.6,0.8,1; 1,1,1, 0,0,0", (1, 2, 3))
    pixels = np.float32([[[[0, 0.2, 0.4], [0.6, 0.8, 1]]], [[[1] * 3, [0] * 3]]])
    np.testing.assert_array_equal(inputs.scaled, pixels)
    assert inputs.names == ("0", "1")
    assert "image 0, row 1, column 0 is 17.0" in read_error(UsageError, "0,1,17,1", (2, 2, 1))


@pytest.mark.parametrize(
    ("text", "count"), [("8,4,6", "row 0 has 3 numbers"), ("1,2,3,4;5", "row 1 has 1 number"), ("1", "row 0 has 1 ")]
)
def test_wrong_count_of_numbers_is_rejected_with_the_right_count(text, count):
    message = read_error(UsageError, text, TABLE)
    assert count in message
    assert "4 numbers" in message
    assert UsageError.exit_code == 1


@pytest.mark.parametrize("word", ["nan", "inf", "1e39"])
def test_non_finite_number_is_rejected(word):
    assert "row 1, column 2 is" in read_error(UsageError, f"1,2,3,4;1,2,{word},4", TABLE)


@pytest.mark.parametrize("text", ["", " ", "photo.jpg", "~nobody/a.png", "8,4,6,x", "8;4,,2", "1,2,3,4;", "x" * 5000])
@pytest.mark.parametrize("shape", [TABLE, GRAY])
def test_text_that_is_neither_a_path_nor_numbers_is_rejected_with_remedy(text, shape):
    message = read_error(UsageError, text, shape)
    assert "neither a path nor numbers" in message
    assert ("rows.csv, rows.npy" if shape == TABLE else "photo.png") in message
    assert ("4 numbers ('1.5,1.5,1.5,1.5'" if shape == TABLE else "24 numbers from 0 to 1 ('0.5,0.5,...") in message
    assert len(message) < 500


def test_word_that_is_not_a_number_is_named():
    assert "'l2' is not a number" in read_error(UsageError, "8,4,l2,2", TABLE)


def test_existing_path_is_read_as_a_path_even_if_it_looks_like_numbers(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(4))
    (tmp_path / "8,4,6,2").write_bytes((tmp_path / "a.npy").read_bytes())
    assert "is neither a table nor an array" in read_error(UsageError, "8,4,6,2", TABLE)


@pytest.mark.parametrize("name", ["a.png", "."])
def test_images_are_rejected_for_a_table_with_remedy(name, tmp_path):
    save(tmp_path / "a.png", PIXELS)
    message = read_error(UsageError, tmp_path / name, TABLE)
    assert "rows of 4 numbers" in message
    assert "[4] or [N, 4]" in message


def test_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert "neither a file nor a folder" in read_error(UsageError, tmp_path / "a.png", GRAY)
    assert "has no images" in read_error(DataError, tmp_path, GRAY)


def test_inputs_are_immutable():
    with pytest.raises(AttributeError):
        reader.read("1", (1,)).names = ()
