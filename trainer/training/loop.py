"""The training loop: calls the compiled block of steps, and between calls logs, evaluates and saves."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from trainer.errors import DivergedError, StorageError
from trainer.system import progress
from trainer.system.intervals import is_due
from trainer.system.logs import log
from trainer.system.signals import Stop
from trainer.training import divergence
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

SECONDS_PER_CALL = 0.25  # of the compiled block; signals and the progress bar wait for the end of a call
SECONDS_BETWEEN_CHECKPOINTS = 300.0
SECONDS_BEFORE_RETRY = 20.0  # after a checkpoint could not be written
MAX_FAILED_SAVES = 5  # in a row; then the run ends, because its progress could not be saved


class LossAccumulator:
    """Sums of the losses since the last logged point.

    Losses are added one by one, so the sums do not depend on how a run is divided into calls.

    Args:
      sums: stored sums of a resumed run; empty for a new run.

    Attributes:
      total: sum of the losses.
      count: number of steps.
      terms: sums of the loss terms; empty before the first step.
    """

    def __init__(self, sums: Sequence[float] = ()) -> None:
        self.terms: list[float]
        self.total, count, *self.terms = sums or (0.0, 0)
        self.count = int(count)

    @property
    def sums(self) -> tuple[float, ...]:
        """Total, count and sums of the loss terms, for storage."""
        return self.total, self.count, *self.terms

    def add(self, loss: float, terms: Sequence[float] = ()) -> None:
        """Adds the loss and the loss terms of one step."""
        self.total += loss
        self.count += 1
        self.terms = [a + b for a, b in zip(self.terms or [0.0] * len(terms), terms, strict=True)]

    def pop_means(self) -> list[float]:
        """Returns the mean loss and the means of the loss terms, float64, and resets the sums."""
        means = [value / self.count for value in (self.total, *self.terms)]
        self.total, self.count, self.terms = 0.0, 0, []
        return means


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actions:
    """Callbacks of the loop between calls of the block. Their `step` is the number of completed steps.

    Attributes:
      on_first_block: called after the first call of the block; starts work that need not be done before training.
      log: (step, values): writes scalars of training.
      evaluate: (step): evaluates the network, writes the results, and returns a text for the progress bar.
      write_images: (step): writes images.
      profile: (step): starts or stops the profiler if that is due; called before each call of the block.
      weights_are_finite: returns True if all weights and optimizer slots are finite.
      is_last: (step): returns True if the run ends after this step, whose evaluation, if any, is done.
      must_keep: (step): returns True if this step needs a checkpoint that the plan does not schedule.
      save: (step, pending): saves a checkpoint, together with the losses that are not logged yet.
      describe_batch: (step): returns a text that names the examples of a step.
    """

    on_first_block: Callable[[], None]
    log: Callable[[int, Mapping[str, float]], None]
    evaluate: Callable[[int], str]
    write_images: Callable[[int], None]
    profile: Callable[[int], None]
    weights_are_finite: Callable[[], bool]
    is_last: Callable[[int], bool]
    must_keep: Callable[[int], bool]
    save: Callable[[int, LossAccumulator], None]
    describe_batch: Callable[[int], str]


class _Saver:
    """Saves checkpoints when they are due. Retries failed writes later, at most `MAX_FAILED_SAVES` times in a row."""

    def __init__(self, plan: Plan, actions: Actions, start_step: int | None, now: Callable[[], float]) -> None:
        self._plan, self._actions, self._now = plan, actions, now
        self._next = now() + SECONDS_BETWEEN_CHECKPOINTS
        self._failures = 0
        self.saved_step = start_step

    def is_due(self, step: int) -> bool:
        """Returns True if a checkpoint is due by step, error or time; after a failure, by time only."""
        is_required = self._plan.is_scheduled(step) or self._actions.must_keep(step)
        return (is_required and not self._failures) or self._now() > self._next

    def save(self, step: int, pending: LossAccumulator, *, must: bool) -> None:
        """Saves a checkpoint. Checks the weights first: the last loss was computed before the last update.

        Args:
          must: raise at the first failure, because there is no later chance to save.

        Raises:
          DivergedError: a weight or an optimizer slot is not finite.
          StorageError: the checkpoint could not be written, and `must` is set or too many writes in a row failed.
        """
        if not self._actions.weights_are_finite():
            raise divergence.error(f"after step {step:,} weights or optimizer slots are not finite", self.saved_step)
        try:
            self._actions.save(step, pending)
        except StorageError as error:
            self._failures += 1
            if must or self._failures == MAX_FAILED_SAVES:
                raise
            self._next = self._now() + SECONDS_BEFORE_RETRY
            log.warning(f"{error.what} ({error.found}): training continues, and saving will be retried")
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
    evaluation: str,
    clock: progress.Clock,
    bar: progress.Bar,
    stop: Stop,
    now: Callable[[], float] = time.monotonic,
) -> int:
    """Trains from a checkpoint, or from the start, until the last step or a stop signal.

    Args:
      block: the compiled block of steps.
      blocks: blocks of data; the first one begins with the next step.
      plan: length and intervals of the run.
      start_step: step of the checkpoint; None without a checkpoint.
      pending: losses since the last logged step.
      evaluation: text of the last evaluation, for the progress bar.
      clock: measures training time; paused during everything else.
      now: clock in seconds for the time between checkpoints.

    Returns:
      The number of completed steps. A checkpoint of the last step has been saved.

    Raises:
      DivergedError: a loss, a weight or an evaluation is not finite. Nothing was saved since then.
      StorageError: checkpoints cannot be saved.
    """
    step, offset, data = start_step or 0, plan.steps_per_block, None
    throughput, saver = _Throughput(), _Saver(plan, actions, start_step, now)
    if start_step is None:
        with clock.paused():
            evaluation = actions.evaluate(0)
            actions.write_images(0)
            if plan.save_initial:
                saver.save(0, pending, must=True)
    is_last = actions.is_last(step)
    while not is_last and stop.signal is None:
        # 1. Call the compiled block, at most up to the next step at which something is due.
        actions.profile(step)
        call_start = clock.seconds
        if offset == plan.steps_per_block:
            data, offset = tf.identity(next(blocks)), 0  # Copies the data to the device once for all calls.
            throughput.record_wait(clock.seconds - call_start)
        count = min(plan.steps_per_block - offset, plan.next_stop(step) - step, throughput.next_steps)
        reports = block(data, offset, offset + count).numpy()[offset : offset + count]
        throughput.record_call(count, clock.seconds - call_start)
        step, offset = step + count, offset + count
        if step in plan.stage_ends:
            throughput.start_stage()

        # 2. Check and log the reports.
        divergence.check(
            reports, step - count, saver.saved_step, actions.describe_batch, is_float16=plan.has_loss_scale
        )
        with clock.paused():
            _log(actions, plan, reports, step - count, pending, throughput)
        bar.update(step, throughput.steps_per_second, f"loss {reports[-1, LOSS]:.4g}  {evaluation}")

        # 3. Do what is due. Save last: everything that TensorBoard shows up to this step must be written before.
        with clock.paused():
            if step == plan.total_steps or is_due(step, plan.eval_every):
                evaluation = _evaluate(actions, step, saver.saved_step)
            is_last = actions.is_last(step)
            if is_last or plan.has_images(step):
                actions.write_images(step)
            if is_last or stop.signal is not None or saver.is_due(step):
                saver.save(step, pending, must=is_last or stop.signal is not None)
    if step and saver.saved_step != step:  # The signal arrived after the check above.
        saver.save(step, pending, must=True)
    return step


def _evaluate(actions: Actions, step: int, saved_step: int | None) -> str:
    try:
        return actions.evaluate(step)
    except DivergedError as error:
        raise divergence.error(error.what, saved_step) from error


def _log(
    actions: Actions, plan: Plan, reports: np.ndarray, before: int, pending: LossAccumulator, throughput: "_Throughput"
) -> None:
    """Adds the reports to `pending`, and writes a point for each logged step."""
    if throughput.num_calls == 1:
        actions.on_first_block()
    for row, report in enumerate(reports):
        step = before + row + 1
        pending.add(float(report[LOSS]), [float(value) for value in report[NUM_REPORTED:]])
        if plan.is_logged(step):
            tag, (loss, *terms) = plan.loss_tag(step), pending.pop_means()
            values = {
                tag: loss,
                **(dict(zip(plan.loss_term_tags, terms, strict=True)) if tag == "loss" else {}),
                "learning_rate": float(report[LEARNING_RATE]),
                "gradient_norm": float(report[GRADIENT_NORM]),
                "update_norm": float(report[UPDATE_NORM]),
                "weight_norm": float(report[WEIGHT_NORM]),
            }
            if throughput.steps_per_second:  # Unknown before the second call.
                values["perf/steps_per_second"] = throughput.steps_per_second
                values["perf/examples_per_second"] = throughput.steps_per_second * plan.batch_size
                values["perf/input_wait"] = throughput.input_wait
            if plan.has_loss_scale:
                values["loss_scale"] = float(report[LOSS_SCALE])
            actions.log(step, values)


class _Throughput:
    """Measures the speed of training, and sizes the next call so that it takes about `SECONDS_PER_CALL`.

    Attributes:
      next_steps: number of steps of the next call.
      num_calls: number of calls so far.
      steps_per_second: moving average.
      input_wait: moving average of the fraction of time spent waiting for data, 0 to 1.
    """

    def __init__(self) -> None:
        self.next_steps = 1
        self.num_calls = 0
        self.steps_per_second = 0.0
        self.input_wait = 0.0
        self._wait_seconds = 0.0
        self._skip_next = True

    def start_stage(self) -> None:
        """Skips the next call in the measurements, because it is the first one of another block."""
        self._skip_next = True

    def record_wait(self, seconds: float) -> None:
        """Records the time spent waiting for data; it is part of the time of the next `record_call`."""
        self._wait_seconds = seconds

    def record_call(self, steps: int, seconds: float) -> None:
        """Records a call. The first call of a block is not measured, because it may trace and compile."""
        wait_seconds, self._wait_seconds = self._wait_seconds, 0.0
        self.num_calls += 1
        if self._skip_next:
            self._skip_next = False
            return
        rate = steps / max(seconds, 1e-9)
        average = self.steps_per_second
        weight = min(1.0, 2 * seconds + 0.05)
        self.steps_per_second = rate if not average else average + (rate - average) * weight
        self.input_wait += (min(1.0, wait_seconds / max(seconds, 1e-9)) - self.input_wait) * weight
        self.next_steps = max(1, min(2 * max(steps, self.next_steps), int(rate * SECONDS_PER_CALL)))
