"""Pictures: files and folders of them."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from trainer.data.formats import image_files
from trainer.data.formats.image_files import BadImage, Target
from trainer.data.inputs.messages import ARRAY, joined, listed
from trainer.data.inputs.types import Inputs
from trainer.errors import DataError, UsageError, error_text, sanitize

MAX_PICTURES = 10_000  # of a folder
MAX_NOTES = 10


def from_folder(folder: pathlib.Path, shape: tuple[int, ...], fit: str) -> Inputs:
    """All pictures in a folder, by their names."""
    formats = image_files.all_formats()
    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name in formats}
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir())
    except OSError as error:
        raise DataError(
            f"the folder {sanitize(folder)} cannot be read", found=error_text(error), remedy="mend its permissions"
        ) from error
    # A link that leads nowhere is kept, so that its picture is missed by name; pipes would be waited for.
    paths = [path for path in paths if path.is_file() or not path.exists()]
    pictures = [path for path in paths if path.suffix.lower() in suffixes]
    others = [path.name for path in paths if path.suffix.lower() not in suffixes]
    if not pictures:
        raise DataError(
            f"the folder {sanitize(folder)} holds no pictures",
            found=f"other files: {listed(others)}" if others else "",
            remedy="give a folder with PNG or JPEG files in it (its subfolders are not entered)",
        )
    if len(pictures) > MAX_PICTURES:
        raise UsageError(
            f"the folder {sanitize(folder)} holds {len(pictures):,} pictures",
            found=f"{MAX_PICTURES:,} at a time are read",
            remedy=f"divide it, or give an {ARRAY} file",
        )
    inputs = from_images(pictures, shape, fit)
    if not others:
        return inputs
    left = f"left out, not named as pictures that can be read: {listed(others)}"
    return dataclasses.replace(inputs, notes=(*inputs.notes, left))


def from_images(paths: Sequence[pathlib.Path], shape: tuple[int, ...], fit: str) -> Inputs:
    """These files."""
    examples = np.empty((len(paths), *shape), np.uint8)
    changes: dict[str, list[str]] = {}  # What was done, and to which.
    height, width, channels = shape
    for number, path in enumerate(paths):
        try:
            examples[number], done = image_files.decode(path, Target(height, width, channels, fit))
        except BadImage as error:
            raise DataError(
                f"the picture {sanitize(path)} {error.what}",
                found=error.found,
                remedy=f"give a sound PNG or JPEG file, not too large, a folder of them, or an {ARRAY} file",
            ) from error
        if done:
            changes.setdefault(joined(done), []).append(sanitize(path.name))
    return Inputs(examples, _stems(paths), _notes(changes))


def _stems(paths: Sequence[pathlib.Path]) -> tuple[str, ...]:
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [path.name for path in paths]
    return tuple(map(sanitize, names))


def _notes(changes: dict[str, list[str]]) -> tuple[str, ...]:
    """A line for each thing that was done, whatever the number of pictures; only so many lines."""
    lines = [
        f"{names[0]} was {done}" if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more were {done}"
        for done, names in changes.items()
    ]
    rest = sum(len(names) for names in list(changes.values())[MAX_NOTES:])
    return (*lines[:MAX_NOTES], *([f"{rest:,} more were changed likewise"] if rest else []))
