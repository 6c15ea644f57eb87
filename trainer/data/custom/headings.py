"""Recognizes the heading of a table. In doubt, the first line is a row."""

import dataclasses
import functools
import re
from collections.abc import Sequence

import numpy as np

MISSING = frozenset(["?", "-", ".", "NA", "N/A", "NaN", "nan", "null", "None"])  # cells without a number
MIN_NUMBERS = 3  # Fewer numbers without a word are a row.
MANY_NUMBERS = 6  # So many numbers of a row are rarely in order.
MIN_ROWS, MANY_ROWS = 3, 5  # Fewer rows say little about the range of a column.
INTEGER = r"[+-]?\d+"
NEAR, FAR = 1, 10  # distances from the range of a column, in widths of the range


@dataclasses.dataclass(frozen=True)
class Heading:
    """The interpretation of a table's first line.

    Attributes:
      names: column names, if the line is the heading; otherwise None.
      is_certain: False if the line has only numbers, and may be a row instead of the heading, or the other way round.
    """

    names: tuple[str, ...] | None
    is_certain: bool = True


def parse(cell: str) -> float | None:
    """Returns the number in a cell, which may be infinite or NaN; None if it has another text."""
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def recognize(sample: Sequence[Sequence[str]], choice: str, label_column: str | None) -> Heading:
    """Decides if the first line of a table is its heading.

    With words above columns of numbers, it is the heading if its other cells are words, empty, or numbers that number
    the columns or do not fit the columns below; or if it contains the name of the label column. Without words, it is
    the heading if its numbers number the columns, or are strictly monotonic and unlike the rows below: evenly spaced,
    or out of the ranges of most columns.

    Args:
      sample: the cells of the first lines.
      choice: `auto`, `yes` or `no`.
      label_column: the value of --label_column.
    """
    first = [cell.strip() for cell in sample[0]]
    names = tuple(cell or f"column {column + 1}" for column, cell in enumerate(first))
    if choice != "auto":
        return Heading(names if choice == "yes" else None)
    columns = [
        column
        for column in range(len(first))
        if any(column < len(row) and parse(row[column]) is not None for row in sample[1:])
    ]
    if not columns:
        return Heading(names if all(cell and parse(cell) is None for cell in first) else None)
    line = _FirstLine(first, columns, sample[1:])
    is_label_named = label_column in first and parse(label_column or "") is None
    if is_label_named or line.is_heading():
        return Heading(names, is_certain=is_label_named or bool(line.words))
    return Heading(None, is_certain=not line.is_doubtful())


class _FirstLine:
    """The cells of a first line, compared with the rows below.

    Args:
      first: all cells of the line.
      columns: indices of the columns that have numbers below the line.
      others: the cells of the rows below.
    """

    def __init__(self, first: Sequence[str], columns: Sequence[int], others: Sequence[Sequence[str]]) -> None:
        self._first, self._others = first, others
        above = [first[column] for column in columns]
        self.words = [cell for cell in above if cell and cell not in MISSING and parse(cell) is None]
        self._num_missing = sum(cell in MISSING for cell in above)
        self._columns = [column for column in columns if parse(first[column]) is not None]
        self._is_row = len(self._columns) == len(columns)
        self._texts = [first[column] for column in self._columns]
        self._values = np.array([parse(text) for text in self._texts], np.float64)

    @functools.cached_property
    def _below(self) -> np.ndarray:
        """The numbers below the line's numbers, [rows, n] float64; NaN for other cells."""
        rows = [[parse(row[column]) if column < len(row) else None for column in self._columns] for row in self._others]
        below = np.array(rows, np.float64).reshape(len(rows), len(self._columns))
        return np.where(np.isfinite(below), below, np.nan)

    def is_heading(self) -> bool:
        """Returns True if the line is a heading."""
        if not self._columns:
            return bool(self.words)
        if self._numbers_columns() or self._has_suffixes():
            return True
        if not _is_monotonic(self._values):
            return False
        return self._is_unlike_rows_beside_words() if self.words else self._is_unlike_rows()

    def is_doubtful(self) -> bool:
        """Returns True if the line is a valid row, but has a property of a heading."""
        if self.words:  # Only a word in the label column makes a valid row.
            return True
        if not self._is_row or len(self._values) < 2:
            return False
        if self._num_rows >= MANY_ROWS and (self._outside(NEAR) > 0.5 or self._has_other_decimals()):
            return True
        if len(self._values) < MIN_NUMBERS or not _is_monotonic(self._values):
            return False
        is_rare = len(self._values) >= MANY_NUMBERS or self._outside(0) > 0.5
        return self._is_even() or (is_rare and not self._are_rows_sorted())

    @property
    def _num_rows(self) -> int:
        return len(self._others)

    @property
    def _near(self) -> int:
        """The distance that is enough with this number of rows."""
        return NEAR if self._num_rows >= MANY_ROWS else FAR

    def _is_unlike_rows_beside_words(self) -> bool:
        """Returns True if the numbers do not fit as a row. A word stands above a number: the line is no valid row."""
        return self._outside(self._near) > 0.5 or self._is_even()

    def _is_unlike_rows(self) -> bool:
        """Returns True if strictly monotonic numbers are unlike the rows below."""
        count, is_outside = len(self._values), self._outside(self._near) > 0.5
        if count < MIN_NUMBERS:
            return False
        far = self._outside(FAR) if self._num_rows >= MANY_ROWS else 0.0
        if self._are_rows_sorted():
            return (is_outside and self._is_even()) or (count >= MANY_NUMBERS and far == 1)
        if count >= MANY_NUMBERS and is_outside:
            return True
        return far > 0.5 or ((is_outside or count >= MANY_NUMBERS) and self._is_even())

    def _are_rows_sorted(self) -> bool:
        """Returns True if at least half of the rows below are strictly monotonic in the same direction as the line."""
        direction = np.sign(self._values[1] - self._values[0])
        return 2 * sum(bool((np.diff(row * direction) > 0).all()) for row in self._below) >= self._num_rows

    def _is_even(self) -> bool:
        """Returns True if the numbers are evenly spaced, and no row below is."""
        if len(self._values) < MIN_NUMBERS or not _is_even(self._texts):
            return False
        return not any(
            _is_even([row[column] for column in self._columns]) for row in self._others if len(row) > self._columns[-1]
        )

    def _numbers_columns(self) -> bool:
        """Returns True if the line numbers the columns from 0 or 1, and the rows below do not go on counting."""
        is_numbering = any(
            len(texts) >= MIN_NUMBERS and list(texts) == [str(start + n) for n in range(len(texts))]
            for texts in (self._texts, self._first)
            for start in (0, 1)
        )
        if not is_numbering or self._num_missing:
            return False
        table = np.vstack([self._values, self._below])
        steps = np.diff(table, axis=0)  # equal if the table itself counts, such as 0, 1, 2; 3, 4, 5; 6, 7, 8
        return not ((np.diff(table) == 1).all() and (steps == steps[0]).all())

    def _has_suffixes(self) -> bool:
        """Returns True if the cells differ only by a suffix, as pandas writes repeated names: 0, 0.1, 0.2."""
        cells = set(self._first)
        if any(cell.rpartition(".")[0] in cells and re.search(r"\.\d+\.\d+$", cell) for cell in self.words):
            return True
        counts: dict[str, int] = {}
        num_suffixed = 0
        for text in self._texts:
            name, _, suffix = text.rpartition(".")
            is_suffixed = name in counts and suffix == str(counts[name])
            num_suffixed += is_suffixed
            key = name if is_suffixed else text
            counts[key] = counts.get(key, 0) + 1
        if num_suffixed < MIN_NUMBERS or len(cells) < len(self._first):
            return False
        cells_below = [[row[column] for column in self._columns if column < len(row)] for row in self._others]
        return 2 * sum(len(set(row)) < len(row) for row in cells_below) > self._num_rows

    def _has_other_decimals(self) -> bool:
        """Returns True if all numbers of the line are integers, and none below is."""
        below = [row[column] for row in self._others for column in self._columns if column < len(row)]
        return all(re.fullmatch(INTEGER, text) for text in self._texts) and not any(
            re.fullmatch(INTEGER, cell.strip()) for cell in below
        )

    def _outside(self, distance: float) -> float:
        """Returns the fraction of the numbers that are outside the range of the column below.

        Args:
          distance: how far at least, in widths of the range. With fewer than three rows, nothing is outside.
        """
        if self._num_rows < MIN_ROWS:
            return 0.0
        low = np.where(np.isnan(self._below), np.inf, self._below).min(axis=0)
        high = np.where(np.isnan(self._below), -np.inf, self._below).max(axis=0)
        margin = np.where(low <= high, distance * (high - low), np.inf)
        return float(((self._values < low - margin) | (self._values > high + margin)).mean())


def _is_monotonic(values: np.ndarray) -> bool:
    """Returns True if [n] numbers are finite, and strictly rising or strictly falling."""
    steps = np.diff(values)
    return bool(np.isfinite(values).all() and ((steps > 0).all() or (steps < 0).all()))


def _is_even(texts: Sequence[str]) -> bool:
    """Returns True if these cells are different, evenly spaced numbers, apart from rounding to their decimals."""
    numbers = [parse(text) for text in texts]
    values = np.array([np.nan if number is None else number for number in numbers])
    if not _is_monotonic(values):
        return False
    step = (values[-1] - values[0]) / (len(values) - 1)
    unit = 10.0 ** -max(len(text.strip().partition(".")[2]) for text in texts)
    is_rounded = abs(step) >= 8 * unit and not any("e" in text.lower() for text in texts)
    # Half a unit for the rounding of each number, and half a unit for that of the two ends.
    tolerance = 1.01 * unit if is_rounded else 1e-9 * np.abs(values).max()
    return bool((np.abs(values - (values[0] + step * np.arange(len(values)))) <= tolerance).all())
