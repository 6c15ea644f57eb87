"""The files of `--mode=score`: a table of scores, and a summary."""

import contextlib
import gzip
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import IO, Any, cast

from trainer.commands.output import STANDARD_OUTPUT, Output, check_is_no_input
from trainer.errors import StorageError, UsageError, option
from trainer.runs.loading import LoadedRun
from trainer.system import files, logs
from trainer.system.logs import log

TABLES = (".csv.gz", ".tsv.gz", ".csv", ".tsv")
OTHERS = (".parquet", ".txt", ".data", ".npy", ".npz", ".json", ".xlsx", ".zip", ".gz")  # endings of other files
SCORES, SUMMARY = "scores.csv", "scores.json"
LEVEL = 1  # of gzip; higher levels take most of the time of scoring


def start(output: str | None) -> None:
    """Sends all messages to stderr if the table goes to standard output."""
    if output == STANDARD_OUTPUT:
        logs.log_to_stderr()


class ScoreOutput:
    """The table of scores: in the output folder, in a file of its own, or on standard output.

    Args:
      run: the run.

    Raises:
      UsageError: the folder cannot exist, or the output is the input.
      StorageError: the folder is not writable.
    """

    def __init__(self, run: LoadedRun) -> None:
        given = run.config.command.output or ""
        ending = next((ending for ending in TABLES if given.lower().endswith(ending)), "")
        self._table: pathlib.Path | None = None
        self._summary: pathlib.Path | None = None
        if given == STANDARD_OUTPUT:
            return
        if not ending and pathlib.PurePath(given).suffix.lower() in OTHERS and not os.path.isdir(given):
            raise UsageError(
                f"{option('output', given)} is no format of tables of scores",
                found=f"expected a folder, or a name that ends in {', '.join(TABLES)}",
                remedy=f"give another name, such as {option('output', 'scored.csv')}",
            )
        if ending:
            self._table = pathlib.Path(given).expanduser().absolute()
            self._summary = self._table.with_name(self._table.name[: -len(ending)] + f".{SUMMARY}")
            Output.check(self._table.parent, given)
        else:
            folder = Output.of(run).folder
            self._table, self._summary = folder / SCORES, folder / SUMMARY
        if self._table.is_dir():
            raise UsageError(f"{self._table} is a folder", remedy=f"give another {option('output')}")
        for target in (self._table, self._summary):
            check_is_no_input(target, run.config.command.input)

    def note_delimiter(self, delimiter: str) -> None:
        """Notes that the name of the file promises another delimiter than it has."""
        if self._table and ".tsv" in self._table.suffixes[-2:] and delimiter != "\t":
            log.info(f"{self._table.name} has the delimiter of the input, which is no tab")

    @contextlib.contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Yields a file that becomes the table at the end of the block, or disappears on errors."""
        if self._table is None:
            with _standard_output() as file:
                yield file
            return
        files.make_folder(self._table.parent)
        with files.replacing(self._table, concurrent=True) as file:
            if self._table.suffix != ".gz":
                yield file
            else:
                with gzip.GzipFile("", "wb", LEVEL, file, 0) as packed:
                    yield cast(IO[bytes], packed)
        log.info(f"written     {self._table}")

    def write_summary(self, values: dict[str, Any]) -> None:
        """Writes the summary; nothing if the table is on standard output."""
        if self._summary is not None:
            files.write_json(self._summary, values)
            log.info(f"written     {self._summary}")


@contextlib.contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    """Yields standard output; raises `StorageError` if its reader has ended."""
    sys.stdout.flush()
    try:
        with open(1, "wb", closefd=False) as file:
            yield file
    except BrokenPipeError as error:
        raise StorageError(
            "standard output was closed before all rows were written",
            found="its reader has ended",
            remedy=f"let it read everything, or give {option('output', 'scored.csv')}",
        ) from error
