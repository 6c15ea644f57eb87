"""Reads a table from standard input, whose beginning has to be read several times."""

import contextlib
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from trainer.data.limits import Limits


class StandardInput:
    """Standard input that can be read from its beginning several times; see `table_files.opened`.

    Attributes:
      is_last: set to True before it is read for the last time: the bytes are not kept any longer then.
    """

    def __init__(self) -> None:
        self._beginning, self.is_last = b"", False

    @contextlib.contextmanager
    def opened(self, path: pathlib.Path, limits: Limits) -> Iterator["_FromBeginning"]:
        """Yields a file that begins with the first byte. The arguments are not used."""
        yield _FromBeginning(self)

    def read(self, start: int, size: int) -> bytes:
        """Returns at most `size` bytes from this position on; none at the end. Positions must not be left out."""
        if start < len(self._beginning):
            return self._beginning[start : start + size]
        content = _stream().read1(size)
        self._beginning = b"" if self.is_last else self._beginning + content
        return content


class _FromBeginning:
    def __init__(self, source: StandardInput) -> None:
        self._source, self._position = source, 0

    def read(self, size: int, /) -> bytes:
        content = self._source.read(self._position, size)
        self._position += len(content)
        return content


def _stream() -> Any:
    return sys.stdin.buffer
