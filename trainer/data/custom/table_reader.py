"""Reads tables of all formats: the columns, the rows that can be used, and notes."""

import collections
import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Protocol

from trainer.data.custom import common, table_files
from trainer.data.custom.table_collector import RowCollector
from trainer.data.custom.table_layout import MAX_CELLS_SHOWN, Layout, names_text
from trainer.data.custom.table_rows import SAMPLED_LINES
from trainer.data.custom.table_text import TextTable
from trainer.data.options import DataOptions
from trainer.data.schema import Schema
from trainer.data.sources import Sources
from trainer.errors import DataError, option, sanitize

OpenFile = Callable[[], IO[bytes] | None]


class Table(Protocol):
    """A table of some format; see `TextTable`."""

    unit: str
    names: Sequence[str]
    has_heading: bool
    delimiter: str

    def layout(self) -> Layout:
        """Returns which columns are read."""
        ...

    def collect(self, rows: RowCollector) -> None:
        """Reads all rows."""
        ...

    def check(self, rows: RowCollector) -> None:
        """Raises `DataError` if no row can be used, or if the first line may be something else."""
        ...

    def notes(self, rows: RowCollector) -> list[str]:
        """Returns notes on how the file was understood."""
        ...


@dataclasses.dataclass(frozen=True)
class ReadTable:
    """The contents of a table.

    Attributes:
      rows: the rows.
      has_heading: True if the columns have names of their own.
      delimiter: see `Schema`.
      notes: remarks, which may refer to options; see `errors.render`.
    """

    rows: RowCollector
    has_heading: bool
    delimiter: str
    notes: Sequence[str]

    def schema(self) -> Schema:
        """Returns the columns of the table."""
        layout = self.rows.layout
        return Schema(
            names=tuple(layout.names),
            has_heading=self.has_heading,
            trained=tuple(layout.numeric),
            label=layout.label,
            ignored=tuple(layout.ignored),
            delimiter=self.delimiter,
        )


def read(path: pathlib.Path, sources: Sources, open_file: OpenFile, *, is_new: bool = False) -> ReadTable:
    """Reads a table.

    Args:
      path: the file.
      sources: options and limits.
      open_file: returns a new file for the numbers, or None to keep them in memory.
      is_new: True for new data of a network that is trained already.

    Raises:
      UsageError: a column that an option names does not exist.
      DataError: the table has no rows or no numeric columns; or a row has another length, or a cell without a finite
        number, and --on_bad_file=error.
    """
    with _opened(path, sources) as table:
        rows = _collect(table, table.layout(), open_file)
        late = _late_columns(rows)
        notes = []
        if late and rows.layout.keeps_missing:
            rows = _collect(table, rows.layout.with_numeric(late), open_file)
            names = names_text([rows.layout.names[column] for column in late])
            notes.append(f"columns whose first {SAMPLED_LINES} lines have no number are trained on: {names}")
        return _checked(table, rows, path, sources, [*notes, *_skipped_notes(rows)], is_new=is_new)


def read_like(
    path: pathlib.Path, schema: Schema, sources: Sources, open_file: OpenFile, *, is_new: bool = False
) -> ReadTable:
    """Reads another table with the columns of a schema, in any order, as `read`.

    New data (`is_new`) are for a network that is trained already: the column of labels may be missing, in a table
    without a heading only if it is the last one.

    Raises:
      DataError: a column is missing.
    """
    wanted = schema.trained if is_new else _wanted(schema)
    expected = [schema.names[column] for column in wanted] if schema.has_heading else ()
    with _opened(path, sources, expected) as table:
        if is_new:
            check_width(path, table, schema)
        layout, notes = layout_like(path, table, schema, sources.options, needs_label=not is_new)
        return _checked(table, _collect(table, layout, open_file), path, sources, notes, is_new=is_new)


def _wanted(schema: Schema) -> list[int]:
    """Returns the columns that are read: those that are trained on, and that of labels."""
    return [*schema.trained, *([] if schema.label is None else [schema.label])]


def check_width(path: pathlib.Path, table: Table, schema: Schema) -> None:
    """Raises `DataError` if columns without names may be shifted because a column is missing."""
    width, expected = len(table.names), len(schema.names)
    if schema.has_heading or width == expected or (schema.label == expected - 1 == width):
        return
    raise DataError(
        f"{sanitize(path)} has {width:,} columns",
        found=f"the table that was trained on has {expected:,}, and no heading",
        remedy=f"give a table with the same {expected:,} columns, in the same order",
    )


def layout_like(
    path: pathlib.Path, table: Table, schema: Schema, options: DataOptions, *, needs_label: bool = True
) -> tuple[Layout, list[str]]:
    """Returns the layout of a table with the columns of a schema, and notes.

    Raises:
      DataError: a column that is trained on is missing, or that of labels if it is needed.
    """
    wanted_keys, keys = _numbered(schema.names), _numbered(table.names)
    index = {key: column for column, key in enumerate(keys)}
    wanted = _wanted(schema) if needs_label else schema.trained
    missing = [schema.names[column] for column in wanted if wanted_keys[column] not in index]
    if missing:
        raise DataError(
            f"{sanitize(path)} has not all columns that are trained on",
            found=f"missing: {names_text(missing)}; columns: {names_text(table.names)}",
            remedy="give a file with the same names in its heading"
            if schema.has_heading
            else "give a file with as many columns, and no heading",
        )
    counts, wanted_counts = collections.Counter(table.names), collections.Counter(schema.names)
    doubled = [
        schema.names[column] for column in wanted if counts[schema.names[column]] > wanted_counts[schema.names[column]]
    ]
    if doubled:
        raise DataError(
            f"{sanitize(path)} has the column '{sanitize(doubled[0])}' {counts[doubled[0]]} times",
            found="the table that was trained on has fewer of this name",
            remedy="rename or remove the others",
        )
    layout = Layout(
        names=table.names,
        numeric=[index[wanted_keys[column]] for column in schema.trained],
        label=None if schema.label is None else index.get(wanted_keys[schema.label]),
        keeps_missing=options.missing == "mean",
    )
    known = set(wanted_keys)
    extra = [name for name, key in zip(table.names, keys, strict=True) if key not in known]
    return layout, [f"columns that are not in the training data: {names_text(extra)}"] if extra else []


def layout_for_scores(
    path: pathlib.Path, table: Table, schema: Schema, options: DataOptions
) -> tuple[Layout, list[str]]:
    """Returns the layout of a table of new rows, as `layout_like`, and notes. Labels are not needed.

    Raises:
      DataError: a column that is trained on is missing, or there is no heading and another number of columns.
    """
    check_width(path, table, schema)
    layout, notes = layout_like(path, table, schema, options, needs_label=False)
    if list(layout.numeric) != sorted(layout.numeric):
        notes.append("the columns are in another order than in the training data; they are matched by their names")
    return layout, notes


@contextlib.contextmanager
def _opened(path: pathlib.Path, sources: Sources, expected: Sequence[str] | None = None) -> Iterator[Table]:
    """Opens a table; `expected` are the names in the heading of a table with the same columns, if there is one."""
    if path.suffix.lower() != table_files.PARQUET:
        yield TextTable(path, sources, expected)
        return
    from trainer.data.custom.table_parquet import ParquetTable  # Imports Polars, which takes 0.1 s.

    with contextlib.closing(ParquetTable(path, sources)) as table:
        yield table


def _collect(table: Table, layout: Layout, open_file: OpenFile) -> RowCollector:
    rows = RowCollector(layout, open_file(), table.unit)
    table.collect(rows)
    return rows


def _checked(
    table: Table,
    rows: RowCollector,
    path: pathlib.Path,
    sources: Sources,
    notes: Sequence[str],
    *,
    is_new: bool = False,
) -> ReadTable:
    """Returns the contents of a table, if its rows can be used or skipped."""
    table.check(rows)
    remedy = (
        f"{option('missing', 'mean')} to train on rows with missing numbers" if rows.num_gaps and not is_new else ""
    )
    bad = common.report_unusable(sources.options, "rows", rows.bad, rows.num_bad, rows.total, path, remedy)
    gaps = []
    if rows.num_missing:
        gaps = [
            f"missing numbers: {rows.num_missing:,}, in {rows.num_incomplete:,} of {rows.num_good:,} rows; they do not"
            " count in errors"
        ]
    return ReadTable(
        rows, table.has_heading, table.delimiter, [*bad, *table.notes(rows), *rows.layout.notes, *notes, *gaps]
    )


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    """Returns each name with the number of equal names before it, so that columns of the same name stay different."""
    counts: dict[str, int] = {}
    keys = []
    for name in names:
        keys.append((name, counts.get(name, 0)))
        counts[name] = keys[-1][1] + 1
    return keys


def _late_columns(rows: RowCollector) -> list[int]:
    """Returns the skipped columns of which most cells are numbers."""
    counts = zip(rows.layout.skipped, rows.num_numbers, rows.num_cells, strict=True)
    return [column for column, num_numbers, num_cells in counts if 2 * num_numbers > num_cells]


def _skipped_notes(rows: RowCollector) -> list[str]:
    """Returns notes on the columns that are skipped, and why."""
    layout, numbers = rows.layout, dict(zip(rows.layout.skipped, rows.num_numbers, strict=True))
    late = _late_columns(rows)
    explained = {*late, *layout.not_plain}
    rest = [layout.names[column] for column in layout.skipped if column not in explained]
    notes = [f"skipped columns without numbers: {names_text(rest)}"] if rest else []
    if late:
        shown = [f"'{sanitize(layout.names[c])}' ({numbers[c]:,} numbers)" for c in late[:MAX_CELLS_SHOWN]]
        notes.append(
            f"skipped columns whose first {SAMPLED_LINES} lines have no number, but most other cells:"
            f" {', '.join(shown)}; fill the empty cells, or give {option('missing', 'mean')}, to train on them"
        )
    units = sorted({*layout.skipped} & explained.difference(late))
    if units:
        cells = [(layout.names[column], layout.not_plain[column]) for column in units[:MAX_CELLS_SHOWN]]
        shown = [f"'{sanitize(name)}' ({sanitize(cell)[:40]})" for name, cell in cells]
        notes.append(
            f"skipped columns of numbers with signs or units: {', '.join(shown)}; to train on them, write plain numbers"
        )
    return notes
