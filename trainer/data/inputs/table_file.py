"""Reads the rows of table files by the columns that a network was trained on."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable
from typing import IO

import numpy as np

from trainer.data import labels as label_texts
from trainer.data.custom import columns, table_files, table_reader
from trainer.data.custom.table_layout import names_text
from trainer.data.custom.table_reader import ReadTable
from trainer.data.inputs import messages
from trainer.data.inputs.types import Inputs
from trainer.data.schema import Schema
from trainer.data.sources import Sources
from trainer.errors import DataError, render, sanitize


@dataclasses.dataclass(frozen=True)
class TableSource:
    """The options and the columns by which tables are read.

    Attributes:
      sources: the data options of the run, and limits.
      schema: returns the columns that the run was trained on; None if that was no table with columns.
    """

    sources: Sources
    schema: Callable[[], Schema | None]


def is_table(path: pathlib.Path) -> bool:
    """Returns True if the name of a file ends like that of a table."""
    return path.suffix.lower() in table_files.SUFFIXES


def from_table(path: pathlib.Path, num_columns: int, source: TableSource, offset: np.ndarray | None) -> Inputs:
    """Reads all rows of a table.

    The columns are found by their names; by their positions if the run was not trained on a table.

    Args:
      path: a file of one of the formats of `custom.table_files`.
      num_columns: numbers of an example.
      source: see `TableSource`.
      offset: [D] float64, subtracted from the rows; None: nothing is subtracted.

    Raises:
      DataError: a column is missing; or a row cannot be used, and --on_bad_file=error.
    """
    table = _read(path, num_columns, source)
    rows = table.rows
    numbers = rows.row_numbers + 1
    labels = None
    if rows.layout.label is not None:
        names = sorted(rows.label_names(), key=label_texts.sort_key)
        labels = np.array(names)[rows.labels(names)]
    return Inputs(
        columns.to_float32(rows.values(), offset),
        tuple(f"row {number}" for number in numbers.tolist()),
        tuple(map(render, table.notes)),
        numbers=numbers,
        labels=labels,
        columns=tuple(rows.layout.numeric_names),
    )


def _read(path: pathlib.Path, num_columns: int, source: TableSource) -> ReadTable:
    sources, schema = source.sources, source.schema()

    def open_file() -> IO[bytes] | None:
        is_small = table_files.largest_bytes(path) <= sources.limits.uncached_table_bytes
        return None if is_small else tempfile.TemporaryFile()

    if schema is not None:
        return table_reader.read_like(path, schema, sources, open_file, is_new=True)
    table = table_reader.read(path, sources, open_file, is_new=True)
    names = table.rows.layout.numeric_names
    if len(names) != num_columns:
        raise DataError(
            f"{sanitize(path)} has {len(names):,} columns of numbers: {names_text(names)}",
            found=f"an example of this run is {messages.number_count((num_columns,))}",
            remedy="give a table with these columns only, in the order of training",
        )
    note = f"the run was not trained on a table: its numbers are taken from the columns {names_text(names)}"
    return dataclasses.replace(table, notes=[*table.notes, note])
