"""Custom tables: .csv files, read with Python's csv module; every number is checked."""

import array
import collections
import csv
import itertools
import pathlib
import re
import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.data import labels, splits
from trainer.data.custom import columns, common, headings, locate
from trainer.data.custom.headings import MISSING, Heading
from trainer.data.custom.table_rows import SAMPLED_LINES, RowReader
from trainer.data.dataset import NO_LABEL, Dataset, Split
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, error_text, option, render, sanitize

SUFFIXES = (".csv", ".tsv", ".txt")
MAX_COLUMNS = 100_000
MAX_FLOAT32 = float(np.finfo(np.float32).max)
COMMAS = r"[+-]?\d+(,\d+)+(\.\d+)?"
CURRENCY = r"[$\u20ac\u00a3\u00a5]"
PLAIN = r"(\d[\d,]*\.?\d*|\.\d+)"
# A number with a currency, a percent sign or a short unit; or several numbers in a cell.
NOT_PLAIN = rf"[+-]?{CURRENCY}?\s*[+-]?{PLAIN}(\s*(%|{CURRENCY}|[^\W\d_]{{1,4}})|(\s+[+-]?{PLAIN})+)?"
DECIMAL_COMMAS = r"\s*([+-]?\d+,\d+\s+)+[+-]?\d+,\d+\s*"  # numbers such as 1,5 that are separated by white space
ENDS = frozenset("0123456789.")  # last characters of finite numbers
MAX_PLAIN = 40  # characters
MAX_NAMES_SHOWN = 20
MAX_CELLS_SHOWN = 5


def load_table(sources: Sources) -> Dataset:
    """Loads the numeric columns of the .csv file `--data_dir`.

    The delimiter is a comma, a semicolon, a tab or a vertical bar. Cells may be quoted as in RFC 4180. The encoding is
    UTF-8, with or without a byte order mark. The first line may be a heading: see `headings` and --heading. Columns
    without a number in the first lines are skipped. In the others, every row must have a finite number.
    `--label_column` is the column of labels.

    Raises:
      UsageError: --data_dir is missing, or the label column does not exist.
      DataError: the table has no rows or no numeric columns; or a row has another length, or a cell without a finite
        number, and --on_bad_file=error.
    """
    path = locate.file(sources.options.data_dir, "table", SUFFIXES)
    reader = RowReader(path, sources.limits.row_characters)
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


def _read(path: pathlib.Path, reader: RowReader, sources: Sources) -> Dataset:
    rows = iter(reader)
    sample = [(reader.line_number, row) for row in itertools.islice(rows, SAMPLED_LINES)]
    if not sample:
        raise DataError(f"{sanitize(path)} has no rows", remedy="give a table with numbers in it")
    width = len(sample[0][1])
    _check_white_space(path, reader.sample, reader.delimiter, width)
    if width > MAX_COLUMNS:
        raise DataError(
            f"{sanitize(path)} has {width:,} columns",
            found=f"at most {MAX_COLUMNS:,} are read",
            remedy=f"save an .npy file, and use {option('dataset', 'array')}",
        )
    options = sources.options
    heading = headings.recognize([row for _, row in sample], options.heading, options.label_column)
    names = heading.names or [f"column {column + 1}" for column in range(width)]
    body = sample[1:] if heading.names else sample
    if options.label_column is not None and _label_column(options.label_column, names) is None:
        _check_preamble(path, sample)
        raise UsageError(
            f"{option('label_column', options.label_column)}: {sanitize(path)} has no such column",
            found=f"columns: {_names_text(names)}",
            remedy="give a name from the heading, or the number of a column, from 1",
        )
    label_column = _label_column(options.label_column, names)
    numeric = [
        column
        for column in range(width)
        if column != label_column
        and any(column < len(row) and headings.parse(row[column]) is not None for _, row in body)
    ]
    skipped = sorted(set(range(width)) - {*numeric, label_column})
    not_plain = {}  # skipped columns, and the first cell of each
    for column in skipped:
        cells = [row[column].strip() for _, row in body if column < len(row)]
        _check_decimals(path, names[column], cells)
        cells = [cell for cell in cells if cell and cell not in MISSING]
        if cells and all(len(cell) <= MAX_PLAIN and re.fullmatch(NOT_PLAIN, cell) for cell in cells):
            not_plain[column] = cells[0]
    if not numeric:
        _check_preamble(path, sample)
        raise _no_numbers_error(path, names, list(not_plain.values()))
    collector = _RowCollector(names, numeric, skipped, label_column)
    for line_number, row in body:
        collector.add(line_number, row)
    for row in rows:
        collector.add(reader.line_number, row)
    _check_first_line(path, sample, heading, collector, options)
    notes = [
        *common.report_unusable(options, "rows", collector.bad, collector.num_bad, collector.total, path),
        _heading_note(heading, sample[0][1], is_bad=_is_first_bad(sample, heading, collector)),
        *_label_column_notes(options.label_column, names, label_column),
        *collector.skipped_notes(not_plain),
    ]
    return _data(path, collector, heading, notes, sources)


def _check_white_space(path: pathlib.Path, lines: Sequence[str], delimiter: str, width: int) -> None:
    """Raises `DataError` if the cells are separated by white space.

    Args:
      path: the file.
      lines: the first lines.
      delimiter: the detected delimiter.
      width: number of cells in the first line.
    """
    num_divided = 0
    if width == 1 or delimiter == "\t":
        for cells in map(str.split, lines):
            num_numbers = sum(headings.parse(cell) is not None for cell in cells)
            num_divided += len(cells) > width and num_numbers >= (1 if width == 1 else len(cells))
    num_commas = sum(re.fullmatch(DECIMAL_COMMAS, line) is not None for line in lines)
    if 2 * max(num_divided, num_commas) <= len(lines):
        return
    target = path.with_name(f"{path.stem}_commas.csv")
    commands = ["s/^[[:space:]]+|[[:space:]]+$//g", "s/[[:space:]]+/,/g"]
    if num_commas:
        commands.insert(0, "s/,/./g")
    command = shlex.join(["sed", "-E", "; ".join(commands), str(path)]) + f" > {shlex.quote(str(target))}"
    raise DataError(
        f"{sanitize(path)}: its cells are separated by white space",
        found="expected commas, semicolons, tabs or vertical bars"
        + ("; and decimal points instead of commas" if num_commas else ""),
        remedy=("write decimal points, and then " if num_commas else "")
        + f"replace the white space by commas: {sanitize(command)}",
    )


def _no_numbers_error(path: pathlib.Path, names: Sequence[str], not_plain: Sequence[str]) -> DataError:
    """Returns the error for a table without a column of numbers; `not_plain`: cells with signs or units, if any."""
    found, remedy = f"columns: {_names_text(names)}", "give a table with numbers in it"
    if not_plain:
        cells = ", ".join(f"'{sanitize(cell)[:40]}'" for cell in not_plain[:MAX_CELLS_SHOWN])
        found += f"; cells such as {cells} are not numbers"
        remedy = "write numbers such as 1234.5, without signs, units and commas"
    return DataError(f"{sanitize(path)} has no column of numbers", found=found, remedy=remedy)


def _check_decimals(path: pathlib.Path, name: str, cells: Sequence[str]) -> None:
    """Raises `DataError` if a column would be skipped only because its numbers have commas."""
    cell = next((cell for cell in cells if re.fullmatch(COMMAS, cell)), None)
    if cell is not None:
        raise DataError(
            f"{sanitize(path)}: the column '{sanitize(name)}' has numbers with commas, such as '{cell}'",
            found="expected numbers such as 1234.5",
            remedy="write a decimal point, and no separators between thousands",
        )


def _label_column(name: str | None, names: Sequence[str]) -> int | None:
    """Returns the index of the label column, which is given by number from 1 or by name; None if there is none."""
    if name is None:
        return None
    if name.isdecimal() and len(name) < 9 and 1 <= int(name) <= len(names):
        return int(name) - 1
    return names.index(name) if name in names else None


def _label_column_notes(given: str | None, names: Sequence[str], column: int | None) -> list[str]:
    """Returns a note if the number of the label column is also the name of another column."""
    if column is None or given not in names or names[column] == given:
        return []
    text = render(option("label_column", given))
    return [f"{text} is the number of the column '{sanitize(names[column])}', not the column named {sanitize(given)}"]


def _names_text(names: Sequence[str]) -> str:
    """Returns the first names, separated by commas."""
    return ", ".join(map(sanitize, names[:MAX_NAMES_SHOWN])) + (", ..." if len(names) > MAX_NAMES_SHOWN else "")


class _RowCollector:
    """Collects the good rows of a table, and the reasons why the bad rows cannot be used."""

    def __init__(
        self, names: Sequence[str], numeric: Sequence[int], skipped: Sequence[int], label_column: int | None
    ) -> None:
        self.names, self.numeric = names, numeric
        self._label_column, self._skipped = label_column, skipped
        # Lists of Python numbers would take seven times as much memory.
        self._values, self._labels, self._row_numbers = array.array("d"), array.array("q"), array.array("q")
        self._label_of: dict[str, int] = {}  # by name, in the order of their first rows
        self._label_of_cell: dict[str, int] = {}
        # Skipped columns: the number of cells that are not missing, and of those that are numbers.
        self._num_cells, self._num_numbers = collections.Counter[int](), collections.Counter[int]()
        self.bad: list[tuple[str, str]] = []
        self.num_bad = 0

    def skipped_notes(self, not_plain: Mapping[int, str]) -> list[str]:
        """Returns notes on the skipped columns; `not_plain` maps columns of numbers with units to their first cells."""
        late = [column for column in self._skipped if 2 * self._num_numbers[column] > self._num_cells[column]]
        explained = {*late, *not_plain}
        rest = [self.names[column] for column in self._skipped if column not in explained]
        notes = [f"skipped columns without numbers: {_names_text(rest)}"] if rest else []
        if late:
            shown = [f"'{sanitize(self.names[c])}' ({self._num_numbers[c]:,} numbers)" for c in late[:MAX_CELLS_SHOWN]]
            notes.append(
                f"skipped columns whose first {SAMPLED_LINES} lines have no number, but most other cells: "
                f"{', '.join(shown)}; fill the empty cells, or remove their rows, to train on them"
            )
        units = sorted(explained.difference(late))
        if units:
            shown = [f"'{sanitize(self.names[c])}' ({sanitize(not_plain[c])[:40]})" for c in units[:MAX_CELLS_SHOWN]]
            notes.append(
                f"skipped columns of numbers with signs or units: {', '.join(shown)}; to train on them,"
                " write plain numbers"
            )
        return notes

    @property
    def total(self) -> int:
        """Number of good and bad rows."""
        return len(self._labels) + self.num_bad

    def rows(self) -> np.ndarray:
        """Returns the good rows, [N, D] float64."""
        return np.frombuffer(self._values, np.float64).reshape(-1, len(self.numeric))

    def evaluation_mask(self, fraction: float) -> np.ndarray:
        """Returns the evaluation mask of the good rows, [N] bool; it does not change when a bad row is corrected."""
        return splits.by_row_number(np.frombuffer(self._row_numbers, np.int64), fraction)

    def labels(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns the labels of the good rows, [N] int64, and the label names, ascending."""
        names = sorted(self._label_of, key=labels.sort_key)
        order = np.empty(len(names), np.int64)
        order[[self._label_of[name] for name in names]] = np.arange(len(names))
        return order[np.frombuffer(self._labels, np.int64)], tuple(names)

    def label_notes(self) -> list[str]:
        """Returns a note if different cells are one label."""
        note = labels.spelling_note(self._label_of_cell, list(self._label_of))
        return [note] if note else []

    def add(self, line_number: int, row: Sequence[str]) -> None:
        """Adds a row, good or bad."""
        if len(row) != len(self.names):
            self._add_bad(line_number, f"has {len(row):,} cells; the first line has {len(self.names):,}")
            return
        for column in self._skipped:
            cell = row[column].strip()
            if cell and cell not in MISSING:
                self._num_cells[column] += 1
                self._num_numbers[column] += cell[-1] in ENDS and labels.number(cell) is not None
        numbers = []
        for column in self.numeric:
            value = headings.parse(row[column])
            if value is None or not abs(value) <= MAX_FLOAT32:
                shown = sanitize(row[column])[:40]
                cell, name = f"'{shown}'" if shown else "nothing", sanitize(self.names[column])
                has_commas = re.fullmatch(COMMAS, row[column].strip()) is not None
                reason = "not a number: write it without commas" if has_commas else "not a finite number"
                self._add_bad(line_number, f"has {cell} in the column '{name}', {reason}")
                return
            numbers.append(value)
        self._row_numbers.append(self.total)
        self._values.extend(numbers)
        self._labels.append(self._label(NO_LABEL if self._label_column is None else row[self._label_column]))

    def _label(self, cell: str) -> int:
        if cell not in self._label_of_cell:
            name = labels.display(sanitize(cell))
            self._label_of_cell[cell] = self._label_of.setdefault(name, len(self._label_of))
        return self._label_of_cell[cell]

    def _add_bad(self, line_number: int, reason: str) -> None:
        self.num_bad += 1
        if len(self.bad) < common.MAX_BAD_STORED:
            self.bad.append((_line_name(line_number), reason))


def _check_first_line(
    path: pathlib.Path,
    sample: Sequence[tuple[int, Sequence[str]]],
    heading: Heading,
    rows: _RowCollector,
    options: DataOptions,
) -> None:
    """Raises `DataError` if the first line is not part of the table, or if it is a bad row and may be the heading."""
    num_good = rows.total - rows.num_bad
    if num_good <= (0 if heading.names else 1) and rows.num_bad > 1:
        _check_preamble(path, sample)
    if not num_good:
        bad = "".join(f"; {name} {reason}" for name, reason in rows.bad[:1])
        raise DataError(
            f"{sanitize(path)} has no row that can be used",
            found=f"{rows.total:,} rows{bad}",
            remedy="correct these cells, or remove their columns" if bad else "give a table with numbers in it",
        )
    is_choice = options.heading == "auto" and options.on_bad_file == "error"
    if is_choice and _is_first_bad(sample, heading, rows):
        others = "" if rows.num_bad == 1 else f"; in total, {rows.num_bad:,} of {rows.total:,} rows cannot be used"
        raise DataError(
            f"{rows.bad[0][0]} in {sanitize(path)} cannot be used: it was taken for a row, not for the heading",
            found=f"it {rows.bad[0][1]}{others}",
            remedy=f"give {option('heading', 'yes')} if it is the heading; otherwise correct it",
        )


def _is_first_bad(sample: Sequence[tuple[int, Sequence[str]]], heading: Heading, rows: _RowCollector) -> bool:
    """Returns True if the first line was understood as a row that cannot be used."""
    return not heading.names and bool(rows.bad) and rows.bad[0][0] == _line_name(sample[0][0])


def _line_name(line_number: int) -> str:
    return f"line {line_number:,}"


def _check_preamble(path: pathlib.Path, sample: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Raises `DataError` if the first lines have another number of cells than most lines."""
    widths = collections.Counter(len(row) for _, row in sample)
    width, count = widths.most_common(1)[0]
    start = next(line_number for line_number, row in sample if len(row) == width)
    first_line, first = sample[0]
    if len(first) == width:
        return
    shown = sanitize(" ".join(filter(None, first)))[:40]
    raise DataError(
        f"{sanitize(path)} does not begin with the table",
        found=f"line {first_line:,} has {len(first):,} cells: '{shown}'; {count:,} of the first"
        f" {len(sample):,} lines have {width:,}",
        remedy=f"delete the lines before line {start:,}, or correct their cells",
    )


def _heading_note(heading: Heading, first: Sequence[str], *, is_bad: bool) -> str:
    """Returns the note that says how the first line was understood; `is_bad`: it is a row that cannot be used."""
    if heading.names:
        doubt = "" if heading.is_certain else f"; if it is a row, give {render(option('heading', 'no'))}"
        return f"the first line is the heading: {_names_text(heading.names)}{doubt}"
    cells = [sanitize(cell)[:40] for cell in first[:MAX_CELLS_SHOWN]] + (
        ["..."] if len(first) > MAX_CELLS_SHOWN else []
    )
    doubt = (
        "" if heading.is_certain and not is_bad else f"; if it is the heading, give {render(option('heading', 'yes'))}"
    )
    return f"there is no heading: the first line is a row: {', '.join(cells)}{doubt}"


def _data(
    path: pathlib.Path, collector: _RowCollector, heading: Heading, notes: Sequence[str], sources: Sources
) -> Dataset:
    options = sources.options
    rows, mask = collector.rows(), collector.evaluation_mask(options.eval_fraction)
    offset = columns.offset(rows[~mask])
    examples = columns.to_float32(rows, offset)
    constant = np.asarray(collector.numeric)[np.ptp(examples, axis=0) == 0].tolist()
    numeric_names = [collector.names[column] for column in collector.numeric]
    notes = [
        *notes,
        *([f"constant columns: {len(constant):,}; the first is column {constant[0] + 1}"] if constant else []),
        *collector.label_notes(),
        *columns.notes(rows, numeric_names, has_heading=heading.names is not None, is_standardized=options.standardise),
        *columns.centered_notes(rows, numeric_names, offset),
    ]
    labels_of_rows, label_names = collector.labels()
    train = Split(examples[~mask], labels_of_rows[~mask])
    return Dataset(
        name="table",
        train=train,
        evaluation=Split(examples[mask], labels_of_rows[mask]) if mask.any() else train,
        label_names=label_names,
        scale=1.0,
        source=str(path),
        notes=tuple(notes),
        offset=offset,
    )
