"""Finds the folder or the file of custom data."""

import os
import pathlib
from collections.abc import Sequence

from trainer.errors import DataError, UsageError, option, sanitize

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".7z", ".rar")
SHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
TEXTS = (".dat", ".asc", ".tab", ".prn", ".log", "")  # endings of tables as text
ARRAYS, TABLES = (".npy", ".npz"), (".csv", ".tsv", ".txt", ".data", ".parquet")
COLUMNAR = (
    ".feather",
    ".arrow",
    ".pkl",
    ".pickle",
    ".h5",
    ".hdf5",
    ".mat",
    ".json",
    ".arff",
    ".sav",
    ".dta",
)


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
        raise DataError(
            f"{option('data_dir', data_dir)} is a file",
            remedy=_remedy(path, name) or f"give its folder: {sanitize(path.parent)}",
        )
    return path


def file(data_dir: str | None, name: str, suffixes: Sequence[str], key: str = "data_dir") -> pathlib.Path:
    """Returns the file of custom data, which must end in one of `suffixes`; otherwise as `folder`.

    `key` is the option whose value is passed.
    """
    expected = f"a file that ends in {' or '.join(suffixes)}"
    path = _existing(data_dir, name, expected, key)
    if not path.is_file() or path.suffix.lower() not in suffixes:
        problem = "is not a regular file" if not path.is_file() else f"ends in {path.suffix or 'nothing'}"
        raise DataError(
            f"{option(key, data_dir)} {problem}",
            found=f"{option('dataset', name)} reads {expected}",
            remedy=(_remedy(path, name) if path.is_file() else None) or "give the path of the file",
        )
    return path


def _remedy(path: pathlib.Path, name: str) -> str | None:
    """Returns what to do with a file of another format, or None; `name` is the name of the data set."""
    suffix = path.suffix.lower()
    if suffix in PACKED:
        kind = "folder" if name == "images" else "file"
        return f"unpack it, and give the path of the unpacked {kind}"
    if suffix in ARRAYS and name != "array":
        return f"use {option('dataset', 'array')}"
    if suffix in TABLES and name != "table":
        return f"use {option('dataset', 'table')}"
    if name != "table":
        return (
            f"save its numbers with numpy.save as {sanitize(path.stem)}.npy, and give that file"
            if name == "array"
            else None
        )
    if suffix in SHEETS:
        return f"save the sheet as {sanitize(path.stem)}.csv, and give that file"
    if suffix in TEXTS:
        return f"if it is a table of text, rename it to {sanitize(path.stem)}.csv, and give that path"
    if suffix in COLUMNAR:
        return f"save its table as {sanitize(path.stem)}.csv, for example with pandas, and give that file"
    return None


def _existing(data_dir: str | None, name: str, expected: str, key: str = "data_dir") -> pathlib.Path:
    if data_dir is None:
        raise UsageError(
            f"{option('dataset', name)} without {option('data_dir')}",
            found=f"expected {expected}",
            remedy=f"give its path: {option('data_dir', 'path/to/it')}",
        )
    path = pathlib.Path(os.path.expanduser(data_dir)).absolute()
    if not os.path.exists(path):
        raise DataError(
            f"{option(key, data_dir)} does not exist",
            found=f"expected {expected}",
            remedy=f"give the right path: {option(key, 'path/to/it')}",
        )
    return path
