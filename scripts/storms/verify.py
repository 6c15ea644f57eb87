"""Proves, for the flags of one's own, that a run that is killed ends with the bytes of one that is not.

    scripts/verify_resume --dataset=mnist --hidden=256,128,32 --steps=5000

Trains twice: once through, and once killed (SIGKILL), several times, at a random moment after a new checkpoint, and
started again. Prints the digests of both; exits with 0 if they are the same, else with 1, naming what differs.
"""

import contextlib
import dataclasses
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from storms import digests

ROOT = pathlib.Path(__file__).resolve().parents[2]
KILLS = 3
EVERY = 0.01  # seconds between looks at what a process has done


def main(flags: list[str]) -> int:
    """Trains twice with these flags and compares."""
    with tempfile.TemporaryDirectory(prefix="verify-resume-") as temporary:
        folder = pathlib.Path(temporary)
        whole, parts = folder / "whole", folder / "parts"
        seconds = _finish(whole, flags)
        print(f"trained through; {seconds:.1f} s from the first checkpoint to the last")
        struck = _killed_now_and_then(parts, flags, seconds)
        expected, found = digests.read(whole), digests.read(parts)
    for title, result in (("through", expected), (f"{struck} kills", found)):
        for name, value in dataclasses.asdict(digests.digest(result)).items():
            print(f"{title:12}{name:12}{value}")
    differences = digests.differences(found, expected)
    print("\n".join(differences) or "the same to the bit: weights, optimizer, step, scalars, pictures, histograms")
    if not struck:
        print("but no kill struck: give more --steps")
    return 0 if struck and not differences else 1


def _finish(run: pathlib.Path, flags: list[str]) -> float:
    """Trains to the end; returns the seconds from its first checkpoint to its last."""
    process, times, step = _start(run, flags), [time.monotonic()], 0
    while process.poll() is None:
        _wait_until(lambda: digests.newest_step(run) > step, process)  # noqa: B023 - it is asked before it changes
        if digests.newest_step(run) > step:
            step = digests.newest_step(run)
            times.append(time.monotonic())
    _ended(run, process)
    return times[-1] - times[min(1, len(times) - 1)]


def _killed_now_and_then(run: pathlib.Path, flags: list[str], seconds: float) -> int:
    """Trains to the end, with kills on the way; returns how many struck."""
    draw, struck = random.Random(time.time_ns()), 0
    for _ in range(KILLS):
        before, process = digests.newest_step(run), _start(run, flags)
        _wait_until(lambda before=before: digests.newest_step(run) > before, process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0, seconds / (KILLS + 1)))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        struck += 1
        print(f"killed; the newest checkpoint is of step {digests.newest_step(run):,}")
    _ended(run, _start(run, flags))
    return struck


def _start(run: pathlib.Path, flags: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "launch.py"), *flags, f"--run_dir={run}", "--tensorboard=false"]
    with open(run.with_suffix(".txt"), "ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def _wait_until(is_so: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not is_so():
        time.sleep(EVERY)


def _ended(run: pathlib.Path, process: subprocess.Popen[bytes]) -> None:
    code = process.wait()
    if code != 0:
        said = run.with_suffix(".txt").read_text(encoding="utf-8", errors="replace").splitlines()
        sys.exit("\n".join([*said[-5:], f"training ended with exit code {code}"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
