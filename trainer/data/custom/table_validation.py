"""Validates the rows of a table."""

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np

from trainer.data.custom import headings
from trainer.data.custom.headings import MISSING
from trainer.data.custom.table_layout import COMMAS, Layout
from trainer.errors import sanitize

MAX_FLOAT32 = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """Some lines of a table, read at once: n rows, and lines that may be no rows.

    Attributes:
      num_lines: number of lines.
      lines: the line of each row, from 0, ascending: [n] int64.
      values: [n, D] float64, the numbers; NaN if they are missing.
      is_doubtful: [n] bool, True for rows that may be bad; their values are not used.
      labels: the distinct texts in the column of labels, in the order of their first rows; empty without labels.
      label_of_row: [n] int64, indices into `labels`.
      num_cells, num_numbers: the numbers of cells that are not missing, and of those that are numbers, in each of the
        skipped columns: [S] int64.
      cells: returns the cells of a line; None if it is no row.
    """

    num_lines: int
    lines: np.ndarray
    values: np.ndarray
    is_doubtful: np.ndarray
    labels: Sequence[str]
    label_of_row: np.ndarray
    num_cells: np.ndarray
    num_numbers: np.ndarray
    cells: Callable[[int], Sequence[str] | None]


@dataclasses.dataclass(frozen=True)
class ValidatedBlock:
    """The valid and the invalid rows of a block.

    Attributes:
      is_row: [num_lines] bool, True for lines that are rows.
      is_good: [n] bool, True for the rows of `Block.lines` that can be used; their values are complete now.
      bad: the lines that cannot be used: (line, number of cells, reason), ascending.
    """

    is_row: np.ndarray
    is_good: np.ndarray
    bad: list[tuple[int, int, str]]


class RowValidator:
    """Reads rows by a layout.

    Attributes:
      layout: the columns.
      num_gaps: number of bad rows whose first wrong cell has no number because it is missing.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout, self.num_gaps = layout, 0

    def row(self, cells: Sequence[str]) -> list[float] | str:
        """Returns the numbers of a row, or the reason why it cannot be used."""
        if len(cells) != len(self.layout.names):
            return f"has {len(cells):,} cells; the first line has {len(self.layout.names):,}"
        numbers = []
        for column in self.layout.numeric:
            value = headings.parse(cells[column])
            if value is None or not abs(value) <= MAX_FLOAT32:
                is_gap = is_missing(cells[column])
                if not (self.layout.keeps_missing and is_gap):
                    self.num_gaps += is_gap
                    return _reason(cells[column], self.layout.names[column])
                value = np.nan
            numbers.append(value)
        return "has no number" if self.layout.keeps_missing and np.isnan(numbers).all() else numbers

    def block(self, block: Block) -> ValidatedBlock:
        """Reads the doubtful lines of a block, and puts the numbers of good rows into it."""
        is_row, is_good = np.ones(block.num_lines, bool), ~block.is_doubtful
        row_of_line = np.full(block.num_lines, -1)
        row_of_line[block.lines] = np.arange(len(block.lines))
        is_sure = np.zeros(block.num_lines, bool)
        is_sure[block.lines] = is_good
        bad = []
        for line in np.flatnonzero(~is_sure).tolist():
            cells = block.cells(line)
            if cells is None:
                is_row[line] = False
                continue
            numbers, row = self.row(cells), row_of_line[line]
            if isinstance(numbers, str):
                bad.append((line, len(cells), numbers))
            elif row >= 0:
                block.values[row], is_good[row] = numbers, True
        return ValidatedBlock(is_row, is_good, bad)


def are_usable(values: np.ndarray) -> bool:
    """Returns True if all numbers are finite in float32."""
    low, high = values.min(initial=0), values.max(initial=0)  # NaN if one is NaN
    return bool(low >= -MAX_FLOAT32 and high <= MAX_FLOAT32)


def is_missing(cell: str) -> bool:
    """Returns True if a cell is empty or has a mark for missing numbers."""
    cell = cell.strip()
    return not cell or cell in MISSING


def _reason(cell: str, name: str) -> str:
    """Returns the reason why a cell makes a row bad."""
    shown = sanitize(cell)[:40]
    has_commas = re.fullmatch(COMMAS, cell.strip()) is not None
    reason = "not a number: write it without commas" if has_commas else "not a finite number"
    found = f"'{shown}'" if shown else "nothing"
    return f"has {found} in the column '{sanitize(name)}', {reason}"
