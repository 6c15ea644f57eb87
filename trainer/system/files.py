"""Atomic and durable file operations: write to a temporary file, fsync, rename."""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import IO, Any

from trainer.system.signals import Terminated

AT_FDCWD, EXCHANGE = -100, 2  # of Linux's renameat2: paths are relative to the working directory; exchange both names


def fsync(path: pathlib.Path) -> None:
    """Flushes a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: pathlib.Path) -> None:
    """Creates a folder and its parents durably, if the folder does not exist."""
    if not path.is_dir():
        if not path.parent.exists():
            make_folder(path.parent)
        path.mkdir(exist_ok=True)
        fsync(path.parent)


@contextlib.contextmanager
def replacing(path: pathlib.Path, *, durably: bool = True, concurrent: bool = False) -> Iterator[IO[bytes]]:
    """Yields a temporary file that replaces `path` atomically at the end of the `with` block, or is deleted on errors.

    Args:
      path: the file.
      durably: the file is on the disk at the end.
      concurrent: several processes may write the file at the same time; each then has a temporary file of its own.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp" if concurrent else f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            if durably:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except (Exception, KeyboardInterrupt, Terminated):
        temporary.unlink(missing_ok=True)  # Frees space on a full disk.
        raise
    if durably:
        fsync(path.parent)


def write(path: pathlib.Path, content: str | bytes, *, durably: bool = True) -> None:
    """Writes a file atomically, and by default durably: it is on the disk on return. Text is encoded as UTF-8."""
    with replacing(path, durably=durably) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a value as JSON, atomically and durably."""
    write(path, to_json(value))


def to_json(value: Any) -> str:
    """Returns a value as JSON. Equal values give equal text."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def replace_folder(source: pathlib.Path, target: pathlib.Path) -> None:
    """Renames a folder to `target`. Deletes the folder that was there.

    On Linux, readers see the old or the new folder at any time, except on a file system that cannot exchange two names.
    """
    if target.exists():
        replaced = source
        if not _exchange(source, target):
            replaced = unused_path(source.with_name(f"{source.name}.old"))
            os.rename(target, replaced)
            os.rename(source, target)
        fsync(target.parent)
        shutil.rmtree(replaced)
    else:
        os.rename(source, target)
    fsync(target.parent)


def _exchange(first: pathlib.Path, second: pathlib.Path) -> bool:
    """Exchanges two names in one system call; returns False if that is impossible here."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and not rename(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), EXCHANGE)


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file atomically, and fsyncs the copy. For full durability, the caller must fsync the folder."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        shutil.copyfile(source, temporary)
        fsync(temporary)
        os.replace(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def reserve(path: pathlib.Path, num_bytes: int) -> None:
    """Preallocates a file, so that a full disk fails here and not in the middle of writing.

    If the file system does not support preallocation, only checks the free space.

    Raises:
      OSError: there is not enough space.
    """
    with open(path, "wb") as file:
        if not num_bytes:
            return
        if hasattr(os, "posix_fallocate"):  # Missing on macOS.
            try:
                os.posix_fallocate(file.fileno(), 0, num_bytes)
                return
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # Unsupported by the file system.
                    raise
        if shutil.disk_usage(path.parent).free < num_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        file.truncate(num_bytes)


def sha256(path: pathlib.Path) -> str:
    """Returns the SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unused_path(path: pathlib.Path) -> pathlib.Path:
    """Returns the first of `path`, path-2, path-3, ... that does not exist."""
    suffix, candidate = 1, path
    while candidate.exists():
        suffix += 1
        candidate = path.with_name(f"{path.name}-{suffix}")
    return candidate


def read_json(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns the JSON object in a file; None if the file is missing, unreadable, or holds anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
