"""Decodes image files. Training and the use of a trained network decode images in the same way. No TensorFlow."""

import contextlib
import dataclasses
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from trainer.data.formats import deep_pixels, tiff
from trainer.data.formats.bad_image import BadImage
from trainer.data.formats.depth import FULL, Depth
from trainer.errors import error_text

__all__ = ["FIRST_FRAME", "FIRST_PAGE", "BadImage", "Target", "all_formats", "decode"]

# Larger images are rejected. The side of a JPEG cannot be longer either; very thin images take very long to decode.
MAX_PIXELS, MAX_SIDE = 64_000_000, 65_535
# What is lost of animations, and of TIFF files of several pages.
FIRST_FRAME, FIRST_PAGE = "reduced to its first frame", "reduced to its first page"
LAYERED = "PSD"  # The frames after the first are layers, not an animation: the first is the whole image.
# Pillow does not decode these formats itself: EPS, for example, is a program that Ghostscript would run.
NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


@dataclasses.dataclass(frozen=True)
class Target:
    """The size and the channels that images are converted to.

    Attributes:
      height, width: in pixels.
      channels: 1 for gray, the mean of red, green and blue; or 3 for RGB.
      fit: conversion of images with another aspect ratio: `crop` to the largest centered part with the ratio of the
        target, `pad` with black borders, or `resize`, which changes the ratio.
      depth: (low, high): the values of 16-bit images that become 0 and 255.
    """

    height: int
    width: int
    channels: int
    fit: str = "crop"
    depth: Depth = FULL

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, self.channels


def decode(
    file: pathlib.Path | IO[bytes],
    target: Target,
    formats: Sequence[str] | None = None,
    on_size: Callable[[tuple[int, int]], object] | None = None,
    on_range: Callable[[Depth], object] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Decodes an image and converts it to the target.

    The first frame of an animation, or the first page, is used. The image is rotated as EXIF says. Transparent parts
    are composited on white. Palette colors are looked up. 16-bit gray is rounded to 8 bits, 16-bit color keeps its
    upper 8 bits; if `target.depth` is not `FULL`, both are stretched. CMYK is converted to RGB by Pillow, without color
    profiles. Images of other sizes are resampled with a Lanczos filter.

    Args:
      file: path, or open file.
      target: size, channels and depth of the result.
      formats: Pillow's names of the accepted formats. The content decides the format, not the file name. None: all
        formats that Pillow decodes itself.
      on_size: called with the (width, height) in the file.
      on_range: called with the minimum and the maximum of a 16-bit image, without its transparent pixels.

    Returns:
      [H, W, C] uint8, and a list of the conversions, such as "converted to gray".

    Raises:
      BadImage: the file is not an image, is damaged, or has more than `MAX_PIXELS` pixels or `MAX_SIDE` on a side.
    """
    page, printed = None, list[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            page = _tiff_page(file)
            with contextlib.nullcontext(printed) if page is None else tiff.messages() as printed:
                return _decode(file, target, formats or all_formats(), on_size, on_range)
        except BadImage:
            raise
        except Image.DecompressionBombError as error:
            raise BadImage("is too large", error_text(error)) from error
        except UnidentifiedImageError as error:
            if page is not None:
                raise page.problem from error
            expected = "" if formats is None else f"; expected {', '.join(formats)}"
            raise BadImage("is not an image that can be read", f"unknown image format{expected}") from error
        except Exception as error:  # Pillow raises many kinds of exceptions for damaged images.
            is_temporary = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)
            detail = next(iter(printed), "") or error_text(error) or type(error).__name__
            raise BadImage("cannot be decoded", detail, is_temporary=is_temporary) from error


def _tiff_page(file: pathlib.Path | IO[bytes]) -> tiff.Page | None:
    """Checks a TIFF file, and returns the tags of its first page; None for other files."""
    with open(file, "rb") if isinstance(file, pathlib.Path) else contextlib.nullcontext(file) as content:
        return tiff.first_page(content)


def _decode(
    file: pathlib.Path | IO[bytes],
    target: Target,
    formats: Sequence[str],
    on_size: Callable[[tuple[int, int]], object] | None,
    on_range: Callable[[Depth], object] | None,
) -> tuple[np.ndarray, list[str]]:
    """Decodes an image, as `decode`; raises many kinds of exceptions."""
    with Image.open(file, formats=tuple(formats)) as image:
        _check_size(image.size)
        if on_size is not None:
            on_size(image.size)
        is_animated = getattr(image, "is_animated", False) and image.format != LAYERED
        first = FIRST_PAGE if image.format == "TIFF" else FIRST_FRAME
        size = image.size
        _reduce_jpeg(image, target)
        reduced, clipped = deep_pixels.to_8_bits(image, file, target.depth, on_range)
        fitted, resized = _fit(_to_l_rgb_or_rgba(reduced), target, size)
        opaque, is_transparent = _on_white(fitted)
        pixels, grayed = _channels(np.asarray(opaque), target.channels)
    conversions = [first] * is_animated + ["composited on white"] * is_transparent
    return pixels, conversions + clipped + resized + grayed


def all_formats() -> list[str]:
    """Returns Pillow's names of the formats that it decodes itself."""
    Image.init()
    return [name for name in Image.OPEN if name not in NOT_DECODED]


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS or max(size) > MAX_SIDE:
        limits = f"at most {MAX_PIXELS:,} pixels, and {MAX_SIDE:,} on a side, are allowed"
        raise BadImage("is too large", f"{width:,} x {height:,} pixels; {limits}")


def _reduce_jpeg(image: Image.Image, target: Target) -> None:
    """Sets a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size, at least twice the larger side of the target."""
    side = 2 * max(target.height, target.width)
    if image.format == "JPEG":
        image.draft(None, (side, side))  # None keeps the mode.


def _to_l_rgb_or_rgba(image: Image.Image) -> Image.Image:
    """Converts to gray or RGB, or to RGBA if the image has transparency data."""
    if not image.has_transparency_data:
        return image if image.mode in ("L", "RGB") else image.convert("RGB")
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple) and max(transparent) > 255:  # Pillow converts the pixels to 8 bits, not this.
        image.info["transparency"] = tuple(value >> 8 for value in transparent)
    return image.convert("RGBA")


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Composites RGBA on white; returns a gray or RGB image, and True if any pixel was transparent."""
    if image.mode != "RGBA":
        return image, False
    is_transparent = bool((np.asarray(image.getchannel("A")) < 255).any())
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB"), is_transparent


def _fit(image: Image.Image, target: Target, size: tuple[int, int]) -> tuple[Image.Image, list[str]]:
    """Converts an image, whose file has this (width, height), to the target's size; returns it and the conversions."""
    height, width = target.height, target.width
    if image.size == (width, height):
        return image, []
    is_turned = (size[0] > size[1]) != (image.width > image.height)  # by its EXIF orientation
    shown = "x".join(map(str, reversed(size) if is_turned else size))
    resized = f"resized from {shown} to {width}x{height}"
    if target.fit == "resize":
        return image.resize((width, height), Image.Resampling.LANCZOS), [resized]
    if target.fit == "pad":
        return _pad(image, width, height), [f"{resized} with black borders"]
    # Crops whole pixels, so that pixels keep their values if the image only loses its edges.
    crop_width = min(image.width, max(1, round(image.height * width / height)))
    crop_height = min(image.height, max(1, round(image.width * height / width)))
    left, top = (image.width - crop_width) // 2, (image.height - crop_height) // 2
    cropped = ["cropped to its center"] if (crop_width, crop_height) != image.size else []
    part = image.crop((left, top, left + crop_width, top + crop_height)) if cropped else image
    return part.resize((width, height), Image.Resampling.LANCZOS), [*cropped, resized]


def _pad(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small, _ = _on_white(image.resize(size, Image.Resampling.LANCZOS))
    padded = Image.new(small.mode, (width, height))
    padded.paste(small, ((width - size[0]) // 2, (height - size[1]) // 2))
    return padded


def _channels(pixels: np.ndarray, count: int) -> tuple[np.ndarray, list[str]]:
    """Converts [H, W] or [H, W, 3] uint8 to [H, W, count]; returns the pixels and the conversions."""
    if pixels.ndim == 2:
        return np.repeat(pixels[..., np.newaxis], count, axis=-1), []
    if count == 3:
        return pixels, []
    gray = (pixels.sum(axis=-1, keepdims=True, dtype=np.uint16) * 2 + 3) // 6
    return gray.astype(np.uint8), ["converted to gray"] if (pixels != pixels[..., :1]).any() else []
