"""The outer loop: one compiled block of steps after the other, and between them, in Python, whatever is due."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from trainer.errors import DivergedError, StorageError, option
from trainer.system import progress
from trainer.system.intervals import is_due
from trainer.system.logs import log
from trainer.system.signals import Stop
from trainer.training.plan import Plan
from trainer.training.steps import (
    GRADIENT_NORM,
    LEARNING_RATE,
    LOSS,
    LOSS_SCALE,
    NUM_REPORTED,
    UPDATE_NORM,
    WEIGHT_NORM,
    Block,
)

ROLL_BACK, RESTART = option("on_divergence", "rollback"), option("restart", True)
SLOWER = f"{ROLL_BACK} goes on from there with a lower rate; or {RESTART} with a lower {option('learning_rate')}"
SLOWER_ANEW = f"{RESTART} with a lower {option('learning_rate')}; with {ROLL_BACK} it would go on by itself"
SECONDS_A_CALL = 0.25  # Signals are heard, and the person sees something, between calls of the compiled block.
SECONDS_BETWEEN_CHECKPOINTS = 300.0
SECONDS_BEFORE_ANOTHER_TRY = 20.0  # after a disk has not taken a checkpoint
FAILURES_IN_A_ROW = 5  # after which a run ends, rather than to train what cannot be kept


class LossAccumulator:
    """What the steps since the last point in TensorBoard have reported: summed one by one, so that cuts leave no trace.

    Args:
      sums: as they were stored; empty: nothing yet.

    Attributes:
      total: the sum of their losses.
      count: of steps.
      parts: the sums of the losses' parts; empty before the first.
    """

    def __init__(self, sums: Sequence[float] = ()) -> None:
        self.parts: list[float]
        self.total, count, *self.parts = sums or (0.0, 0)
        self.count = int(count)

    @property
    def sums(self) -> tuple[float, ...]:
        """To be stored: total, count and parts."""
        return self.total, self.count, *self.parts

    def add(self, loss: float, parts: Sequence[float] = ()) -> None:
        """Takes what one more step reports."""
        self.total += loss
        self.count += 1
        self.parts = [a + b for a, b in zip(self.parts or [0.0] * len(parts), parts, strict=True)]

    def pop_means(self) -> list[float]:
        """The mean loss and the means of its parts, float64; begins anew."""
        means = [value / self.count for value in (self.total, *self.parts)]
        self.total, self.count, self.parts = 0.0, 0, []
        return means


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actions:
    """What the loop does between blocks; most are told the steps done.

    Attributes:
      on_first_block: the first call of the block is over: now is the time for what has not to be done before training.
      log: (step, values): writes scalars of training.
      evaluate: evaluates, writes it, and returns words for the person.
      write_images: writes the pictures.
      profile: before a call: starts and stops the profiler, where that is due.
      weights_are_finite: whether all weights are finite numbers.
      save: (step, pending): saves a checkpoint with the losses that are not logged yet.
      describe_batch: says which examples a step was trained on.
    """

    on_first_block: Callable[[], None]
    log: Callable[[int, Mapping[str, float]], None]
    evaluate: Callable[[int], str]
    write_images: Callable[[int], None]
    profile: Callable[[int], None]
    weights_are_finite: Callable[[], bool]
    save: Callable[[int, LossAccumulator], None]
    describe_batch: Callable[[int], str]


class _Saver:
    """Saves when it is due; where the disk does not take it, again after a while, and not for ever."""

    def __init__(self, plan: Plan, actions: Actions, start_step: int | None, now: Callable[[], float]) -> None:
        self._plan, self._actions, self._now = plan, actions, now
        self._next = now() + SECONDS_BETWEEN_CHECKPOINTS
        self._failures = 0
        self.saved_step = start_step

    def is_due(self, step: int) -> bool:
        """Whether to save now: at steps that the plan names, and when it is long ago."""
        return (self._plan.is_scheduled(step) and not self._failures) or self._now() > self._next

    def save(self, step: int, pending: LossAccumulator, *, must: bool) -> None:
        """Saves, unless the last update has ruined the weights: a loss tells of those before it.

        Args:
          must: there will be no other time.

        Raises:
          DivergedError: a weight is not finite.
          StorageError: it could not be saved, and must, or could not several times.
        """
        if not self._actions.weights_are_finite():
            raise _diverged(f"after step {step:,} weights or optimizer slots are not finite", self.saved_step)
        try:
            self._actions.save(step, pending)
        except StorageError as error:
            self._failures += 1
            if must or self._failures == FAILURES_IN_A_ROW:
                raise
            self._next = self._now() + SECONDS_BEFORE_ANOTHER_TRY
            log.warning(f"{error.what} ({error.found}): training goes on, and it is tried again")
        else:
            self._failures, self.saved_step = 0, step
            self._next = self._now() + SECONDS_BETWEEN_CHECKPOINTS


def train(
    block: Block,
    blocks: Iterator[tf.Tensor],
    plan: Plan,
    actions: Actions,
    *,
    start_step: int | None,
    pending: LossAccumulator,
    words: str,
    clock: progress.Clock,
    bar: progress.Bar,
    stop: Stop,
    now: Callable[[], float] = time.monotonic,
) -> int:
    """Trains from a checkpoint, or from the beginning, to the end of the plan, or until it is told to stop.

    Args:
      block: the compiled block of steps.
      blocks: of data, the first of which begins with the first step to come.
      start_step: the checkpoint's; None where there is none.
      pending: losses of the steps done since the last logged one.
      words: the last evaluation's, for the person.
      clock: counts training, and nothing else.
      now: seconds, by which checkpoints are saved when the last one is long ago.

    Returns:
      The steps done, for which a checkpoint has been saved.

    Raises:
      DivergedError: a loss, a weight or an evaluation is not finite. Nothing of it is saved.
      StorageError: checkpoints cannot be saved.
    """
    step, offset, data = start_step or 0, plan.steps_per_block, None
    throughput, saver = _Throughput(), _Saver(plan, actions, start_step, now)
    if start_step is None:
        with clock.paused():
            words = actions.evaluate(0)
            actions.write_images(0)
            if plan.save_first:
                saver.save(0, pending, must=True)
    while step < plan.total_steps and stop.signal is None:
        # 1. One call of the compiled block, up to what is due next.
        actions.profile(step)
        began = clock.seconds
        if offset == plan.steps_per_block:
            data, offset = tf.identity(next(blocks)), 0  # Once to the device, however many calls it is cut into.
            throughput.record_wait(clock.seconds - began)
        count = min(plan.steps_per_block - offset, plan.next_stop(step) - step, throughput.steps)
        reports = block(data, offset, offset + count).numpy()[offset : offset + count]
        throughput.record_call(count, clock.seconds - began)
        step, offset = step + count, offset + count
        if step in plan.stage_ends:
            throughput.start_stage()

        # 2. What it reports.
        _check(reports, step - count, saver.saved_step, actions.describe_batch)
        with clock.paused():
            _log(actions, plan, reports, step - count, pending, throughput)
        bar.update(step, throughput.steps_per_second, f"loss {reports[-1, LOSS]:.4g}  {words}")

        # 3. What is due. The checkpoint comes last: what TensorBoard knows of its step must be in the files by then.
        last = step == plan.total_steps
        with clock.paused():
            if last or is_due(step, plan.eval_every):
                words = _evaluate(actions, step, saver.saved_step)
            if plan.has_images(step):
                actions.write_images(step)
            if last or stop.signal is not None or saver.is_due(step):
                saver.save(step, pending, must=last or stop.signal is not None)
    if step and saver.saved_step != step:  # The signal came while something else was done.
        saver.save(step, pending, must=True)
    return step


def _evaluate(actions: Actions, step: int, saved_step: int | None) -> str:
    try:
        return actions.evaluate(step)
    except DivergedError as error:
        raise _diverged(error.what, saved_step) from error


def _check(reports: np.ndarray, before: int, saved_step: int | None, describe_batch: Callable[[int], str]) -> None:
    """Refuses losses that are not finite, and a loss scale that has collapsed."""
    bad = np.flatnonzero(~np.isfinite(reports[:, LOSS]))
    if len(bad):
        step = before + int(bad[0]) + 1
        raise _diverged(f"the loss of step {step:,} is {reports[bad[0], LOSS]} ({describe_batch(step)})", saved_step)
    tiny = np.flatnonzero(reports[:, LOSS_SCALE] < 1)
    if len(tiny):
        step = before + int(tiny[0]) + 1
        what = f"the loss scale has fallen below 1 at step {step:,}: float16 cannot hold these gradients"
        raise _diverged(
            what, saved_step, f"use mixed_bfloat16: {option('precision', 'mixed_bfloat16')} goes on from there"
        )


def _diverged(what: str, saved_step: int | None, remedy: str = SLOWER) -> DivergedError:
    none = saved_step is None
    found = "there is no checkpoint yet" if none else f"the last good checkpoint is of step {saved_step:,}"
    return DivergedError(what, found=found, remedy=SLOWER_ANEW if none and remedy == SLOWER else remedy)


def _log(
    actions: Actions, plan: Plan, reports: np.ndarray, before: int, pending: LossAccumulator, throughput: "_Throughput"
) -> None:
    """Writes a point for every logged step among those reported; `pending` keeps the losses of no point yet."""
    if throughput.is_first:
        actions.on_first_block()
    for row, report in enumerate(reports):
        step = before + row + 1
        pending.add(float(report[LOSS]), [float(value) for value in report[NUM_REPORTED:]])
        if plan.is_logged(step):
            tag, (loss, *parts) = plan.loss_tag(step), pending.pop_means()
            values = {
                tag: loss,
                **(dict(zip(plan.loss_term_tags, parts, strict=True)) if tag == "loss" else {}),
                "learning_rate": float(report[LEARNING_RATE]),
                "gradient_norm": float(report[GRADIENT_NORM]),
                "update_norm": float(report[UPDATE_NORM]),
                "weight_norm": float(report[WEIGHT_NORM]),
            }
            if throughput.steps_per_second:  # Known from the second call on.
                values["perf/steps_per_second"] = throughput.steps_per_second
                values["perf/examples_per_second"] = throughput.steps_per_second * plan.batch_size
                values["perf/input_wait"] = throughput.input_wait
            if plan.has_loss_scale:
                values["loss_scale"] = float(report[LOSS_SCALE])
            actions.log(step, values)


class _Throughput:
    """How many steps the next call should do, so that it takes about `SECONDS_A_CALL`; and how the time was spent.

    Attributes:
      steps: of the next call.
      steps_per_second: of late.
      input_wait: the share of the time that went by waiting for data, 0 to 1.
    """

    def __init__(self) -> None:
        self.steps = 1
        self.steps_per_second = 0.0
        self.input_wait = 0.0
        self._calls = 0
        self._waited = 0.0
        self._is_new = True

    @property
    def is_first(self) -> bool:
        """Whether there was one call so far."""
        return self._calls == 1

    def start_stage(self) -> None:
        """The next call is the first of another block."""
        self._is_new = True

    def record_wait(self, seconds: float) -> None:
        """Data were waited for; a part of what `record_call` is told next."""
        self._waited = seconds

    def record_call(self, steps: int, seconds: float) -> None:
        """Learns from a call. The first of a block traces and compiles, so its time says nothing."""
        waited, self._waited = self._waited, 0.0
        self._calls += 1
        if self._is_new:
            self._is_new = False
            return
        rate = steps / max(seconds, 1e-9)
        known = self.steps_per_second
        weight = min(1.0, 2 * seconds + 0.05)
        self.steps_per_second = rate if not known else known + (rate - known) * weight
        self.input_wait += (min(1.0, waited / max(seconds, 1e-9)) - self.input_wait) * weight
        self.steps = max(1, min(2 * max(steps, self.steps), int(rate * SECONDS_A_CALL)))
