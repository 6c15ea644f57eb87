"""A person's own data: the folder or the file."""

import os
import pathlib
from collections.abc import Sequence

from trainer.errors import DataError, UsageError, option


def folder(data_dir: str | None, name: str) -> pathlib.Path:
    """The folder of a person's own data.

    Args:
      data_dir: as given.
      name: of the data set.

    Raises:
      UsageError: none was given.
      DataError: it is no folder.
    """
    path = _existing(data_dir, name, "a folder with pictures in it")
    if not path.is_dir():
        raise DataError(f"{option('data_dir', data_dir)} is a file", remedy=f"give its folder: {path.parent}")
    return path


def file(data_dir: str | None, name: str, suffixes: Sequence[str]) -> pathlib.Path:
    """The file of a person's own data; as `folder`.

    Args:
      data_dir: as given.
      name: of the data set.
      suffixes: that it may have.
    """
    expected = f"a file that ends in {' or '.join(suffixes)}"
    path = _existing(data_dir, name, expected)
    if not path.is_file() or path.suffix.lower() not in suffixes:
        what = "is no plain file" if not path.is_file() else f"ends in {path.suffix or 'nothing'}"
        raise DataError(
            f"{option('data_dir', data_dir)} {what}",
            found=f"{option('dataset', name)} reads {expected}",
            remedy="give the file itself",
        )
    return path


def _existing(data_dir: str | None, name: str, expected: str) -> pathlib.Path:
    if data_dir is None:
        raise UsageError(
            f"{option('dataset', name)} without {option('data_dir')}",
            found=f"{expected} is expected",
            remedy=f"give it, such as {option('data_dir', 'path/to/it')}",
        )
    path = pathlib.Path(os.path.expanduser(data_dir)).absolute()
    if not os.path.exists(path):
        raise DataError(
            f"{option('data_dir', data_dir)} does not exist", found=f"{expected} is expected", remedy="mend the path"
        )
    return path
