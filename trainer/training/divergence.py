"""Detects a divergence in the reports of training steps, and describes it."""

from collections.abc import Callable

import numpy as np

from trainer.errors import DivergedError, option
from trainer.training.steps import LOSS, LOSS_SCALE

_ROLL_BACK = option("on_divergence", "rollback")
_RESTART = f"use {option('restart', True)} with a lower {option('learning_rate')}"
_REMEDY = (
    f"resume with {_ROLL_BACK}, which lowers the learning rate, or with a lower {option('learning_rate_from_now')};"
    f" or {_RESTART}"
)
_REMEDY_WITHOUT_CHECKPOINT = f"{_RESTART}, or with {_ROLL_BACK}, which lowers it automatically"
_BFLOAT16 = option("precision", "mixed_bfloat16")
_FLOAT16_REMEDY = f"repeat the command with {_BFLOAT16}: float16 has no numbers above 65,504; or {_RESTART}"


def check(
    reports: np.ndarray,
    before: int,
    saved_step: int | None,
    describe_batch: Callable[[int], str],
    *,
    is_float16: bool,
) -> None:
    """Checks the reports of some steps.

    Args:
      reports: [n, `NUM_REPORTED`] float32; see `steps`.
      before: number of steps before them.
      saved_step: see `error`.
      describe_batch: returns a text that names the examples of a step.
      is_float16: True if the network computes in float16.

    Raises:
      DivergedError: a loss is not finite, or the loss scale is below 1.
    """
    bad = np.flatnonzero(~np.isfinite(reports[:, LOSS]))
    if len(bad):
        step = before + int(bad[0]) + 1
        what = f"the loss of step {step:,} is {reports[bad[0], LOSS]} ({describe_batch(step)})"
        raise error(what, saved_step, _FLOAT16_REMEDY if is_float16 else "")
    tiny = np.flatnonzero(reports[:, LOSS_SCALE] < 1)
    if len(tiny):
        step = before + int(tiny[0]) + 1
        what = f"the loss scale fell below 1 at step {step:,}: the gradients overflow in float16"
        raise error(what, saved_step, f"resume with {_BFLOAT16}")


def error(what: str, saved_step: int | None, remedy: str = "") -> DivergedError:
    """Returns the error for a divergence; `saved_step` is the step of the last good checkpoint, or None."""
    if saved_step is None:
        found, default_remedy = "there is no checkpoint yet", _REMEDY_WITHOUT_CHECKPOINT
    else:
        found, default_remedy = f"the last good checkpoint is of step {saved_step:,}", _REMEDY
    return DivergedError(what, found=found, remedy=remedy or default_remedy)
