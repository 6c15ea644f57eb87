"""Checks, for given training flags, that a run that is killed and resumed ends with the bits of an uninterrupted one.

    scripts/verify_resume --dataset=mnist --hidden=256,128,32 --steps=5000

Trains once without interruption, and once with several kills (SIGKILL), each at a random moment after a new checkpoint.
Prints the digests of both results. Exits with 0 if they are the same, otherwise with 1 after listing the differences.
"""

import os
import pathlib
import random
import sys
import tempfile
import time

from processes import LAUNCH, Child, spawn

from storms import digests

KILLS = 3
UNLIMITED = 1e6  # seconds


def main(flags: list[str]) -> int:
    """Trains twice with these flags and compares the results."""
    with tempfile.TemporaryDirectory(prefix="verify-resume-") as temporary:
        folder = pathlib.Path(temporary)
        seconds = _train(folder / "whole", flags)
        print(f"trained without interruption; {seconds:.1f} s from the first checkpoint to the last")
        kills = _train_with_kills(folder / "killed", flags, seconds)
        expected, result = digests.read(folder / "whole"), digests.read(folder / "killed")
    for title, values in (("whole", expected), (f"{kills} kills", result)):
        for name, value in digests.digest(values).items():
            print(f"{title:12}{name:12}{value}")
    differences = digests.differences(result, expected)
    print("\n".join(differences) or "the same to the bit: weights, optimizer, step, scalars, images, histograms")
    if not kills:
        print("but no kill struck: set more --steps")
    return 0 if kills and not differences else 1


def _train(run: pathlib.Path, flags: list[str]) -> float:
    """Trains to the end; returns the seconds from the first checkpoint to the last."""
    child, times, step = _start(run, flags), [time.monotonic()], 0
    while child.wait_until(lambda: digests.newest_step(run) > step, UNLIMITED):  # noqa: B023 - called at once
        step = digests.newest_step(run)
        times.append(time.monotonic())
    _check_end(child)
    return times[-1] - times[min(1, len(times) - 1)]


def _train_with_kills(run: pathlib.Path, flags: list[str], seconds: float) -> int:
    """Trains to the end with kills; returns how many struck."""
    draw, kills = random.Random(time.time_ns()), 0
    for _ in range(KILLS):
        before, child = digests.newest_step(run), _start(run, flags)
        child.wait_until(lambda before=before: digests.newest_step(run) > before, UNLIMITED)
        if child.wait(draw.uniform(0, seconds / (KILLS + 1))) is not None:
            break
        child.kill()
        kills += 1
        print(f"killed; the newest checkpoint is of step {digests.newest_step(run):,}")
    _check_end(_start(run, flags))
    return kills


def _start(run: pathlib.Path, flags: list[str]) -> Child:
    # A new --run_dir needs a flag that describes a run. The flags replace the default.
    command = [*LAUNCH, "--dataset=digits", *flags, f"--run_dir={run}", "--tensorboard=false"]
    return spawn(command, run.with_suffix(".txt"), os.environ)


def _check_end(child: Child) -> None:
    if code := child.wait(UNLIMITED):
        sys.exit("\n".join([*child.printed().splitlines()[-5:], f"training ended with exit code {code}"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
