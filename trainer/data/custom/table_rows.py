"""The lines and rows of a table of text, and its delimiter."""

import codecs
import collections
import csv
import re
import sys
from collections.abc import Iterator, Sequence

from trainer.data.custom import headings
from trainer.data.custom.table_files import Readable

DELIMITERS = (",", ";", "\t", "|")
WHITE_SPACE = " "  # a delimiter that stands for any number of spaces and tabs
QUOTED = r'"[^"]*"'
SAMPLED_LINES = 50  # used to detect the delimiter, the heading, and the numeric columns
BEGINNING, CHUNK = 1 << 16, 1 << 18  # bytes
MAX_BYTES_OF_CHARACTER = 4  # in UTF-8
csv.field_size_limit(sys.maxsize)  # Only rows are limited.


class Lines:
    """The lines of a file of UTF-8 text, with line feeds at their ends, and without a byte order mark.

    Attributes:
      number: number of lines that were consumed.
    """

    def __init__(self, file: Readable, max_characters: int) -> None:
        self._file, self._max_bytes = file, MAX_BYTES_OF_CHARACTER * max_characters
        self._data, self._start = b"", 0  # what was read; the bytes from `start` on are not consumed
        self._decoded: list[str] = []  # the lines before these bytes that are not consumed either, the next one last
        self._is_at_start, self._is_at_end = True, False
        self._held, self._last = b"", b"\n"  # a carriage return that was held back, and the last byte
        self.number = 0

    def take(self, size: int) -> bytes:
        """Returns and removes the next lines, about `size` bytes; nothing at the end. Does not change `number`.

        Only a line that is far too long is cut.
        """
        if self._decoded:
            decoded, self._decoded = self._decoded, []
            self.put_back([f"{line}\n".encode() for line in reversed(decoded)])
        self._fill(size)
        end = self._data.rfind(b"\n", self._start, self._start + size) + 1
        end = end or self._data.find(b"\n", self._start) + 1 or len(self._data)
        block = self._data[self._start : end]
        self._start = end
        return block

    def put_back(self, blocks: Sequence[bytes]) -> None:
        """Undoes `take` for the last blocks that were taken."""
        self._data, self._start = b"".join([*blocks, self._data[self._start :]]), 0

    def line(self) -> str:
        """Returns the next line; nothing at the end.

        Raises:
          UnicodeDecodeError: it is not UTF-8.
        """
        if not self._decoded:
            block = self.take(CHUNK)
            if not block.endswith(b"\n"):  # The end, or a line that was cut, which is refused anyway.
                self.number += bool(block)
                return block.decode(errors="replace")
            self._decoded = self._lines_of(block)
        self.number += 1
        return self._decoded.pop() + "\n"

    def _lines_of(self, block: bytes) -> list[str]:
        """Returns the lines of a block, the first one last; only the first line, if some are not UTF-8."""
        try:
            return block.decode().split("\n")[-2::-1]
        except UnicodeDecodeError:
            end = block.find(b"\n") + 1
            self.put_back([block[end:]])
            return [block[: end - 1].decode()]

    def _fill(self, size: int) -> None:
        """Reads until at least `size` bytes with the end of a line are not consumed, or to the end."""
        parts, count = [self._data[self._start :]], len(self._data) - self._start
        has_end = b"\n" in parts[0]
        while not self._is_at_end and (count < size or not has_end) and count <= self._max_bytes:
            parts.append(self._read(max(CHUNK, size - count)))
            count, has_end = count + len(parts[-1]), has_end or b"\n" in parts[-1]
        self._data, self._start = b"".join(parts), 0

    def _read(self, size: int) -> bytes:
        """Reads the next bytes, and completes the last line of the file."""
        content = self._file.read(size)
        self._is_at_end = not content
        if self._is_at_start:
            self._is_at_start = False
            content = content.removeprefix(codecs.BOM_UTF8)
        chunk, self._held = self._held + content, b""
        if b"\r" in chunk:
            if content and chunk.endswith(b"\r"):  # Its line feed may come next.
                chunk, self._held = chunk[:-1], b"\r"
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._is_at_end and (chunk[-1:] or self._last) != b"\n":
            chunk += b"\n"
        self._last = chunk[-1:] or self._last
        return chunk


class RowReader:
    """Iterates over the rows of a text, and over lines without text between them.

    Attributes:
      line_number: number of the last line of the current row; of the first line, while a row is being read.
      text: the lines of the current row, without the last line feed.
    """

    def __init__(self, lines: Lines, delimiter: str, max_characters: int) -> None:
        self._lines, self._max_characters = lines, max_characters
        self._is_spaced = delimiter == WHITE_SPACE
        self._reader = csv_reader(self._bounded(), delimiter)
        self._length, self._text = 0, [""]
        self.line_number = 0

    @property
    def text(self) -> str:
        """See the class."""
        return "".join(self._text).removesuffix("\n")

    def __iter__(self) -> Iterator[list[str]]:
        while (row := self.read()) is not None:
            if row:
                yield row

    def read(self) -> list[str] | None:
        """Returns the cells of the next row; none if it is blank: all cells are empty. None at the end."""
        self._length = 0
        self._text.clear()
        self.line_number = self._lines.number + 1
        row = next(self._reader, None)
        if row is None:
            return None
        self.line_number = self._lines.number
        return [] if is_blank(row) else row

    def _bounded(self) -> Iterator[str]:
        """Yields the lines. Raises an error if a row is too long, because it would be read into memory."""
        while line := self._lines.line():
            self._length += len(line)
            if self._length >= self._max_characters:
                raise csv.Error(f"the row has more than {self._max_characters:,} characters")
            self._text.append(line)
            yield _single_spaced(line) if self._is_spaced else line


def csv_reader(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """Returns a strict reader of rows with quoted cells."""
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == WHITE_SPACE, strict=True)


def cells_of(line: str, delimiter: str) -> list[str]:
    """Returns the cells of a row in a single line."""
    line = _single_spaced(line) if delimiter == WHITE_SPACE else line
    return next(csv_reader(iter([line]), delimiter), [])


def is_blank(row: Sequence[str]) -> bool:
    """Returns True if all cells are empty."""
    return not any(cell.strip() for cell in row)


def _single_spaced(line: str) -> str:
    """Returns a line whose cells are separated by single spaces, except in a line with quotes."""
    return line.replace("\t", " ").strip() if '"' in line else " ".join(line.split())


def first_lines(beginning: bytes) -> list[str]:
    """Returns the first lines that are not empty, from the first bytes of a file."""
    text = beginning.removeprefix(codecs.BOM_UTF8).decode(errors="replace")
    return [line for line in text.splitlines()[:SAMPLED_LINES] if line.strip()]


def find_delimiter(lines: Sequence[str]) -> str:
    """Returns the delimiter that divides most lines into as many cells as the first line.

    If no delimiter divides the first line, this is the one that divides most lines alike, or else a comma. If several
    delimiters are equally good, the comma is not chosen: it may be in numbers.
    """
    lines = [re.sub(QUOTED, "", line) for line in lines]

    def score(delimiter: str) -> tuple[int, bool, int]:
        counts = [line.count(delimiter) for line in lines]
        if not counts or not counts[0]:
            return (0, False, 0)
        return (sum(count == counts[0] for count in counts), delimiter != ",", counts[0])

    def score_below(delimiter: str) -> int:
        counts = collections.Counter(line.count(delimiter) for line in lines)
        count, num_lines = counts.most_common(1)[0]
        return num_lines if count and 2 * num_lines > len(lines) else 0

    best = max(DELIMITERS, key=score)
    return best if score(best)[0] or not lines else max(DELIMITERS, key=score_below)


def is_white_space(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Returns True if white space separates the cells of most lines.

    Args:
      lines: the first lines.
      delimiter: the delimiter among `DELIMITERS`.
      width: number of cells in the first line.
    """
    if width > 1 and delimiter != "\t":
        return False
    num_divided = 0
    for cells in map(str.split, lines):
        num_numbers = sum(headings.parse(cell) is not None for cell in cells)
        num_divided += len(cells) > width and num_numbers >= (1 if width == 1 else len(cells))
    return 2 * num_divided > len(lines)
