"""Files that survive: written aside, forced to the disk, renamed into place."""

import errno
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any


def fsync(path: pathlib.Path) -> None:
    """Forces a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: pathlib.Path) -> None:
    """Makes a folder, and those above it, durably; nothing where it is there."""
    if not path.is_dir():
        if not path.parent.exists():
            make_folder(path.parent)
        path.mkdir(exist_ok=True)
        fsync(path.parent)


def write(path: pathlib.Path, content: str | bytes, *, durably: bool = True) -> None:
    """Writes a file whole or not at all; `durably`: and it is on the disk when this returns. Text becomes UTF-8."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durably:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)  # On a full disk every byte counts.
        raise
    if durably:
        fsync(path.parent)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a value as JSON, whole or not at all, and durably."""
    write(path, to_json(value))


def to_json(value: Any) -> str:
    """A value as JSON: always the same text."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file whole or not at all, and durably but for its name: `fsync` the folder when all are there."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        shutil.copyfile(source, temporary)
        fsync(temporary)
        os.replace(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def reserve(path: pathlib.Path, num_bytes: int) -> None:
    """Makes a file of so many bytes for which there is room, so that a full disk fails here, and not while writing.

    Where the system cannot reserve room, the free room is looked at.

    Raises:
      OSError: there is no room.
    """
    with open(path, "wb") as file:
        if not num_bytes:
            return
        if hasattr(os, "posix_fallocate"):  # Not on macOS.
            try:
                os.posix_fallocate(file.fileno(), 0, num_bytes)
                return
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # A file system that cannot do it.
                    raise
        if shutil.disk_usage(path.parent).free < num_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        file.truncate(num_bytes)


def sha256(path: pathlib.Path) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unused_path(path: pathlib.Path) -> pathlib.Path:
    """`path`, or the first of path-2, path-3, ... that does not exist."""
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def read_json(path: pathlib.Path) -> dict[str, Any] | None:
    """A JSON object from a file; None where there is none, or something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
