"""Starts the same command twice at the same moment: one trains, the other is told who does, and exits with 5.

    python -m storms.locks 20

Real processes, not forks of a nursery: how long the second one takes from its start to its exit is part of the claim.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

from claims import Claim

from storms.kills import FLAGS, Subject, run_alone
from storms.nursery import ENVIRONMENT, ROOT

LOCKED = 5
SECONDS_TO_REFUSE = 2.0
SECONDS_TO_WAIT = 120.0
POLL = 0.002
STOPPED = 128 + signal.SIGTERM


@dataclasses.dataclass(frozen=True)
class Start:
    """A process.

    Attributes:
      process: itself.
      output: the file with what it writes to stdout and stderr.
      began: when it was started.
    """

    process: subprocess.Popen[bytes]
    output: pathlib.Path
    began: float

    def said(self) -> str:
        """What it has written so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")


@dataclasses.dataclass(frozen=True)
class Trial:
    """A double start.

    Attributes:
      seconds: from the start of the second process to its exit; nan where none was refused.
      complaints: what was not as claimed.
    """

    seconds: float
    complaints: list[str]


def storm(count: int, folder: pathlib.Path) -> Claim:
    """Starts training twice at the same moment, `count` times; exactly one trains, the other names it within 2 s."""
    trials = []
    for number in range(count):
        run = folder / f"run-{number + 1:03}"
        trials.append(_trial(run))
        if trials[-1].complaints:
            print(f"FAILED {run}: {'; '.join(trials[-1].complaints)}", file=sys.stderr, flush=True)
        else:
            shutil.rmtree(run)
    what = f"started twice at the same moment, one trains and the other exits {LOCKED} within 2 s, naming its owner"
    return Claim(what, sum(not trial.complaints for trial in trials), count, _detail(trials), random=True)


def _trial(run: pathlib.Path) -> Trial:
    """Two processes of one command; whatever comes of it, none is left running."""
    starts = [_start(run, name) for name in ("first", "second")]
    try:
        refused = _first_to_end(starts)
        if refused is None:
            return Trial(float("nan"), [f"none of them ended within {SECONDS_TO_WAIT:.0f} s"])
        seconds = time.monotonic() - refused.began
        owner = next(start for start in starts if start is not refused)
        return Trial(seconds, [*_of_refused(refused, owner, seconds), *_of_owner(owner)])
    finally:
        for start in starts:
            start.process.kill()
            start.process.wait()


def _start(run: pathlib.Path, name: str) -> Start:
    output = run.with_suffix(f".{name}.out")
    began = time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "launch.py"), *FLAGS, f"--run_dir={run}"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=run.parent,
            env={**os.environ, **ENVIRONMENT},
        )
    return Start(process, output, began)


def _first_to_end(starts: list[Start]) -> Start | None:
    until = time.monotonic() + SECONDS_TO_WAIT
    while time.monotonic() < until:
        for start in starts:
            if start.process.poll() is not None:
                return start
        time.sleep(POLL)
    return None


def _of_refused(refused: Start, owner: Start, seconds: float) -> list[str]:
    """What is wrong with how the second one was refused."""
    complaints = []
    if refused.process.returncode != LOCKED:
        complaints.append(f"one ended with {refused.process.returncode}: {refused.said()[-300:]}")
    if seconds > SECONDS_TO_REFUSE:
        complaints.append(f"it took {seconds:.2f} s")
    named = re.search(r"process (\d+) on (\S+)", refused.said())
    expected = (str(owner.process.pid), socket.gethostname())
    if named is None or named.groups() != expected:
        complaints.append(f"it does not name process {expected[0]} on {expected[1]}: {refused.said()[-300:]}")
    return complaints


def _of_owner(owner: Start) -> list[str]:
    """What is wrong with the one that trains: it must come to train, and stop when it is told to."""
    until = time.monotonic() + SECONDS_TO_WAIT
    while not Subject.begun.search(owner.said()):
        if owner.process.poll() is not None or time.monotonic() > until:
            return [f"the other does not train either (exit code {owner.process.poll()}): {owner.said()[-300:]}"]
        time.sleep(POLL)
    owner.process.send_signal(signal.SIGTERM)
    try:
        code = owner.process.wait(SECONDS_TO_WAIT)
    except subprocess.TimeoutExpired:
        return ["the owner does not stop"]
    return [] if code == STOPPED else [f"the owner ended with {code} after SIGTERM: {owner.said()[-300:]}"]


def _detail(trials: list[Trial]) -> str:
    seconds = [trial.seconds for trial in trials if trial.seconds == trial.seconds]  # not nan
    failed = [complaint for trial in trials for complaint in trial.complaints]
    failures = f"; failed: {'; '.join(failed[:3])}" if failed else ""
    if not seconds:
        return f"none was refused{failures}"
    times = f"median {statistics.median(seconds):.2f} s, maximum {max(seconds):.2f} s"
    return f"start to refusal: {times}, both starting on {len(os.sched_getaffinity(0))} cores{failures}"


def main() -> int:
    """Twenty double starts, or as many as are given."""
    return run_alone(lambda count, folder: [storm(count, folder)], 20)


if __name__ == "__main__":
    sys.exit(main())
