"""What a person gives a trained network: files as people have them, written here, and read by value."""

import contextlib
import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from trainer.data.builtin import cifar
from trainer.data.formats import image_files
from trainer.data.inputs import images, reader
from trainer.errors import DataError, UsageError

RANDOM = np.random.default_rng(0)
GREY, COLOUR, TABLE = (4, 6, 1), (4, 6, 3), (4,)
PIXELS = RANDOM.integers(0, 256, COLOUR, np.uint8)
ORIENTATION = 0x0112  # EXIF's tag


def png(*chunks):
    """A PNG file of (type, content), for what Pillow does not write."""
    packed = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed) + struct.pack(">I", 0) + b"IEND\xaeB`\x82"


def png_of_16_bits(values, kind, *more):
    height, width = values.shape[:2]
    scanlines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return png(header, *more, (b"IDAT", zlib.compress(scanlines)))


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def refused(kind, text, shape):
    """The three lines at most with which it is refused."""
    with pytest.raises(kind) as error:
        reader.read(str(text), shape)
    lines = str(error.value).splitlines()
    assert len(lines) <= 3
    assert lines[-1].startswith("remedy: ")
    return str(error.value)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.webp", "a.PNG", "a", "a.jpg"])
def test_a_picture_of_the_right_size_is_read_pixel_for_pixel_whatever_its_format(name, tmp_path):
    options = {"format": "PNG"} if name in ("a", "a.jpg") else {"lossless": True} if name == "a.webp" else {}
    found = reader.read(save(tmp_path / name, PIXELS, **options), COLOUR)
    assert found.examples.dtype == np.uint8
    np.testing.assert_array_equal(found.examples, PIXELS[np.newaxis])
    assert (found.names, found.notes) == (("a",), ())


def test_a_jpeg_is_read_as_pillow_decodes_it(tmp_path):
    path = save(tmp_path / "a.jpeg", PIXELS)
    np.testing.assert_array_equal(reader.read(path, COLOUR).examples[0], np.asarray(Image.open(path)))


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "a.png", PIXELS)
    assert reader.read("~/a.png", COLOUR).names == ("a",)


def test_a_grey_run_takes_a_colour_picture_as_the_grey_data_were_made(tmp_path):
    found = reader.read(save(tmp_path / "a.png", PIXELS), GREY)
    np.testing.assert_array_equal(found.examples, cifar.grey_pictures(PIXELS[np.newaxis]))
    assert found.notes == ("a.png was made grey",)


def test_a_colour_run_takes_a_grey_picture_in_three_equal_channels(tmp_path):
    found = reader.read(save(tmp_path / "a.png", PIXELS[..., 0]), COLOUR)
    np.testing.assert_array_equal(found.examples[0], PIXELS[..., :1].repeat(3, axis=-1))
    assert found.notes == ()


def test_a_picture_without_colours_is_not_said_to_be_made_grey(tmp_path):
    found = reader.read(save(tmp_path / "a.png", PIXELS[..., :1].repeat(3, axis=-1)), GREY)
    np.testing.assert_array_equal(found.examples[0], PIXELS[..., :1])
    assert found.notes == ()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_picture_stands_as_its_exif_says(orientation, name, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]  # by which it was turned to the left
    stored = np.rot90(np.repeat(np.uint8([[0] * 8 + [255] * 8]), 16, axis=0), turns)
    save(tmp_path / name, stored, exif=exif)
    picture = reader.read(str(tmp_path / name), (16, 16, 1)).examples[0, ..., 0]
    assert picture[:, :7].max() < 16
    assert picture[:, 9:].min() > 239


def test_exif_of_a_tall_picture_turns_its_size_too(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    found = reader.read(save(tmp_path / "a.png", np.rot90(PIXELS), exif=exif), COLOUR)
    np.testing.assert_array_equal(found.examples[0], PIXELS)
    assert found.notes == ()


def test_broken_exif_does_not_cost_the_picture(tmp_path):
    path = save(tmp_path / "a.png", PIXELS, exif=b"Exif\0\0no such thing")
    np.testing.assert_array_equal(reader.read(path, COLOUR).examples[0], PIXELS)


def test_what_is_transparent_lies_on_white(tmp_path):
    alpha = np.full((4, 6, 1), 255, np.uint8)
    alpha[0], alpha[1] = 0, 51
    found = reader.read(save(tmp_path / "a.png", np.concatenate([PIXELS, alpha], axis=-1)), COLOUR)
    weight = alpha / 255
    np.testing.assert_allclose(found.examples[0], PIXELS * weight + 255 * (1 - weight), atol=1)
    np.testing.assert_array_equal(found.examples[0, 0], np.full((6, 3), 255))
    np.testing.assert_array_equal(found.examples[0, 2:], PIXELS[2:])
    assert found.notes == ("a.png was laid on white",)


def test_an_alpha_channel_that_hides_nothing_is_not_spoken_of(tmp_path):
    found = reader.read(save(tmp_path / "a.png", np.dstack([PIXELS, np.full((4, 6), 255, np.uint8)])), COLOUR)
    np.testing.assert_array_equal(found.examples[0], PIXELS)
    assert found.notes == ()


def test_a_palette_is_looked_up_and_its_transparent_colour_is_white(tmp_path):
    picture = Image.fromarray(np.uint8([[0, 1, 2], [2, 1, 0]]), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.save(tmp_path / "a.png")
    expected = np.uint8([[20, 50, 80], [80, 50, 20]])
    np.testing.assert_array_equal(reader.read(str(tmp_path / "a.png"), (2, 3, 1)).examples[0, ..., 0], expected)
    picture.save(tmp_path / "b.gif", transparency=1)
    expected[:, 1] = 255
    np.testing.assert_array_equal(reader.read(str(tmp_path / "b.gif"), (2, 3, 1)).examples[0, ..., 0], expected)


def test_a_picture_of_one_bit_is_black_and_white(tmp_path):
    bits = PIXELS[..., 0] > 127
    found = reader.read(save(tmp_path / "a.png", bits), GREY)
    np.testing.assert_array_equal(found.examples[0, ..., 0], bits * np.uint8(255))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits_become_eight_by_rounding(name, tmp_path):
    values = np.uint16([[0, 128, 129, 257], [300, 32768, 65406, 65535]])
    if name == "a.pgm":
        (tmp_path / name).write_bytes(b"P5 4 2 65535\n" + values.astype(">u2").tobytes())
    else:
        save(tmp_path / name, values)
    found = reader.read(str(tmp_path / name), (2, 4, 1)).examples[0, ..., 0]
    np.testing.assert_array_equal(found, np.rint(values / 257))
    assert found.max() == 255


def test_sixteen_bits_a_colour_become_eight(tmp_path):
    (tmp_path / "a.png").write_bytes(png_of_16_bits(PIXELS.astype(np.uint16) * 257, 2))
    np.testing.assert_array_equal(reader.read(str(tmp_path / "a.png"), COLOUR).examples[0], PIXELS)


def test_a_transparent_grey_of_sixteen_bits_is_white(tmp_path):
    values = np.uint16([[1000, 1001], [514, 1000]])
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values, 0, (b"tRNS", struct.pack(">H", 1000))))
    found = reader.read(str(tmp_path / "a.png"), (2, 2, 1))
    assert found.examples[0, ..., 0].tolist() == [[255, 4], [2, 255]]
    assert found.notes == ("a.png was laid on white",)


def test_a_transparent_colour_of_sixteen_bits_is_white(tmp_path):
    values = np.zeros((2, 2, 3), np.uint16)
    values[0, 1], values[1, 0] = (0x1234, 0x5678, 0x9ABC), (0x3412, 0x7856, 0xBC9A)
    transparent = (b"tRNS", values[0, 1].astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values, 2, transparent))
    found = reader.read(str(tmp_path / "a.png"), (2, 2, 3)).examples[0]
    assert found.tolist() == [[[0, 0, 0], [255, 255, 255]], [[0x34, 0x78, 0xBC], [0, 0, 0]]]


def test_a_picture_of_floats_goes_from_0_to_1(tmp_path):
    path = save(tmp_path / "a.tif", np.float32([[0, 0.5], [0.2, 1]]))
    assert reader.read(path, (2, 2, 1)).examples.ravel().tolist() == [0, 128, 51, 255]
    save(path, np.float32([[0, 1.5]]))
    assert "0.0 to 1.5; expected 0 to 1" in refused(DataError, path, (2, 2, 1))


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_of_a_moving_picture_the_first_frame_is_taken(name, tmp_path):
    first, second = (Image.fromarray(np.full((4, 6), value, np.uint8)) for value in (40, 200))
    first.save(tmp_path / name, save_all=True, append_images=[second], **({"lossless": True} if "webp" in name else {}))
    found = reader.read(str(tmp_path / name), GREY)
    assert set(found.examples.ravel()) == {40}
    assert found.notes == (f"{name} was cut to its first frame",)


def test_a_larger_picture_is_cropped_to_its_middle_and_resized_by_lanczos(tmp_path):
    large = RANDOM.integers(0, 256, (48, 64, 3), np.uint8)
    found = reader.read(save(tmp_path / "photo.png", large), (32, 32, 1))
    middle = Image.fromarray(large[:, 8:56]).resize((32, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(found.examples, cifar.grey_pictures(np.asarray(middle)[np.newaxis]))
    assert found.notes == ("photo.png was cropped to its middle, resized from 64x48 to 32x32 and made grey",)


@pytest.mark.parametrize(
    ("size", "part"),
    [
        ((8, 6), np.s_[2:6, :]),
        ((4, 9), np.s_[:, 1:7]),
        ((5, 6), np.s_[0:4, :]),
    ],
    ids=["tall", "wide", "odd"],
)
def test_where_only_edges_are_cut_off_the_middle_stays_as_it_is(size, part, tmp_path):
    picture = RANDOM.integers(0, 256, (*size, 3), np.uint8)
    found = reader.read(save(tmp_path / "a.png", picture), COLOUR)
    np.testing.assert_array_equal(found.examples[0], picture[part])


def test_a_picture_of_the_same_proportions_is_not_cropped(tmp_path):
    found = reader.read(save(tmp_path / "a.png", np.full((2, 3, 3), 7, np.uint8)), COLOUR)
    assert set(found.examples.ravel()) == {7}
    assert found.notes == ("a.png was resized from 3x2 to 6x4",)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_a_picture_of_any_proportions_fits(size, tmp_path):
    found = reader.read(save(tmp_path / "a.png", np.full((*size, 3), 9, np.uint8)), COLOUR)
    assert set(found.examples.ravel()) == {9}


def test_a_folder_is_its_pictures_by_name(tmp_path):
    for value, name in enumerate(["b.png", "a.JPG", "c.gif", ".hidden.png", "._b.png"]):
        save(tmp_path / name, np.full(GREY[:2], value, np.uint8))
    (tmp_path / "inner").mkdir()
    save(tmp_path / "inner" / "d.png", PIXELS)
    (tmp_path / "e.png").mkdir()
    found = reader.read(str(tmp_path), GREY)
    assert found.names == ("a", "b", "c")
    assert found.examples[:, 0, 0, 0].tolist() == [1, 0, 2]
    assert found.notes == ()


def test_a_folder_may_be_named_like_an_array(tmp_path):
    (tmp_path / "a.npy").mkdir()
    save(tmp_path / "a.npy" / "b.png", PIXELS)
    assert reader.read(str(tmp_path / "a.npy"), COLOUR).names == ("b",)


def test_what_a_folder_holds_besides_pictures_is_left_out_and_said(tmp_path):
    for name in ("b.heic", "c.txt", "d.h5", "e.eps"):
        (tmp_path / name).write_text("x")
    save(tmp_path / "a.png", PIXELS)
    found = reader.read(str(tmp_path), COLOUR)
    assert found.names == ("a",)
    assert found.notes == ("left out, not named as pictures that can be read: b.heic and 3 more",)


def test_pictures_that_share_a_stem_go_by_their_whole_names(tmp_path):
    for name in ("a.png", "a.bmp", "b.png"):
        save(tmp_path / name, PIXELS)
    assert reader.read(str(tmp_path), COLOUR).names == ("a.bmp", "a.png", "b.png")


def test_what_was_done_to_many_pictures_is_said_once(tmp_path):
    for number in range(5):
        save(tmp_path / f"{number}.png", RANDOM.integers(0, 256, (8, 12, 3), np.uint8))
    save(tmp_path / "5.png", PIXELS)
    assert reader.read(str(tmp_path), GREY).notes == (
        "0.png and 4 more were resized from 12x8 to 6x4 and made grey",
        "5.png was made grey",
    )


def test_notes_do_not_fill_the_screen(tmp_path):
    for number in range(13):
        save(tmp_path / f"{number:02}.png", np.zeros((4 + number, 6, 3), np.uint8))
    notes = reader.read(str(tmp_path), COLOUR).notes
    assert len(notes) == 11
    assert notes[0] == "01.png was cropped to its middle and resized from 6x5 to 6x4"
    assert notes[-1] == "2 more were changed likewise"


def test_a_folder_without_pictures_is_a_data_error(tmp_path):
    assert "holds no pictures" in refused(DataError, tmp_path, GREY)
    np.save(tmp_path / "a.npy", PIXELS)
    assert "other files: a.npy" in refused(DataError, tmp_path, GREY)


def test_a_folder_of_too_many_pictures_is_a_usage_error(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PICTURES", 2)
    for name in "abc":
        save(tmp_path / f"{name}.png", PIXELS)
        if name == "b":
            assert len(reader.read(str(tmp_path), COLOUR).examples) == 2
    assert "holds 3 pictures" in refused(UsageError, tmp_path, COLOUR)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.webp"])
def test_a_truncated_picture_in_a_folder_is_named(name, tmp_path):
    save(tmp_path / "0.png", PIXELS)
    path = tmp_path / name
    save(path, RANDOM.integers(0, 256, (40, 60, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert str(path) in refused(DataError, tmp_path, GREY)
    assert DataError.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_a_data_error(content, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    assert "a.jpg is no picture" in refused(DataError, tmp_path / "a.jpg", GREY)


def test_a_link_that_leads_nowhere_is_missed_by_name(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    assert "a.png cannot be read" in refused(DataError, tmp_path, GREY)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif", "a.webp", "a.npy"])
def test_damaged_files_are_data_errors_or_pictures_and_nothing_else(name, tmp_path):
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, PIXELS)
    else:
        save(path, PIXELS)
    sound = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(sound)
        for place in random.integers(0, len(sound), 3):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            assert reader.read(str(path), COLOUR).examples.shape == (1, *COLOUR)


@pytest.mark.parametrize("place", [(image_files, "MAX_PIXELS"), (Image, "MAX_IMAGE_PIXELS")], ids=["ours", "Pillow's"])
def test_a_decompression_bomb_is_not_unpacked(place, tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", PIXELS)
    monkeypatch.setattr(*place, 5)
    assert "too large" in refused(DataError, path, COLOUR)


def test_warnings_go_on_as_they_were(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader.read(save(tmp_path / "a.png", PIXELS), COLOUR)
        warnings.warn("still heard", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["still heard"]


def test_names_that_are_no_text_can_be_shown(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\nb.png")
    reader.read(save(path, PIXELS), COLOUR)
    found = reader.read(path, GREY)
    assert (found.names, found.notes) == (("a? b",), ("a? b.png was made grey",))


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
