"""Reads image files, and folders of image files."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from trainer.data.formats import image_files
from trainer.data.formats.depth import Depth
from trainer.data.formats.image_files import BadImage, Target
from trainer.data.inputs.messages import ARRAY_SUFFIX, first_and_count, join
from trainer.data.inputs.types import Inputs
from trainer.errors import DataError, UsageError, error_text, sanitize

MAX_IMAGES = 10_000  # in a folder
MAX_NOTES = 10


def from_folder(folder: pathlib.Path, shape: tuple[int, ...], fit: str, depth: Depth) -> Inputs:
    """Reads all images in a folder, sorted by name; subfolders are not read. See `reader.read`."""
    formats = image_files.all_formats()
    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name in formats}
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir())
    except OSError as error:
        raise DataError(
            f"the folder {sanitize(folder)} cannot be read", found=error_text(error), remedy="correct its permissions"
        ) from error
    # Broken links are kept, so that they are reported by name. Pipes are skipped: reading them would block.
    paths = [path for path in paths if path.is_file() or not path.exists()]
    images = [path for path in paths if path.suffix.lower() in suffixes]
    others = [path.name for path in paths if path.suffix.lower() not in suffixes]
    if not images:
        raise DataError(
            f"the folder {sanitize(folder)} has no images",
            found=f"other files: {first_and_count(others)}" if others else "",
            remedy="give a folder with PNG or JPEG files (subfolders are not read)",
        )
    if len(images) > MAX_IMAGES:
        raise UsageError(
            f"the folder {sanitize(folder)} has {len(images):,} images",
            found=f"at most {MAX_IMAGES:,} are read at once",
            remedy=f"divide the folder, or give an {ARRAY_SUFFIX} file",
        )
    inputs = from_images(images, shape, fit, depth)
    if not others:
        return inputs
    note = f"skipped files without the extension of an image: {first_and_count(others)}"
    return dataclasses.replace(inputs, notes=(*inputs.notes, note))


def from_images(paths: Sequence[pathlib.Path], shape: tuple[int, ...], fit: str, depth: Depth) -> Inputs:
    """Reads image files; see `reader.read`."""
    examples = np.empty((len(paths), *shape), np.uint8)
    converted: dict[str, list[str]] = {}  # conversions: names of the converted files
    height, width, channels = shape
    target = Target(height, width, channels, fit, depth)
    for index, path in enumerate(paths):
        try:
            examples[index], conversions = image_files.decode(path, target)
        except BadImage as error:
            raise DataError(
                f"the image {sanitize(path)} {error.problem}",
                found=error.detail,
                remedy=f"give a valid PNG or JPEG file, a folder of images, or an {ARRAY_SUFFIX} file",
            ) from error
        if conversions:
            converted.setdefault(join(conversions), []).append(sanitize(path.name))
    return Inputs(examples, _names(paths), _notes(converted))


def _names(paths: Sequence[pathlib.Path]) -> tuple[str, ...]:
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [path.name for path in paths]
    return tuple(map(sanitize, names))


def _notes(converted: dict[str, list[str]]) -> tuple[str, ...]:
    """Returns a line for each kind of conversion; at most `MAX_NOTES` lines, and one for the rest."""
    lines = [
        f"{names[0]} was {kind}" if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more were {kind}"
        for kind, names in converted.items()
    ]
    rest = sum(len(names) for names in list(converted.values())[MAX_NOTES:])
    return (*lines[:MAX_NOTES], *([f"{rest:,} more images were converted"] if rest else []))
