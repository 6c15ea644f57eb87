"""Early stopping: a run ends when several evaluations in a row have no lower error. No TensorFlow.

All follows from the metrics of the last evaluation, which checkpoints store. So a killed run ends at the same step.
"""

import math
from collections.abc import Mapping

RMSE, STEP, AGE = "best/rmse", "best/step", "best/age"  # tags of the TensorBoard run `eval`


def best(before: Mapping[str, float], step: int, rmse: float, *, counts: bool) -> dict[str, float]:
    """Returns the lowest error so far, its step, and its age: the evaluations in a row that were not lower.

    Args:
      before: metrics of the evaluation before this one, as "eval/<tag>"; empty at the first one.
      step: number of completed steps.
      rmse: error of this evaluation.
      counts: False if this evaluation does not add to the age, because it is one of pretraining.
    """
    if rmse < before.get(f"eval/{RMSE}", math.inf):
        return {RMSE: rmse, STEP: step, AGE: 0}
    # Checkpoints of older versions have no age: the evaluations after the resume are counted.
    age = before.get(f"eval/{AGE}", 0) + counts
    return {RMSE: before[f"eval/{RMSE}"], STEP: before[f"eval/{STEP}"], AGE: age}


def is_best(metrics: Mapping[str, float], step: int) -> bool:
    """Returns True if the evaluation of this step has the lowest error so far."""
    return metrics.get(f"eval/{STEP}") == step


def has_stopped(metrics: Mapping[str, float], patience: int) -> bool:
    """Returns True if a run ends with its last evaluation, whose metrics are given. A patience of 0 never ends it."""
    return 0 < patience <= metrics.get(f"eval/{AGE}", 0)
