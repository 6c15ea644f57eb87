"""Opens the inputs that are scored: tables, arrays, images, numbers. No TensorFlow."""

import csv
import io
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from trainer.data.custom import table_files
from trainer.data.formats.depth import Depth
from trainer.data.inputs import reader
from trainer.data.inputs.array_stream import ArrayInput
from trainer.data.inputs.blocks import InputBlock, ScoredInput
from trainer.data.inputs.messages import shorten
from trainer.data.inputs.parquet import ParquetInput
from trainer.data.inputs.table_stream import STANDARD_INPUT, TableInput
from trainer.data.inputs.types import Inputs
from trainer.data.schema import Schema
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, option, sanitize

ARRAYS = (".npy", ".npz")


def check(text: str) -> None:
    """Raises `UsageError` if an input is the path of a table or an array that does not exist."""
    path = pathlib.Path(os.path.expanduser(text))
    if not path.exists() and path.suffix.lower() in (*table_files.SUFFIXES, *ARRAYS):
        raise UsageError(f"{option('input', shorten(text))} does not exist", remedy="correct the path")


def opened(
    text: str,
    shape: tuple[int, ...],
    schema: Schema | None,
    sources: Sources,
    *,
    depth: Depth,
    offset: np.ndarray | None,
    label_column: str | None,
    needs_label: bool,
) -> ScoredInput:
    """Opens an input.

    Args:
      text: the value of --input: a path, `-` for standard input, or numbers.
      shape: shape of an example.
      schema: the columns of the training table; None for images.
      sources: options and limits.
      depth: see `reader.read`.
      offset, label_column, needs_label: see `TableInput`.

    Raises:
      UsageError, DataError: the input cannot be scored by this network.
    """
    path = None if text == STANDARD_INPUT else pathlib.Path(os.path.expanduser(text))
    suffix = path.suffix.lower() if path and path.is_file() else ""
    is_text = path is None or suffix in (*table_files.TEXTS, *table_files.PACKED)
    if schema is not None and is_text:
        return TableInput(path, schema, sources, offset=offset, label_column=label_column, needs_label=needs_label)
    if needs_label:
        raise UsageError(
            f"{option('anomaly_label')} needs a table of text",
            found=f"{option('input', shorten(text))}",
            remedy=f"give a .csv file, or remove {option('anomaly_label')}",
        )
    if schema is not None and path is not None and suffix == table_files.PARQUET:
        return ParquetInput(path, schema, sources, offset=offset)
    if path is not None and suffix in ARRAYS and schema is not None:
        return ArrayInput(path, shape, schema, sources, offset=offset)
    if schema is not None and suffix:
        raise DataError(
            f"{sanitize(path)} is no table or array that can be read",
            found=f"expected a file that ends in {', '.join((*table_files.SUFFIXES, *ARRAYS))}",
            remedy="save it in one of these formats",
        )
    can_be_missing = sources.options.missing == "mean"
    read = reader.read(text, shape, sources.options.fit, depth, offset, can_be_missing=can_be_missing, keeps_bad=True)
    return _Examples(shorten(text), read, schema)


class _Examples(ScoredInput):
    """Images, or numbers on the command line."""

    def __init__(self, name: str, read: Inputs, schema: Schema | None) -> None:
        self.name, self._read, self.notes = name, read, read.notes
        self.unit = "" if read.are_files else "row" if schema else "image"
        self.names = ["path" if read.are_files else self.unit]
        self.trained_names = schema.trained_names if schema else []
        self.num_examples = len(read.names)

    def blocks(self) -> Iterator[InputBlock]:
        """Yields the examples."""
        for place, examples in self._read.batches():
            numbers = np.arange(place.start, place.start + len(examples))  # as other modes count
            lines = [_cell(path) for path in self._read.paths[place]] if not self.unit else list(map(str, numbers))
            bad = [
                (index, 1, self._read.bad[place.start + index])
                for index in range(len(examples))
                if place.start + index in self._read.bad
            ]
            is_good = np.ones(len(examples), bool)
            is_good[[index for index, _, _ in bad]] = False
            yield InputBlock(
                numbers=numbers,
                lines=lines,
                is_row=np.ones(len(examples), bool),
                is_good=is_good,
                examples=examples if not bad else examples[is_good],
                bad=bad,
            )


def _cell(text: str) -> str:
    """Returns a text as a cell of CSV."""
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow([text])
    return file.getvalue()
