"""The file `schema.json` of a run: the columns of its table, by which new rows are read. Does not import TensorFlow."""

import pathlib

from trainer.data.schema import Schema
from trainer.errors import CheckpointError
from trainer.system import files
from trainer.system.logs import log


def digest(path: pathlib.Path) -> str:
    """Returns the SHA-256 of the file in hex; empty if there is no file."""
    return files.sha256(path) if path.exists() else ""


def write(path: pathlib.Path, schema: Schema | None, unit: str, *, stored: str = "") -> None:
    """Writes the columns of a data set, if it has any.

    The same numbers can come from a file with other names of columns. The names that the run began with are kept.

    Args:
      path: the file.
      schema: the columns.
      unit: the unit of errors, in words.
      stored: SHA-256 of the file in the manifest of the restored checkpoint; an intact file is not replaced.
    """
    if schema is None:
        return
    text = files.to_json({**schema.to_json(), "unit": unit})
    if not stored or digest(path) != stored:
        files.write(path, text)
    elif path.read_text(encoding="utf-8") != text:
        log.info(f"note        the data have other columns than {path.name}, which is kept: new rows are read by it")


def read(path: pathlib.Path, stored: str = "") -> Schema | None:
    """Returns the columns; None if there is no file.

    Args:
      path: the file.
      stored: SHA-256 of the file in the manifest of a checkpoint; empty if it has none.

    Raises:
      CheckpointError: the file is damaged, or is not that of the checkpoint.
    """
    if not (stored or path.exists()):
        return None
    if not path.exists():
        raise _error(path, "is missing", "the checkpoint was saved with it")
    if stored and digest(path) != stored:
        raise _error(path, "is not that of the checkpoint", f"SHA-256 {digest(path)[:12]}, expected {stored[:12]}")
    try:
        return Schema.from_json(files.read_json(path) or {})
    except (KeyError, TypeError, ValueError) as error:
        raise _error(path, "is damaged", str(error)) from error


def _error(path: pathlib.Path, what: str, found: str) -> CheckpointError:
    remedy = "copy it from the original run, or resume the run with its data, which writes it again"
    return CheckpointError(f"{path} {what}", found=found, remedy=remedy)
