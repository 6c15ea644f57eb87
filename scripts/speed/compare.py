"""Times all ways to train a workload in turns, so that the times of each round are comparable."""

import contextlib
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from speed import prepare
from speed.contenders import KINDS, RUN, Process, run
from speed.workloads import WORKLOADS, Workload

SECONDS_PER_TURN = 1.0
REST = 0.3  # seconds between turns, so that threads that wait actively have gone to sleep
TOLERANCE = 0.1  # of a loss above the median


@dataclasses.dataclass
class Row:
    """The measurements of a contender.

    Attributes:
      name: name of the contender.
      words: description.
      times: microseconds per step, by round.
      loss: mean squared error after `check_epochs`.
      overhead: shares of the wall time that were not training, by round; whole runs only.
    """

    name: str
    words: str
    times: list[float] = dataclasses.field(default_factory=list)
    loss: float = 0.0
    overhead: list[float] = dataclasses.field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the times."""
        return statistics.median(self.times)

    def against(self, other: "Row") -> float:
        """Returns the median of the ratios of the times of the same round."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.times, other.times, strict=True))


def compare(
    name: str, precision: str, names: Sequence[str], flags: Sequence[str], *, rounds: int, seconds: float
) -> list[Row]:
    """Trains and times a workload in every way.

    Args:
      name: Name of the workload.
      precision: Value of --precision.
      names: Names of the contenders.
      flags: Flags of Hourglass, such as --data_dir.
      rounds: Number of turns of each contender.
      seconds: Approximate duration of a whole run.
    """
    workload, turns = WORKLOADS[name], []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        prepare.in_process(name, folder, flags)
        for other in names:
            if other != RUN and workload.model in KINDS[other].models:
                process = stack.enter_context(contextlib.closing(Process(other, name, folder, precision)))
                turns.append(_process_turn(process, workload))
        if RUN in names:
            steps = max(50, int(seconds * 1e6 / (turns[0][0].times[0] if turns else 1e4)))
            turns.insert(0, _run_turn(name, workload, precision, flags, steps))
        for row, _ in turns:
            row.times.clear()
        for number in range(rounds):
            for _, turn in turns:
                turn()
                time.sleep(REST)
            print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return [row for row, _ in turns]


def _process_turn(process: Process, workload: Workload) -> tuple[Row, Callable[[], None]]:
    """Trains for the check of the loss; returns a row and a function that adds a time to it."""
    row = Row(process.name, KINDS[process.name].words)
    process.seconds(workload.check_epochs)
    row.loss = process.loss()
    once = process.seconds(1)
    row.times.append(once / workload.steps_per_epoch * 1e6)
    epochs = max(1, round(SECONDS_PER_TURN / once))

    def turn() -> None:
        row.times.append(process.seconds(epochs) / epochs / workload.steps_per_epoch * 1e6)

    print(f"{process.name}: {row.times[0]:.0f} us per step, loss {row.loss:.5f}", file=sys.stderr, flush=True)
    return row, turn


def _run_turn(
    name: str, workload: Workload, precision: str, flags: Sequence[str], steps: int
) -> tuple[Row, Callable[[], None]]:
    """Trains a whole run through `launch.py`; returns a row and a function that adds a time to it."""
    row = Row(RUN, "Hourglass, a whole run through launch.py")
    *_, row.loss = run(name, workload.check_epochs * workload.steps_per_epoch, precision, flags)

    def turn() -> None:
        seconds, overhead, _ = run(name, steps, precision, flags)
        row.times.append(seconds * 1e6)
        row.overhead.append(overhead)

    print(f"{RUN}: {steps} steps per run, loss {row.loss:.5f}", file=sys.stderr, flush=True)
    return row, turn


def outliers(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows whose loss is so far above the median that they cannot have done the same work."""
    median = statistics.median(row.loss for row in rows) if rows else 0.0
    return [row for row in rows if row.loss > median * (1 + TOLERANCE)]


def table(rows: Sequence[Row]) -> str:
    """Returns a Markdown table, with ratios to the whole run and to the compiled block."""
    named = {row.name: row for row in rows}
    bases = [named[name] for name in (RUN, "block") if name in named]
    head = ["", "us per step", *(f"x {base.name}" for base in bases), "loss", "not training"]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for row in rows:
        cells = [row.words, f"{row.median:,.0f}", *(f"{row.against(base):.2f}" for base in bases), f"{row.loss:.5f}"]
        cells.append(f"{statistics.median(row.overhead):.1%}" if row.overhead else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
