"""Tables of one's own: .csv files, read by Python's csv module, one number after the other looked at."""

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
from trainer.data.custom import locate, wanted
from trainer.data.custom.wanted import BAD_KEPT
from trainer.data.dataset import NO_LABEL, Dataset, Split
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, error_text, option, sanitize

SUFFIXES = (".csv", ".tsv", ".txt")
DELIMITERS = (",", ";", "\t", "|")
MAX_COLUMNS = 100_000
MAX_FLOAT32 = float(np.finfo(np.float32).max)
MISSING = frozenset(["?", "-", ".", "NA", "N/A", "NaN", "nan", "null", "None"])  # what stands for no number
QUOTED = r'"[^"]*"'
COMMAS = r"[+-]?\d+(,\d+)+(\.\d+)?"
NAMES_SHOWN = 20
SAMPLED_LINES = 50  # by which delimiter, heading and kinds of columns are told


def table(sources: Sources) -> Dataset:
    """A table of one's own: `--data_dir` is a .csv file; its columns of numbers are the examples' numbers.

    Delimited by commas, semicolons, tabs or bars, quoted as in RFC 4180, UTF-8 with or without a byte order mark; the
    first line may be a heading. Columns of which no line among the first has a number are left out, which is told; in
    the others every line must have a finite number. `--label_column` names one that labels the rows.

    Raises:
      UsageError: no file was given; no such column.
      DataError: a row of another length, a cell that is no finite number (by row and column), no rows or no numbers.
    """
    path = locate.file(sources.options.data_dir, "table", SUFFIXES)
    lines = _Lines(path, sources.limits.row_characters)
    try:
        return _read(path, lines, sources)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{sanitize(path)} is not UTF-8", found=error_text(error), remedy="save it as UTF-8 text"
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{sanitize(path)}: line {lines.number:,} is no row of a table",
            found=error_text(error),
            remedy="mend its quotes, or whatever stands there instead of a number",
        ) from error


class _Lines:
    """A file's rows; knows the number of the line that the last one ended with.

    Args:
      path: of the file.
      most: characters that a row may have.
    """

    def __init__(self, path: pathlib.Path, most: int) -> None:
        self._path, self._most = path, most
        with open(path, "rb") as file:
            beginning = file.read(1 << 16)
        text = beginning.decode("utf-8-sig" if beginning.startswith(codecs.BOM_UTF8) else "utf-8", errors="replace")
        self._delimiter = _delimiter(text.splitlines()[:SAMPLED_LINES])
        self.number = self._length = 0

    def __iter__(self) -> Iterator[list[str]]:
        with open(self._path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(self._bounded(file), delimiter=self._delimiter, strict=True)
            while True:
                self._length = 0
                self.number = reader.line_num + 1
                row = next(reader, None)
                if row is None:
                    return
                self.number = reader.line_num
                if row and any(cell.strip() for cell in row):
                    yield row

    def _bounded(self, file: IO[str]) -> Iterator[str]:
        """A file's lines, as long as those of one row are not too long together: they would be read into memory."""
        while line := file.readline(self._most):
            self._length += len(line)
            if self._length >= self._most:
                raise csv.Error(f"a row goes on for more than {self._most:,} characters")
            yield line


def _delimiter(lines: Sequence[str]) -> str:
    """The one that parts most lines into as many cells as the first, of at least two; a comma if none does.

    Of several that do so equally it is not the comma, which may be in numbers.
    """

    def score(delimiter: str) -> tuple[int, bool, int]:
        counts = [re.sub(QUOTED, "", line).count(delimiter) for line in lines if line.strip()]
        if not counts or not counts[0]:
            return (0, False, 0)
        return (sum(count == counts[0] for count in counts), delimiter != ",", counts[0])

    return max(DELIMITERS, key=score)


def _number(cell: str) -> float | None:
    """A cell's number; None: it holds none."""
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def _read(path: pathlib.Path, lines: _Lines, sources: Sources) -> Dataset:
    rows = iter(lines)
    sample = [(lines.number, row) for row in itertools.islice(rows, SAMPLED_LINES)]
    if not sample:
        raise DataError(f"{sanitize(path)} holds no rows", remedy="give a table with numbers in it")
    width = len(sample[0][1])
    if width > MAX_COLUMNS:
        raise DataError(
            f"{sanitize(path)} has {width:,} columns",
            found=f"at most {MAX_COLUMNS:,} are read",
            remedy=f"give an .npy file with {option('dataset', 'array')}",
        )
    heading = _heading([row for _, row in sample], sources.options.label_column)
    names = heading or [f"column {number + 1}" for number in range(width)]
    body = sample[1:] if heading else sample
    label = _label_column(path, sources.options.label_column, names)
    numeric = [
        column
        for column in range(width)
        if column != label and any(column < len(row) and _number(row[column]) is not None for _, row in body)
    ]
    for column in set(range(width)) - {*numeric, label}:
        _check_decimals(path, names[column], (row[column] for _, row in body if column < len(row)))
    if not numeric:
        raise DataError(
            f"{sanitize(path)} has no column of numbers",
            found=f"columns: {_listed(names)}",
            remedy="give a table with numbers in it",
        )
    found = _Rows(names, numeric, label)
    for number, row in body:
        found.take(number, row)
    for row in rows:
        found.take(lines.number, row)
    return _data(path, found, heading, sources)


def _heading(sample: Sequence[Sequence[str]], label_column: str | None) -> list[str] | None:
    """The first line, if it is one.

    It is if it names the column of labels; if it has a word, or for some of them nothing, above each column of numbers;
    or if it counts them, as tables do whose columns have no names. Where only some are words, they are wrong cells.
    """
    first, others = [cell.strip() for cell in sample[0]], sample[1:]
    numeric = [
        column
        for column in range(len(first))
        if any(column < len(row) and _number(row[column]) is not None for row in others)
    ]
    above = [first[column] for column in numeric]
    words = [_number(cell) is None and cell not in MISSING for cell in above]
    if numeric:
        counts = len(above) > 2 and above in ([str(n + start) for n in range(len(above))] for start in (0, 1))
        is_named = label_column in first and _number(label_column or "") is None
        is_heading = (all(words) and any(above)) or counts or is_named
    else:
        is_heading = all(cell and _number(cell) is None for cell in first)
    return [cell or f"column {number + 1}" for number, cell in enumerate(first)] if is_heading else None


def _check_decimals(path: pathlib.Path, name: str, cells: Iterator[str]) -> None:
    """Raises `DataError` where a column would be left out only because its numbers have commas in them."""
    cell = next((cell for cell in cells if re.fullmatch(COMMAS, cell.strip())), None)
    if cell is not None:
        raise DataError(
            f"{sanitize(path)}: the column '{sanitize(name)}' has numbers with commas, such as '{cell}'",
            found="expected numbers such as 1234.5",
            remedy="write them with a point, and nothing between thousands",
        )


def _label_column(path: pathlib.Path, wanted: str | None, names: Sequence[str]) -> int | None:
    if wanted is None:
        return None
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and len(wanted) < 9 and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    raise UsageError(
        f"{option('label_column', wanted)}: {sanitize(path)} has no such column",
        found=f"columns: {_listed(names)}",
        remedy="give a name from its heading, or a number from 1 on",
    )


def _listed(names: Sequence[str]) -> str:
    """The first of them, in a line."""
    return ", ".join(map(sanitize, names[:NAMES_SHOWN])) + (", ..." if len(names) > NAMES_SHOWN else "")


class _Rows:
    """The good rows of a table, and what is wrong with the others."""

    def __init__(self, names: Sequence[str], numeric: Sequence[int], label: int | None) -> None:
        self._names, self._label, self.numeric = names, label, numeric
        # Python's own numbers would take seven times as much.
        self._values, self._labels, self._numbers_of_rows = array.array("f"), array.array("q"), array.array("q")
        self._numbers: dict[str, int] = {}
        self.bad: list[tuple[str, str]] = []
        self.num_bad = 0

    @property
    def left_out(self) -> list[str]:
        """Columns that are no numbers."""
        return [name for column, name in enumerate(self._names) if column not in {*self.numeric, self._label}]

    @property
    def total(self) -> int:
        """Rows, good and bad."""
        return len(self._labels) + self.num_bad

    def examples(self) -> np.ndarray:
        """[N, D] float32, the good ones."""
        return np.frombuffer(self._values, np.float32).reshape(-1, len(self.numeric))

    def evaluates(self, fraction: float) -> np.ndarray:
        """[N] bool, of the good ones: by their numbers among all, so that mending one moves no other."""
        return splits.by_number(np.frombuffer(self._numbers_of_rows, np.int64), fraction)

    def labels(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Of the good ones: [N] int64, and the meanings, ascending."""
        names = sorted(self._numbers)
        order = np.empty(len(names), np.int64)
        order[[self._numbers[name] for name in names]] = np.arange(len(names))
        return order[np.frombuffer(self._labels, np.int64)], tuple(names)

    def take(self, line: int, row: Sequence[str]) -> None:
        """One more."""
        if len(row) != len(self._names):
            self._refuse(line, f"has {len(row):,} cells; the first line has {len(self._names):,}")
            return
        numbers = []
        for column in self.numeric:
            value = _number(row[column])
            if value is None or not abs(value) <= MAX_FLOAT32:
                shown = sanitize(row[column])[:40]
                what = f"'{shown}'" if shown else "nothing"
                self._refuse(line, f"has {what} in the column '{sanitize(self._names[column])}', not a finite number")
                return
            numbers.append(value)
        self._numbers_of_rows.append(self.total)
        self._values.extend(numbers)
        label = NO_LABEL if self._label is None else sanitize(row[self._label])
        self._labels.append(self._numbers.setdefault(label, len(self._numbers)))

    def _refuse(self, line: int, reason: str) -> None:
        self.num_bad += 1
        if len(self.bad) < BAD_KEPT:
            self.bad.append((f"line {line:,}", reason))


def _data(path: pathlib.Path, found: _Rows, heading: Sequence[str] | None, sources: Sources) -> Dataset:
    options = sources.options
    notes = list(wanted.report_unusable(options, "rows", found.bad, found.num_bad, found.total, path))
    is_row = "no heading: the first line is a row"
    notes.append(f"the first line is a heading: {_listed(heading)}" if heading else is_row)
    if found.left_out:
        notes.append(f"left out, columns that are no numbers: {_listed(found.left_out)}")
    examples = found.examples()
    if not len(examples):
        raise DataError(
            f"{sanitize(path)} holds no row that can be used",
            found=f"{found.total:,} rows; " + ("; ".join(f"{name} {why}" for name, why in found.bad[:1]) or "no more"),
            remedy="give a table with numbers in it",
        )
    constant = np.asarray(found.numeric)[np.ptp(examples, axis=0) == 0].tolist()
    if constant:
        notes.append(f"the same in every row: {len(constant):,} columns, the first is number {constant[0] + 1}")
    labels, label_names = found.labels()
    evaluates = found.evaluates(options.eval_fraction)
    train = Split(examples[~evaluates], labels[~evaluates])
    return Dataset(
        name="table",
        train=train,
        evaluation=Split(examples[evaluates], labels[evaluates]) if evaluates.any() else train,
        label_names=label_names,
        scale=1.0,
        source=str(path),
        notes=tuple(notes),
    )
