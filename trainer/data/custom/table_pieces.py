"""Reads the rows of a table of text in pieces, with their lines: parsed at once if possible, otherwise by Python."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from trainer.data.custom.table_layout import Layout
from trainer.data.custom.table_pipeline import parsed_blocks
from trainer.data.custom.table_rows import Lines, RowReader
from trainer.data.custom.table_validation import Block
from trainer.data.limits import Limits

PART = 1_000  # rows in a piece that was read by Python


class Row(NamedTuple):
    """A row that was read by Python.

    Attributes:
      number: number of its last line, from 1.
      text: its lines, without the last line feed.
      cells: its cells; none if all are empty.
    """

    number: int
    text: str
    cells: list[str]


class Piece(NamedTuple):
    """Some lines of a table.

    Attributes:
      number: number of the first line, from 1.
      block: the lines, with line feeds. If they were read by Python, these are the lines of this piece and the next.
      parsed: the rows of the block; None if they are in `rows`.
      rows: the rows if they were read by Python.
    """

    number: int
    block: bytes
    parsed: Block | None
    rows: Sequence[Row] = ()


def pieces(lines: Lines, reader: RowReader, layout: Layout, delimiter: str, limits: Limits) -> Iterator[Piece]:
    """Yields all lines from the next one on, which `reader` reads, too."""
    for block, parsed in parsed_blocks(lines, layout, delimiter, limits):
        if parsed is not None:
            yield Piece(lines.number + 1, block, parsed)
            lines.number += parsed.num_lines
        else:
            rows = _rows(lines, reader, lines.number + block.count(b"\n"))
            while part := list(itertools.islice(rows, PART)):
                yield Piece(part[0].number, block, None, part)
                block = b""


def _rows(lines: Lines, reader: RowReader, end: int) -> Iterator[Row]:
    """Yields the rows that begin before the end of this line."""
    while lines.number < end and (cells := reader.read()) is not None:
        yield Row(reader.line_number, reader.text, cells)


def first_row(reader: RowReader) -> Iterator[str]:
    """Yields the text of the first row, and of the blank rows before it."""
    cells: list[str] | None = []
    while cells is not None and not cells:
        cells = reader.read()
        yield reader.text
