"""Collects the rows of a table that can be used, and the reasons why others cannot."""

import array
import io
from collections.abc import Sequence
from typing import IO

import numpy as np

from trainer.data import labels, splits
from trainer.data.custom import common
from trainer.data.custom.headings import MISSING
from trainer.data.custom.table_layout import Layout
from trainer.data.custom.table_validation import Block, RowValidator
from trainer.data.dataset import NO_LABEL
from trainer.errors import sanitize

ENDS = frozenset("0123456789.")  # last characters of finite numbers


class RowCollector:
    """Collects rows in the order of the file.

    Attributes:
      layout: the columns.
      bad: the first rows that cannot be used: (name, reason); names are such as "line 3".
      num_bad: number of rows that cannot be used.
      num_cells, num_numbers: see `Block`.
      num_missing, num_incomplete: number of missing numbers, and of the rows that have them.
    """

    def __init__(self, layout: Layout, file: IO[bytes] | None = None, unit: str = "line") -> None:
        """Writes the numbers to `file`, or into memory."""
        self.layout, self._unit, self._validator = layout, unit, RowValidator(layout)
        self._file = file or io.BytesIO()
        # Lists of Python numbers would take seven times as much memory.
        self._labels, self._row_numbers = array.array("q"), array.array("q")
        self._label_of: dict[str, int] = {}  # by name, in the order of their first rows
        self._label_of_cell: dict[str, int] = {}
        self.num_cells, self.num_numbers = [0] * len(layout.skipped), [0] * len(layout.skipped)
        self.bad: list[tuple[str, str]] = []
        self.num_bad = self.num_missing = self.num_incomplete = 0

    @property
    def num_gaps(self) -> int:
        """See `RowValidator`."""
        return self._validator.num_gaps

    @property
    def num_good(self) -> int:
        """Number of rows that can be used."""
        return len(self._row_numbers)

    @property
    def total(self) -> int:
        """Number of all rows."""
        return self.num_good + self.num_bad

    @property
    def row_numbers(self) -> np.ndarray:
        """The numbers of the good rows among all rows, from 0, without the heading: [N] int64."""
        return np.frombuffer(self._row_numbers, np.int64) if self._row_numbers else np.empty(0, np.int64)

    def values(self) -> np.ndarray:
        """Returns the numbers of the good rows, [N, D] float64."""
        shape = self.num_good, len(self.layout.numeric)
        self._file.flush()
        if isinstance(self._file, io.BytesIO):
            return np.frombuffer(self._file.getbuffer(), np.float64).reshape(shape)
        return np.memmap(self._file, np.float64, "r", 0, shape) if self.num_good else np.empty(shape)

    def evaluation_mask(self, fraction: float) -> np.ndarray:
        """Returns the evaluation mask of the good rows, [N] bool; it does not change when a bad row is corrected."""
        return splits.by_row_number(self.row_numbers, fraction)

    def labels(self, names: Sequence[str]) -> np.ndarray:
        """Returns the labels of the good rows, [N] int64, as indices into `names`, which contain all label names."""
        index = {name: label for label, name in enumerate(names)}
        if self.layout.label is None:
            return np.full(self.num_good, index[NO_LABEL])
        order = np.array([index[name] for name in self._label_of], np.int64)
        return order[np.frombuffer(self._labels, np.int64)] if self.num_good else np.empty(0, np.int64)

    def label_names(self) -> set[str]:
        """Returns the label names of the good rows."""
        return {NO_LABEL} if self.layout.label is None else set(self._label_of)

    def label_note(self) -> str:
        """Returns a note if different cells are one label, otherwise nothing."""
        return labels.spelling_note(self._label_of_cell, list(self._label_of))

    def add_row(self, number: int, cells: Sequence[str]) -> None:
        """Adds a row, good or bad; `number` is its number in the file."""
        if len(cells) == len(self.layout.names):
            self._count(cells)
        numbers = self._validator.row(cells)
        if isinstance(numbers, str):
            self._add_bad(number, numbers)
            return
        self._row_numbers.append(self.total)
        if self.layout.label is not None:
            self._labels.append(self._label(cells[self.layout.label]))
        if self.layout.keeps_missing:
            self._write(np.array([numbers]))
        else:
            self._file.write(array.array("d", numbers))

    def add_block(self, first: int, block: Block) -> list[int]:
        """Adds the rows of a block whose first line has this number; returns the lines that are no rows, from 0."""
        start, validated = self.total, self._validator.block(block)
        for line, _, reason in validated.bad:
            self._add_bad(first + line, reason)
        is_row, is_good = validated.is_row, validated.is_good
        row_numbers = start + np.cumsum(is_row) - 1
        self._row_numbers.frombytes(row_numbers[block.lines[is_good]].astype(np.int64).tobytes())
        if self.layout.label is not None:
            self._labels.frombytes(self._labels_of(block, is_good).tobytes())
        self.num_cells = (block.num_cells + self.num_cells).tolist()
        self.num_numbers = (block.num_numbers + self.num_numbers).tolist()
        self._write(block.values if is_good.all() else block.values[is_good])
        return np.flatnonzero(~is_row).tolist()

    def _labels_of(self, block: Block, is_good: np.ndarray) -> np.ndarray:
        """Returns the labels of the good rows, [n] int64, in the order in which they were found."""
        used, rows = np.unique(block.label_of_row[is_good], return_index=True)
        used = used[rows.argsort()]  # in the order of their first rows
        label_of = np.zeros(len(block.labels), np.int64)
        label_of[used] = [self._label(block.labels[index]) for index in used.tolist()]
        return label_of[block.label_of_row[is_good]]

    def _count(self, cells: Sequence[str]) -> None:
        """Counts the cells in skipped columns."""
        for index, column in enumerate(self.layout.skipped):
            cell = cells[column].strip()
            if cell and cell not in MISSING:
                self.num_cells[index] += 1
                self.num_numbers[index] += cell[-1] in ENDS and labels.number(cell) is not None

    def _label(self, cell: str) -> int:
        if cell not in self._label_of_cell:
            name = labels.display(sanitize(cell))
            self._label_of_cell[cell] = self._label_of.setdefault(name, len(self._label_of))
        return self._label_of_cell[cell]

    def _write(self, values: np.ndarray) -> None:
        if self.layout.keeps_missing:
            missing = np.isnan(values).sum(axis=1)
            self.num_missing += int(missing.sum())
            self.num_incomplete += int(np.count_nonzero(missing))
        self._file.write(np.ascontiguousarray(values).data)

    def _add_bad(self, number: int, reason: str) -> None:
        self.num_bad += 1
        if len(self.bad) < common.MAX_BAD_STORED:
            self.bad.append((f"{self._unit} {number:,}", reason))
