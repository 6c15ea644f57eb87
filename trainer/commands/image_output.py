"""Writes images to PNG files in a folder."""

import collections
import io
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from trainer.system import files
from trainer.system.logs import log

MAX_IMAGE_FILES = 100  # of images that are no files
MAX_NAME_BYTES = 200


class ImageFiles:
    """PNG files in a folder, one for each name. Subfolders are those in the names.

    Args:
      folder: the folder.
      names: names of the images, with /.
      limit: number of the first images that are written; None: all.
    """

    def __init__(self, folder: pathlib.Path, names: Sequence[str], limit: int | None) -> None:
        self._folder, self._count = folder, len(names)
        self._paths = relative_paths(names[:limit])

    def write(self, first: int, images: np.ndarray) -> None:
        """Writes [n, H, W, C] images in [0, 1], of which the first has the index `first`."""
        for path, image in zip(self._paths[first : first + len(images)], images, strict=False):
            target = self._folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write(target, png((np.clip(image, 0, 1) * 255).round().astype(np.uint8)), durably=False)

    def log(self, remark: str = "") -> None:
        """Logs the folder, the number of images, and a remark on them."""
        first = f"the first {len(self._paths):,} of " if len(self._paths) < self._count else ""
        log.info(f"written     {self._folder}: {first}{self._count:,} images{remark}")


def png(pixels: np.ndarray) -> bytes:
    """Returns [H, W, C] uint8 pixels as a PNG file; C is 1 or 3."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()


def relative_paths(names: Sequence[str]) -> list[pathlib.PurePath]:
    """Returns a different path for each name, in the subfolder that the name has, without leaving the folder."""
    paths = [pathlib.PurePath(*map(_part, name.split("/"))) for name in names]
    taken = {parent for path in paths for parent in path.parents}
    counts = collections.Counter(paths)
    result = []
    for index, path in enumerate(paths):
        candidate = path.with_name(f"{path.name}.png")
        if counts[path] > 1 or candidate in taken:
            candidate = path.with_name(f"{path.name}-{index}.png")
        while candidate in taken:
            candidate = candidate.with_name(f"{candidate.stem}_.png")
        taken.add(candidate)
        result.append(candidate)
    return result


def _part(name: str) -> str:
    """Returns the name of a file or folder: at most `MAX_NAME_BYTES`, and not the name of a parent folder."""
    short = name.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    return short if short.strip(". ") else "_"
