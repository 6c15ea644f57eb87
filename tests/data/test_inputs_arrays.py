"""Arrays as inputs of a trained network."""

import io
import os
import re

import numpy as np
import pytest
from input_files import COLOR, GRAY, PIXELS, RANDOM, TABLE, read_error

from trainer.data.inputs import reader
from trainer.errors import DataError


@pytest.mark.parametrize(
    ("array", "count"),
    [
        (PIXELS, 1),
        (np.stack([PIXELS, 255 - PIXELS]), 2),
        (np.asfortranarray(PIXELS), 1),
        (PIXELS[np.newaxis], 1),
    ],
    ids=["one", "two", "Fortran order", "batch of one"],
)
def test_uint8_array_is_read_unchanged(array, count, tmp_path):
    np.save(tmp_path / "a.npy", array)
    inputs = reader.read(str(tmp_path / "a.npy"), COLOR)
    np.testing.assert_array_equal(inputs.examples, array.reshape(-1, *COLOR))
    assert inputs.examples.flags.c_contiguous
    assert inputs.names == tuple(map(str, range(count)))


@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6), (4, 6, 1), (3, 4, 6, 1)])
def test_gray_arrays_need_no_channel_axis(shape, tmp_path):
    array = RANDOM.integers(0, 256, shape, np.uint8)
    np.save(tmp_path / "a.NPY", array)
    os.rename(tmp_path / "a.NPY.npy", tmp_path / "a.NPY")
    np.testing.assert_array_equal(reader.read(str(tmp_path / "a.NPY"), GRAY).examples, array.reshape(-1, *GRAY))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_float_images_are_read_unchanged(kind, tmp_path):
    array = (PIXELS / 255).astype(kind)
    np.save(tmp_path / "a.npy", array)
    inputs = reader.read(str(tmp_path / "a.npy"), COLOR)
    assert inputs.scaled.dtype == np.float32
    np.testing.assert_array_equal(inputs.scaled[0], array.astype(np.float32))


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan, np.inf, 255])
def test_error_names_the_position_of_a_float_outside_0_to_1(value, tmp_path):
    array = np.zeros((2, *COLOR), np.float32)
    array[1, 2, 3, 0] = value
    np.save(tmp_path / "a.npy", array)
    assert f"image 1, row 2, column 3 is {np.float32(value)}" in read_error(DataError, tmp_path / "a.npy", COLOR)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float64, ">f8"])
@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4)])
def test_rows_of_any_real_type_become_float32(shape, kind, tmp_path):
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    np.save(tmp_path / "a.npy", array)
    inputs = reader.read(str(tmp_path / "a.npy"), TABLE)
    assert inputs.examples.dtype == np.float32
    np.testing.assert_array_equal(inputs.examples, array.reshape(-1, 4))
    assert inputs.names == ("row 0", "row 1", "row 2")[: len(inputs.examples)]


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
def test_error_names_the_position_of_a_non_finite_number(value, tmp_path):
    array = np.zeros((5, 4))
    array[2, 1] = array[4, 0] = value
    np.save(tmp_path / "a.npy", array)
    message = read_error(DataError, tmp_path / "a.npy", TABLE)
    assert f"a.npy: row 2, column 1 is {np.float64(value)}" in message
    assert "2 of 20" in message


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((6, 4, 3), np.uint8), COLOR),
        (np.zeros((4, 6), np.uint8), COLOR),
        (np.zeros((1, 1, 4, 6, 3), np.uint8), COLOR),
        (np.zeros((4, 6, 3), np.uint8), GRAY),
        (np.zeros((0, 4, 6), np.uint8), GRAY),
        (np.zeros(3), TABLE),
        (np.zeros((4, 3)), TABLE),
        (np.zeros((2, 2, 4)), TABLE),
        (np.zeros(()), TABLE),
        (np.zeros((0, 4)), TABLE),
    ],
)
def test_array_of_another_shape_is_rejected_with_both_shapes(array, shape, tmp_path):
    np.save(tmp_path / "a.npy", array)
    message = read_error(DataError, tmp_path / "a.npy", shape)
    assert str(list(array.shape)) in message
    assert str(list(shape)) in message


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros(COLOR, np.int64), COLOR),
        (np.zeros(COLOR, bool), COLOR),
        (np.zeros(TABLE, complex), TABLE),
        (np.array(["1", "2", "3", "4"]), TABLE),
        (np.zeros(TABLE, bool), TABLE),
    ],
)
def test_array_of_another_type_is_rejected(array, shape, tmp_path):
    np.save(tmp_path / "a.npy", array)
    assert str(array.dtype) in read_error(DataError, tmp_path / "a.npy", shape)


class Malicious:
    def __reduce__(self):
        return os.system, ("touch executed",)


def test_array_of_objects_runs_no_code(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Malicious()] * 4, dtype=object), allow_pickle=True)
    read_error(DataError, tmp_path / "a.npy", TABLE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("damage", ["empty", "truncated", "an archive", "text", "a huge claim"])
def test_damaged_array_is_rejected(damage, tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((3, 4)))
    content = path.read_bytes()
    archive = io.BytesIO()
    np.savez(archive, a=np.zeros((3, 4)))
    path.write_bytes(
        {
            "empty": b"",
            "truncated": content[:-1],
            "an archive": archive.getvalue(),
            "text": b"1,2,3,4\n",
            "a huge claim": content.replace(b"(3, 4), }" + b" " * 16, b"(3000000000000000, 4), }  "[:25]),
        }[damage]
    )
    assert "a.npy cannot be read" in read_error(DataError, path, TABLE)


def test_the_remedy_for_rows_without_numbers_keeps_rows_with_missing_ones(tmp_path):
    nan, path = np.nan, tmp_path / "a.npy"
    rows = np.array([[1, nan], [nan, nan], [3, 4], [np.inf, 5]], np.float32)
    for x, kept in ((rows[:3], [[1, nan], [3, 4]]), (rows[[0, 3]], [[1, nan], [nan, 5]])):
        np.save(path, x)
        with pytest.raises(DataError) as error:
            reader.read(str(path), (2,), can_be_missing=True)
        code = re.search("`(.*?)`", error.value.remedy)[1]
        np.save(path, eval(code, {"np": np, "x": x}))
        np.testing.assert_array_equal(reader.read(str(path), (2,), can_be_missing=True).examples, np.float32(kept))
