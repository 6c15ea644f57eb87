"""Arrays that a person gives a trained network."""

import io
import os

import numpy as np
import pytest
from given import COLOUR, GREY, PIXELS, RANDOM, TABLE, refused

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
    ids=["one", "two", "columns first", "one of one"],
)
def test_an_array_of_bytes_is_taken_as_stored(array, count, tmp_path):
    np.save(tmp_path / "a.npy", array)
    found = reader.read(str(tmp_path / "a.npy"), COLOUR)
    np.testing.assert_array_equal(found.examples, array.reshape(-1, *COLOUR))
    assert found.examples.flags.c_contiguous
    assert found.names == tuple(map(str, range(count)))


@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6), (4, 6, 1), (3, 4, 6, 1)])
def test_grey_arrays_need_no_channel(shape, tmp_path):
    array = RANDOM.integers(0, 256, shape, np.uint8)
    np.save(tmp_path / "a.NPY", array)
    os.rename(tmp_path / "a.NPY.npy", tmp_path / "a.NPY")
    np.testing.assert_array_equal(reader.read(str(tmp_path / "a.NPY"), GREY).examples, array.reshape(-1, *GREY))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_of_pictures_go_from_0_to_1(kind, tmp_path):
    array = (PIXELS / 255).astype(kind)
    np.save(tmp_path / "a.npy", array)
    found = reader.read(str(tmp_path / "a.npy"), COLOUR)
    assert found.images.dtype == np.float32
    np.testing.assert_array_equal(found.images[0], array.astype(np.float32))


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan, np.inf, 255])
def test_a_float_of_a_picture_out_of_range_is_named_by_its_place(value, tmp_path):
    array = np.zeros((2, *COLOUR), np.float32)
    array[1, 2, 3, 0] = value
    np.save(tmp_path / "a.npy", array)
    assert f"picture 1, row 2, column 3 holds {np.float32(value)}" in refused(DataError, tmp_path / "a.npy", COLOUR)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float64, ">f8"])
@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4)])
def test_rows_of_any_real_type_become_floats_in_their_own_units(shape, kind, tmp_path):
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    np.save(tmp_path / "a.npy", array)
    found = reader.read(str(tmp_path / "a.npy"), TABLE)
    assert found.examples.dtype == np.float32
    np.testing.assert_array_equal(found.examples, array.reshape(-1, 4))
    assert found.names == ("row 0", "row 1", "row 2")[: len(found.examples)]


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
def test_a_number_of_a_row_that_is_not_finite_is_named_by_its_place(value, tmp_path):
    array = np.zeros((5, 4))
    array[2, 1] = array[4, 0] = value
    np.save(tmp_path / "a.npy", array)
    message = refused(DataError, tmp_path / "a.npy", TABLE)
    assert f"a.npy: row 2, column 1 holds {np.float64(value)}" in message
    assert "2 of 20" in message


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((6, 4, 3), np.uint8), COLOUR),
        (np.zeros((4, 6), np.uint8), COLOUR),
        (np.zeros((1, 1, 4, 6, 3), np.uint8), COLOUR),
        (np.zeros((4, 6, 3), np.uint8), GREY),
        (np.zeros((0, 4, 6), np.uint8), GREY),
        (np.zeros(3), TABLE),
        (np.zeros((4, 3)), TABLE),
        (np.zeros((2, 2, 4)), TABLE),
        (np.zeros(()), TABLE),
        (np.zeros((0, 4)), TABLE),
    ],
)
def test_an_array_of_another_shape_is_a_data_error_that_says_both(array, shape, tmp_path):
    np.save(tmp_path / "a.npy", array)
    message = refused(DataError, tmp_path / "a.npy", shape)
    assert str(list(array.shape)) in message
    assert str(list(shape)) in message


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros(COLOUR, np.int64), COLOUR),
        (np.zeros(COLOUR, bool), COLOUR),
        (np.zeros(TABLE, complex), TABLE),
        (np.array(["1", "2", "3", "4"]), TABLE),
        (np.zeros(TABLE, bool), TABLE),
    ],
)
def test_an_array_of_another_type_is_a_data_error(array, shape, tmp_path):
    np.save(tmp_path / "a.npy", array)
    assert str(array.dtype) in refused(DataError, tmp_path / "a.npy", shape)


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def test_an_array_of_objects_runs_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Evil()] * 4, dtype=object), allow_pickle=True)
    refused(DataError, tmp_path / "a.npy", TABLE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("how", ["empty", "cut short", "an archive", "text", "a huge claim"])
def test_a_damaged_array_is_a_data_error(how, tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((3, 4)))
    content = path.read_bytes()
    archive = io.BytesIO()
    np.savez(archive, a=np.zeros((3, 4)))
    path.write_bytes(
        {
            "empty": b"",
            "cut short": content[:-1],
            "an archive": archive.getvalue(),
            "text": b"1,2,3,4\n",
            "a huge claim": content.replace(b"(3, 4), }" + b" " * 16, b"(3000000000000000, 4), }  "[:25]),
        }[how]
    )
    assert "a.npy cannot be read" in refused(DataError, path, TABLE)
