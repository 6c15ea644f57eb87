"""Stops a real training process with SIGTERM at random moments: it must save, say so, exit 143, and lose no step.

python -m storms.signals 100
"""

import dataclasses
import pathlib
import random as randoms
import re
import shutil
import signal
import statistics
import sys
import time

from claims import Claim

from storms import digests
from storms.kills import SECONDS_A_START, STEPS, Reference, Subject, reference, run_alone, wait_for_any_moment
from storms.nursery import Child, Nursery

STOPPED = 128 + signal.SIGTERM
FINISHED = re.compile(r"^finished\s", re.MULTILINE)
SAID = re.compile(r"^stopped at step ([\d,]+) of ", re.MULTILINE)
SOONER = 0.6
RUNS_A_SIGNAL = 3  # with more runs than that, signals never come in time


@dataclasses.dataclass
class Tally:
    """What became of the signals so far.

    Attributes:
      stops: seconds from each signal to the end of its process.
      early: whether each came before its start's first save: while the step was compiled, mostly.
      steps: that the process had done when it stopped.
      late: signals that came when the last step was done; the run must be finished all the same.
      exiting: those of them that ended the process itself, which had said that it is finished, on its way out.
      runs: run directories that were begun.
      failures: in words.
      failed: signals after which something was not as claimed.
    """

    stops: list[float] = dataclasses.field(default_factory=list)
    early: list[bool] = dataclasses.field(default_factory=list)
    steps: list[int] = dataclasses.field(default_factory=list)
    late: int = 0
    exiting: int = 0
    runs: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    failed: int = 0


def storm(count: int, folder: pathlib.Path, *, seed: int = 0) -> Claim:
    """Stops training `count` times at random moments; no step is lost, and runs end with the bits of one never stopped.

    A signal counts as passed if its process exits with 143, its newest committed checkpoint is of the step it names,
    the next start goes on from there, and its run ends as the reference.
    """
    random, tally, subject = randoms.Random(seed), Tally(), Subject()
    with Nursery() as nursery:
        expected = aimed = reference(nursery, subject, folder)
        while len(tally.stops) < count and tally.runs < RUNS_A_SIGNAL * count + 5:
            tally.runs += 1
            run = folder / f"run-{tally.runs:03}"
            before = len(tally.stops)
            _live(nursery, subject, run, aimed, random, tally, count)
            # Where none came in time, the reference may have run while others had the cores: sooner, until one does.
            aimed = expected if len(tally.stops) > before else aimed.sooner(SOONER)
            print(f"signals: {run.name}; {len(tally.stops)} of {count} signals", file=sys.stderr, flush=True)
    what = f"SIGTERM at any moment of training: saved, exit {STOPPED}, no step lost, and the result is the same"
    return Claim(what, len(tally.stops) - tally.failed, len(tally.stops), _detail(tally), random=True)


def _live(
    nursery: Nursery,
    subject: Subject,
    run: pathlib.Path,
    expected: Reference,
    random: randoms.Random,
    tally: Tally,
    count: int,
) -> None:
    """One run, stopped at random moments until it ends by itself; its failures are added to the tally."""
    first, complaints, code = len(tally.stops), [], STOPPED
    while code == STOPPED and not complaints:
        reached = digests.newest_step(run)
        child = nursery.start(subject.arguments(run), run.with_suffix(".out"), folder=run.parent)
        sent, early = None, False
        if len(tally.stops) < count:
            _wait(nursery, subject, child, run, expected, random, reached)
            early = digests.newest_step(run) == reached
            sent = _stop(nursery, child)
        code = nursery.wait(child, SECONDS_A_START)
        ended = time.monotonic()
        complaints += subject.complaints_of_start(reached, child)
        if code == 0 or (code == -signal.SIGTERM and FINISHED.search(child.said())):
            tally.late += sent is not None
            tally.exiting += code != 0
        elif sent is not None:
            tally.stops.append(ended - sent)
            tally.early.append(early)
            tally.steps.append(digests.newest_step(run))
            complaints += _complaints(run, child, code)
        else:
            complaints.append(f"ended with {code} though nobody stopped it")
    if code is None:
        nursery.signal(child, signal.SIGKILL)
    complaints = complaints or subject.complaints(run, expected.result)
    _close(run, child, complaints, tally, first)


def _wait(
    nursery: Nursery,
    subject: Subject,
    child: Child,
    run: pathlib.Path,
    expected: Reference,
    random: randoms.Random,
    reached: int,
) -> None:
    """Waits for a random moment after training has begun."""
    if nursery.wait_until(child, lambda: subject.has_begun(child, reached), SECONDS_A_START):
        wait_for_any_moment(nursery, child, subject, run, random, expected, reached)


def _stop(nursery: Nursery, child: Child) -> float | None:
    """Sends SIGTERM; when it was sent, or None where the process had ended before."""
    if nursery.wait(child, 0) is not None:
        return None
    sent = time.monotonic()
    nursery.signal(child, signal.SIGTERM)
    return sent


def _complaints(run: pathlib.Path, child: Child, code: int | None) -> list[str]:
    """What is not as it should be after a stop."""
    said, newest = SAID.search(child.said()), digests.newest_step(run)
    complaints = [] if code == STOPPED else [f"ended with {code} after SIGTERM"]
    if said is None:
        return [*complaints, "does not say at which step it stopped"]
    step = int(said[1].replace(",", ""))
    return complaints if step == newest else [*complaints, f"says step {step:,}, but {newest:,} is committed"]


def _close(run: pathlib.Path, child: Child, complaints: list[str], tally: Tally, first: int) -> None:
    """Counts a run's signals as failed if anything was wrong with it, and keeps it then."""
    if not complaints:
        shutil.rmtree(run)
        return
    tally.failed += len(tally.stops) - first
    tally.failures.append(f"{run.name}: {complaints[0]}")
    print(f"FAILED {run}\n", *(f"  {line}\n" for line in complaints), child.said(), file=sys.stderr, flush=True)


def _detail(tally: Tally) -> str:
    if not tally.stops:
        return f"no signal came in time; {'; '.join(tally.failures)}"
    failures = f"; failed: {'; '.join(tally.failures[:3])}" if tally.failures else ""
    early = [seconds for seconds, is_early in zip(tally.stops, tally.early, strict=True) if is_early]
    later = [seconds for seconds, is_early in zip(tally.stops, tally.early, strict=True) if not is_early]
    return (
        f"signal to exit: {_times(later)}; before the start's first save: {_times(early)};"
        f" stopped at steps {min(tally.steps):,} to {max(tally.steps):,} of {STEPS:,}; {tally.runs} runs;"
        f" {tally.late} signals more came after the last step, {tally.exiting} of them in the interpreter's exit"
        f" (process ended by the signal){failures}"
    )


def _times(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    return f"median {statistics.median(seconds):.2f} s, maximum {max(seconds):.2f} s of {len(seconds)}"


def main() -> int:
    """A hundred signals, or as many as are given."""
    return run_alone(lambda count, folder: [storm(count, folder)], 100)


if __name__ == "__main__":
    sys.exit(main())
