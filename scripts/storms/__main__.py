"""Tortures checkpoints in every way there is a storm for, and prints what held, of how many trials.

    scripts/torture             all of it, in full: more than an hour on two cores
    scripts/torture --short     a few trials of each: some minutes
    scripts/torture kills cost  only these

Exits with 1 if anything did not hold.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # What is claimed to the bit is claimed of a CPU.

from storms import cost
from storms.claims import Claim, table

Storm = Callable[[pathlib.Path, bool], list[Claim]]

STORMS: dict[str, Storm] = {
    # First what measures time: afterwards the machine may be warm, and its disk busy.
    "cost": lambda folder, short: cost.storm(folder, count=20, steps=3_000, rounds=3) if short else cost.storm(folder),
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
    return claims


if __name__ == "__main__":
    sys.exit(main())
