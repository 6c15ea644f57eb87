"""Runs Hourglass with random flags, random data, and broken and malicious files; prints how many trials passed.

    scripts/fuzz               everything: an hour on two cores
    scripts/fuzz --short       a few trials of each: half a minute
    scripts/fuzz files malice  only these
    scripts/fuzz files --first=52 --count=1   repeats a trial by its number

Exits with 1 if a claim does not hold.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

import claims
from claims import Claim, failures

from hostile import malice, mutants, paths, reading, uses, vectors, workers
from hostile.workers import Tally, Trial

SECONDS_BETWEEN_LINES = 30.0
MAX_BYTES = 1_500_000_000
MAX_LISTED = 5
MEMORY = pathlib.Path("/dev/shm")  # Disks are slow and wear out.


def _flags(count: int, first: int) -> list[Claim]:
    tally = _run("flags", vectors.make, count, first)
    return [
        _claim("random flags, checked without TensorFlow: no traceback, a documented exit code", tally, _counts(tally))
    ]


def _files(count: int, first: int) -> list[Claim]:
    tally = _run("files", mutants.make, count, first)
    readable = sum(number for kind, number in tally.kinds.items() if kind.endswith("exit 0"))
    longest, number = tally.longest
    detail = f"{readable:,} were readable; the longest {longest:.1f} s (number {number})"
    megabytes = f"{tally.memory / 1e6:,.0f} MB"
    return [
        _claim("broken files: no traceback, no abort, an answer within 10 s", tally, f"{detail}, at most {megabytes}"),
        Claim("memory under 1.5 GB", int(tally.memory < MAX_BYTES), 1, megabytes),
    ]


def _data(count: int, first: int) -> list[Claim]:
    tally = _run("data", reading.make, count, first)
    equal, warned = (
        sum(number for kind, number in tally.kinds.items() if kind.endswith(end))
        for end in (reading.EQUAL, reading.WARNED)
    )
    return [
        _claim("data of known content: loaded as they are, refused, or the guess is noted", tally, _counts(tally)),
        Claim(
            "rightly read data: no false warning on 99 %",
            int(warned * 100 < equal),
            1,
            f"{warned:,} of {equal + warned:,} have one",
        ),
    ]


def _trained(count: int, first: int) -> list[Claim]:
    tally = _run("trained", reading.make_trained, count, first, seconds=60.0)
    return [_claim("likewise, and errors of trained runs are those that NumPy computes", tally, _counts(tally))]


def _scored(count: int, first: int) -> list[Claim]:
    tally = _run("scored", uses.make_scored, count, first)
    return [
        _claim("broken tables that are scored: a line out for a line in, or a documented error", tally, _counts(tally))
    ]


def _indexes(count: int, first: int) -> list[Claim]:
    tally = _run("indexes", uses.make_indexes, count, first, seconds=60.0)
    return [_claim("broken indexes of checkpoints: arrays of the file's size, or an error", tally, _counts(tally))]


def _counts(tally: Tally) -> str:
    return ", ".join(f"{kind} {number:,}" for kind, number in sorted(tally.kinds.items()))


def _claim(what: str, tally: Tally, detail: str) -> Claim:
    failed = failures([f"{number}: {problem}" for number, problem in tally.problems], MAX_LISTED)
    return Claim(what, tally.tried - tally.failed, tally.tried, f"{detail}{failed}", random=True)


def _run(name: str, make: Callable[[], Trial], count: int, first: int, seconds: float = 10.0) -> Tally:
    printed = time.monotonic()

    def progress(tally: Tally) -> None:
        nonlocal printed
        if time.monotonic() - printed > SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            print(f"{name}: {tally.tried:,} of {count:,}, {tally.failed:,} failed", flush=True)

    return workers.run(make, count, first=first, seconds=seconds, progress=progress)


def _suite(
    run_trials: Callable[[int, int], list[Claim]], full: int, short: int
) -> Callable[[pathlib.Path, argparse.Namespace], list[Claim]]:
    """Returns a suite with these numbers of trials, which puts its temporary files into the suite's folder."""

    def suite(folder: pathlib.Path, options: argparse.Namespace) -> list[Claim]:
        os.environ["TMPDIR"], tempfile.tempdir = str(folder), None
        try:
            return run_trials(options.count or (short if options.short else full), options.first)
        finally:
            del os.environ["TMPDIR"]
            tempfile.tempdir = None

    return suite


SUITES = {
    "paths": _suite(lambda count, first: [paths.run_trials(count)], 20, 2),  # First: it measures time.
    "malice": _suite(lambda count, first: malice.run_trials(count), 1_000, 25),
    "files": _suite(_files, 100_000, 2_000),
    "data": _suite(_data, 20_000, 300),
    "trained": _suite(_trained, 800, 6),
    "scored": _suite(_scored, 20_000, 300),
    "indexes": _suite(_indexes, 10_000, 300),
    "flags": _suite(_flags, 1_000_000, 4_000),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=None, help="number of trials of each")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial of files or flags")
    options = claims.parse(parser, SUITES, str(MEMORY) if MEMORY.is_dir() else None)
    sys.exit(claims.run(SUITES, options, keep=False))
