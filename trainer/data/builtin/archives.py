"""Published files: names, sizes, hashes and addresses."""

import dataclasses
import pathlib

from trainer.errors import DataError
from trainer.system import files


@dataclasses.dataclass(frozen=True)
class Archive:
    """A published file: name, SHA-256 in hex, and size in bytes."""

    name: str
    sha256: str
    size: int


@dataclasses.dataclass(frozen=True)
class Mirror:
    """An address, and the archives that it may have. The hash of the downloaded file identifies the archive."""

    url: str
    archives: tuple[Archive, ...]


def verify(path: pathlib.Path, archive: Archive) -> None:
    """Raises `DataError` unless the file is the published archive."""
    digest = files.sha256(path)
    if digest != archive.sha256:
        raise DataError(
            f"{path} is damaged, or is not the published {archive.name}",
            found=f"{path.stat().st_size:,} bytes, SHA-256 {digest}; expected {archive.size:,}, {archive.sha256}",
            remedy="delete the file to download it again, or replace it by the published file",
        )
