"""Reads malicious data, each item in a new process, and checks what the process runs, writes, prints and allocates."""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import NamedTuple

import measure
import processes
from claims import Claim, failures

from hostile import payloads
from hostile.crafted import saved
from hostile.harms import Harm, everything
from hostile.launched import is_error

SECONDS, BYTES = 1.0, 1_500_000_000
SECONDS_TO_HANG = 30.0
MAX_LISTED = 5


class Reading(NamedTuple):
    """The effects of reading malicious data."""

    executed: bool
    written: str  # a changed file outside of the data
    wrong: str  # the exit code or message, if wrong
    seconds: float
    peak_bytes: int


def run_trials(limit: int | None = None) -> list[Claim]:
    """Reads all malicious data, or about `limit` items, evenly spread."""
    harms = everything()
    if limit is not None:
        harms = harms[:: max(1, len(harms) // limit)]
    readings = {harm.name: read(harm) for harm in harms}
    seconds = [reading.seconds for reading in readings.values()]
    megabytes = max(reading.peak_bytes for reading in readings.values()) / 1e6

    def claim(what: str, problems: Mapping[str, str], detail: str = "") -> Claim:
        failed = {name: problem for name, problem in problems.items() if problem}
        listed = failures([f"{name}: {problem}" for name, problem in failed.items()], MAX_LISTED)
        return Claim(what, len(readings) - len(failed), len(readings), f"{detail}{listed}".removeprefix("; "))

    return [
        claim("malicious data: nothing executed", {n: "executed" * r.executed for n, r in readings.items()}),
        claim("nothing written outside", {n: r.written for n, r in readings.items()}),
        claim("rejected with exit code 2 in three lines, or skipped", {n: r.wrong for n, r in readings.items()}),
        claim(
            "memory under 1.5 GB",
            {n: f"{r.peak_bytes / 1e9:.2f} GB" * (r.peak_bytes > BYTES) for n, r in readings.items()},
            f"at most {megabytes:,.0f} MB",
        ),
        claim(
            "within 1 s, start of Python included",
            {n: f"{r.seconds:.2f} s" * (r.seconds > SECONDS) for n, r in readings.items()},
            f"median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
        ),
        _control(limit),
    ]


def _control(limit: int | None) -> Claim:
    """Checks that the pickles act when they are loaded without protection."""
    ran = []
    with tempfile.TemporaryDirectory() as root:
        outside = pathlib.Path(root) / "outside"
        for name in list(_prepare(outside))[:limit]:
            program = _prepare(outside)[name]
            before = _contents(outside)
            command = [sys.executable, "-c", "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"]
            subprocess.run(command, input=program, capture_output=True, check=False)
            ran.append(_contents(outside) != before)
    return Claim("control: pickle.loads runs those pickles", sum(ran), len(ran))


def _prepare(outside: pathlib.Path) -> dict[str, bytes]:
    """Makes a new folder outside of the data; returns the pickles that change it."""
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir(parents=True)
    (outside / "sentinel").write_text("as it was")
    (outside / "secret.png").write_bytes(saved("PNG"))
    return payloads.programs(outside)


def read(harm: Harm) -> Reading:
    """Reads malicious data in a new process."""
    with tempfile.TemporaryDirectory(prefix="hourglass-malice-") as name:
        root = pathlib.Path(name)
        for folder in ("data", "work", "home"):
            (root / folder).mkdir()
        _prepare(root / "outside")
        flags = harm.place(root / "data", root / "outside")
        before = _contents(root / "outside")
        program = ["-c", harm.program] if harm.program else ["-m", "launch"]
        home = str(root / "home")
        done = measure.run(
            [sys.executable, *program, "--mode=inspect", *flags],
            folder=root / "work",
            environment={**os.environ, "HOME": home, "KERAS_HOME": home, "PYTHONPATH": str(processes.ROOT)},
            seconds=SECONDS_TO_HANG,
        )
        after = _contents(root / "outside")
        changed = [f"{name} differs" for name, _ in sorted(set(before.items()) ^ set(after.items()))]
        changed += [f"{path.name} is new" for path in (root / "work").iterdir()]
        shutil.rmtree(root / "data", onerror=lambda remove, path, error: None)
    wrong = _wrong(harm, done.code, done.out, done.err)
    return Reading(payloads.MARK in after, next(iter(changed), ""), wrong, done.seconds, done.peak_bytes)


def _wrong(harm: Harm, code: int, out: str, err: str) -> str:
    if "\x1b" in out + err:
        return f"escape sequences: {(out + err)[-300:]!r}"
    if harm.is_skipped:
        return f"exit {code}: {err[-300:]}" if code or err.splitlines() else ""
    return "" if code == 2 and is_error(err) else f"exit {code}: {err[-300:]}"


def _contents(folder: pathlib.Path) -> dict[str, str]:
    """Returns the mode and the content of every path in a folder."""
    return {
        str(path.relative_to(folder)): f"{path.lstat().st_mode} {path.read_bytes() if path.is_file() else ''}"
        for path in folder.rglob("*")
    }
