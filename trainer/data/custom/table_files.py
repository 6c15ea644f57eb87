"""Files that hold a table: text, packed text and Parquet."""

import contextlib
import gzip
import io
import lzma
import math
import pathlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import Protocol

from trainer.data.formats import npy
from trainer.data.limits import Limits
from trainer.errors import DataError, error_text, sanitize

TEXTS = (".csv", ".tsv", ".txt", ".data")
PACKED, PARQUET = (".gz", ".zip"), ".parquet"
SUFFIXES = (*TEXTS, *PACKED, PARQUET)
IGNORED = ("__MACOSX", ".")  # beginnings of names in archives that hold no data
MAX_SHOWN = 5
DAMAGED = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, npy.BadArray)


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes, at most `size`, at least one; none at the end."""
        ...


@contextlib.contextmanager
def opened(path: pathlib.Path, limits: Limits) -> Iterator[Readable]:
    """Opens a table of text; unpacks .gz files, and .zip archives with one table in them, while they are read.

    Raises:
      DataError: the file is damaged, a decompression bomb, or encrypted; or an archive does not hold one table.
    """
    try:
        with contextlib.ExitStack() as stack:
            suffix, packed_bytes = path.suffix.lower(), path.stat().st_size
            if suffix == ".gz":
                _check_name(path)
                _check_bomb(path, _stored_size(path), packed_bytes, limits)
                file: Readable = stack.enter_context(gzip.GzipFile(path))
            elif suffix == ".zip":
                archive = stack.enter_context(npy.opened_archive(path, limits))
                member = _table_in(path, archive)
                packed_bytes = member.compress_size
                _check_bomb(path, member.file_size, packed_bytes, limits)
                file = stack.enter_context(archive.open(member))
            else:
                yield stack.enter_context(open(path, "rb"))
                return
            yield _Unpacked(path, file, packed_bytes, limits)
    except DAMAGED as error:
        raise DataError(
            f"{sanitize(path)} cannot be unpacked",
            found=error_text(error) or type(error).__name__,
            remedy="copy or download it again",
        ) from error


def expected_bytes(path: pathlib.Path) -> int:
    """Returns the approximate size of a table as text."""
    is_text = path.suffix.lower() in TEXTS
    return path.stat().st_size * (1 if is_text else 4)  # Numbers as text are often packed to a third or a quarter.


def largest_bytes(path: pathlib.Path) -> float:
    """Returns the largest size of a table as text; infinity if it is packed."""
    return path.stat().st_size if path.suffix.lower() in TEXTS else math.inf


def _check_name(path: pathlib.Path) -> None:
    inner = pathlib.Path(path.stem).suffix.lower()
    if inner not in TEXTS:
        raise DataError(
            f"{sanitize(path)} is not a packed table",
            found=f"its name ends in {sanitize(inner)}.gz; expected {', '.join(f'{suffix}.gz' for suffix in TEXTS)}",
            remedy="unpack it, and give the path of the unpacked file",
        )


def _table_in(path: pathlib.Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Returns the only table of text in an archive."""
    members = [
        info
        for info in archive.infolist()
        if not info.is_dir() and not any(part.startswith(IGNORED) for part in info.filename.split("/"))
    ]
    tables = [info for info in members if info.filename.lower().endswith(TEXTS)]
    if len(tables) != 1:
        shown = [sanitize(info.filename) for info in (tables or members)[:MAX_SHOWN]]
        more = ", ..." if len(tables or members) > MAX_SHOWN else ""
        raise DataError(
            f"{sanitize(path)} does not hold one table",
            found=f"{'tables' if tables else 'files'} in it: {', '.join(shown) or 'none'}{more}",
            remedy="unpack it, and give the path of one table"
            + ("" if tables else f" that ends in {' or '.join(TEXTS)}"),
        )
    if tables[0].flag_bits & 1:
        raise DataError(f"{sanitize(path)} is encrypted", remedy="unpack it, and give the path of the table")
    return tables[0]


def _stored_size(path: pathlib.Path) -> int:
    """Returns the size that a .gz file gives for its contents, modulo 2**32; it may be wrong."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, io.SEEK_END) - 4))
        return int.from_bytes(file.read(), "little")


def _check_bomb(path: pathlib.Path, size: int, packed_bytes: int, limits: Limits) -> None:
    """Raises `DataError` if a file of `packed_bytes` holds a decompression bomb of at least `size` bytes."""
    if size > limits.bomb_bytes and size > npy.BOMB_RATIO * max(1, packed_bytes):
        raise DataError(
            f"{sanitize(path)} cannot be unpacked",
            found=f"it is damaged, or its {packed_bytes:,} bytes would become more than {limits.bomb_bytes:,}",
            remedy="copy or download it again; or unpack it, and give the path of the unpacked file",
        )


class _Unpacked:
    """Reads an unpacked file, and refuses decompression bombs."""

    def __init__(self, path: pathlib.Path, file: Readable, packed_bytes: int, limits: Limits) -> None:
        self._path, self._file, self._packed_bytes, self._limits = path, file, packed_bytes, limits
        self._count = 0

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes; see `Readable`."""
        content = self._file.read(size)
        self._count += len(content)
        _check_bomb(self._path, self._count, self._packed_bytes, self._limits)
        return content
