"""TIFF files, in folders and as inputs: all layouts that are read are read exactly, all others are refused."""

import io
import itertools
import struct

import numpy as np
import pytest
from custom_data import load, load_error
from hostile.tiffs import DEFLATE, DOUBLE, LONG, SHORT, UNCOMPRESSED, directory, tiff
from PIL import Image

from trainer.data.formats import image_files
from trainer.data.formats import tiff as tiffs
from trainer.data.formats.depth import FULL
from trainer.data.formats.image_files import BadImage, Target
from trainer.data.inputs import reader
from trainer.errors import DataError

RANDOM = np.random.default_rng(0)
GRAY = {"image_size": (6, 8), "color": "grey", "eval_fraction": 0.0}
WHITE_IS_ZERO, PREMULTIPLIED = {262: (SHORT, [0])}, {338: (SHORT, [1])}


def decoded(content, channels=3, depth=FULL, on_range=None):
    """Returns the decoded pixels of 6x8, and the conversions."""
    return image_files.decode(io.BytesIO(content), Target(6, 8, channels, depth=depth), on_range=on_range)


def values(channels, kind=np.uint8, low=0, high=None):
    """Returns random pixels, [6, 8] for one channel or [6, 8, channels]; alpha is opaque."""
    top = np.iinfo(kind).max
    pixels = RANDOM.integers(low, (high or top) + 1, (6, 8, channels)).astype(kind)
    if channels in (2, 4):
        pixels[..., -1] = top
    return pixels[..., 0] if channels == 1 else pixels


def colors(pixels):
    """Returns pixels without alpha, [6, 8, 1 or 3]."""
    return pixels.reshape(6, 8, -1)[..., : 1 if pixels.ndim == 2 or pixels.shape[2] == 2 else 3]


LAYOUTS = list(itertools.product("<>", (0, 16), (UNCOMPRESSED, DEFLATE)))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_8_bit_pixels_of_all_layouts_are_read_exactly(channels):
    for order, side, compression in LAYOUTS:
        pixels = values(channels)
        image, conversions = decoded(tiff(pixels, order=order, side=side, compression=compression))
        np.testing.assert_array_equal(image, np.broadcast_to(colors(pixels), (6, 8, 3)))
        assert conversions == []


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_pixels_of_all_layouts_are_read_at_full_scale_and_stretched_exactly(channels):
    for order, side, compression in LAYOUTS:
        pixels, ranges = values(channels, np.uint16, 200, 1_200), []
        colors(pixels)[0, 0], colors(pixels)[0, 1] = 200, 1_200
        content = tiff(pixels, order=order, side=side, compression=compression)
        full, notes = decoded(content, on_range=ranges.append)
        expected = np.rint(pixels / 257) if channels == 1 else colors(pixels) >> 8
        np.testing.assert_array_equal(full, np.broadcast_to(expected.reshape(6, 8, -1), (6, 8, 3)))
        assert (ranges, notes) == (
            [(200, 1_200)],
            ["read at the full 16-bit scale, of which it uses less than a quarter"],
        )
        stretched, notes = decoded(content, depth=(200, 1_200))
        expected = np.rint((colors(pixels) - 200.0) * 255 / 1_000)
        np.testing.assert_array_equal(stretched, np.broadcast_to(expected, (6, 8, 3)))
        assert notes == []


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "zstd", "tiff_lzma"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
def test_files_of_pillow_are_read_exactly_in_every_compression(mode, compression):
    pixels = values(1, np.uint16) if mode == "I;16" else values(1)
    image = Image.fromarray(pixels) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    file = io.BytesIO()
    image.save(file, "tiff", **({} if compression == "raw" else {"compression": compression}))
    expected = np.rint(pixels / 257) if mode == "I;16" else pixels
    np.testing.assert_array_equal(decoded(file.getvalue(), 1)[0][..., 0], expected)


def test_a_bigtiff_and_8_bit_planes_are_read():
    pixels = values(3)
    for options in ({"is_big": True}, {"is_planar": True}, {"is_planar": True, "compression": DEFLATE}):
        np.testing.assert_array_equal(decoded(tiff(pixels, **options))[0], pixels)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_gray_in_which_0_is_white_is_inverted(kind):
    pixels = values(1, kind)
    image, _ = decoded(tiff(pixels, tags=WHITE_IS_ZERO), 1)
    np.testing.assert_array_equal(
        image[..., 0], np.rint((np.iinfo(kind).max - pixels.astype(float)) * 255 / np.iinfo(kind).max)
    )


def test_16_bit_color_that_is_multiplied_by_alpha_is_divided_by_it():
    color, alpha = values(3, np.uint16, 200, 1_200), np.uint16(0xC000)
    stored = np.rint(color * (alpha / 65_535.0)).astype(np.uint16)
    content = tiff(np.dstack([stored, np.full((6, 8), alpha)]), tags=PREMULTIPLIED)
    image, notes = decoded(content, depth=(200, 1_200))
    weight = (alpha >> 8) / 255
    expected = (color - 200.0) * 255 / 1_000 * weight + 255 * (1 - weight)
    assert np.abs(image - expected).max() <= 1.5
    assert notes == ["composited on white"]


def test_12_bit_scans_are_stretched_in_a_folder_like_png_files(tmp_path):
    scans = RANDOM.integers(0, 4_096, (12, 6, 8)).astype(np.uint16)
    scans[0, 0, :2] = 0, 4_095
    for name in ("png", "tif"):
        (tmp_path / name).mkdir()
    for index, scan in enumerate(scans):
        Image.fromarray(scan).save(tmp_path / "png" / f"{index:02}.png")
        content = tiff(scan, order="<>"[index % 2], compression=(UNCOMPRESSED, DEFLATE)[index % 3 == 0])
        (tmp_path / "tif" / f"{index:02}.TIFF").write_bytes(content)
    data, png = (load(tmp_path, "images", tmp_path / name, **GRAY) for name in ("tif", "png"))
    assert (data.depth, data.fingerprint) == ((0, 4_095), png.fingerprint)
    assert "16-bit images use 0 to 4,095 of 65,535: stretched to the full range" in data.notes
    inputs = [reader.read(str(tmp_path / name), (6, 8, 1), depth=(0, 4_095)) for name in ("tif", "png")]
    np.testing.assert_array_equal(inputs[0].examples, inputs[1].examples)
    np.testing.assert_array_equal(inputs[0].examples, data.train.examples)


def test_files_of_several_pages_are_reduced_to_the_first_and_counted(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(5):
        content = tiff(np.full((6, 8), number, np.uint8), pages=3 if number < 2 else 1)
        (tmp_path / "data" / f"{number}.tif").write_bytes(content)
    data = load(tmp_path, "images", tmp_path / "data", **GRAY)
    assert data.train.examples[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert "only the first page or frame is read of files that have several: 2 files" in data.notes
    assert reader.read(str(tmp_path / "data" / "0.tif"), (6, 8, 1)).notes == ("0.tif was reduced to its first page",)


REFUSED = {  # Pillow would read other values than those in the file, or does not read it.
    "signed bytes": ({"pixels": values(1).astype(np.int8)}, "1 channel of 8-bit signed integers"),
    "16-bit planes": (
        {"pixels": values(3, np.uint16), "is_planar": True},
        "16-bit integers, one plane for each channel",
    ),
    "planes of gray with alpha": ({"pixels": values(2), "is_planar": True}, "2 channels"),
    "16-bit gray with alpha": ({"pixels": values(2, np.uint16)}, "2 channels of 16-bit integers"),
    "16-bit CMYK": ({"pixels": values(4, np.uint16), "tags": {262: (SHORT, [5]), 338: (SHORT, [])}}, "CMYK"),
    "7 channels": ({"pixels": values(7)}, "7 channels"),
    "a big-endian BigTIFF": ({"pixels": values(1), "is_big": True, "order": ">"}, "big-endian BigTIFF"),
    "packed big-endian floats": (
        {"pixels": np.zeros((6, 8), np.float32), "order": ">", "compression": DEFLATE},
        "32-bit floats, big-endian, compression 8",
    ),
    "packed big-endian signed numbers": (
        {"pixels": np.ones((6, 8), np.int16), "order": ">", "compression": DEFLATE},
        "16-bit signed integers, big-endian",
    ),
    "floats in which 0 is white": ({"pixels": np.zeros((6, 8), np.float32), "tags": WHITE_IS_ZERO}, "white is zero"),
    "64-bit floats": ({"pixels": np.zeros((6, 8))}, "1 channel of 64-bit floats"),
    "float color": ({"pixels": np.zeros((6, 8, 3), np.float32)}, "3 channels of 32-bit floats"),
    "JPEG 2000": ({"pixels": values(1), "tags": {259: (SHORT, [34_712])}}, "compression JPEG 2000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_kinds_are_refused_with_a_description_and_a_remedy(name, tmp_path):
    options, shown = REFUSED[name]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.tif").write_bytes(tiff(**options))
    message = load_error(DataError, tmp_path, "images", tmp_path / "data", **GRAY)
    assert "is a TIFF file of a kind that is not read" in message
    assert shown in message
    assert "save it as interleaved gray, RGB or RGBA of 8 or 16 bits per channel" in message


def test_floats_are_read_from_0_to_1():
    pixels = RANDOM.random((6, 8)).astype(np.float32)
    np.testing.assert_array_equal(decoded(tiff(pixels), 1)[0][..., 0], np.rint(pixels * 255))
    with pytest.raises(BadImage, match=r"range from 0.0 to 7.0; expected 0 to 1, or integers of 16 bits"):
        decoded(tiff(np.arange(48, dtype=np.float32).reshape(6, 8) % 8))


HARMFUL = {
    "too large": tiff(values(1), side=16, tags={322: (LONG, [30_000]), 323: (LONG, [30_000])}),
    "has too large tags": tiff(values(1), tags={270: (LONG, [0] * (tiffs.MAX_NUMBERS + 1))}),
    "has too many tags": tiff(values(1), tags={number: (SHORT, [0]) for number in range(40_000, 41_001)}),
    "is there twice": tiff(values(1))
    .replace(struct.pack("<HH", 257, LONG), struct.pack("<HH", 256, LONG))
    .replace(struct.pack("<HH", 256, LONG), struct.pack("<HH", 258, SHORT)),
    "has the type 12": tiff(values(1), side=16, tags={322: (DOUBLE, [1e9])}),
    "ends before the tags": tiff(values(1))[:-20],
}


@pytest.mark.parametrize("problem", HARMFUL)
def test_harmful_tags_are_refused_before_pillow_opens_the_file(problem, monkeypatch):
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(BadImage) as error:
        decoded(HARMFUL[problem])
    assert problem in f"{error.value.problem}: {error.value.detail}"


def test_tags_of_exif_count_as_tags_of_the_page(monkeypatch):
    monkeypatch.setattr(tiffs, "MAX_TAG_BYTES", 1_000)
    content = tiff(values(1), tags={34_665: (LONG, [1_000])}).ljust(1_000, b"\0")
    decoded(content + directory({37_500: (7, [0] * 900)}, 1_000))
    with pytest.raises(BadImage, match="has too large tags"):
        decoded(content + directory({37_500: (7, [0] * 1_001)}, 1_000))


def test_messages_of_libtiff_are_part_of_the_error_and_not_on_the_terminal(capfd):
    content = tiff(values(3), compression=DEFLATE)
    with pytest.raises(BadImage) as error:
        decoded(content[:20] + b"\xff" * 30 + content[50:])
    assert error.value.detail.startswith("ZIPDecode: ")
    assert capfd.readouterr() == ("", "")


def test_a_damaged_file_among_others_is_skipped(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(4):
        (tmp_path / "data" / f"{number}.tif").write_bytes(
            tiff(values(1), compression=DEFLATE)[: 30 if number == 2 else None]
        )
    data = load(tmp_path, "images", tmp_path / "data", on_bad_file="skip", **GRAY)
    assert len(data.train.examples) == 3
    assert any("skipped 1 of 4 files: 2.tif" in note for note in data.notes)
