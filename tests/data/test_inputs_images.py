"""Pictures that a person gives a trained network."""

import struct

import numpy as np
import pytest
from given import COLOUR, GREY, ORIENTATION, PIXELS, RANDOM, png_of_16_bits, refused, save
from PIL import Image

from trainer.data.builtin import cifar
from trainer.data.inputs import reader
from trainer.errors import DataError


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
    np.testing.assert_array_equal(found.examples, cifar.gray_images(PIXELS[np.newaxis]))
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
    np.testing.assert_array_equal(found.examples, cifar.gray_images(np.asarray(middle)[np.newaxis]))
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
