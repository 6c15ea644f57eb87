"""Reads Parquet files with Polars, in a process of its own: a damaged file may end the process that reads it."""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars

from trainer.data.custom.decode_pool import exit_with_parent


class BadParquet(Exception):
    """A file that is not a Parquet file, or is damaged."""


class Contents(NamedTuple):
    """The number of rows of a file, the names and types of its columns, and which of them have numbers or booleans."""

    num_rows: int
    names: Sequence[str]
    kinds: Sequence[str]
    are_numbers: Sequence[bool]


class Part(NamedTuple):
    """Some rows of a file.

    Attributes:
      values: [n, D] float64, the numbers; NaN for nulls.
      is_null: [n, D] bool, or None if there are no nulls.
      labels: the distinct labels, in the order of their first rows; empty without labels.
      label_of_row: [n] int64, indices into `labels`.
    """

    values: np.ndarray
    is_null: np.ndarray | None
    labels: Sequence[str]
    label_of_row: np.ndarray


def prepare() -> None:
    """Prepares a worker process. Polars would print the internal errors that damaged files cause."""
    exit_with_parent()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def describe(path: pathlib.Path) -> Contents:
    """Reads the metadata of a file.

    Raises:
      BadParquet: it cannot be read.
    """
    with _errors():
        frame = polars.scan_parquet(path, glob=False)
        schema = frame.collect_schema()
        num_rows = int(frame.select(polars.len()).collect().item())
        kinds = schema.dtypes()
        are_numbers = [kind.is_numeric() or kind == polars.Boolean for kind in kinds]
        return Contents(num_rows, schema.names(), list(map(str, kinds)), are_numbers)


def read(path: pathlib.Path, numeric: Sequence[int], label: int | None, start: int, count: int) -> Part:
    """Reads columns of numbers, and the column of labels if there is one, of `count` rows from `start` on.

    Raises:
      BadParquet: they cannot be read.
    """
    with _errors():
        chosen = [*numeric, *([] if label is None else [label])]
        part = polars.scan_parquet(path, glob=False).select(polars.nth(chosen)).slice(start, count).collect()
        numbers = part.select(polars.nth(range(len(numeric))).cast(polars.Float64, strict=False))
        has_nulls = any(column.null_count() for column in numbers)
        is_null = numbers.select(polars.all().is_null()).to_numpy(order="c") if has_nulls else None
        labels, label_of_row = ([], np.zeros(len(part), np.int64)) if label is None else _coded(part.to_series(-1))
        return Part(numbers.to_numpy(order="c"), is_null, labels, label_of_row)


def _coded(column: polars.Series) -> tuple[list[str], np.ndarray]:
    """Returns the distinct texts of a column, and the index of each row's text, [n] int64."""
    texts = column.cast(polars.String, strict=False).fill_null("")
    distinct = texts.unique(maintain_order=True)
    indices = texts.replace_strict(distinct, np.arange(len(distinct)), return_dtype=polars.Int64)
    return distinct.to_list(), indices.to_numpy()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Converts all exceptions to `BadParquet`, which can be sent to the other process."""
    try:
        yield
    except MemoryError:
        raise
    except (Exception, polars.exceptions.PanicException) as error:  # A `PanicException` is no `Exception`.
        raise BadParquet(next(iter(str(error).splitlines()), "") or "its contents are damaged") from None
