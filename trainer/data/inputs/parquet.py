"""Reads Parquet files whose rows are scored."""

import contextlib
import pathlib
from collections.abc import Iterator

import numpy as np

from trainer.data.custom import columns, table_reader
from trainer.data.custom.table_collector import RowCollector
from trainer.data.custom.table_validation import Block, RowValidator
from trainer.data.inputs.blocks import InputBlock, ScoredInput
from trainer.data.schema import Schema
from trainer.data.sources import Sources


class ParquetInput(ScoredInput):
    """A Parquet file. The columns that are scored are read at once.

    Raises:
      DataError: the file cannot be read, or a column is missing.
    """

    unit = "row"
    names = ("row",)

    def __init__(self, path: pathlib.Path, schema: Schema, sources: Sources, *, offset: np.ndarray | None) -> None:
        """Reads the columns."""
        from trainer.data.custom.table_parquet import ParquetTable  # Imports Polars, which takes 0.1 s.

        self.name, self.trained_names, self._offset = path.name, schema.trained_names, offset
        with contextlib.closing(ParquetTable(path, sources)) as table:
            self._layout, self.notes = table_reader.layout_for_scores(path, table, schema, sources.options)
            rows = _Blocks(self._layout)
            table.collect(rows)
        self._blocks = rows.blocks

    def blocks(self) -> Iterator[InputBlock]:
        """Yields the rows."""
        validator = RowValidator(self._layout)
        for first, block in self._blocks:
            validated = validator.block(block)
            numbers = np.arange(first, first + block.num_lines)
            yield InputBlock(
                numbers=numbers,
                lines=list(map(str, numbers.tolist())),
                is_row=validated.is_row,
                is_good=validated.is_good,
                examples=columns.to_float32(block.values[validated.is_good], self._offset),
                bad=validated.bad,
            )


class _Blocks(RowCollector):
    """Keeps blocks as they are."""

    def __init__(self, layout: table_reader.Layout) -> None:
        super().__init__(layout, unit="row")
        self.blocks: list[tuple[int, Block]] = []

    def add_block(self, first: int, block: Block) -> list[int]:
        """Keeps a block."""
        self.blocks.append((first, block))
        return []
