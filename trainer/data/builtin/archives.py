"""Published files: their names, sizes and hashes, and the addresses that have them."""

import dataclasses
import pathlib

from trainer.errors import DataError
from trainer.system import files


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file as it was published: its name, its SHA-256 in hex, its size in bytes."""

    name: str
    sha256: str
    size: int


@dataclasses.dataclass(frozen=True)
class Mirror:
    """An address, and the archives that it may hold: the hash of what arrives tells which."""

    url: str
    archives: tuple[Archive, ...]


def verify(path: pathlib.Path, archive: Archive) -> None:
    """Raises `DataError` unless the file is the published archive."""
    found = files.sha256(path)
    if found != archive.sha256:
        raise DataError(
            f"{path} is damaged, or not {archive.name}",
            found=f"{path.stat().st_size:,} bytes, SHA-256 {found}; expected {archive.size:,}, {archive.sha256}",
            remedy="delete it, so that it is downloaded again, or put the published file there",
        )
