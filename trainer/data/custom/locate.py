"""Finds the folder or the file of custom data."""

import os
import pathlib
from collections.abc import Sequence

from trainer.errors import DataError, UsageError, option


def folder(data_dir: str | None, name: str) -> pathlib.Path:
    """Returns the folder of custom data.

    Args:
      data_dir: value of --data_dir.
      name: name of the data set, for messages.

    Raises:
      UsageError: `data_dir` is None.
      DataError: `data_dir` is not a folder.
    """
    path = _existing(data_dir, name, "a folder of images")
    if not path.is_dir():
        raise DataError(f"{option('data_dir', data_dir)} is a file", remedy=f"give its folder: {path.parent}")
    return path


def file(data_dir: str | None, name: str, suffixes: Sequence[str]) -> pathlib.Path:
    """Returns the file of custom data, which must end in one of `suffixes`; otherwise as `folder`."""
    expected = f"a file that ends in {' or '.join(suffixes)}"
    path = _existing(data_dir, name, expected)
    if not path.is_file() or path.suffix.lower() not in suffixes:
        problem = "is not a regular file" if not path.is_file() else f"ends in {path.suffix or 'nothing'}"
        raise DataError(
            f"{option('data_dir', data_dir)} {problem}",
            found=f"{option('dataset', name)} reads {expected}",
            remedy="give the path of the file",
        )
    return path


def _existing(data_dir: str | None, name: str, expected: str) -> pathlib.Path:
    if data_dir is None:
        raise UsageError(
            f"{option('dataset', name)} without {option('data_dir')}",
            found=f"expected {expected}",
            remedy=f"give its path: {option('data_dir', 'path/to/it')}",
        )
    path = pathlib.Path(os.path.expanduser(data_dir)).absolute()
    if not os.path.exists(path):
        raise DataError(
            f"{option('data_dir', data_dir)} does not exist", found=f"expected {expected}", remedy="correct the path"
        )
    return path
