"""Throws at Hourglass what is broken or means harm, and prints what held, of how many trials.

    scripts/fuzz               all of it, in full: three quarters of an hour on two cores
    scripts/fuzz --short       a few trials of each: half a minute
    scripts/fuzz files malice  only these
    scripts/fuzz files --first=52 --count=1   one trial again, by its number

Exits with 1 if anything did not hold.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from claims import Claim, table

from hostile import malice, mutants, paths, vectors, workers
from hostile.workers import Tally, Trial

SECONDS_BETWEEN_LINES = 30.0
MAX_BYTES = 1_500_000_000


def _flags(count: int, first: int) -> list[Claim]:
    tally = _many("flags", vectors.make, count, first)
    ways = ", ".join(f"{kind} {number:,}" for kind, number in sorted(tally.kinds.items()))
    what = "flags drawn at random, checked without TensorFlow: no traceback, a documented exit code"
    return [_claim(what, tally, ways)]


def _files(count: int, first: int) -> list[Claim]:
    tally = _many("files", mutants.make, count, first)
    sound = sum(number for kind, number in tally.kinds.items() if kind.endswith("exit 0"))
    detail = f"{sound:,} could be read all the same; the longest {tally.longest[0]:.1f} s (number {tally.longest[1]})"
    detail += f", {tally.memory / 1e6:,.0f} MB at most"
    return [
        _claim("broken files: no traceback, no abort, no answer after 10 s", tally, detail),
        Claim("memory under 1.5 GB", int(tally.memory < MAX_BYTES), 1, f"{tally.memory / 1e6:,.0f} MB"),
    ]


def _claim(what: str, tally: Tally, detail: str) -> Claim:
    failures = "; ".join(f"{number}: {words}" for number, words in tally.wrong[:5])
    return Claim(what, tally.tried - tally.num_wrong, tally.tried, failures or detail, random=True)


def _many(name: str, make: Callable[[int], Trial], count: int, first: int) -> Tally:
    said = time.monotonic()

    def say(tally: Tally) -> None:
        nonlocal said
        if time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print(f"{name}: {tally.tried:,} of {count:,}, {tally.num_wrong:,} went wrong", flush=True)

    return workers.run(make, count, first=first, say=say)


# Each with how many trials it has, in full and in short.
SUITES: dict[str, tuple[Callable[[int, int], list[Claim]], int, int]] = {
    "paths": (lambda count, first: [paths.storm(count)], 20, 2),  # First, while nothing else is busy: it measures time.
    "malice": (lambda count, first: malice.storm(count), 1_000, 25),
    "files": (_files, 100_000, 2_000),
    "flags": (_flags, 1_000_000, 4_000),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all without")
    parser.add_argument("--short", action="store_true", help="a few trials of each")
    parser.add_argument("--count", type=int, default=None, help="trials of each")
    parser.add_argument("--first", type=int, default=0, help="the number of the first of files or flags")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(SUITES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    claims = []
    for name in arguments.suites or SUITES:
        suite, full, short = SUITES[name]
        began = time.monotonic()
        with _place():
            found = suite(arguments.count or (short if arguments.short else full), arguments.first)
        print(f"\n{name}: {time.monotonic() - began:,.0f} s\n{table(found)}", flush=True)
        claims += found
    print(f"\n{table(claims)}")
    return 0 if all(claim.holds for claim in claims if not claim.control) else 1


@contextlib.contextmanager
def _place() -> Iterator[None]:
    """A folder for what is made; in memory where there is such a place, for disks are slow and wear out."""
    memory = pathlib.Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="hourglass-fuzz-", dir=memory if memory.is_dir() else None)
    os.environ["TMPDIR"], tempfile.tempdir = folder, None
    try:
        yield
    finally:
        del os.environ["TMPDIR"]
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
