"""Tables of text: .csv, .tsv, .txt and .data files, also packed."""

import collections
import contextlib
import csv
import itertools
import pathlib
import re
import shlex
from collections.abc import Callable, Iterator, Sequence

from trainer.data.custom import headings, table_files, table_layout, table_rows
from trainer.data.custom.headings import Heading
from trainer.data.custom.table_collector import RowCollector
from trainer.data.custom.table_files import Readable
from trainer.data.custom.table_layout import MAX_CELLS_SHOWN, Layout, names_text
from trainer.data.custom.table_pieces import Piece, first_row, pieces
from trainer.data.custom.table_rows import SAMPLED_LINES, WHITE_SPACE, Lines, RowReader
from trainer.data.limits import Limits
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, error_text, option, sanitize
from trainer.system.progress import Meter

OpenTable = Callable[[pathlib.Path, Limits], contextlib.AbstractContextManager[Readable]]
DECIMAL_COMMA = r"[+-]?\d+,\d+([eE][+-]?\d+)?"
DECIMAL_COMMAS = rf"\s*({DECIMAL_COMMA}\s+)+{DECIMAL_COMMA}\s*"  # numbers such as 1,5 that are separated by white space


class TextTable:
    """A table of text. Its first lines decide how it is read.

    The delimiter is a comma, a semicolon, a tab, a vertical bar or white space. Cells may be quoted as in RFC 4180. The
    encoding is UTF-8, with or without a byte order mark.

    Attributes:
      names: names of the columns, from the heading, or by number.
      has_heading: True if the first line is the heading.
      delimiter: separates the cells; a space stands for white space.
      heading_lines: the lines of the heading, and blank ones before it, once the rows are being read.

    Raises:
      DataError: there are no rows, or they cannot be read.
    """

    unit = "line"

    def __init__(
        self,
        path: pathlib.Path,
        sources: Sources,
        expected: Sequence[str] | None = None,
        *,
        usual_delimiter: str = "",
        open_file: OpenTable = table_files.opened,
    ) -> None:
        """Reads the first lines.

        Args:
          path: the file.
          sources: options and limits.
          expected: see `_recognize`.
          usual_delimiter: that of another table with the same columns; white space is hard to recognize in few lines.
          open_file: opens the file; called several times.
        """
        self._path, self._sources, self._options, self._open_file = path, sources, sources.options, open_file
        with open_file(path, sources.limits) as file:
            lines = table_rows.first_lines(file.read(table_rows.BEGINNING))
        self.delimiter, self._num_empty = table_rows.find_delimiter(lines), 0
        self._sample = self._read_sample()
        _check_decimal_commas(path, lines)
        width = len(self._sample[0][1])
        is_usual = width == 1 and usual_delimiter == WHITE_SPACE
        if is_usual or table_rows.is_white_space(lines, self.delimiter, width):
            self.delimiter = WHITE_SPACE
            self._sample = self._read_sample()
        first = self._sample[0][1]
        table_layout.check_width(path, len(first))
        self._heading = _recognize([row for _, row in self._sample], self._options, expected)
        self.has_heading, self.heading_lines = self._heading.names is not None, list[str]()
        self.names: Sequence[str] = self._heading.names or [f"column {column + 1}" for column in range(len(first))]

    def layout(self) -> Layout:
        """Returns which columns are read.

        Raises:
          UsageError: a column that an option names does not exist.
          DataError: the table does not begin in the first line, or has no column of numbers that can be read.
        """
        try:
            choices = table_layout.choose(self._path, self.names, self._options)
        except UsageError:
            self._check_preamble()
            raise
        body = [row for _, row in self._sample[self.has_heading :]]
        layout = table_layout.recognize(self._path, self.names, body, choices, self._options)
        if not layout.numeric:
            self._check_preamble()
            raise table_layout.no_numbers_error(self._path, layout, len(choices.ignored))
        return layout

    def collect(self, rows: RowCollector) -> None:
        """Reads all rows.

        Raises:
          DataError: a row is too long, is not UTF-8, or has wrong quotes.
        """
        self._num_empty = 0
        with self._progress() as advance:
            for piece in self.pieces(rows.layout):
                if piece.parsed is not None:
                    blank = rows.add_block(piece.number, piece.parsed)
                    lines = piece.block.decode().split("\n") if blank else []
                    self._count_empty([lines[index] for index in blank])
                for row in piece.rows:
                    if row.cells:
                        rows.add_row(row.number, row.cells)
                    else:
                        self._count_empty([row.text])
                advance(len(piece.block))

    def _count_empty(self, lines: Sequence[str]) -> None:
        """Counts lines without text that have delimiters."""
        self._num_empty += 0 if self.delimiter == WHITE_SPACE else sum(self.delimiter in line for line in lines)

    def pieces(self, layout: Layout) -> Iterator[Piece]:
        """Yields all lines after the heading in pieces.

        Raises:
          DataError: as `collect`.
        """
        with self._opened() as (lines, reader):
            if self.has_heading:
                self.heading_lines = list(first_row(reader))
            yield from pieces(lines, reader, layout, self.delimiter, self._sources.limits)

    @contextlib.contextmanager
    def _progress(self) -> Iterator[Callable[[int], None]]:
        """Yields a function that is called with the number of bytes of each block; it shows the progress."""
        size = self._path.stat().st_size
        if size <= self._sources.limits.uncached_table_bytes or self._path.suffix.lower() not in table_files.TEXTS:
            yield lambda count: None
            return
        with Meter(self._path.name, size, self._sources.log, "reading") as meter:
            yield meter.advance

    def _read_sample(self) -> list[tuple[int, list[str]]]:
        """Returns the line numbers and the cells of the first rows, at least one."""
        with self._opened() as (_, reader):
            sample = [(reader.line_number, row) for row in itertools.islice(reader, SAMPLED_LINES)]
        if not sample:
            raise DataError(f"{sanitize(self._path)} has no rows", remedy="give a table with numbers in it")
        return sample

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Lines, RowReader]]:
        limits = self._sources.limits
        with self._open_file(self._path, limits) as file:
            lines = Lines(file, limits.row_characters)
            reader = RowReader(lines, self.delimiter, limits.row_characters)
            try:
                yield lines, reader
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{sanitize(self._path)}: line {lines.number + 1:,} is not UTF-8",
                    found=error_text(error),
                    remedy="save it as UTF-8 text",
                ) from error
            except csv.Error as error:
                raise DataError(
                    f"{sanitize(self._path)}: line {reader.line_number:,} is not a row of a table",
                    found=error_text(error),
                    remedy="correct the quotes or the cells of this line",
                ) from error

    def check(self, rows: RowCollector) -> None:
        """Raises `DataError` if the first line is not part of the table, or is a bad row and may be the heading."""
        if rows.num_good <= (0 if self.has_heading else 1) and rows.num_bad > 1:
            self._check_preamble()
        if not rows.num_good:
            bad = "".join(f"; {name} {reason}" for name, reason in rows.bad[:1])
            raise DataError(
                f"{sanitize(self._path)} has no row that can be used",
                found=f"{rows.total:,} rows{bad}",
                remedy="correct these cells, or remove their columns" if bad else "give a table with numbers in it",
            )
        is_choice = self._options.heading == "auto" and self._options.on_bad_file == "error"
        if is_choice and self._is_first_bad(rows):
            others = "" if rows.num_bad == 1 else f"; in total, {rows.num_bad:,} of {rows.total:,} rows cannot be used"
            raise DataError(
                f"{rows.bad[0][0]} in {sanitize(self._path)} cannot be used: it was taken for a row, not for the"
                " heading",
                found=f"it {rows.bad[0][1]}{others}",
                remedy=f"give {option('heading', 'yes')} if it is the heading; otherwise correct it",
            )

    def _is_first_bad(self, rows: RowCollector) -> bool:
        """Returns True if the first line was understood as a row that cannot be used."""
        return not self.has_heading and bool(rows.bad) and rows.bad[0][0] == f"line {self._sample[0][0]:,}"

    def _check_preamble(self) -> None:
        """Raises `DataError` if the first lines have another number of cells than most lines."""
        widths = collections.Counter(len(row) for _, row in self._sample)
        width, count = widths.most_common(1)[0]
        start = next(line_number for line_number, row in self._sample if len(row) == width)
        first_line, first = self._sample[0]
        if len(first) == width:
            return
        shown = sanitize(" ".join(filter(None, first)))[:40]
        raise DataError(
            f"{sanitize(self._path)} does not begin with the table",
            found=f"line {first_line:,} has {len(first):,} cells: '{shown}'; {count:,} of the first"
            f" {len(self._sample):,} lines have {width:,}",
            remedy=f"delete the lines before line {start:,}, or correct their cells",
        )

    def notes(self, rows: RowCollector) -> list[str]:
        """Returns notes that say how the first line and the delimiter were understood."""
        spaced = ["cells are separated by white space"] if self.delimiter == WHITE_SPACE else []
        empty = [f"skipped lines of empty cells: {self._num_empty:,}"] if self._num_empty else []
        return [self._heading_note(is_bad=self._is_first_bad(rows)), *spaced, *empty]

    def _heading_note(self, *, is_bad: bool) -> str:
        heading, first = self._heading, self._sample[0][1]
        if heading.names:
            doubt = "" if heading.is_certain else f"; if it is a row, give {option('heading', 'no')}"
            return f"the first line is the heading: {names_text(heading.names)}{doubt}"
        cells = [sanitize(cell)[:40] for cell in first[:MAX_CELLS_SHOWN]]
        cells += ["..."] if len(first) > MAX_CELLS_SHOWN else []
        is_sure = heading.is_certain and not is_bad
        doubt = "" if is_sure else f"; if it is the heading, give {option('heading', 'yes')}"
        return f"there is no heading: the first line is a row: {', '.join(cells)}{doubt}"


def _recognize(rows: Sequence[Sequence[str]], options: DataOptions, expected: Sequence[str] | None) -> Heading:
    """Decides if the first row is the heading.

    Args:
      rows: the cells of the first rows.
      options: the data options.
      expected: names in the heading of another table: a first row that has them is the heading. If that table has no
        heading, there are none, and a row of numbers is a row. None: there is no other table.
    """
    is_expected = bool(expected) and {cell.strip() for cell in rows[0]}.issuperset(expected or ())
    heading = headings.recognize(rows, "yes" if is_expected else options.heading, options.label_column)
    is_row = expected is not None and not expected and not heading.is_certain
    return Heading(None) if is_row else heading


def _check_decimal_commas(path: pathlib.Path, lines: Sequence[str]) -> None:
    """Raises `DataError` if white space separates numbers with decimal commas in most of the first lines."""
    if 2 * sum(re.fullmatch(DECIMAL_COMMAS, line) is not None for line in lines) <= len(lines):
        return
    target = path.with_name(f"{path.stem}_points{path.suffix}")
    is_text = path.suffix.lower() in table_files.TEXTS
    command = f": {sanitize(shlex.join(['sed', 's/,/./g', str(path)]))} > {sanitize(shlex.quote(str(target)))}"
    raise DataError(
        f"{sanitize(path)}: its numbers have decimal commas, and its cells are separated by white space",
        found="expected decimal points",
        remedy=f"write decimal points{command if is_text else ''}",
    )
