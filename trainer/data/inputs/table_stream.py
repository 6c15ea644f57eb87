"""Reads tables of new rows line by line, with the columns that a network was trained on. No TensorFlow."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.data.custom import columns, table_files, table_layout, table_reader
from trainer.data.custom.table_layout import Layout
from trainer.data.custom.table_rows import WHITE_SPACE
from trainer.data.custom.table_text import Piece, TextTable
from trainer.data.custom.table_validation import RowValidator
from trainer.data.inputs.blocks import InputBlock, ScoredInput
from trainer.data.inputs.standard_input import StandardInput
from trainer.data.schema import Schema
from trainer.data.sources import Sources
from trainer.errors import UsageError, option, sanitize

STANDARD_INPUT = "-"
EMPTY_ROW = "has only empty cells"


class TableInput(ScoredInput):
    """A table of text whose rows are scored. It is read block by block.

    Raises:
      UsageError: there is no column of this name for the labels.
      DataError: the table cannot be read, or a column is missing.
    """

    unit = "line"

    def __init__(
        self,
        path: pathlib.Path | None,
        schema: Schema,
        sources: Sources,
        *,
        offset: np.ndarray | None,
        label_column: str | None = None,
        needs_label: bool = False,
    ) -> None:
        """Reads the first lines.

        Args:
          path: the file; None for standard input.
          schema: the columns of the training table.
          sources: options and limits.
          offset: [D] float64, subtracted from rows, as in training; None: nothing is subtracted.
          label_column: the column of labels, by name or number; None: that of the schema.
          needs_label: True if labels are read.
        """
        self._standard_input = StandardInput()
        open_file = table_files.opened if path else self._standard_input.opened
        path = path or pathlib.Path("standard input")
        expected = schema.trained_names if schema.has_heading else ()
        usual = schema.delimiter
        self._table = TextTable(path, sources, expected, usual_delimiter=usual, open_file=open_file)
        self._offset = offset
        self.names, self.has_heading = self._table.names, self._table.has_heading
        self.delimiter, self.name, self.trained_names = self._table.delimiter, path.name, schema.trained_names
        layout, self.notes = table_reader.layout_for_scores(path, self._table, schema, sources.options)
        label = _label(path, layout, label_column) if needs_label else None
        self._layout = dataclasses.replace(layout, label=label)

    @property
    def heading(self) -> Sequence[str]:
        """See `ScoredInput`."""
        return self._table.heading_lines

    def blocks(self) -> Iterator[InputBlock]:
        """Yields all lines after the heading. Can be called once.

        Raises:
          DataError: a row is too long, is not UTF-8, or has wrong quotes.
        """
        self._standard_input.is_last = True
        validator = RowValidator(self._layout)
        for piece in self._table.pieces(self._layout):
            block = _parsed(piece, validator, self._offset) if piece.parsed else _read(piece, validator, self._offset)
            yield _with_empty_rows(block, self.delimiter)


def _with_empty_rows(block: InputBlock, delimiter: str) -> InputBlock:
    """Returns a block in which lines of empty cells are rows that cannot be scored. Training skips them."""
    if delimiter == WHITE_SPACE or block.is_row.all():
        return block
    empty = [index for index in np.flatnonzero(~block.is_row).tolist() if delimiter in block.lines[index]]
    is_row = block.is_row.copy()
    is_row[empty] = True
    bad = [(index, block.lines[index].count(delimiter) + 1, EMPTY_ROW) for index in empty]
    return dataclasses.replace(block, is_row=is_row, bad=sorted([*block.bad, *bad]))


def _label(path: pathlib.Path, layout: Layout, given: str | None) -> int:
    label = layout.label if given is None else table_layout.index_of(given, layout.names)
    if label is None:
        raise UsageError(
            f"{sanitize(path)} has no column of labels" + (f" {sanitize(given)}" if given else ""),
            found=f"columns: {table_layout.names_text(layout.names)}",
            remedy=f"give its name or number as {option('label_column')}, or remove {option('anomaly_label')}",
        )
    return label


def _parsed(piece: Piece, validator: RowValidator, offset: np.ndarray | None) -> InputBlock:
    """Returns a block that was parsed at once."""
    from trainer.data.custom import table_blocks  # Imports Polars, which takes 0.1 s.

    block = piece.parsed
    assert block is not None
    validated = validator.block(block)
    is_good = np.zeros(block.num_lines, bool)
    is_good[block.lines[validated.is_good]] = True
    values = block.values if validated.is_good.all() else block.values[validated.is_good]
    return InputBlock(
        numbers=np.arange(piece.number, piece.number + block.num_lines),
        lines=table_blocks.lines_of(piece.block),
        is_row=validated.is_row,
        is_good=is_good,
        examples=columns.to_float32(values, offset),
        bad=validated.bad,
        labels=block.labels,
        label_of_row=block.label_of_row[validated.is_good],
    )


def _read(piece: Piece, validator: RowValidator, offset: np.ndarray | None) -> InputBlock:
    """Returns rows that were read by Python."""
    numbers = [validator.row(row.cells) if row.cells else "" for row in piece.rows]
    is_good = np.array([not isinstance(row, str) for row in numbers])
    values = np.array([row for row in numbers if not isinstance(row, str)], np.float64)
    label = validator.layout.label
    good = [row.cells for row, is_used in zip(piece.rows, is_good, strict=True) if is_used]
    labels = [] if label is None else [cells[label] for cells in good]
    distinct = list(dict.fromkeys(labels))
    return InputBlock(
        numbers=np.array([row.number for row in piece.rows]),
        lines=[row.text for row in piece.rows],
        is_row=np.array([bool(row.cells) for row in piece.rows]),
        is_good=is_good,
        examples=columns.to_float32(values.reshape(len(good), len(validator.layout.numeric)), offset),
        bad=[
            (index, len(row.cells), reason)
            for index, (row, reason) in enumerate(zip(piece.rows, numbers, strict=True))
            if row.cells and isinstance(reason, str)
        ],
        labels=distinct,
        label_of_row=np.array([distinct.index(name) for name in labels], np.int64),
    )
