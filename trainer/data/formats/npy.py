"""Reads .npy and .npz files that may be malicious: no code is executed, and sizes are checked before allocation."""

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
ONLY_KEY = "data"  # The key of the array in an .npy file.
DEFAULT_LIMITS = Limits()
BOMB_RATIO = 200  # A large member with a higher compression ratio is a bomb; images do not compress that well.
END_BYTES = 65_557 + 76  # The last records of a zip archive, with the longest comment.
VERSIONS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # It differs only in the encoding of field names.
}


class BadArray(Exception):
    """The file is damaged, or has objects that only unpickling could read. The message is the reason."""


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array in a file. Only its header has been read.

    Attributes:
      shape, dtype: from the header.
      is_fortran_ordered: True if the array is stored in Fortran order.
      open_file: opens the file at its first byte.
      path: path of an .npy file, which can be memory-mapped; None for a member of an .npz file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    is_fortran_ordered: bool
    open_file: Callable[[], contextlib.AbstractContextManager[IO[bytes]]]
    path: pathlib.Path | None = None

    @property
    def nbytes(self) -> int:
        """Size of the values in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> np.ndarray:
        """Reads the whole array.

        Raises:
          BadArray: the file is damaged.
        """
        with _translate_errors(), self.open_file() as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def chunks(self, num_bytes: int) -> Iterator[np.ndarray]:
        """Reads the array in chunks of rows, of about `num_bytes` each; raises as `read`."""
        rows = max(1, num_bytes * self.shape[0] // max(1, self.nbytes))
        if self.is_fortran_ordered:  # A row is spread over the whole file.
            array = self.read() if self.path is None else np.load(self.path, mmap_mode="r", allow_pickle=False)
            yield from (array[start : start + rows] for start in range(0, len(array), rows))
            return
        size = self.nbytes // self.shape[0]
        with _translate_errors(), self.open_file() as file:
            _read_header(file)
            for start in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - start)
                content = file.read(count * size)
                if len(content) != count * size:
                    end = start + len(content) // max(1, size)
                    raise BadArray(f"the file ends in row {end:,} of {self.shape[0]:,}")
                yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])


def array_keys(path: pathlib.Path, limits: Limits = DEFAULT_LIMITS) -> list[str]:
    """Returns the keys of the arrays in an .npy or .npz file.

    Raises:
      BadArray: the file is damaged.
    """
    if path.suffix.lower() == ".npy":
        return [ONLY_KEY]
    with _translate_errors(), opened_archive(path, limits) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def open_array(path: pathlib.Path, key: str, limits: Limits = DEFAULT_LIMITS) -> StoredArray:
    """Reads the header of one array in an .npy or .npz file.

    Raises:
      BadArray: the file is damaged or a decompression bomb, or the array has objects.
    """
    with _translate_errors():
        if path.suffix.lower() == ".npy":
            return dataclasses.replace(_stored_array(lambda: open(path, "rb"), path.stat().st_size), path=path)
        with opened_archive(path, limits) as archive:
            if f"{key}.npy" not in archive.namelist():
                raise BadArray(f"there is no array {key}")
            info = archive.getinfo(f"{key}.npy")
        if info.file_size > limits.bomb_bytes and info.file_size > BOMB_RATIO * max(1, info.compress_size):
            raise BadArray(f"{sanitize(key)} would be unpacked from {info.compress_size:,} bytes to {info.file_size:,}")
        return _stored_array(lambda: _open_member(path, info, limits), info.file_size)


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    """Converts all exceptions to `BadArray`."""
    try:
        yield
    except BadArray:
        raise
    except Exception as error:  # zipfile and NumPy raise many kinds of exceptions for damaged files.
        raise BadArray(error_text(error) or type(error).__name__) from error


@contextlib.contextmanager
def opened_archive(path: pathlib.Path, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive, unless its directory is too large: zipfile would read all of it at once."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, io.SEEK_END) - END_BYTES))
        end = file.read()
    # Finds the end record where zipfile does: at the end of the file, or before a comment.
    start = len(end) - 22 if end[-22:-18] == b"PK\5\6" and end[-2:] == b"\0\0" else end.rfind(b"PK\5\6")
    size = int.from_bytes(end[start + 12 : start + 16], "little") if start >= 0 else 0
    if start >= 76 and end[start - 20 : start - 16] == b"PK\6\7":  # A ZIP64 archive: its end record has the size.
        size = int.from_bytes(end[start - 36 : start - 28], "little")
    if size > limits.directory_bytes:
        raise BadArray(f"its directory has {size:,} bytes; at most {limits.directory_bytes:,} are allowed")
    with zipfile.ZipFile(path) as archive:
        yield archive


@contextlib.contextmanager
def _open_member(path: pathlib.Path, info: zipfile.ZipInfo, limits: Limits) -> Iterator[IO[bytes]]:
    with opened_archive(path, limits) as archive, archive.open(info) as file:
        yield file


def _stored_array(open_file: Callable[[], contextlib.AbstractContextManager[IO[bytes]]], size: int) -> StoredArray:
    """Reads a header, and checks that the size of the file agrees with it."""
    with open_file() as file:
        shape, is_fortran_ordered, dtype = _read_header(file)
        num_bytes = size - file.tell()
    if dtype.hasobject:
        raise BadArray("it has objects, which are never unpickled: unpickling can run any program")
    expected = math.prod(shape) * dtype.itemsize
    if num_bytes != expected:
        raise BadArray(f"its header claims {expected:,} bytes of values, but the file has {num_bytes:,}")
    return StoredArray(shape, dtype, is_fortran_ordered, open_file)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        with warnings.catch_warnings(action="ignore"):  # NumPy warns of the long integers in headers of Python 2.
            shape, is_fortran_ordered, dtype = VERSIONS[np.lib.format.read_magic(file)](file)
    except KeyError as error:
        raise BadArray(f"its format version is {error}; expected 1.0, 2.0 or 3.0") from error
    except Exception as error:  # NumPy parses headers as Python, and raises many kinds of exceptions.
        raise BadArray(error_text(error) or type(error).__name__) from error
    if min(shape, default=0) < 0:
        raise BadArray(f"its header claims the shape {list(shape)}")
    return shape, is_fortran_ordered, dtype
