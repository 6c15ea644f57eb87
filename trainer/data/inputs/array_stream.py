"""Reads arrays of rows block by block."""

import pathlib
from collections.abc import Iterator

import numpy as np

from trainer.data.custom import columns
from trainer.data.formats import npy
from trainer.data.formats.npy import BadArray, StoredArray
from trainer.data.inputs import messages
from trainer.data.inputs.blocks import InputBlock, ScoredInput
from trainer.data.schema import Schema
from trainer.data.sources import Sources
from trainer.errors import DataError, sanitize

BLOCK_BYTES = 4 << 20
ROUNDED = "its numbers are rounded to float32, in which the values of some columns are equal; give float64"


class ArrayInput(ScoredInput):
    """An array [N, D] of rows in an .npy file, or the only array in an .npz file.

    Raises:
      DataError: the file is damaged, or has an array of another shape or type.
    """

    unit = "row"
    names = ("row",)

    def __init__(
        self,
        path: pathlib.Path,
        shape: tuple[int, ...],
        schema: Schema,
        sources: Sources,
        *,
        offset: np.ndarray | None,
    ) -> None:
        """Reads the header."""
        self._path, self._offset = path, offset
        self._keeps_missing = sources.options.missing == "mean"
        self.name, self.trained_names = path.name, schema.trained_names
        try:
            self._array = _only_array(path, sources)
        except BadArray as error:
            raise self._error(error) from error
        if offset is not None and self._array.dtype.itemsize <= np.dtype(np.float32).itemsize:
            self.notes = [ROUNDED]
        if self._array.shape[1:] != shape or self._array.dtype.kind not in "uifb":
            raise DataError(
                f"{sanitize(path)} has an array of shape {messages.shape_text(self._array.shape)} and type"
                f" {self._array.dtype}",
                found=f"expected real numbers of shape {messages.shape_text(('N', *shape))}",
                remedy="give rows of the right length",
            )

    def blocks(self) -> Iterator[InputBlock]:
        """Yields the rows.

        Raises:
          DataError: the file ends too early.
        """
        start = 0
        try:
            for rows in self._array.chunks(BLOCK_BYTES) if self._array.shape[0] else ():
                yield self._block(rows, start)
                start += len(rows)
        except BadArray as error:
            raise self._error(error) from error

    def _block(self, rows: np.ndarray, start: int) -> InputBlock:
        with np.errstate(over="ignore"):
            examples = rows if rows.dtype == np.float32 and self._offset is None else rows.astype(np.float64)
            examples = columns.to_float32(examples, self._offset)
        is_bad = ~np.isfinite(examples)
        if self._keeps_missing:
            is_missing = np.isnan(rows)
            is_bad &= ~is_missing | is_missing.all(axis=1, keepdims=True)
        is_good = ~is_bad.any(axis=1)
        numbers = np.arange(start, start + len(rows))  # as indices of the array
        bad = [
            (row, len(self.trained_names), self._reason(rows[row], is_bad[row]))
            for row in np.flatnonzero(~is_good).tolist()
        ]
        return InputBlock(
            numbers=numbers,
            lines=list(map(str, numbers.tolist())),
            is_row=np.ones(len(rows), bool),
            is_good=is_good,
            examples=examples if is_good.all() else examples[is_good],
            bad=bad,
        )

    def _reason(self, row: np.ndarray, is_bad: np.ndarray) -> str:
        column = int(is_bad.argmax())
        return f"has '{row[column]}' in the column '{sanitize(self.trained_names[column])}', not a finite number"

    def _error(self, error: BadArray) -> DataError:
        return DataError(
            f"{sanitize(self._path)} cannot be read as an array",
            found=str(error),
            remedy="write an array of numbers with numpy.save",
        )


def _only_array(path: pathlib.Path, sources: Sources) -> StoredArray:
    keys = npy.array_keys(path, sources.limits)
    if len(keys) != 1:
        raise BadArray(f"it has the arrays {', '.join(map(sanitize, keys[:10]))}; expected one")
    return npy.open_array(path, keys[0], sources.limits)
