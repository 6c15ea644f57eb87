"""NumPy's files -> arrays. Nothing in them is run; nothing that a header only claims is allocated. No TensorFlow."""

import contextlib
import dataclasses
import io
import math
import pathlib
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from trainer.data.limits import Limits
from trainer.errors import error_text, sanitize

SUFFIXES = (".npy", ".npz")
ONLY = "data"  # what the array of an .npy file is called
# An archive's member that is large, and packed more tightly, is a bomb; pictures do not shrink so far.
LIMITS = Limits()
BOMB_RATIO = 200
END_BYTES = 65_557 + 76  # of an archive: its last records, with the longest comment
VERSIONS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # Differs in how fields are named, which only records have.
}


class BadArray(Exception):
    """A file that is damaged, or holds what only unpickling could read; says what is wrong with it."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One array in a file, of which only the header has been read.

    Attributes:
      shape, dtype: of it.
      by_columns: whether it is stored in Fortran's order.
      open: the file, from its first byte on.
      path: of an .npy file, which can be mapped into memory.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool
    open: Callable[[], contextlib.AbstractContextManager[IO[bytes]]]
    path: pathlib.Path | None = None

    @property
    def nbytes(self) -> int:
        """Of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> np.ndarray:
        """All of it.

        Raises:
          BadArray: it is damaged.
        """
        with _translate_errors(), self.open() as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def chunks(self, num_bytes: int) -> Iterator[np.ndarray]:
        """All of it, its first axis cut into parts of about so many bytes. As `read`."""
        rows = max(1, num_bytes * self.shape[0] // max(1, self.nbytes))
        if self.by_columns:  # The first row is everywhere in it.
            whole = self.read() if self.path is None else np.load(self.path, mmap_mode="r", allow_pickle=False)
            yield from (whole[start : start + rows] for start in range(0, len(whole), rows))
            return
        size = self.nbytes // self.shape[0]
        with _translate_errors(), self.open() as file:
            _header(file)
            for start in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - start)
                content = file.read(count * size)
                if len(content) != count * size:
                    raise BadArray(f"it ends in row {start + len(content) // max(1, size):,} of {self.shape[0]:,}")
                yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])


def names(path: pathlib.Path, limits: Limits = LIMITS) -> list[str]:
    """Of the arrays in an .npy or .npz file.

    Raises:
      BadArray: it is damaged.
    """
    if path.suffix.lower() == ".npy":
        return [ONLY]
    with _translate_errors(), _archive(path, limits) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def member(path: pathlib.Path, name: str, limits: Limits = LIMITS) -> Member:
    """One of them.

    Raises:
      BadArray: it is damaged, is a bomb, or holds objects.
    """
    with _translate_errors():
        if path.suffix.lower() == ".npy":
            return dataclasses.replace(_member(lambda: open(path, "rb"), path.stat().st_size), path=path)
        with _archive(path, limits) as archive:
            if f"{name}.npy" not in archive.namelist():
                raise BadArray(f"it holds no {name}")
            info = archive.getinfo(f"{name}.npy")
        if info.file_size > limits.bomb_bytes and info.file_size > BOMB_RATIO * max(1, info.compress_size):
            raise BadArray(f"{sanitize(name)} has {info.compress_size:,} bytes that would become {info.file_size:,}")
        return _member(lambda: _opened(path, info, limits), info.file_size)


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    """Whatever is raised while a damaged file is read, as one kind."""
    try:
        yield
    except BadArray:
        raise
    except Exception as error:  # A damaged archive can raise anything at all.
        raise BadArray(error_text(error) or type(error).__name__) from error


@contextlib.contextmanager
def _archive(path: pathlib.Path, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """An archive, if its directory is no larger than those of archives of arrays: zipfile reads all of it at once."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, io.SEEK_END) - END_BYTES))
        end = file.read()
    # As zipfile looks for it: at the very end, or before a comment.
    place = len(end) - 22 if end[-22:-18] == b"PK\5\6" and end[-2:] == b"\0\0" else end.rfind(b"PK\5\6")
    size = int.from_bytes(end[place + 12 : place + 16], "little") if place >= 0 else 0
    if place >= 76 and end[place - 20 : place - 16] == b"PK\6\7":  # Large archives have another record before that one.
        size = int.from_bytes(end[place - 36 : place - 28], "little")
    if size > limits.directory_bytes:
        raise BadArray(f"its list of members has {size:,} bytes; at most {limits.directory_bytes:,} are read")
    with zipfile.ZipFile(path) as archive:
        yield archive


@contextlib.contextmanager
def _opened(path: pathlib.Path, info: zipfile.ZipInfo, limits: Limits) -> Iterator[IO[bytes]]:
    with _archive(path, limits) as archive, archive.open(info) as file:
        yield file


def _member(open_it: Callable[[], contextlib.AbstractContextManager[IO[bytes]]], size: int) -> Member:
    """What a header says, if there are as many bytes as that needs."""
    with open_it() as file:
        shape, by_columns, dtype = _header(file)
        there = size - file.tell()
    if dtype.hasobject:
        raise BadArray("it holds objects, which only unpickling could read: that may run anything, and is not done")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != there:
        raise BadArray(f"its header claims {wanted:,} bytes of numbers, and {there:,} are there")
    return Member(shape, dtype, by_columns, open_it)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        with warnings.catch_warnings(action="ignore"):  # Python 2 wrote shapes as long integers: told, and no matter.
            shape, by_columns, dtype = VERSIONS[np.lib.format.read_magic(file)](file)
    except KeyError as error:
        raise BadArray(f"it is of version {error}; known are 1.0, 2.0, 3.0") from error
    except Exception as error:  # A damaged header is parsed as Python, and can raise anything at all.
        raise BadArray(error_text(error) or type(error).__name__) from error
    if min(shape, default=0) < 0:
        raise BadArray(f"its header claims the shape {list(shape)}")
    return shape, by_columns, dtype
