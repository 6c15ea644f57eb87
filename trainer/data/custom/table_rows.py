"""The rows of a .csv file, and its delimiter."""

import codecs
import collections
import csv
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import IO

DELIMITERS = (",", ";", "\t", "|")
QUOTED = r'"[^"]*"'
SAMPLED_LINES = 50  # used to detect the delimiter, the heading, and the numeric columns


class RowReader:
    """Iterates over the rows of a file. `line_number` is the number of the last line of the current row.

    Attributes:
      sample: the first lines that are not empty.
      delimiter: the detected delimiter.
    """

    def __init__(self, path: pathlib.Path, max_characters: int) -> None:
        self._path, self._max_characters = path, max_characters
        with open(path, "rb") as file:
            beginning = file.read(1 << 16)
        text = beginning.decode("utf-8-sig" if beginning.startswith(codecs.BOM_UTF8) else "utf-8", errors="replace")
        self.sample = [line for line in text.splitlines()[:SAMPLED_LINES] if line.strip()]
        self.delimiter = _delimiter(self.sample)
        self.line_number = self._length = 0

    def __iter__(self) -> Iterator[list[str]]:
        with open(self._path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(self._bounded(file), delimiter=self.delimiter, strict=True)
            while True:
                self._length = 0
                self.line_number = reader.line_num + 1
                row = next(reader, None)
                if row is None:
                    return
                self.line_number = reader.line_num
                if row and any(cell.strip() for cell in row):
                    yield row

    def _bounded(self, file: IO[str]) -> Iterator[str]:
        """Yields the lines of the file. Raises an error if a row is too long, because it would be read into memory."""
        while line := file.readline(self._max_characters):
            self._length += len(line)
            if self._length >= self._max_characters:
                raise csv.Error(f"the row has more than {self._max_characters:,} characters")
            yield line


def _delimiter(lines: Sequence[str]) -> str:
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
