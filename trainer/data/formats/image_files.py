"""Picture files -> pixels: what every kind of picture becomes, the same for training and for using. No TensorFlow."""

import dataclasses
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from trainer.errors import error_text

# Of a picture: what claims more is not decoded. A side of a JPEG has no more either; very thin ones take very long.
MAX_PIXELS, MAX_SIDE = 64_000_000, 65_535
STRIP_PIXELS = 1 << 20  # Wide numbers are converted so many at a time.
UPRIGHT = 1  # of EXIF's orientations
LAYERED = "PSD"  # Its further frames are layers: the first is the whole picture.
# Pillow names these, and never decodes them itself: EPS is a program that Ghostscript would run.
NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


class BadImage(Exception):
    """A file that is no picture, or none that can be used.

    Attributes:
      what: is wrong with it.
      found: was found.
      may_pass: it is not the file's own fault: another time it may be read.
    """

    def __init__(self, what: str, found: str, *, may_pass: bool = False) -> None:
        super().__init__(what, found)
        self.what, self.found, self.may_pass = what, found, may_pass


@dataclasses.dataclass(frozen=True)
class Target:
    """What pictures are made into.

    Attributes:
      height, width: in pixels.
      channels: 1, the mean of red, green and blue; or 3.
      fit: of other proportions: crop (to the largest part around the middle that fits), pad (with black) or resize
        (proportions change).
    """

    height: int
    width: int
    channels: int
    fit: str = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, self.channels


def decode(
    file: pathlib.Path | IO[bytes],
    target: Target,
    formats: Sequence[str] | None = None,
    tell: Callable[[tuple[int, int]], object] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """A picture's pixels as the target has them, and what was done to it, in words.

    The first frame of what moves; upright, as its EXIF says; what is transparent lies on white; palettes are looked up;
    16 bits are rounded to 8; CMYK becomes RGB by Pillow's simple conversion, colour profiles not being applied. Other
    sizes are resampled with Lanczos's filter.

    Args:
      file: its path, or its content.
      target: what it is made into.
      formats: Pillow's names of those that it may have, whatever it is called; None: all that Pillow decodes itself.
      tell: is told the width and the height that it has.

    Returns:
      [H, W, C] uint8.

    Raises:
      BadPicture: it is none, is damaged, or claims more than `MAX_PIXELS`, or than `MAX_SIDE` across or down.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=tuple(formats or all_formats())) as image:
                _check_size(image.size)
                if tell is not None:
                    tell(image.size)
                moves = getattr(image, "is_animated", False) and image.format != LAYERED
                _read_small(image, target)
                picture, resized = _fitted(_plain(_eight_bits(_upright(image))), target)
                picture, transparent = _on_white(picture)
                pixels, greyed = _channels(np.asarray(picture), target.channels)
        except BadImage:
            raise
        except Image.DecompressionBombError as error:
            raise BadImage("is too large a picture", error_text(error)) from error
        except UnidentifiedImageError as error:
            known = "" if formats is None else f" ({', '.join(formats)})"
            raise BadImage(
                "is no picture that can be read", f"what it begins with is of no known format{known}"
            ) from error
        except Exception as error:  # A damaged picture can raise anything at all.
            may_pass = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)
            found = error_text(error) or type(error).__name__
            raise BadImage("cannot be read as a picture", found, may_pass=may_pass) from error
    return pixels, ["cut to its first frame"] * moves + ["laid on white"] * transparent + resized + greyed


def all_formats() -> list[str]:
    """Pillow's names of the formats that it decodes itself."""
    Image.init()
    return [name for name in Image.OPEN if name not in NOT_DECODED]


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS or max(size) > MAX_SIDE:
        limits = f"at most {MAX_PIXELS:,}, and {MAX_SIDE:,} a side, are decoded"
        raise BadImage("is too large a picture", f"{width:,} x {height:,} pixels; {limits}")


def _read_small(image: Image.Image, target: Target) -> None:
    """Lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its size, if that leaves twice what is wanted, however it lies."""
    side = 2 * max(target.height, target.width)
    if image.format == "JPEG":
        image.draft(None, (side, side))  # None: only the size.


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        if image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) == UPRIGHT:
            return image  # As nearly all are; Pillow would copy it.
        return ImageOps.exif_transpose(image)
    except Exception:  # The picture is there. EXIF that is broken, in whatever way, says nothing of it.
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of 16 bits or of floats as one of 8; others as they are. Pillow's own conversion cuts them off."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values, top = np.asarray(image), 1 if image.mode == "F" else 0xFFFF
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= top):
        raise ValueError(f"its values go from {low} to {high}; expected 0 to {top}")
    pixels = np.empty(values.shape, np.uint8)
    rows = max(1, STRIP_PIXELS // values.shape[1])
    for start in range(0, len(values), rows):
        some = values[start : start + rows]
        pixels[start : start + rows] = np.rint(some * 255.0) if top == 1 else (some.astype(np.uint32) + 128) // 257
    gray = Image.fromarray(pixels)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        gray.putalpha(Image.fromarray(np.where(values == clear, np.uint8(0), np.uint8(255))))
    return gray


def _plain(image: Image.Image) -> Image.Image:
    """Grey, RGB or, if anything may shine through, RGBA."""
    if not image.has_transparency_data:
        return image if image.mode in ("L", "RGB") else image.convert("RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:  # Pillow reads colours of 16 bits as 8, but not this one.
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    return image.convert("RGBA")


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Grey or RGB, and whether anything shone through."""
    if image.mode != "RGBA":
        return image, False
    transparent = bool((np.asarray(image.getchannel("A")) < 255).any())
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB"), transparent


def _fitted(picture: Image.Image, target: Target) -> tuple[Image.Image, list[str]]:
    """A picture at the target's size, and what was done to it."""
    height, width = target.height, target.width
    if picture.size == (width, height):
        return picture, []
    words = f"resized from {picture.width}x{picture.height} to {width}x{height}"
    if target.fit == "resize":
        return picture.resize((width, height), Image.Resampling.LANCZOS), [words]
    if target.fit == "pad":
        return _padded(picture, width, height), [f"{words}, on black"]
    # The largest part with the right proportions, in whole pixels: where only edges go, the rest stays as it is.
    across = min(picture.width, max(1, round(picture.height * width / height)))
    down = min(picture.height, max(1, round(picture.width * height / width)))
    left, top = (picture.width - across) // 2, (picture.height - down) // 2
    cropped = ["cropped to its middle"] if (across, down) != picture.size else []
    part = picture.crop((left, top, left + across, top + down)) if cropped else picture
    return part.resize((width, height), Image.Resampling.LANCZOS), [*cropped, words]


def _padded(picture: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / picture.width, height / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small, _ = _on_white(picture.resize(size, Image.Resampling.LANCZOS))
    ground = Image.new(small.mode, (width, height))
    ground.paste(small, ((width - size[0]) // 2, (height - size[1]) // 2))
    return ground


def _channels(pixels: np.ndarray, count: int) -> tuple[np.ndarray, list[str]]:
    """[H, W] or [H, W, 3] uint8 -> [H, W, count], and what was done to it; grey is the mean, as in `cifar_horse`."""
    if pixels.ndim == 2:
        return np.repeat(pixels[..., np.newaxis], count, axis=-1), []
    if count == 3:
        return pixels, []
    gray = (pixels.sum(axis=-1, keepdims=True, dtype=np.uint16) * 2 + 3) // 6
    return gray.astype(np.uint8), ["made grey"] if (pixels != pixels[..., :1]).any() else []
