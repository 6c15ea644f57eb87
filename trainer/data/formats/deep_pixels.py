"""Converts images of more than 8 bits per channel, as Pillow opens them, to 8 bits.

Pillow would clip 16-bit gray and float images, and it reads only the upper 8 bits of 16-bit color.
"""

import pathlib
import sys
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps

from trainer.data.formats import depth as depths
from trainer.data.formats.bad_image import BadImage
from trainer.data.formats.depth import FULL, MAX_VALUE, Depth

STRIP_PIXELS = 1 << 20  # Float images are converted in strips of this size.
UPRIGHT = 1  # EXIF orientation
# Pillow's names of the layouts of 16-bit color that it reduces to 8 bits; without the byte order, which follows.
COLORS = ("RGB;16", "RGBA;16", "RGBX;16", "RGBa;16", "LA;16")
NATIVE = {"little": "L", "big": "B"}[sys.byteorder]
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a tag of TIFF files


def to_8_bits(
    image: Image.Image, file: pathlib.Path | IO[bytes], depth: Depth, on_range: Callable[[Depth], object] | None
) -> tuple[Image.Image, list[str]]:
    """Loads an image, rotates it, and converts it to 8 bits per channel; see `image_files.decode`.

    Returns:
      The image and the conversions.
    """
    layout, is_inverted = _layout(image), _is_inverted(image)
    upright = _upright(image)
    if upright.mode == "F":
        return _float_to_8_bits(upright), []
    if upright.mode.startswith("I"):
        values, alpha = _gray_values(upright, is_inverted=is_inverted)
    elif layout[:-1] in COLORS and image.format in ("PNG", "TIFF"):
        values, alpha = _color_values(upright, file, layout)
    elif ";16" in layout and depth != FULL:
        raise BadImage("has 16 bits per channel", "16-bit color can only be stretched in PNG and TIFF files")
    else:
        return upright, []
    visible = values if alpha is None else values[alpha > 0]
    low, high = (int(visible.min()), int(visible.max())) if visible.size else depth
    if on_range is not None and visible.size:
        on_range((low, high))
    is_color = not upright.mode.startswith("I")
    reduced = upright if is_color and depth == FULL else _reduced(values, alpha, depth)
    return reduced, depths.conversions(low, high, depth)


def _layout(image: Image.Image) -> str:
    """Returns Pillow's name of the layout of the pixels in the file, such as "RGB;16B"; empty if it has none."""
    arguments = image.tile[0][3] if isinstance(image, ImageFile.ImageFile) and image.tile else None
    layout = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return layout if isinstance(layout, str) else ""


def _is_inverted(image: Image.Image) -> bool:
    """Returns True for 16-bit gray TIFF files in which 0 is white. Pillow inverts only 8 bits."""
    tags = getattr(image, "tag_v2", {})
    return _layout(image) in ("I;16", "I;16N") and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        if image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) == UPRIGHT:
            return image  # Saves a copy: exif_transpose would make one.
        return ImageOps.exif_transpose(image)
    except Exception:  # The pixels are valid even if the EXIF data are damaged.
        return image


def _gray_values(image: Image.Image, *, is_inverted: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the values of 16-bit gray, [H, W] integers, and alpha, [H, W] uint8; None without transparent pixels."""
    values, transparent = np.asarray(image), image.info.get("transparency")
    if not (values.min() >= 0 and values.max() <= MAX_VALUE):
        raise ValueError(f"its values range from {values.min()} to {values.max()}; expected 0 to {MAX_VALUE}")
    values = MAX_VALUE - values if is_inverted else values
    is_set = isinstance(transparent, int)
    return values, np.where(values == transparent, np.uint8(0), np.uint8(255)) if is_set else None


def _color_values(
    image: Image.Image, file: pathlib.Path | IO[bytes], layout: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads 16-bit color exactly: its file again, with the lower 8 bits instead of the upper 8 bits in `image`.

    Returns:
      [H, W, 3] uint16 for color, or [H, W] for gray with alpha; and alpha, [H, W] uint8, or None.
    """
    color, order = layout[:-1], NATIVE if layout.endswith("N") else layout[-1]
    other_order = "B" if order == "L" else "L"
    if color == "LA;16":  # Two channels of two bytes are read as four channels.
        bytes_ = _pixels(file, "RGBA")
        return bytes_[..., 0].astype(np.uint16) << 8 | bytes_[..., 1], bytes_[..., 2]
    if color == "RGBa;16":  # Color is multiplied by alpha.
        high, low = (_pixels(file, f"RGBA;16{end}") for end in (order, other_order))
        return _divided_by_alpha(high.astype(np.uint16) << 8 | low), np.asarray(image)[..., 3]
    values = np.asarray(image).astype(np.uint16) << 8 | _pixels(file, color + other_order)
    if color == "RGBA;16":
        return values[..., :3], np.asarray(image)[..., 3]
    transparent = image.info.get("transparency")
    if not isinstance(transparent, tuple):
        return values, None
    return values, np.where((values == transparent).all(axis=-1), np.uint8(0), np.uint8(255))


def _pixels(file: pathlib.Path | IO[bytes], layout: str) -> np.ndarray:
    """Reads a file with another layout of its pixels: [H, W, C] uint8."""
    if not isinstance(file, pathlib.Path):
        file.seek(0)
    with Image.open(file, formats=("PNG", "TIFF")) as image:
        tiles: Any = []
        for tile in image.tile:
            arguments = (layout, *tile[3][1:]) if isinstance(tile[3], tuple) else layout
            tiles.append(getattr(type(tile), "_make", tuple)((*tile[:3], arguments)))
        image.tile = tiles
        return np.asarray(_upright(image))


def _divided_by_alpha(values: np.ndarray) -> np.ndarray:
    """Returns the color of 16-bit RGBA, [H, W, 4], that is multiplied by alpha: [H, W, 3] uint16."""
    alpha = np.maximum(values[..., 3:], 1).astype(np.uint32)
    return np.minimum((values[..., :3] * np.uint32(MAX_VALUE) + alpha // 2) // alpha, MAX_VALUE).astype(np.uint16)


def _reduced(values: np.ndarray, alpha: np.ndarray | None, depth: Depth) -> Image.Image:
    """Returns 16-bit values, [H, W] or [H, W, 3], as an image of 8 bits per channel, with alpha if it is given."""
    image = Image.fromarray(depths.to_8_bits(values, depth))
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image


def _float_to_8_bits(image: Image.Image) -> Image.Image:
    """Rounds a gray image of floats from 0 to 1 to 8 bits."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"its values range from {low} to {high}; expected 0 to 1, or integers of 16 bits")
    pixels = np.empty(values.shape, np.uint8)
    rows = max(1, STRIP_PIXELS // values.shape[1])
    for start in range(0, len(values), rows):
        pixels[start : start + rows] = np.rint(values[start : start + rows] * 255.0)
    return Image.fromarray(pixels)
