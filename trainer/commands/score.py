"""`--mode=score`: scores new rows or images, and flags anomalies."""

import collections
import concurrent.futures
import dataclasses
from collections.abc import Iterator
from typing import IO, Any

from trainer.commands import score_output
from trainer.commands.score_cells import Cells
from trainer.commands.score_format import ALL, NONE, Format
from trainer.commands.score_output import ScoreOutput
from trainer.commands.score_summary import Summary, number
from trainer.config import Config
from trainer.data.custom import table_layout
from trainer.data.inputs import scored
from trainer.data.inputs.blocks import InputBlock, ScoredInput
from trainer.data.sources import Sources
from trainer.errors import DONE, DataError, UsageError, option, render, sanitize
from trainer.evaluation import blas, scores
from trainer.evaluation.calibration import Calibration
from trainer.runs import scoring
from trainer.runs.loading import LoadedRun
from trainer.runs.scoring import Scored, Scorer
from trainer.system import cores
from trainer.system.logs import log

MAX_THREADS = 4


def score(config: Config, given: frozenset[str]) -> int:
    """Scores `--input` line by line, and writes a table."""
    text = config.command.input
    score_output.start(config.command.output)
    if text is None:
        raise UsageError(
            f"{option('input')} is missing",
            found="expected a table, an array, an image or a folder of images",
            remedy=f"give an input, such as {option('input', 'new.csv')}",
        )
    scored.check(text)
    # These options are for the input here, and may differ from those that the run stores.
    run = LoadedRun(config, given - {"label_column", "on_bad_file"})
    output = ScoreOutput(run)
    is_image = len(run.statistics.mean.shape) == 3
    source = _opened(config, given, run, is_image=is_image)  # before TensorFlow is imported
    for note in source.notes:
        log.info(note)
    kind = scores.resolve(config.command.scoring, is_image=is_image)
    decision = _decide(config, run, kind)
    with scoring.opened(run, kind, source.num_examples if is_image else None) as scorer:
        _Scoring(config, given, scorer, source, decision).run(output, {"step": run.entry.step})
    return DONE


def _opened(config: Config, given: frozenset[str], run: LoadedRun, *, is_image: bool) -> ScoredInput:
    """Opens the input."""
    command, data = config.command, run.config.data
    mean, _, offset = run.statistics
    return scored.opened(
        command.input or "",
        mean.shape,
        None if is_image else scoring.columns(run),
        Sources(data, log.info),
        depth=run.depth(),
        offset=offset,
        label_column=config.data.label_column if "label_column" in given else None,
        needs_label=command.anomaly_label is not None,
    )


@dataclasses.dataclass(frozen=True)
class _Decision:
    """The threshold, where it is from in words, the share of false alarms or None, and the held-out scores or None."""

    threshold: float
    origin: str
    contamination: float | None
    calibration: Calibration | None


def _decide(config: Config, run: LoadedRun, kind: str) -> _Decision:
    """Returns the threshold of scores of a kind, `squared` or `relative`.

    Raises:
      UsageError: there are no scores of held-out examples, and no threshold is given.
    """
    command = config.command
    calibration, share = run.calibration(kind), command.contamination
    if command.threshold is not None:
        return _Decision(command.threshold, f"given as {option('threshold')}", None, calibration)
    if calibration is None:
        raise UsageError(
            f"no threshold follows from {option('contamination', share)}",
            found="the scores of held-out examples are unknown",
            remedy=f"give the data of the run as {option('data_dir', 'PATH')}, or a threshold, such as"
            f" {option('threshold', 1.0)}",
        )
    if share < calibration.least:
        share = calibration.least
        log.warning(
            f"{calibration.count:,} held-out rows do not support {option('contamination', command.contamination)}:"
            f" {share:.3g} is used; give {option('threshold')}, or train with more held-out rows"
        )
    origin = f"at most {share:.3g} of normal rows exceed it, by {calibration.count:,} held-out rows"
    return _Decision(calibration.threshold(share), origin, share, calibration)


class _Scoring:
    """Scores all rows of an input."""

    def __init__(
        self, config: Config, given: frozenset[str], scorer: Scorer, source: ScoredInput, decision: _Decision
    ) -> None:
        self._scorer, self._source, self._decision = scorer, source, decision
        self._on_bad = config.data.on_bad_file if "on_bad_file" in given else "keep"
        self._form = _format(config, source, keeps_bad=self._on_bad == "keep")
        self._cells = Cells(self._form, scorer, decision.threshold, decision.calibration)
        self._summary = Summary(decision.threshold, source.unit, config.command.anomaly_label)

    def run(self, output: ScoreOutput, facts: dict[str, Any]) -> None:
        """Writes the table and the summary."""
        decision = self._decision
        output.note_delimiter(self._form.delimiter)
        if self._source.has_heading:
            self._form.heading(["heading"])  # Refuses equal names before anything is written.
        with blas.one_thread, output.opened() as file:  # Blocks are scored in threads already.
            self._write(file)
        self._summary.log_counts()
        log.info(f"threshold   {decision.threshold:.6g}: {decision.origin}")
        metrics = self._summary.metrics()
        for name, value in metrics.items():
            log.info(f"{name:20}{value:.4g}")
        self._summary.log_worst()
        about = {
            "threshold": number(decision.threshold),
            "threshold_origin": render(decision.origin),
            "contamination": decision.contamination,
            "held_out": decision.calibration.count if decision.calibration else None,
            "scoring": self._scorer.scoring,
        }
        output.write_summary({**facts, **about, **self._summary.to_json(), "metrics": metrics})

    def _write(self, file: IO[bytes]) -> None:
        is_first = True
        for block, result, text in self._results():
            if is_first:
                self._write_heading(file)
            is_first = False
            self._summary.add(block, result, self._cells)
            if block.bad and self._on_bad == "error":
                self._raise_bad("a row cannot be scored")
            file.write(text)
        if is_first:
            self._write_heading(file)
            log.warning("the input has no rows")
        elif not self._summary.num_scored:
            self._raise_bad("no row can be scored")

    def _results(self) -> Iterator[tuple[InputBlock, Scored, bytes]]:
        """Yields each block with its scores and its text. The next blocks are scored in threads meanwhile."""
        num_threads, num_rows = min(MAX_THREADS, cores.available()), 0
        pending: collections.deque[concurrent.futures.Future[tuple[InputBlock, Scored, bytes]]] = collections.deque()
        with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
            for block in self._source.blocks():
                pending.append(pool.submit(self._result, block, num_rows + 1))
                num_rows += int(block.is_row.sum())
                if len(pending) > num_threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _result(self, block: InputBlock, first_row: int) -> tuple[InputBlock, Scored, bytes]:
        result = self._scorer(block.examples)
        return block, result, self._cells.text(block, result, first_row)

    def _write_heading(self, file: IO[bytes]) -> None:
        heading = self._form.heading(self._source.heading)
        if heading:
            file.write(f"{heading}\n".encode())
        else:
            log.info(
                f"the input has no heading: the last columns are {', '.join(map(sanitize, self._form.added[:20]))}"
            )

    def _raise_bad(self, what: str) -> None:
        raise DataError(
            f"{sanitize(self._source.name)}: {what}",
            found=self._summary.first_bad,
            remedy=f"correct the rows, or give {option('on_bad_file', 'keep')} to score the others"
            if self._on_bad == "error"
            else "give a table with numbers in the columns that are trained on",
        )


def _format(config: Config, source: ScoredInput, *, keeps_bad: bool) -> Format:
    """Returns the format of the table.

    Raises:
      UsageError: there is no such column, or the input has no columns.
    """
    command = config.command
    if not source.trained_names and (command.errors or command.reconstructions):
        name = "errors" if command.errors else "reconstructions"
        raise UsageError(
            f"{option(name, True)} is for rows, not for images",
            remedy=f"use {option('mode', 'reconstruct')} to see the reconstructions of images",
        )
    kept: tuple[int, ...] | None = None
    if command.columns == NONE:
        kept = ()
    elif command.columns != ALL:
        kept = tuple(dict.fromkeys(_column(given, source) for given in command.columns))
    return Format(
        delimiter=source.delimiter,
        names=source.names,
        trained_names=source.trained_names,
        kept=kept,
        explain=command.explain if source.trained_names else 0,
        errors=command.errors,
        reconstructions=command.reconstructions,
        only_anomalies=command.only_anomalies,
        keeps_bad=keeps_bad,
    )


def _column(given: str, source: ScoredInput) -> int:
    column = table_layout.index_of(given, source.names)
    if column is None:
        raise UsageError(
            f"{option('columns', given)}: {sanitize(source.name)} has no such column",
            found=f"columns: {table_layout.names_text(source.names)}",
            remedy=f"give names from the heading, or {option('columns', 'all')}",
        )
    return column
