"""Starts the same command twice at the same moment: one process trains, the other names it and exits with 5.

The processes are not forked: the time from the start of the second one to its exit is part of the claim.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import sys
import time

from claims import Claim, failures
from processes import CPU, LAUNCH, SECONDS_BETWEEN_CHECKS, Child, spawn

from storms import training

LOCKED = 5
SECONDS_TO_REFUSE = 2.0
SECONDS_TO_WAIT = 120.0
STOPPED = 128 + signal.SIGTERM


def run_trials(count: int, folder: pathlib.Path) -> Claim:
    """Starts training twice at the same moment, `count` times."""
    times, failed = [], []
    for number in range(count):
        run = folder / f"run-{number + 1:03}"
        seconds, problems = _trial(run)
        times += [seconds] if seconds is not None else []
        if problems:
            failed.append(f"{run.name}: {'; '.join(problems)}")
            print(f"FAILED {run}: {'; '.join(problems)}", file=sys.stderr, flush=True)
        else:
            shutil.rmtree(run)
    detail = "none was refused"
    if times:
        cores = len(os.sched_getaffinity(0))
        detail = f"start to refusal: median {statistics.median(times):.2f} s, maximum {max(times):.2f} s, {cores} cores"
    claim = f"started twice at the same moment, one trains and the other exits {LOCKED} within 2 s, naming its owner"
    return Claim(claim, count - len(failed), count, f"{detail}{failures(failed)}", random=True)


def _trial(run: pathlib.Path) -> tuple[float | None, list[str]]:
    """Returns the seconds from the start of the refused process to its exit, and deviations from the claim."""
    command = [*LAUNCH, *training.command_line(run)]
    children = [spawn(command, run.with_suffix(f".{n}.out"), {**os.environ, **CPU}) for n in ("first", "second")]
    try:
        deadline = time.monotonic() + SECONDS_TO_WAIT
        while all(child.wait(SECONDS_BETWEEN_CHECKS) is None for child in children):
            if time.monotonic() > deadline:
                return None, [f"neither process ended within {SECONDS_TO_WAIT:.0f} s"]
        now = time.monotonic()
        refused, owner = sorted(children, key=lambda child: child.code is None)
        seconds = now - refused.started
        return seconds, [*_refusal_problems(refused, owner, seconds), *_owner_problems(owner)]
    finally:
        for child in children:
            child.kill()


def _refusal_problems(refused: Child, owner: Child, seconds: float) -> list[str]:
    problems = []
    if refused.code != LOCKED:
        problems.append(f"one process ended with exit code {refused.code}: {refused.printed()[-300:]}")
    if seconds > SECONDS_TO_REFUSE:
        problems.append(f"the refusal took {seconds:.2f} s")
    named = re.search(r"process (\d+) on (\S+)", refused.printed())
    expected = (str(owner.pid), socket.gethostname())
    if named is None or named.groups() != expected:
        problems.append(f"process {expected[0]} on {expected[1]} is not named: {refused.printed()[-300:]}")
    return problems


def _owner_problems(owner: Child) -> list[str]:
    """Returns what is wrong with the other process, which must start training, and stop on SIGTERM."""
    if not owner.wait_until(lambda: training.has_started(owner, 0), SECONDS_TO_WAIT):
        return [f"the other does not train either (exit code {owner.code}): {owner.printed()[-300:]}"]
    owner.signal(signal.SIGTERM)
    code = owner.wait(SECONDS_TO_WAIT)
    if code is None:
        return ["the owner does not stop"]
    return [] if code == STOPPED else [f"the owner ended with exit code {code} after SIGTERM: {owner.printed()[-300:]}"]
