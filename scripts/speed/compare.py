"""Every way of training a workload, in turns, A B A B, each round's times side by side."""

import dataclasses
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from speed.contenders import CHECKOUT, KINDS, RUN, Process, run
from speed.floors import floors
from speed.workloads import WORKLOADS, Workload

TURN_SECONDS = 1.0  # at least, of a contender
REST = 0.3  # between turns, so that threads that wait by spinning have gone to sleep
TOLERANCE = 0.1  # by which a loss may be above the median of all after as many steps


@dataclasses.dataclass
class Row:
    """What was found of one contender, or of a floor.

    Attributes:
      name: of it.
      words: for people.
      times: microseconds a step, of each round.
      loss: mean squared error after the steps of the check; None of a floor.
      around: shares of wall time that were not training; of whole runs only.
    """

    name: str
    words: str
    times: list[float] = dataclasses.field(default_factory=list)
    loss: float | None = None
    around: list[float] = dataclasses.field(default_factory=list)

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.times)

    def against(self, other: "Row") -> float:
        """How many times as long as the other it takes: the median of the ratios, round by round."""
        return statistics.median(mine / its for mine, its in zip(self.times, other.times, strict=True))


def compare(
    name: str, precision: str, names: Sequence[str], flags: Sequence[str], *, rounds: int, seconds: float
) -> list[Row]:
    """Times a workload in every way named; the first rounds of training are the check of the loss.

    Args:
      name: of the workload.
      precision: of all.
      names: of contenders.
      flags: for Hourglass, such as --data_dir.
      rounds: that everyone has a turn in.
      seconds: that a whole run is to take.
    """
    workload = WORKLOADS[name]
    with tempfile.TemporaryDirectory() as folder:
        inputs = pathlib.Path(folder)
        prepare = [sys.executable, "-m", "speed.prepare", name, folder, *flags]
        subprocess.run(prepare, cwd=CHECKOUT, check=True, stderr=subprocess.DEVNULL)
        processes = [
            Process(other, name, inputs, precision)
            for other in names
            if other != RUN and workload.model in KINDS[other].models
        ]
        turns: list[tuple[Row, Callable[[], None]]] = []
        try:
            for process in processes:
                row = Row(process.name, KINDS[process.name].words)
                turns.append((row, _turn(process, workload, row)))
            if RUN in names:
                row = Row(RUN, "Hourglass, a whole run through launch.py")
                pace = turns[0][0].times[0] if turns else 1e4
                turns.insert(0, (row, _whole(name, workload, precision, flags, row, seconds, pace)))
            for floor, words, measure in floors(workload, precision):
                row = Row(floor, words)
                turns.append((row, lambda row=row, measure=measure: row.times.append(measure() * 1e6)))
            for row, _ in turns:
                row.times.clear()
            for number in range(rounds):
                for _, turn in turns:
                    turn()
                    time.sleep(REST)
                print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        finally:
            for process in processes:
                process.close()
    return [row for row, _ in turns]


def _turn(process: Process, workload: Workload, row: Row) -> Callable[[], None]:
    process.seconds(workload.check_epochs)
    row.loss = process.loss()
    once = process.seconds(1)
    row.times.append(once / workload.steps_per_epoch * 1e6)
    epochs = max(1, round(TURN_SECONDS / once))

    def turn() -> None:
        row.times.append(process.seconds(epochs) / epochs / workload.steps_per_epoch * 1e6)

    print(f"{process.name}: {row.times[0]:.0f} us a step, loss {row.loss:.5f}", file=sys.stderr, flush=True)
    return turn


def _whole(
    name: str, workload: Workload, precision: str, flags: Sequence[str], row: Row, seconds: float, pace: float
) -> Callable[[], None]:
    row.loss = run(name, workload.check_epochs * workload.steps_per_epoch, precision, flags).loss
    steps = max(50, int(seconds * 1e6 / pace))

    def turn() -> None:
        found = run(name, steps, precision, flags)
        row.times.append(found.seconds_per_step * 1e6)
        row.around.append(found.around)

    print(f"{RUN}: {steps} steps a run, loss {row.loss:.5f}", file=sys.stderr, flush=True)
    return turn


def unequal(rows: Sequence[Row]) -> list[Row]:
    """Those whose loss is so far above the others' that they cannot have done the same work."""
    known = [row for row in rows if row.loss is not None]
    usual = statistics.median(row.loss for row in known) if known else 0.0
    return [row for row in known if row.loss > usual * (1 + TOLERANCE)]


def table(rows: Sequence[Row]) -> str:
    """In Markdown, with ratios to the whole run and to the block alone."""
    named = {row.name: row for row in rows}
    bases = [named[name] for name in (RUN, "block") if name in named]
    head = ["", "us a step", *(f"x {base.name}" for base in bases), "loss", "not training"]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for row in rows:
        cells = [row.words, f"{row.median:,.0f}", *(f"{row.against(base):.2f}" for base in bases)]
        cells.append("" if row.loss is None else f"{row.loss:.5f}")
        cells.append(f"{statistics.median(row.around):.1%}" if row.around else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
