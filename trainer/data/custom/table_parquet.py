"""Tables in Parquet files."""

import concurrent.futures
import multiprocessing
import pathlib
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np

from trainer.data.custom import parquet_worker, table_layout
from trainer.data.custom.parquet_worker import BadParquet, Contents, Part
from trainer.data.custom.table_collector import RowCollector
from trainer.data.custom.table_layout import MAX_CELLS_SHOWN, Layout
from trainer.data.custom.table_validation import MAX_FLOAT32, Block, are_usable
from trainer.data.formats import npy
from trainer.data.sources import Sources
from trainer.errors import DataError, sanitize

BYTES_OF_NUMBER = 8
PARTS = 16  # into which numbers of `in_memory_bytes` are divided; each reads the metadata of all columns again


class ParquetTable:
    """A table in a Parquet file. Columns of numbers and booleans are read; nulls are cells without a number.

    Attributes:
      names: names of the columns.

    Raises:
      DataError: the file cannot be read, or is a decompression bomb.
    """

    unit = "row"
    has_heading = True
    delimiter = ""

    def __init__(self, path: pathlib.Path, sources: Sources) -> None:
        """Starts a process that reads the file; `close` ends it."""
        self._path, self._sources = path, sources
        # This process has threads, so that forking it is not safe.
        context = multiprocessing.get_context("spawn")
        self._pool = concurrent.futures.ProcessPoolExecutor(1, context, parquet_worker.prepare)
        try:
            self._contents: Contents = self._run(parquet_worker.describe, path)
            self.names: Sequence[str] = self._contents.names
            table_layout.check_width(path, len(self.names))
            self._check_size()
        except DataError:
            self.close()
            raise

    def close(self) -> None:
        """Ends the process."""
        self._pool.shutdown()

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns the result of a function of `parquet_worker`."""
        try:
            return self._pool.submit(function, *arguments).result()
        except (BadParquet, BrokenProcessPool) as error:
            raise DataError(
                f"{sanitize(self._path)} is not a Parquet file that can be read",
                found=sanitize(error) if isinstance(error, BadParquet) else "it crashes the Parquet reader",
                remedy="write it again, or save its table as .csv",
            ) from error

    def _check_size(self) -> None:
        """Raises `DataError` if the table is a decompression bomb."""
        num_rows, width = self._contents.num_rows, len(self.names)
        size, packed = num_rows * max(1, width) * BYTES_OF_NUMBER, self._path.stat().st_size
        if size > self._sources.limits.bomb_bytes and size > npy.BOMB_RATIO * packed:
            raise DataError(
                f"{sanitize(self._path)} is packed too tightly for a table",
                found=f"{packed:,} bytes hold {num_rows:,} rows of {width:,} columns",
                remedy="save its table as .csv, and give that file",
            )

    def layout(self) -> Layout:
        """Returns which columns are read.

        Raises:
          UsageError: a column that an option names does not exist.
          DataError: there is no column of numbers.
        """
        options = self._sources.options
        choices = table_layout.choose(self._path, self.names, options)
        unread = {choices.label, *choices.ignored}
        layout = Layout(
            names=self.names,
            numeric=[c for c, is_number in enumerate(self._contents.are_numbers) if is_number and c not in unread],
            label=choices.label,
            ignored=sorted(choices.ignored),
            keeps_missing=options.missing == "mean",
            notes=(*choices.notes, *self._skipped_notes(unread)),
        )
        if not layout.numeric:
            raise table_layout.no_numbers_error(self._path, layout, len(choices.ignored))
        return layout

    def _skipped_notes(self, unread: set[int | None]) -> list[str]:
        """Returns a note on columns of other types; `unread` are those that options name."""
        contents = self._contents
        skipped = [c for c, is_number in enumerate(contents.are_numbers) if not is_number and c not in unread]
        shown = [f"{sanitize(self.names[c])} ({sanitize(contents.kinds[c])})" for c in skipped[:MAX_CELLS_SHOWN]]
        more = ", ..." if len(skipped) > MAX_CELLS_SHOWN else ""
        return [f"skipped columns that are not of numbers: {', '.join(shown)}{more}"] if skipped else []

    def collect(self, rows: RowCollector) -> None:
        """Reads all rows.

        Raises:
          DataError: the file is damaged, or a column that is read is not of numbers.
        """
        layout, are_numbers = rows.layout, self._contents.are_numbers
        texts = [self.names[column] for column in layout.numeric if not are_numbers[column]]
        if texts:
            raise DataError(
                f"{sanitize(self._path)}: columns that are trained on are not of numbers",
                found=f"columns: {table_layout.names_text(texts)}",
                remedy="convert them to numbers",
            )
        size = max(1, self._sources.limits.in_memory_bytes // PARTS // (BYTES_OF_NUMBER * len(layout.numeric)))
        for start in range(0, self._contents.num_rows, size):
            part = self._run(parquet_worker.read, self._path, list(layout.numeric), layout.label, start, size)
            rows.add_block(start + 1, _block(part, layout))

    def check(self, rows: RowCollector) -> None:
        """Raises `DataError` if no row can be used."""
        if not rows.num_good:
            bad = "".join(f"; {name} {reason}" for name, reason in rows.bad[:1])
            raise DataError(
                f"{sanitize(self._path)} has no row that can be used",
                found=f"{rows.total:,} rows{bad}",
                remedy="give a table with numbers in each row",
            )

    def notes(self, rows: RowCollector) -> list[str]:
        """Returns no notes: the file says how it is read."""
        return []


def _block(part: Part, layout: Layout) -> Block:
    def cells(row: int) -> list[str]:
        texts = [""] * len(layout.names)
        for position, column in enumerate(layout.numeric):
            is_null = part.is_null is not None and part.is_null[row, position]
            texts[column] = "" if is_null else f"{part.values[row, position]}"
        return texts

    return Block(
        num_lines=len(part.values),
        lines=np.arange(len(part.values)),
        values=part.values,
        is_doubtful=_is_doubtful(part.values, layout),
        labels=part.labels,
        label_of_row=part.label_of_row,
        num_cells=np.zeros(0, np.int64),
        num_numbers=np.zeros(0, np.int64),
        cells=cells,
    )


def _is_doubtful(values: np.ndarray, layout: Layout) -> np.ndarray:
    """Returns True for the rows that may be bad, [N, D] -> [N] bool."""
    if are_usable(values):
        return np.zeros(len(values), bool)
    is_usable = np.abs(values) <= MAX_FLOAT32
    if layout.keeps_missing:
        return ~(is_usable | np.isnan(values)).all(axis=1) | ~is_usable.any(axis=1)
    return ~is_usable.all(axis=1)
