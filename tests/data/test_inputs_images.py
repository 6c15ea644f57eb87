"""Image files as inputs of a trained network."""

import struct

import numpy as np
import pytest
from input_files import COLOR, GRAY, ORIENTATION, PIXELS, RANDOM, png_of_16_bits, read_error, save
from PIL import ExifTags, Image

from trainer.data.builtin import cifar
from trainer.data.inputs import reader
from trainer.errors import DataError


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.webp", "a.PNG", "a", "a.jpg"])
def test_image_of_the_right_size_is_read_unchanged_in_any_format(name, tmp_path):
    options = {"format": "PNG"} if name in ("a", "a.jpg") else {"lossless": True} if name == "a.webp" else {}
    inputs = reader.read(save(tmp_path / name, PIXELS, **options), COLOR)
    assert inputs.examples.dtype == np.uint8
    np.testing.assert_array_equal(inputs.examples, PIXELS[np.newaxis])
    assert (inputs.names, inputs.notes) == (("a",), ())


def test_jpeg_is_decoded_by_pillow(tmp_path):
    path = save(tmp_path / "a.jpeg", PIXELS)
    np.testing.assert_array_equal(reader.read(path, COLOR).examples[0], np.asarray(Image.open(path)))


def test_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "a.png", PIXELS)
    assert reader.read("~/a.png", COLOR).names == ("a",)


def test_color_image_is_converted_to_gray_like_the_training_data(tmp_path):
    inputs = reader.read(save(tmp_path / "a.png", PIXELS), GRAY)
    np.testing.assert_array_equal(inputs.examples, cifar.gray_images(PIXELS[np.newaxis]))
    assert inputs.notes == ("a.png was converted to gray",)


def test_gray_image_gets_three_equal_channels(tmp_path):
    inputs = reader.read(save(tmp_path / "a.png", PIXELS[..., 0]), COLOR)
    np.testing.assert_array_equal(inputs.examples[0], PIXELS[..., :1].repeat(3, axis=-1))
    assert inputs.notes == ()


def test_rgb_image_without_colors_has_no_note_on_gray(tmp_path):
    inputs = reader.read(save(tmp_path / "a.png", PIXELS[..., :1].repeat(3, axis=-1)), GRAY)
    np.testing.assert_array_equal(inputs.examples[0], PIXELS[..., :1])
    assert inputs.notes == ()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_image_is_rotated_by_its_exif_orientation(orientation, name, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    num_turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]  # quarter turns to the left
    stored = np.rot90(np.repeat(np.uint8([[0] * 8 + [255] * 8]), 16, axis=0), num_turns)
    save(tmp_path / name, stored, exif=exif)
    image = reader.read(str(tmp_path / name), (16, 16, 1)).examples[0, ..., 0]
    assert image[:, :7].max() < 16
    assert image[:, 9:].min() > 239


def test_exif_orientation_swaps_height_and_width(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    inputs = reader.read(save(tmp_path / "a.png", np.rot90(PIXELS), exif=exif), COLOR)
    np.testing.assert_array_equal(inputs.examples[0], PIXELS)
    assert inputs.notes == ()


def test_damaged_exif_is_ignored(tmp_path):
    path = save(tmp_path / "a.png", PIXELS, exif=b"Exif\0\0damaged")
    np.testing.assert_array_equal(reader.read(path, COLOR).examples[0], PIXELS)


def test_transparent_parts_are_composited_on_white(tmp_path):
    alpha = np.full((4, 6, 1), 255, np.uint8)
    alpha[0], alpha[1] = 0, 51
    inputs = reader.read(save(tmp_path / "a.png", np.concatenate([PIXELS, alpha], axis=-1)), COLOR)
    weight = alpha / 255
    np.testing.assert_allclose(inputs.examples[0], PIXELS * weight + 255 * (1 - weight), atol=1)
    np.testing.assert_array_equal(inputs.examples[0, 0], np.full((6, 3), 255))
    np.testing.assert_array_equal(inputs.examples[0, 2:], PIXELS[2:])
    assert inputs.notes == ("a.png was composited on white",)


def test_opaque_alpha_channel_has_no_note(tmp_path):
    inputs = reader.read(save(tmp_path / "a.png", np.dstack([PIXELS, np.full((4, 6), 255, np.uint8)])), COLOR)
    np.testing.assert_array_equal(inputs.examples[0], PIXELS)
    assert inputs.notes == ()


def test_palette_is_looked_up_and_its_transparent_color_is_white(tmp_path):
    image = Image.fromarray(np.uint8([[0, 1, 2], [2, 1, 0]]), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "a.png")
    expected = np.uint8([[20, 50, 80], [80, 50, 20]])
    np.testing.assert_array_equal(reader.read(str(tmp_path / "a.png"), (2, 3, 1)).examples[0, ..., 0], expected)
    image.save(tmp_path / "b.gif", transparency=1)
    expected[:, 1] = 255
    np.testing.assert_array_equal(reader.read(str(tmp_path / "b.gif"), (2, 3, 1)).examples[0, ..., 0], expected)


def test_one_bit_image_becomes_black_and_white(tmp_path):
    bits = PIXELS[..., 0] > 127
    inputs = reader.read(save(tmp_path / "a.png", bits), GRAY)
    np.testing.assert_array_equal(inputs.examples[0, ..., 0], bits * np.uint8(255))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_gray_is_rounded_to_8_bits(name, tmp_path):
    values = np.uint16([[0, 128, 129, 257], [300, 32768, 65406, 65535]])
    if name == "a.pgm":
        (tmp_path / name).write_bytes(b"P5 4 2 65535\n" + values.astype(">u2").tobytes())
    else:
        save(tmp_path / name, values)
    pixels = reader.read(str(tmp_path / name), (2, 4, 1)).examples[0, ..., 0]
    np.testing.assert_array_equal(pixels, np.rint(values / 257))
    assert pixels.max() == 255


def test_16_bit_color_is_reduced_to_8_bits(tmp_path):
    (tmp_path / "a.png").write_bytes(png_of_16_bits(PIXELS.astype(np.uint16) * 257, 2))
    np.testing.assert_array_equal(reader.read(str(tmp_path / "a.png"), COLOR).examples[0], PIXELS)


def test_transparent_16_bit_gray_is_white(tmp_path):
    values = np.uint16([[1000, 1001], [514, 1000]])
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values, 0, (b"tRNS", struct.pack(">H", 1000))))
    inputs = reader.read(str(tmp_path / "a.png"), (2, 2, 1))
    assert inputs.examples[0, ..., 0].tolist() == [[255, 4], [2, 255]]
    assert inputs.notes[0].startswith("a.png was composited on white and read at the full 16-bit scale")


def test_transparent_16_bit_color_is_white(tmp_path):
    values = np.zeros((2, 2, 3), np.uint16)
    values[0, 1], values[1, 0] = (0x1234, 0x5678, 0x9ABC), (0x3412, 0x7856, 0xBC9A)
    transparent = (b"tRNS", values[0, 1].astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values, 2, transparent))
    pixels = reader.read(str(tmp_path / "a.png"), (2, 2, 3)).examples[0]
    assert pixels.tolist() == [[[0, 0, 0], [255, 255, 255]], [[0x34, 0x78, 0xBC], [0, 0, 0]]]


def test_float_image_must_be_from_0_to_1(tmp_path):
    path = save(tmp_path / "a.tif", np.float32([[0, 0.5], [0.2, 1]]))
    assert reader.read(path, (2, 2, 1)).examples.ravel().tolist() == [0, 128, 51, 255]
    save(path, np.float32([[0, 1.5]]))
    assert "0.0 to 1.5; expected 0 to 1" in read_error(DataError, path, (2, 2, 1))


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_first_frame_of_an_animation_is_used(name, tmp_path):
    first, second = (Image.fromarray(np.full((4, 6), value, np.uint8)) for value in (40, 200))
    first.save(tmp_path / name, save_all=True, append_images=[second], **({"lossless": True} if "webp" in name else {}))
    inputs = reader.read(str(tmp_path / name), GRAY)
    assert set(inputs.examples.ravel()) == {40}
    assert inputs.notes == (f"{name} was reduced to its first {'page' if name == 'a.tif' else 'frame'}",)


def test_larger_image_is_cropped_to_its_center_and_resized_with_lanczos(tmp_path):
    large = RANDOM.integers(0, 256, (48, 64, 3), np.uint8)
    inputs = reader.read(save(tmp_path / "photo.png", large), (32, 32, 1))
    center = Image.fromarray(large[:, 8:56]).resize((32, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(inputs.examples, cifar.gray_images(np.asarray(center)[np.newaxis]))
    assert inputs.notes == ("photo.png was cropped to its center, resized from 64x48 to 32x32 and converted to gray",)


@pytest.mark.parametrize(
    ("size", "part"),
    [
        ((8, 6), np.s_[2:6, :]),
        ((4, 9), np.s_[:, 1:7]),
        ((5, 6), np.s_[0:4, :]),
    ],
    ids=["tall", "wide", "odd"],
)
def test_pixels_are_unchanged_if_only_edges_are_cropped(size, part, tmp_path):
    image = RANDOM.integers(0, 256, (*size, 3), np.uint8)
    inputs = reader.read(save(tmp_path / "a.png", image), COLOR)
    np.testing.assert_array_equal(inputs.examples[0], image[part])


def test_image_with_the_same_aspect_ratio_is_not_cropped(tmp_path):
    inputs = reader.read(save(tmp_path / "a.png", np.full((2, 3, 3), 7, np.uint8)), COLOR)
    assert set(inputs.examples.ravel()) == {7}
    assert inputs.notes == ("a.png was resized from 3x2 to 6x4",)


@pytest.mark.parametrize(("orientation", "size"), [(1, "96x64"), (6, "64x96")])
def test_the_size_of_a_jpeg_is_that_of_its_file_as_it_is_viewed(orientation, size, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (96, 64)).save(tmp_path / "a.jpg", exif=exif)
    assert f"resized from {size} to" in reader.read(tmp_path / "a.jpg", COLOR).notes[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_image_with_any_aspect_ratio_is_read(size, tmp_path):
    inputs = reader.read(save(tmp_path / "a.png", np.full((*size, 3), 9, np.uint8)), COLOR)
    assert set(inputs.examples.ravel()) == {9}
