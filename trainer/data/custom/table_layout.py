"""The columns of a table, and which of them are read."""

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Mapping, Sequence

from trainer.data.custom import headings
from trainer.data.custom.headings import MISSING
from trainer.data.options import DataOptions
from trainer.errors import DataError, UsageError, option, sanitize

MAX_COLUMNS = 100_000
COMMAS = r"[+-]?\d+(,\d+)+(\.\d+)?([eE][+-]?\d+)?"
CURRENCY = r"[$\u20ac\u00a3\u00a5]"
PLAIN = r"(\d[\d,]*\.?\d*|\.\d+)"
# A number with a currency, a percent sign or a short unit; or several numbers in a cell.
NOT_PLAIN = rf"[+-]?{CURRENCY}?\s*[+-]?{PLAIN}(\s*(%|{CURRENCY}|[^\W\d_]{{1,4}})|(\s+[+-]?{PLAIN})+)?"
MAX_PLAIN = 40  # characters
MAX_NAMES_SHOWN = 20
MAX_CELLS_SHOWN = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The columns of a table. Each is given by its index.

    Attributes:
      names: names of all columns.
      numeric: the columns that become the examples, in the order of the examples.
      label: the column of labels, or None.
      skipped: the other columns, without those that are ignored.
      ignored: the columns that --ignore_columns names.
      not_plain: the skipped columns of numbers with signs or units, and the first cell of each.
      keeps_missing: True if cells without a number may be missing: --missing=mean.
      notes: remarks on columns that options name.
    """

    names: Sequence[str]
    numeric: Sequence[int]
    label: int | None = None
    skipped: Sequence[int] = ()
    ignored: Sequence[int] = ()
    not_plain: Mapping[int, str] = dataclasses.field(default_factory=dict)
    keeps_missing: bool = False
    notes: Sequence[str] = ()

    @property
    def numeric_names(self) -> list[str]:
        """Names of the columns that become the examples."""
        return [self.names[column] for column in self.numeric]

    def with_numeric(self, columns: Sequence[int]) -> "Layout":
        """Returns the layout with some skipped columns read as numbers."""
        numeric, skipped = sorted({*self.numeric, *columns}), sorted({*self.skipped}.difference(columns))
        return dataclasses.replace(self, numeric=numeric, skipped=skipped)


@dataclasses.dataclass(frozen=True)
class Choices:
    """The columns that options name: the column of labels, or None; and the columns that are ignored."""

    label: int | None
    ignored: frozenset[int]
    notes: tuple[str, ...] = ()


def choose(path: pathlib.Path, names: Sequence[str], options: DataOptions) -> Choices:
    """Returns the columns that --label_column and --ignore_columns name, and notes on names that have two meanings.

    Raises:
      UsageError: there is no such column.
    """
    notes: list[str] = []
    label, *ignored = (
        None if given is None else _find(path, names, key, given, notes)
        for key, given in [
            ("label_column", options.label_column),
            *(("ignore_columns", given) for given in options.ignore_columns),
        ]
    )
    return Choices(label, frozenset(column for column in ignored if column not in (None, label)), tuple(notes))


def _find(path: pathlib.Path, names: Sequence[str], key: str, given: str, notes: list[str]) -> int:
    column = index_of(given, names)
    if column is None:
        raise UsageError(
            f"{option(key, given)}: {sanitize(path)} has no such column",
            found=f"columns: {names_text(names)}",
            remedy="give a name from the heading, or the number of a column, from 1",
        )
    if given in names and names[column] != given:
        notes.append(
            f"{option(key, given)} is the number of the column '{sanitize(names[column])}',"
            f" not the column named {sanitize(given)}"
        )
    if given.isdecimal() and names[column] == given and column != int(given) - 1:
        notes.append(f"{option(key, given)} is the column with this name: column {column + 1}")
    return column


def index_of(given: str, names: Sequence[str]) -> int | None:
    """Returns the index of the column that is given by number from 1 or by name; None if there is none."""
    if given.isdecimal() and len(given) < 9 and 1 <= int(given) <= len(names):
        return int(given) - 1
    return names.index(given) if given in names else None


def reference(column: int, names: Sequence[str]) -> str:
    """Returns how an option names a column: by its name, or else by its number."""
    name = names[column]
    is_plain = re.fullmatch(r"[\w.+-]+", name) is not None  # A shell reads it as it is.
    return name if is_plain and index_of(name, names) == column else str(column + 1)


def recognize(
    path: pathlib.Path, names: Sequence[str], body: Sequence[Sequence[str]], choices: Choices, options: DataOptions
) -> Layout:
    """Returns the layout of a table of text.

    Args:
      path: the file.
      names: names of the columns.
      body: the cells of the first rows.
      choices: the columns that options name.
      options: the data options.

    Raises:
      DataError: there is no column of numbers, or one has numbers with commas.
    """
    others = [column for column in range(len(names)) if column != choices.label and column not in choices.ignored]
    columns = [[cell for cell in cells if cell is not None] for cells in itertools.zip_longest(*body)][: len(names)]
    cells = dict(zip(range(len(names)), itertools.chain(columns, itertools.repeat([])), strict=False))
    numeric = [column for column in others if any(headings.parse(cell) is not None for cell in cells[column])]
    skipped = sorted(set(others).difference(numeric))
    not_plain = {}
    for column in skipped:
        texts = [cell.strip() for cell in cells[column]]
        _check_decimals(path, names[column], texts)
        texts = [text for text in texts if text and text not in MISSING]
        if texts and all(len(text) <= MAX_PLAIN and re.fullmatch(NOT_PLAIN, text) for text in texts):
            not_plain[column] = texts[0]
    return Layout(
        names=names,
        numeric=numeric,
        label=choices.label,
        skipped=skipped,
        ignored=sorted(choices.ignored),
        not_plain=not_plain,
        keeps_missing=options.missing == "mean",
        notes=choices.notes,
    )


def no_numbers_error(path: pathlib.Path, layout: Layout, ignored: int) -> DataError:
    """Returns the error for a table without a column of numbers; `ignored`: number of columns that are ignored."""
    found, remedy = f"columns: {names_text(layout.names)}", "give a table with numbers in it"
    if layout.not_plain:
        cells = ", ".join(f"'{sanitize(cell)[:40]}'" for cell in list(layout.not_plain.values())[:MAX_CELLS_SHOWN])
        found += f"; cells such as {cells} are not numbers"
        remedy = "write numbers such as 1234.5, without signs, units and commas"
    elif ignored:
        found, remedy = f"{found}; ignored: {ignored:,}", f"remove columns of numbers from {option('ignore_columns')}"
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


def check_width(path: pathlib.Path, width: int) -> None:
    """Raises `DataError` if a table has too many columns."""
    if width > MAX_COLUMNS:
        raise DataError(
            f"{sanitize(path)} has {width:,} columns",
            found=f"at most {MAX_COLUMNS:,} are read",
            remedy=f"save an .npy file, and use {option('dataset', 'array')}",
        )


def names_text(names: Sequence[str]) -> str:
    """Returns the first names and the last one, separated by commas."""
    shown = list(map(sanitize, names[:MAX_NAMES_SHOWN]))
    more = ["..."] * (len(names) > MAX_NAMES_SHOWN + 1) + [sanitize(name) for name in names[MAX_NAMES_SHOWN:][-1:]]
    return ", ".join([*shown, *more])
