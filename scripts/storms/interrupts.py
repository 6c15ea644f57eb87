"""Interrupts real training processes at random moments, and compares the finished runs with an uninterrupted one.

`kills` sends SIGKILL. Half of the kills come at a random moment: a quarter of them before the first save of a start,
while event files are repaired and the step is compiled, the others between the first save and the end of the export.
The other half wait for a save to begin and strike up to 40 ms later, during the save or soon after it.

`signals` sends SIGTERM at random moments. The process must save, exit with 143, and lose no step.
"""

import dataclasses
import pathlib
import random as randoms
import re
import shutil
import signal
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from claims import Claim, failures
from processes import Child, ForkServer

from storms import digests, training
from storms.training import SECONDS_PER_START, Reference

AIMED_SHARE = 0.5  # of kills wait for a save
SECONDS_AFTER_SAVE = 0.040
SKIPPED_SAVES = 10  # at most, before an aimed kill, so that runs make progress
RUNS_PER_INTERRUPT = 3  # More runs mean that no interrupt comes in time.
EARLIER = 0.6
STOPPED = 128 + signal.SIGTERM
FINISHED = re.compile(r"^finished\s", re.MULTILINE)
STOPPED_AT = re.compile(r"^stopped at step ([\d,]+) of ", re.MULTILINE)


class Interrupt(NamedTuple):
    """A process that was interrupted."""

    seconds: float  # from the signal to the end
    early: bool  # True if its start had not yet saved
    in_save: bool  # True if it left an unfinished save on the disk
    step: int  # newest checkpoint afterwards


@dataclasses.dataclass
class Run:
    """A run, from its first start to its end or to its first failure.

    Attributes:
      path: run directory.
      interrupts: interrupts that came in time.
      late: interrupts that came after the last step.
      exiting: late interrupts that ended the process during the interpreter's exit, after it printed that it finished.
      problems: failures; empty if all is as it should be.
    """

    path: pathlib.Path
    interrupts: list[Interrupt] = dataclasses.field(default_factory=list)
    late: int = 0
    exiting: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def kills(count: int, folder: pathlib.Path, more: Sequence[str] = ()) -> Claim:
    """Kills training `count` times; every run must end with the bits of an uninterrupted one and no leftover files.

    The step of the end, the best step and its weights, and all of `result.json` but the time must be the same, too.
    `more` are further flags.
    """
    started = time.monotonic()
    runs = _interrupt_runs(signal.SIGKILL, count, folder, more)
    interrupts = [interrupt for run in runs for interrupt in run.interrupts]
    in_save = sum(kill.in_save for kill in interrupts)
    early = sum(kill.early and not kill.in_save for kill in interrupts)
    detail = (
        f"{len(runs)} runs; {in_save} kills during a save, {early} before the first save of"
        f" a start, {len(interrupts) - in_save - early} between saves;"
        f" {(time.monotonic() - started) / max(1, len(interrupts)):.1f} s per kill"
    )
    return _claim(
        f"killed (SIGKILL) at any moment, the same command{' with early stopping' * bool(more)} ends with the bits of"
        " a run never killed",
        runs,
        detail,
    )


def signals(count: int, folder: pathlib.Path) -> Claim:
    """Stops training `count` times with SIGTERM.

    A stop passes if the process exits with 143, its newest committed checkpoint is the step that it prints, the next
    start resumes there, and the run ends with the bits of an uninterrupted one.
    """
    runs = _interrupt_runs(signal.SIGTERM, count, folder)
    stops = [interrupt for run in runs for interrupt in run.interrupts]
    steps = [stop.step for stop in stops]
    detail = (
        f"signal to exit: {_times([stop.seconds for stop in stops if not stop.early])};"
        f" before the first save of a start: {_times([stop.seconds for stop in stops if stop.early])};"
        f" stopped at steps {min(steps, default=0):,} to {max(steps, default=0):,} of {training.STEPS:,};"
        f" {len(runs)} runs; {sum(run.late for run in runs)} more signals came after the last step,"
        f" {sum(run.exiting for run in runs)} of them during the interpreter's exit (the signal ended the process)"
    )
    return _claim(
        f"SIGTERM at any moment: saved, exit {STOPPED}, no step lost, and the result is the same", runs, detail
    )


def _claim(what: str, runs: list[Run], detail: str) -> Claim:
    tried = sum(len(run.interrupts) for run in runs)
    passed = sum(len(run.interrupts) for run in runs if not run.problems)
    failed = [f"{run.path.name}: {run.problems[0]}" for run in runs if run.problems]
    return Claim(what, passed, tried, f"{detail}{failures(failed)}", random=True)


def _times(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    return f"median {statistics.median(seconds):.2f} s, maximum {max(seconds):.2f} s of {len(seconds)}"


def _interrupt_runs(
    number: int, count: int, folder: pathlib.Path, more: Sequence[str] = (), seed: int = 0
) -> list[Run]:
    """Trains runs until `count` processes have been interrupted; deletes the runs that passed."""
    random, runs, interrupted = randoms.Random(seed), [], 0
    with ForkServer() as server:
        expected = aimed = training.reference(server, folder, more)
        while interrupted < count and len(runs) < RUNS_PER_INTERRUPT * count + 5:
            run = Run(folder / f"run-{len(runs) + 1:03}")
            _train(server, run, number, count - interrupted, random, aimed, more)
            run.problems = run.problems or training.result_problems(run.path, expected)
            interrupted += len(run.interrupts)
            runs.append(run)
            training.report(run.path, run.problems, f"{interrupted} of {count} interrupts")
            if not run.problems:
                shutil.rmtree(run.path)
            # If no signal came in time, the reference may have been slowed down by other processes: aim earlier.
            aimed = expected if run.interrupts else aimed.scaled(EARLIER)
    return runs


def _train(
    server: ForkServer,
    run: Run,
    number: int,
    count: int,
    random: randoms.Random,
    expected: Reference,
    more: Sequence[str],
) -> None:
    """Starts a run, and interrupts it at most `count` times, until it ends by itself."""
    while not run.problems:
        reached, sent, early = digests.newest_step(run.path), None, False
        child = training.start(server, run.path, more)
        if len(run.interrupts) < count and _wait(child, run.path, number, random, expected, reached):
            early = digests.newest_step(run.path) == reached
            if child.wait(0) is None:
                sent = time.monotonic()
                child.signal(number)
        code = child.wait(SECONDS_PER_START)
        ended = time.monotonic()
        run.problems += training.start_problems(child, reached)
        if code == 0 or (code == -signal.SIGTERM and FINISHED.search(child.printed())):
            run.late += sent is not None
            run.exiting += code != 0
            return
        newest = digests.newest_step(run.path)
        if sent is not None:
            run.interrupts.append(Interrupt(ended - sent, early, training.is_saving(run.path), newest))
        run.problems += _end_problems(child, number if sent else None, newest)
        child.kill()


def _end_problems(child: Child, number: int | None, newest: int) -> list[str]:
    """Returns what is wrong with the end of an unfinished process, which was sent the signal `number`."""
    if child.code is None:
        return ["the process hangs"]
    if number is None:
        return [f"ended with exit code {child.code} without a signal"]
    if child.code != (STOPPED if number == signal.SIGTERM else -number):
        return [f"ended with exit code {child.code} after signal {number}"]
    if number == signal.SIGTERM:
        match = STOPPED_AT.search(child.printed())
        if match is None or int(match[1].replace(",", "")) != newest:
            return [f"step {newest:,} is committed, but the process printed {match and match[0]!r}"]
    return []


def _wait(
    child: Child, run: pathlib.Path, number: int, random: randoms.Random, expected: Reference, reached: int
) -> bool:
    """Waits for the moment of an interrupt; returns False if the process ends, or hangs, before it trains."""
    if not child.wait_until(lambda: training.has_started(child, reached), SECONDS_PER_START):
        return False
    if number == signal.SIGKILL and random.random() < AIMED_SHARE:
        for _ in range(random.randint(1, 1 + int(SKIPPED_SAVES * (1 - reached / expected.result.step)))):
            child.wait_until(lambda: not training.is_saving(run), SECONDS_PER_START)
            child.wait_until(lambda: training.is_saving(run), SECONDS_PER_START)
        child.wait(random.uniform(0, SECONDS_AFTER_SAVE))
    else:
        training.wait_for_random_moment(child, run, random, expected, reached)
    return True
