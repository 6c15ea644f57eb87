"""Pictures: files and folders of them."""

import dataclasses
import pathlib
import warnings
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from trainer.errors import DataError, UsageError, said
from trainer.inputs.given import Inputs
from trainer.inputs.wording import ARRAY, joined, listed, printable

MAX_PICTURES = 10_000  # of a folder
MAX_NOTES = 10

# Pillow names these, and never decodes them itself: EPS is a program that Ghostscript would run.
NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
LAYERED = "PSD"  # Its further frames are layers: the first is the whole picture.


def from_folder(folder: pathlib.Path, shape: tuple[int, ...]) -> Inputs:
    """All pictures in a folder, by their names."""
    formats = _formats()
    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name in formats}
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir())
    except OSError as error:
        raise DataError(
            f"the folder {printable(folder)} cannot be read", found=said(error), remedy="mend its permissions"
        ) from error
    # A link that leads nowhere is kept, so that its picture is missed by name; pipes would be waited for.
    paths = [path for path in paths if path.is_file() or not path.exists()]
    pictures = [path for path in paths if path.suffix.lower() in suffixes]
    others = [path.name for path in paths if path.suffix.lower() not in suffixes]
    if not pictures:
        raise DataError(
            f"the folder {printable(folder)} holds no pictures",
            found=f"other files: {listed(others)}" if others else "",
            remedy="give a folder with PNG or JPEG files in it (its subfolders are not entered)",
        )
    if len(pictures) > MAX_PICTURES:
        raise UsageError(
            f"the folder {printable(folder)} holds {len(pictures):,} pictures",
            found=f"{MAX_PICTURES:,} at a time are read",
            remedy=f"divide it, or give an {ARRAY} file",
        )
    inputs = from_pictures(pictures, shape)
    if not others:
        return inputs
    left = f"left out, not named as pictures that can be read: {listed(others)}"
    return dataclasses.replace(inputs, notes=(*inputs.notes, left))


def from_pictures(paths: Sequence[pathlib.Path], shape: tuple[int, ...]) -> Inputs:
    """These files."""
    examples = np.empty((len(paths), *shape), np.uint8)
    changes: dict[str, list[str]] = {}  # What was done, and to which.
    for number, path in enumerate(paths):
        picture, changed = _decode(path)
        picture, resized = _fit(picture, shape)
        examples[number], greyed = _channels(np.asarray(picture), shape[2])
        if done := [*changed, *resized, *greyed]:
            changes.setdefault(joined(done), []).append(printable(path.name))
    return Inputs(examples, _stems(paths), _notes(changes))


def _decode(path: pathlib.Path) -> tuple[Image.Image, list[str]]:
    """A file's picture as RGB, the first frame, upright, on white; and what was done to it.

    Raises:
      DataError: it cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=_formats()) as image:
                moves = getattr(image, "is_animated", False) and image.format != LAYERED
                picture, transparent = _on_white(_eight_bits(_upright(image)))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DataError(
                f"{printable(path)} is too large a picture", found=said(error), remedy="make it smaller"
            ) from error
        except UnidentifiedImageError as error:
            raise DataError(
                f"{printable(path)} is no picture that can be read",
                found="what it begins with is of no known format",
                remedy=f"give a PNG or JPEG file, a folder of them, or an {ARRAY} file",
            ) from error
        except Exception as error:  # A damaged picture can raise anything at all.
            raise DataError(
                f"the picture {printable(path)} cannot be read",
                found=said(error) or type(error).__name__,
                remedy="mend it, save it anew as a PNG file, or leave it out",
            ) from error
    return picture, ["cut to its first frame"] * moves + ["laid on white"] * transparent


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.OPEN if name not in NOT_DECODED]


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # The picture is there. EXIF that is broken, in whatever way, says nothing of it.
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of 16 bits or of floats as one of 8; others as they are. Pillow's own conversion cuts them off."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values, top = np.asarray(image), 1 if image.mode == "F" else 0xFFFF
    if not ((values >= 0) & (values <= top)).all():
        raise ValueError(f"its values go from {values.min()} to {values.max()}; expected 0 to {top}")
    pixels = np.rint(values * 255.0) if top == 1 else (values.astype(np.uint32) + 128) // 257
    grey = Image.fromarray(pixels.astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """RGB, and whether anything shone through."""
    if not image.has_transparency_data:
        return image.convert("RGB"), False
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:  # Pillow reads colours of 16 bits as 8, but not this one.
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    image = image.convert("RGBA")
    transparent = bool((np.asarray(image.getchannel("A")) < 255).any())
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB"), transparent


def _fit(picture: Image.Image, shape: tuple[int, ...]) -> tuple[Image.Image, list[str]]:
    """A picture at the size of (H, W, C), and what was done to it."""
    height, width = shape[:2]
    if picture.size == (width, height):
        return picture, []
    # The largest part with the right proportions, in whole pixels: where only edges go, the rest stays as it is.
    across = min(picture.width, max(1, round(picture.height * width / height)))
    down = min(picture.height, max(1, round(picture.width * height / width)))
    left, top = (picture.width - across) // 2, (picture.height - down) // 2
    cropped = ["cropped to its middle"] if (across, down) != picture.size else []
    resized = f"resized from {picture.width}x{picture.height} to {width}x{height}"
    part = picture.crop((left, top, left + across, top + down))
    return part.resize((width, height), Image.Resampling.LANCZOS), [*cropped, resized]


def _channels(pixels: np.ndarray, count: int) -> tuple[np.ndarray, list[str]]:
    """[H, W, 3] uint8 with as many channels, and what was done to it; grey is the mean, as in `cifar_horse`."""
    if count == 3:
        return pixels, []
    grey = (pixels.sum(axis=-1, keepdims=True, dtype=np.uint16) * 2 + 3) // 6
    return grey.astype(np.uint8), ["made grey"] if (pixels != pixels[..., :1]).any() else []


def _stems(paths: Sequence[pathlib.Path]) -> tuple[str, ...]:
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [path.name for path in paths]
    return tuple(map(printable, names))


def _notes(changes: dict[str, list[str]]) -> tuple[str, ...]:
    """A line for each thing that was done, whatever the number of pictures; only so many lines."""
    lines = [
        f"{names[0]} was {done}" if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more were {done}"
        for done, names in changes.items()
    ]
    rest = sum(len(names) for names in list(changes.values())[MAX_NOTES:])
    return (*lines[:MAX_NOTES], *([f"{rest:,} more were changed likewise"] if rest else []))
