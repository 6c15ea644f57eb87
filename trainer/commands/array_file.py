"""Writes .npz files of which one array does not fit into memory."""

import zipfile
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import IO, Self

import numpy as np


class ArrayFile:
    """A compressed .npz file that is written array by array.

    Args:
      file: a binary file, open for writing.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def write(self, key: str, array: np.ndarray) -> None:
        """Writes an array."""
        with self._member(key) as file:
            np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)

    def write_parts(self, key: str, shape: Sequence[int], parts: Iterable[np.ndarray]) -> None:
        """Writes an array of this shape in parts of one type, which follow each other on the first axis."""
        with self._member(key) as file:
            for index, part in enumerate(parts):
                if index == 0:
                    description = np.lib.format.dtype_to_descr(part.dtype)
                    header = {"descr": description, "fortran_order": False, "shape": tuple(shape)}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(np.ascontiguousarray(part).data)

    def _member(self, key: str) -> IO[bytes]:
        """Opens the file of an array, dated 1980 as by `numpy.savez`, so that equal arrays give equal files."""
        info = zipfile.ZipInfo(f"{key}.npy")
        info.compress_type = zipfile.ZIP_DEFLATED
        return self._archive.open(info, "w", force_zip64=True)
