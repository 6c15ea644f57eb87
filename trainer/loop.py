"""The outer loop: one compiled block of steps after the other, and between them, in Python, whatever is due."""

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import Self

import numpy as np
import tensorflow as tf

from trainer import progress
from trainer.errors import DivergedError
from trainer.steps import GRADIENT_NORM, LEARNING_RATE, LOSS, Block

SECONDS_A_CALL = 0.25  # Signals are heard, and the person sees something, between calls of the compiled block.
SECONDS_BETWEEN_CHECKPOINTS = 300.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to train, and what is due when, all in steps; an interval of 0 is never.

    Attributes:
      total_steps: of the whole run.
      steps_per_block: steps in a block of data.
    """

    total_steps: int
    steps_per_block: int
    log_every: int
    eval_every: int
    image_every: int
    checkpoint_every: int

    def next_stop(self, step: int) -> int:
        """The next step after which Python has something to do. Logging needs no stop: blocks report every step."""
        due = (progress.next_due(step, n) for n in (self.eval_every, self.image_every, self.checkpoint_every))
        return int(min(self.total_steps, *due))


@dataclasses.dataclass
class Pending:
    """The losses of the steps since the last point in TensorBoard: summed one by one, so that cuts leave no trace."""

    total: float = 0.0
    count: int = 0

    def add(self, loss: float) -> None:
        """Takes the loss of one more step."""
        self.total += loss
        self.count += 1

    def take_mean(self) -> float:
        """The mean loss, float64; begins anew."""
        mean = self.total / self.count
        self.total, self.count = 0.0, 0
        return mean


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actions:
    """What the loop does between blocks; most are told the steps done.

    Attributes:
      log: (step, values): writes scalars of training.
      evaluate: evaluates, writes it, and returns words for the person.
      picture: writes the reconstruction picture.
      is_sound: whether all weights are finite numbers.
      save: (step, pending): saves a checkpoint with the losses that are not logged yet.
    """

    log: Callable[[int, Mapping[str, float]], None]
    evaluate: Callable[[int], str]
    picture: Callable[[int], None]
    is_sound: Callable[[], bool]
    save: Callable[[int, Pending], None]


class Stop:
    """Hears SIGINT and SIGTERM: the first asks for a stop after the running block, a second exits at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(128 + number)  # The last committed checkpoint is whole, whatever is being written now.
        self.signal = number


def train(
    block: Block,
    blocks: Iterator[tf.Tensor],
    plan: Plan,
    actions: Actions,
    *,
    start_step: int,
    pending: Pending,
    words: str,
    clock: progress.Clock,
    bar: progress.Bar,
    stop: Stop,
) -> int:
    """Trains from `start_step` to the end of the plan, or until it is told to stop.

    Args:
      block: the compiled block of steps.
      blocks: of data, the first of which begins with `start_step`.
      pending: losses of the steps done since the last logged one.
      words: the last evaluation's, for the person.
      clock: counts training, and nothing else.

    Returns:
      The steps done, for which a checkpoint has been saved.

    Raises:
      DivergedError: a loss, a weight or an evaluation is not finite. Nothing of it is saved.
    """
    step, offset, data = start_step, plan.steps_per_block, None
    pace, saved_at, saved_step = _Pace(), time.monotonic(), start_step
    if step == 0:
        with clock.paused():
            words = actions.evaluate(0)
            actions.picture(0)
    while step < plan.total_steps and stop.signal is None:
        # 1. One call of the compiled block, up to what is due next.
        began = clock.seconds
        if offset == plan.steps_per_block:
            data, offset = tf.identity(next(blocks)), 0  # Once to the device, however many calls it is cut into.
        count = min(plan.steps_per_block - offset, plan.next_stop(step) - step, pace.steps)
        reports = block(data, offset, offset + count).numpy()[offset : offset + count]
        pace.took(count, clock.seconds - began)
        step, offset = step + count, offset + count

        # 2. What it reports.
        _check_finite(reports, step - count, saved_step)
        with clock.paused():
            _log(actions, plan, reports, step - count, pending, pace.steps_per_second)
        bar.update(step, pace.steps_per_second, f"loss {reports[-1, LOSS]:.4g}  {words}")

        # 3. What is due. The checkpoint comes last: what TensorBoard knows of its step must be in the files by then.
        last = step == plan.total_steps
        with clock.paused():
            if last or progress.is_due(step, plan.eval_every):
                words = actions.evaluate(step)
            if last or progress.is_due(step, plan.image_every):
                actions.picture(step)
            late = time.monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS
            if last or late or stop.signal is not None or progress.is_due(step, plan.checkpoint_every):
                _save(actions, step, pending, saved_step)
                saved_at, saved_step = time.monotonic(), step
    if saved_step != step:  # The signal came while something else was done.
        _save(actions, step, pending, saved_step)
    return step


def _save(actions: Actions, step: int, pending: Pending, saved_step: int) -> None:
    """Saves, unless the last update has ruined the weights: a loss tells of those before it."""
    if not actions.is_sound():
        raise _diverged(f"after step {step:,} weights are not finite", saved_step)
    actions.save(step, pending)


def _check_finite(reports: np.ndarray, before: int, saved_step: int) -> None:
    bad = np.flatnonzero(~np.isfinite(reports[:, LOSS]))
    if len(bad):
        raise _diverged(f"the loss of step {before + bad[0] + 1:,} is {reports[bad[0], LOSS]}", saved_step)


def _diverged(what: str, saved_step: int) -> DivergedError:
    return DivergedError(
        what,
        found=f"the last good checkpoint is of step {saved_step:,}" if saved_step else "there is no checkpoint yet",
        remedy="--restart with a lower --learning_rate, or with --precision=float32",
    )


def _log(
    actions: Actions, plan: Plan, reports: np.ndarray, before: int, pending: Pending, steps_per_second: float
) -> None:
    """Writes a point for every logged step among those reported; `pending` keeps the losses of no point yet."""
    for row, report in enumerate(reports):
        step = before + row + 1
        pending.add(float(report[LOSS]))
        if progress.is_due(step, plan.log_every) or step == plan.total_steps:
            values = {
                "loss": pending.take_mean(),
                "learning_rate": float(report[LEARNING_RATE]),
                "gradient_norm": float(report[GRADIENT_NORM]),
                "perf/steps_per_second": steps_per_second,
            }
            actions.log(step, values)


class _Pace:
    """How many steps the next call should do, so that it takes about `SECONDS_A_CALL`."""

    def __init__(self) -> None:
        self.steps = 1
        self.steps_per_second = 0.0
        self._calls = 0

    def took(self, steps: int, seconds: float) -> None:
        """Learns from a call. The first traces and compiles, so its time says nothing."""
        self._calls += 1
        if self._calls == 1:
            return
        rate = steps / max(seconds, 1e-9)
        known = self.steps_per_second
        self.steps_per_second = rate if not known else known + (rate - known) * min(1.0, 2 * seconds + 0.05)
        self.steps = max(1, min(2 * max(steps, self.steps), int(rate * SECONDS_A_CALL)))
