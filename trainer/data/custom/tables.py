"""Custom tables: .csv files, read with Python's csv module; every number is checked."""

import array
import codecs
import csv
import itertools
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np

from trainer.data import splits
from trainer.data.custom import common, locate
from trainer.data.dataset import NO_LABEL, Dataset, Split
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, error_text, option, sanitize

SUFFIXES = (".csv", ".tsv", ".txt")
DELIMITERS = (",", ";", "\t", "|")
MAX_COLUMNS = 100_000
MAX_FLOAT32 = float(np.finfo(np.float32).max)
MISSING = frozenset(["?", "-", ".", "NA", "N/A", "NaN", "nan", "null", "None"])  # cells without a number
QUOTED = r'"[^"]*"'
COMMAS = r"[+-]?\d+(,\d+)+(\.\d+)?"
MAX_NAMES_SHOWN = 20
SAMPLED_LINES = 50  # used to detect the delimiter, the heading, and the numeric columns


def load_table(sources: Sources) -> Dataset:
    """Loads the numeric columns of the .csv file `--data_dir`.

    The delimiter is a comma, a semicolon, a tab or a vertical bar. Cells may be quoted as in RFC 4180. The encoding is
    UTF-8, with or without a byte order mark. The first line may be a heading. Columns without a number in the first
    lines are skipped. In the others, every row must have a finite number. `--label_column` is the column of labels.

    Raises:
      UsageError: --data_dir is missing, or the label column does not exist.
      DataError: the table has no rows or no numeric columns; or a row has another length, or a cell without a finite
        number, and --on_bad_file=error.
    """
    path = locate.file(sources.options.data_dir, "table", SUFFIXES)
    reader = _RowReader(path, sources.limits.row_characters)
    try:
        return _read(path, reader, sources)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{sanitize(path)} is not UTF-8", found=error_text(error), remedy="save it as UTF-8 text"
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{sanitize(path)}: line {reader.line_number:,} is not a row of a table",
            found=error_text(error),
            remedy="correct the quotes or the cells of this line",
        ) from error


class _RowReader:
    """Iterates over the rows of a file. `line_number` is the number of the last line of the current row."""

    def __init__(self, path: pathlib.Path, max_characters: int) -> None:
        self._path, self._max_characters = path, max_characters
        with open(path, "rb") as file:
            beginning = file.read(1 << 16)
        text = beginning.decode("utf-8-sig" if beginning.startswith(codecs.BOM_UTF8) else "utf-8", errors="replace")
        self._delimiter = _delimiter(text.splitlines()[:SAMPLED_LINES])
        self.line_number = self._length = 0

    def __iter__(self) -> Iterator[list[str]]:
        with open(self._path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(self._bounded(file), delimiter=self._delimiter, strict=True)
            while True:
                self._length = 0
                self.line_number = reader.line_num + 1
                row = next(reader, None)
                if row is None:
                    return
                self.line_number = reader.line_num
                if row and any(cell.strip() for cell in row):
                    yield row

    def _bounded(self, file: IO[str]) -> Iterator[str]:
        """Yields the lines of the file. Raises an error if a row is too long, because it would be read into memory."""
        while line := file.readline(self._max_characters):
            self._length += len(line)
            if self._length >= self._max_characters:
                raise csv.Error(f"the row has more than {self._max_characters:,} characters")
            yield line


def _delimiter(lines: Sequence[str]) -> str:
    """Returns the delimiter that divides most lines into as many cells as the first line; a comma if none divides it.

    If several delimiters are equally good, the comma is not chosen: it may be in numbers.
    """

    def score(delimiter: str) -> tuple[int, bool, int]:
        counts = [re.sub(QUOTED, "", line).count(delimiter) for line in lines if line.strip()]
        if not counts or not counts[0]:
            return (0, False, 0)
        return (sum(count == counts[0] for count in counts), delimiter != ",", counts[0])

    return max(DELIMITERS, key=score)


def _number(cell: str) -> float | None:
    """Returns the number in a cell, or None."""
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def _read(path: pathlib.Path, reader: _RowReader, sources: Sources) -> Dataset:
    rows = iter(reader)
    sample = [(reader.line_number, row) for row in itertools.islice(rows, SAMPLED_LINES)]
    if not sample:
        raise DataError(f"{sanitize(path)} has no rows", remedy="give a table with numbers in it")
    width = len(sample[0][1])
    if width > MAX_COLUMNS:
        raise DataError(
            f"{sanitize(path)} has {width:,} columns",
            found=f"at most {MAX_COLUMNS:,} are read",
            remedy=f"save an .npy file, and use {option('dataset', 'array')}",
        )
    heading = _heading([row for _, row in sample], sources.options.label_column)
    names = heading or [f"column {column + 1}" for column in range(width)]
    body = sample[1:] if heading else sample
    label_column = _label_column(path, sources.options.label_column, names)
    numeric = [
        column
        for column in range(width)
        if column != label_column and any(column < len(row) and _number(row[column]) is not None for _, row in body)
    ]
    for column in set(range(width)) - {*numeric, label_column}:
        _check_decimals(path, names[column], (row[column] for _, row in body if column < len(row)))
    if not numeric:
        raise DataError(
            f"{sanitize(path)} has no column of numbers",
            found=f"columns: {_names_text(names)}",
            remedy="give a table with numbers in it",
        )
    collector = _RowCollector(names, numeric, label_column)
    for line_number, row in body:
        collector.add(line_number, row)
    for row in rows:
        collector.add(reader.line_number, row)
    return _data(path, collector, heading, sources)


def _heading(sample: Sequence[Sequence[str]], label_column: str | None) -> list[str] | None:
    """Returns the column names if the first line is a heading, otherwise None.

    The first line is a heading if it contains the name of the label column; if all its cells above numeric columns are
    words or empty, and not all are empty; or if it numbers the numeric columns from 0 or 1, of which there must be more
    than two. If only some of these cells are words, they are wrong cells of a row.
    """
    first, others = [cell.strip() for cell in sample[0]], sample[1:]
    numeric = [
        column
        for column in range(len(first))
        if any(column < len(row) and _number(row[column]) is not None for row in others)
    ]
    above = [first[column] for column in numeric]
    are_words = [_number(cell) is None and cell not in MISSING for cell in above]
    if numeric:
        is_numbered = len(above) > 2 and above in ([str(n + start) for n in range(len(above))] for start in (0, 1))
        is_label_named = label_column in first and _number(label_column or "") is None
        is_heading = (all(are_words) and any(above)) or is_numbered or is_label_named
    else:
        is_heading = all(cell and _number(cell) is None for cell in first)
    return [cell or f"column {column + 1}" for column, cell in enumerate(first)] if is_heading else None


def _check_decimals(path: pathlib.Path, name: str, cells: Iterator[str]) -> None:
    """Raises `DataError` if a column would be skipped only because its numbers have commas."""
    cell = next((cell for cell in cells if re.fullmatch(COMMAS, cell.strip())), None)
    if cell is not None:
        raise DataError(
            f"{sanitize(path)}: the column '{sanitize(name)}' has numbers with commas, such as '{cell}'",
            found="expected numbers such as 1234.5",
            remedy="write a decimal point, and no separators between thousands",
        )


def _label_column(path: pathlib.Path, name: str | None, names: Sequence[str]) -> int | None:
    """Returns the index of the label column, which is given by name or by number from 1; None if none is given."""
    if name is None:
        return None
    if name in names:
        return names.index(name)
    if name.isdecimal() and len(name) < 9 and 1 <= int(name) <= len(names):
        return int(name) - 1
    raise UsageError(
        f"{option('label_column', name)}: {sanitize(path)} has no such column",
        found=f"columns: {_names_text(names)}",
        remedy="give a name from the heading, or the number of a column, from 1",
    )


def _names_text(names: Sequence[str]) -> str:
    """Returns the first names, separated by commas."""
    return ", ".join(map(sanitize, names[:MAX_NAMES_SHOWN])) + (", ..." if len(names) > MAX_NAMES_SHOWN else "")


class _RowCollector:
    """Collects the good rows of a table, and the reasons why the bad rows cannot be used."""

    def __init__(self, names: Sequence[str], numeric: Sequence[int], label_column: int | None) -> None:
        self._names, self._label_column, self.numeric = names, label_column, numeric
        # Lists of Python numbers would take seven times as much memory.
        self._values, self._labels, self._row_numbers = array.array("f"), array.array("q"), array.array("q")
        self._label_of: dict[str, int] = {}  # in the order of their first rows
        self.bad: list[tuple[str, str]] = []
        self.num_bad = 0

    @property
    def skipped_columns(self) -> list[str]:
        """Names of the columns that are not numeric."""
        return [name for column, name in enumerate(self._names) if column not in {*self.numeric, self._label_column}]

    @property
    def total(self) -> int:
        """Number of good and bad rows."""
        return len(self._labels) + self.num_bad

    def examples(self) -> np.ndarray:
        """Returns the good rows, [N, D] float32."""
        return np.frombuffer(self._values, np.float32).reshape(-1, len(self.numeric))

    def evaluation_mask(self, fraction: float) -> np.ndarray:
        """Returns the evaluation mask of the good rows, [N] bool; it does not change when a bad row is corrected."""
        return splits.by_row_number(np.frombuffer(self._row_numbers, np.int64), fraction)

    def labels(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns the labels of the good rows, [N] int64, and the label names, ascending."""
        names = sorted(self._label_of)
        order = np.empty(len(names), np.int64)
        order[[self._label_of[name] for name in names]] = np.arange(len(names))
        return order[np.frombuffer(self._labels, np.int64)], tuple(names)

    def add(self, line_number: int, row: Sequence[str]) -> None:
        """Adds a row, good or bad."""
        if len(row) != len(self._names):
            self._add_bad(line_number, f"has {len(row):,} cells; the first line has {len(self._names):,}")
            return
        numbers = []
        for column in self.numeric:
            value = _number(row[column])
            if value is None or not abs(value) <= MAX_FLOAT32:
                shown = sanitize(row[column])[:40]
                cell, name = f"'{shown}'" if shown else "nothing", sanitize(self._names[column])
                self._add_bad(line_number, f"has {cell} in the column '{name}', not a finite number")
                return
            numbers.append(value)
        self._row_numbers.append(self.total)
        self._values.extend(numbers)
        label = NO_LABEL if self._label_column is None else sanitize(row[self._label_column])
        self._labels.append(self._label_of.setdefault(label, len(self._label_of)))

    def _add_bad(self, line_number: int, reason: str) -> None:
        self.num_bad += 1
        if len(self.bad) < common.MAX_BAD_STORED:
            self.bad.append((f"line {line_number:,}", reason))


def _data(path: pathlib.Path, rows: _RowCollector, heading: Sequence[str] | None, sources: Sources) -> Dataset:
    options = sources.options
    notes = list(common.report_unusable(options, "rows", rows.bad, rows.num_bad, rows.total, path))
    no_heading = "there is no heading: the first line is a row"
    notes.append(f"the first line is the heading: {_names_text(heading)}" if heading else no_heading)
    if rows.skipped_columns:
        notes.append(f"skipped columns without numbers: {_names_text(rows.skipped_columns)}")
    examples = rows.examples()
    if not len(examples):
        bad = "".join(f"; {name} {reason}" for name, reason in rows.bad[:1])
        raise DataError(
            f"{sanitize(path)} has no row that can be used",
            found=f"{rows.total:,} rows{bad}",
            remedy="give a table with numbers in it",
        )
    constant = np.asarray(rows.numeric)[np.ptp(examples, axis=0) == 0].tolist()
    if constant:
        notes.append(f"constant columns: {len(constant):,}; the first is column {constant[0] + 1}")
    labels, label_names = rows.labels()
    mask = rows.evaluation_mask(options.eval_fraction)
    train = Split(examples[~mask], labels[~mask])
    return Dataset(
        name="table",
        train=train,
        evaluation=Split(examples[mask], labels[mask]) if mask.any() else train,
        label_names=label_names,
        scale=1.0,
        source=str(path),
        notes=tuple(notes),
    )
