"""Lists the image files in a folder and its subfolders."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Collection, Sequence

from trainer.errors import DataError, error_text, sanitize

IGNORED = "__MACOSX"  # A folder in zip archives of macOS. Its files are named like images, but are none.
MAX_SUFFIXES_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Listing:
    """The images in a folder and its subfolders.

    Attributes:
      names: paths relative to the folder, with /, ascending.
      stamps: (size in bytes, modification time in nanoseconds) of each image.
      notes: notes on skipped files.
    """

    names: Sequence[str]
    stamps: Sequence[tuple[int, int]]
    notes: Sequence[str]


def list_images(root: pathlib.Path, suffixes: Collection[str]) -> Listing:
    """Lists files with the extension of an image in a folder and its subfolders. Links to folders are not followed.

    Args:
      root: the folder.
      suffixes: extensions of images, in lower case, such as ".png".

    Raises:
      DataError: a folder cannot be read.
    """
    images: list[tuple[str, tuple[int, int]]] = []
    others: collections.Counter[str] = collections.Counter()
    linked, folders = 0, [""]
    while folders:  # Not recursive: folders may be nested deeper than Python's recursion limit.
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    name, suffix = f"{folder}{entry.name}", os.path.splitext(entry.name)[1].lower()
                    if entry.name.startswith(".") or entry.name == IGNORED:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{name}/")
                    elif suffix not in suffixes:
                        others[suffix or "no extension"] += 1
                    elif _is_link_to_folder(entry):
                        linked += 1
                    else:
                        status = _status(entry)
                        images.append((name, (status.st_size, status.st_mtime_ns)))
        except OSError as error:
            raise DataError(
                f"the folder {sanitize(root / folder)} cannot be read",
                found=error_text(error),
                remedy="correct its permissions, or move it to another folder",
            ) from error
    images.sort()
    return Listing([name for name, _ in images], [stamp for _, stamp in images], _notes(others, linked))


def _notes(others: collections.Counter[str], linked: int) -> list[str]:
    """Returns notes on skipped files, by extension, and on links to folders."""
    notes = []
    if others:
        suffixes = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(MAX_SUFFIXES_SHOWN))
        more = ", ..." if len(others) > MAX_SUFFIXES_SHOWN else ""
        notes.append(f"skipped {others.total():,} files without the extension of an image ({suffixes}{more})")
    return notes + ([f"skipped {linked:,} links to folders"] if linked else [])


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    """Returns the status of a file; for a link, of its target, or of the link itself if it is broken."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def _is_link_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # The link points to itself.
        return False
