"""Reads image files, and folders of image files."""

import collections
import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np
from PIL import Image

from trainer.data.formats import image_files
from trainer.data.formats.depth import Depth
from trainer.data.formats.image_files import BadImage, Target
from trainer.data.formats.listing import Listing, list_images
from trainer.data.inputs.messages import ARRAY_SUFFIX, join
from trainer.data.inputs.types import Inputs
from trainer.errors import DataError, UsageError, sanitize
from trainer.system import files

MAX_IMAGES = 10_000  # in a folder
MAX_NOTES = 10
IN_MEMORY_BYTES = 256 << 20  # More pixels are put into a temporary file.


def list_folder(folder: pathlib.Path) -> Listing:
    """Lists the images in a folder and its subfolders, by name, without decoding them. Hidden names are left out.

    Raises:
      UsageError: there are more than 10,000 images.
      DataError: there are none, or a folder cannot be read.
    """
    formats = image_files.all_formats()
    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name in formats}
    listing = list_images(folder, suffixes)
    # Broken links are kept, so that they are reported by name. Pipes are skipped: reading them would block.
    names = [name for name in listing.names if (folder / name).is_file() or not (folder / name).exists()]
    num_irregular = len(listing.names) - len(names)
    notes = [*listing.notes, *([f"skipped {num_irregular:,} pipes, sockets or devices"] if num_irregular else [])]
    if not names:
        raise DataError(
            f"the folder {sanitize(folder)} has no images",
            found="; ".join(notes),
            remedy="give a folder with PNG, JPEG or TIFF files in it, or in its subfolders",
        )
    if len(names) > MAX_IMAGES:
        raise UsageError(
            f"the folder {sanitize(folder)} has {len(names):,} images",
            found=f"at most {MAX_IMAGES:,} are read at once",
            remedy=f"divide the folder, or give an {ARRAY_SUFFIX} file",
        )
    return dataclasses.replace(listing, names=names, notes=notes)


def from_folder(
    folder: pathlib.Path, shape: tuple[int, ...], fit: str, depth: Depth, *, keeps_bad: bool = False
) -> Inputs:
    """Reads all images in a folder and its subfolders, sorted by name. See `reader.read`."""
    listing = list_folder(folder)
    inputs = from_images(listing.names, shape, fit, depth, root=folder, keeps_bad=keeps_bad)
    return dataclasses.replace(inputs, notes=(*inputs.notes, *listing.notes))


def from_images(
    names: Sequence[str],
    shape: tuple[int, ...],
    fit: str,
    depth: Depth,
    *,
    root: pathlib.Path,
    keeps_bad: bool = False,
) -> Inputs:
    """Reads the image files with these paths below the folder `root`; see `reader.read`."""
    examples, bad = _allocate((len(names), *shape)), {}
    converted: dict[str, list[str]] = {}  # conversions: names of the converted files
    height, width, channels = shape
    target = Target(height, width, channels, fit, depth)
    for index, name in enumerate(names):
        try:
            examples[index], conversions = image_files.decode(root / name, target)
        except BadImage as error:
            if keeps_bad:
                bad[index] = f"{error.problem}: {error.detail}" if error.detail else error.problem
                examples[index] = 0
                continue
            raise DataError(
                f"the image {sanitize(root / name)} {error.problem}",
                found=error.detail,
                remedy=f"give a valid PNG or JPEG file, a folder of images, or an {ARRAY_SUFFIX} file",
            ) from error
        if conversions:
            converted.setdefault(join(conversions), []).append(sanitize(name))
    paths = tuple(map(sanitize, names))
    return Inputs(examples, _short_names(names), _notes(converted), are_files=True, paths=paths, bad=bad)


def _allocate(shape: tuple[int, ...]) -> np.ndarray:
    """Returns an array of uint8, in memory, or in a temporary file that is deleted with it."""
    num_bytes = math.prod(shape)
    if num_bytes <= IN_MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    try:
        with tempfile.NamedTemporaryFile() as file:
            files.reserve(pathlib.Path(file.name), num_bytes)
            return np.memmap(file.name, np.uint8, "r+", shape=shape)
    except OSError:  # There is no space for the file.
        return np.empty(shape, np.uint8)


def _short_names(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names without their extensions; with it where two would be equal."""
    short = [str(pathlib.PurePath(name).with_suffix("")) for name in names]
    counts = collections.Counter(short)
    return tuple(sanitize(stem if counts[stem] == 1 else name) for stem, name in zip(short, names, strict=True))


def _notes(converted: dict[str, list[str]]) -> tuple[str, ...]:
    """Returns a line for each kind of conversion; at most `MAX_NOTES` lines, and one for the rest."""
    lines = [
        f"{names[0]} was {kind}" if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more were {kind}"
        for kind, names in converted.items()
    ]
    rest = sum(len(names) for names in list(converted.values())[MAX_NOTES:])
    return (*lines[:MAX_NOTES], *([f"{rest:,} more images were converted"] if rest else []))
