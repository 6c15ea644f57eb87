"""Tortures checkpoints in every way there is a storm for, and prints what held, of how many trials.

    scripts/torture             all of it, in full: more than an hour on two cores
    scripts/torture --short     a few trials of each: some minutes
    scripts/torture kills cost  only these

Exits with 1 if anything did not hold.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # What is claimed to the bit is claimed of a CPU.

from claims import Claim, table

from storms import cost, damage, kills, locks, matrix, powerloss, signals, syscalls
from storms.saver import Savers

Storm = Callable[[pathlib.Path, bool], list[Claim]]


def _saves(folder: pathlib.Path, short: bool) -> list[Claim]:
    limit = 6 if short else None
    with Savers() as savers:
        return [*syscalls.kills(savers, limit), *syscalls.errors(savers, limit=limit)]


def _power(folder: pathlib.Path, short: bool) -> list[Claim]:
    with Savers() as savers:
        return powerloss.power_losses(savers, 100 if short else 2_000, restores=2 if short else 20)


def _damage(folder: pathlib.Path, short: bool) -> list[Claim]:
    return damage.storm(folder, flips=100, trained=1, exhaustive=False) if short else damage.storm(folder)


def _cost(folder: pathlib.Path, short: bool) -> list[Claim]:
    return cost.storm(folder, count=20, steps=3_000, rounds=3) if short else cost.storm(folder)


STORMS: dict[str, Storm] = {
    "cost": _cost,  # First, while the disk is not yet busy: it measures time.
    "kills": lambda folder, short: [kills.storm(6 if short else 200, folder)],
    "signals": lambda folder, short: [signals.storm(4 if short else 100, folder)],
    "matrix": lambda folder, short: matrix.storm(folder, matrix.cases(2 if short else None)),
    "locks": lambda folder, short: [locks.storm(2 if short else 20, folder)],
    "saves": _saves,
    "power": _power,
    "damage": _damage,
    "controls": lambda folder, short: kills.controls(3 if short else 20, folder),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__.splitlines()[0])
    parser.add_argument("storms", nargs="*", metavar="STORM", help=f"of {', '.join(STORMS)}; all without")
    parser.add_argument("--short", action="store_true", help="a few trials of each")
    parser.add_argument("--dir", default=None, help="where runs are made and, of trials that fail, kept")
    arguments = parser.parse_args()
    unknown = set(arguments.storms) - set(STORMS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(STORMS)}")
    if not shutil.which("strace") and {"saves", "power"} & set(arguments.storms or STORMS):
        parser.error("saves and power need strace: on Debian and Ubuntu, apt install strace")
    claims = []
    for name in arguments.storms or STORMS:
        claims += _weather(name, arguments.short, arguments.dir)
    print(f"\n{table(claims)}")
    return 0 if all(claim.holds for claim in claims if not claim.control) else 1


def _weather(name: str, short: bool, folder: str | None) -> list[Claim]:
    """One storm, with its time; what it leaves behind is kept where something did not hold."""
    began = time.monotonic()
    place = pathlib.Path(tempfile.mkdtemp(prefix=f"hourglass-{name}-", dir=folder))
    claims = STORMS[name](place, short)
    print(f"\n{name}: {time.monotonic() - began:,.0f} s\n{table(claims)}", flush=True)
    if all(claim.holds for claim in claims if not claim.control):
        shutil.rmtree(place)
    else:
        print(f"kept: {place}")
    return claims


if __name__ == "__main__":
    sys.exit(main())
