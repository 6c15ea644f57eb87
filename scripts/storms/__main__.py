"""Tests what Hourglass promises about checkpoints, and prints how many trials of each claim passed.

    scripts/torture               everything: more than an hour on two cores
    scripts/torture --short       a few trials of each: some minutes
    scripts/torture kills power   only these

Exits with 1 if a claim does not hold.
"""

import argparse
import os
import pathlib
import shutil
import sys

from processes import CPU, ForkServer

os.environ.update(CPU)  # Bit-identical results are promised on CPUs.

import claims
from claims import Claim

from storms import damage, environments, interrupts, locks, matrix, powerloss, syscalls, training


def _saves(folder: pathlib.Path, options: argparse.Namespace) -> list[Claim]:
    limit = 6 if options.short else None
    with ForkServer() as server:
        return [*syscalls.kills(server, limit), *syscalls.errors(server, limit)]


def _power(folder: pathlib.Path, options: argparse.Namespace) -> list[Claim]:
    with ForkServer() as server:
        return powerloss.run_trials(server, 100 if options.short else 2_000, restores=2 if options.short else 20)


def _matrix(folder: pathlib.Path, options: argparse.Namespace) -> list[Claim]:
    return matrix.run_trials(folder, matrix.cases(2 if options.short else None, options.piece))


def _damage(folder: pathlib.Path, options: argparse.Namespace) -> list[Claim]:
    return damage.run_trials(folder, **({"flips": 100, "runs": 1, "exhaustive": False} if options.short else {}))


def _environments(folder: pathlib.Path, options: argparse.Namespace) -> list[Claim]:
    return [environments.run_trials(folder, environments.cases()[:: 17 if options.short else 1])]


SUITES = {
    "kills": lambda folder, options: [interrupts.kills(6 if options.short else 200, folder)],
    "stopping": lambda folder, options: [interrupts.kills(4 if options.short else 50, folder, training.EARLY_STOPPING)],
    "signals": lambda folder, options: [interrupts.signals(4 if options.short else 100, folder)],
    "matrix": _matrix,
    "locks": lambda folder, options: [locks.run_trials(2 if options.short else 20, folder)],
    "saves": _saves,
    "power": _power,
    "damage": _damage,
    "environments": _environments,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--piece", default="1/1", metavar="K/N", help="of matrix, only every N-th trial, from the K-th")
    options = claims.parse(parser, SUITES)
    if not shutil.which("strace") and {"saves", "power"} & set(options.suites):
        parser.error("saves and power need strace: on Debian and Ubuntu, apt install strace")
    sys.exit(claims.run(SUITES, options))
