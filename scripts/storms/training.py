"""A short training run, and how to observe and check it from outside."""

import collections
import json
import os
import pathlib
import random as randoms
import re
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from processes import Child, ForkServer

from storms import digests
from trainer.checkpoints import manifest as manifests

STEPS = 900
FLAGS = (
    *("--dataset=digits", "--hidden=16,4", "--batch_size=50", "--checkpoint_every=20", "--keep=3"),
    *("--log_every=7", "--eval_every=60", "--image_every=200"),
)
# Ends at step 960; its best evaluations are no multiples of the interval of checkpoints.
EARLY_STOPPING = ("--schedule=constant", "--learning_rate=0.02", "--steps=5000", "--eval_every=30")
EARLY_STOPPING = (*EARLY_STOPPING, "--early_stopping=5")
SECONDS_PER_START = 180.0  # A process that takes longer hangs.
EARLY_SHARE = 0.25  # of random moments come before the first save of a start
SECONDS_AFTER_TRAINING = 0.5  # The network is exported then.
PRINTED_LINES = 15
STARTED = re.compile(r"^run\s", re.MULTILINE)
RESUMED = re.compile(r"^resumed\s+at step ([\d,]+);", re.MULTILINE)


class Reference(NamedTuple):
    """The result of an uninterrupted run, and its times."""

    result: digests.Result
    ending: dict[str, Any]  # see `_ending`
    before: float  # seconds from the start of training to the first save
    training: float  # seconds from the first save to the last

    def scaled(self, share: float) -> "Reference":
        """Returns the same result with the times multiplied by `share`."""
        return self._replace(before=self.before * share, training=self.training * share)


def command_line(run: pathlib.Path, more: Sequence[str] = ()) -> list[str]:
    """Returns the arguments of a run, the same at every start; `more` are further flags."""
    return [*FLAGS, f"--steps={STEPS}", *more, f"--run_dir={run}"]


def start(server: ForkServer, run: pathlib.Path, more: Sequence[str] = ()) -> Child:
    """Starts or resumes a run."""
    return server.start(command_line(run, more), run.with_suffix(".out"))


def reference(server: ForkServer, folder: pathlib.Path, more: Sequence[str] = ()) -> Reference:
    """Trains a run without interruption; `more` are further flags.

    Raises:
      RuntimeError: The run failed, so there is nothing to compare with.
    """
    run = folder / "reference"
    child, reached = start(server, run, more), 0
    child.wait_until(lambda: has_started(child, 0), SECONDS_PER_START)
    times = [time.monotonic()]
    while child.wait_until(lambda: digests.newest_step(run) > reached, SECONDS_PER_START):  # noqa: B023 - called at once
        reached = digests.newest_step(run)
        times.append(time.monotonic())
    if child.wait(SECONDS_PER_START) != 0:
        raise RuntimeError(f"the uninterrupted run ended with exit code {child.code}:\n{child.printed()}")
    return Reference(digests.read(run), _ending(run), times[1] - times[0], times[-1] - times[1])


def has_started(child: Child, reached: int) -> bool:
    """Returns True if a process has printed everything that it prints before training from step `reached`."""
    printed = child.printed()
    return bool(STARTED.search(printed) and (not reached or RESUMED.search(printed)))


def is_saving(run: pathlib.Path) -> bool:
    """Returns True if a save, or the deletion of an old checkpoint, is unfinished on the disk."""
    names = _names(run / "checkpoints")
    return any(map(_is_temporary, names)) or bool(_uncommitted(names))


def wait_for_random_moment(
    child: Child, run: pathlib.Path, random: randoms.Random, expected: Reference, reached: int
) -> None:
    """Waits, in a process that has started, until a random moment of its training, or until it ends."""
    if random.random() < EARLY_SHARE:
        child.wait(random.uniform(0, expected.before))
        return
    child.wait_until(lambda: digests.newest_step(run) > reached, SECONDS_PER_START)
    left = expected.training * (1 - reached / expected.result.step)
    child.wait(random.uniform(0, left + SECONDS_AFTER_TRAINING))


def start_problems(child: Child, reached: int) -> list[str]:
    """Returns what is wrong with how a start resumed a run whose newest checkpoint was at step `reached`."""
    printed = child.printed()
    if not STARTED.search(printed):
        return []
    match = RESUMED.search(printed)
    step = int(match[1].replace(",", "")) if match else 0
    problems = [f"resumed at step {step:,} instead of {reached:,}"] if step != reached else []
    return [*problems, *(["does not claim the same bits"] if "not claimed" in printed else [])]


def result_problems(run: pathlib.Path, expected: Reference) -> list[str]:
    """Returns how a finished run differs from the uninterrupted one, and which files should have been deleted."""
    try:
        differences = digests.differences(digests.read(run), expected.result)
        ending = _ending(run)
    except Exception as error:  # A torn event file or an unreadable checkpoint is a failed trial.
        return [f"its result cannot be read: {type(error).__name__}: {str(error)[:200]}"]
    differences += [f"its {key} differs" for key, value in expected.ending.items() if ending.get(key) != value]
    temporary = [path.relative_to(run) for path in run.rglob("*") if _is_temporary(path.name)]
    uncommitted = _uncommitted(_names(run / "checkpoints"))
    leftovers = [f"{path} is left over" for path in temporary]
    return [*differences, *leftovers, *(f"ckpt-{step} has no manifest" for step in uncommitted)]


def _ending(run: pathlib.Path) -> dict[str, Any]:
    """Returns the entries of `result.json`, except the time, and the tensors of the best checkpoint."""
    result = json.loads((run / "result.json").read_text())
    best = digests.tensors(run, result["best"], "checkpoints/best")
    return {f"{key} in result.json": value for key, value in result.items() if key != "seconds"} | {"best": best}


def report(run: pathlib.Path, problems: list[str], progress: str) -> None:
    """Prints one line about a run to stderr, and the end of its output if it failed."""
    print(f"{run.name}: {'FAILED' if problems else 'passed'}; {progress}", file=sys.stderr)
    if problems:
        output = run.with_suffix(".out").read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [*problems, *(f"| {line}" for line in output[-PRINTED_LINES:]), f"kept: {run}"]
        print(*(f"  {line}" for line in lines), sep="\n", file=sys.stderr, flush=True)


def _names(folder: pathlib.Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _is_temporary(name: str) -> bool:
    return "_temp" in name or ".tmp" in name


def _uncommitted(names: list[str]) -> list[int]:
    """Returns the steps that have files of TensorFlow's but no manifest."""
    endings = collections.defaultdict(set)
    for name in names:
        if match := re.fullmatch(rf"{manifests.PREFIX}-(\d+)\.(.+)", name):
            endings[int(match[1])].add(match[2])
    return sorted(step for step in endings if "json" not in endings[step])
