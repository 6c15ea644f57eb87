"""Step intervals of periodic actions, such as checkpoints and evaluations."""

import math


def is_due(step: int, every: int) -> bool:
    """Returns True if an action that runs every `every` steps runs after this step; 0 means never."""
    return bool(every) and step % every == 0


def next_due(step: int, every: int) -> float:
    """Returns the first step after `step` at which the action runs; infinity if it never runs."""
    return (step // every + 1) * every if every else math.inf


def default_interval(total_steps: int, times: int) -> int:
    """Returns the smallest interval of 1, 2 or 5 times a power of ten that gives at most `times` actions."""
    minimum = max(total_steps / times, 1.0)
    power = 10 ** math.floor(math.log10(minimum))
    return next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= minimum)


def image_steps(total_steps: int, every: int | None, limit: int) -> list[int]:
    """Returns the steps at which images are written, including step 0 and the last step.

    Args:
      total_steps: the length of the run.
      every: steps between images; 0: no other images; None: the last eight of 1, 2, 5, 10, 20, ..., which gives at
        most ten images, the number that TensorBoard keeps per tag by default.
      limit: the maximum number of images; shorter intervals are lengthened.
    """
    if every is None:
        decades = (factor * 10**power for power in range(len(str(total_steps))) for factor in (1, 2, 5))
        between = [step for step in decades if step < total_steps][-8:]
    elif every:
        interval = every * -(-(total_steps // every) // (limit - 2))
        between = list(range(interval, total_steps, interval)) if interval else []
    else:
        between = []
    return [0, *between, total_steps]


def align(interval: int, other: int) -> int:
    """Returns the smallest interval that is at least `interval`, and is a divisor or a multiple of `other`."""
    if interval > other:
        return -(-interval // other) * other
    return next(other // parts for parts in range(other // interval, 0, -1) if other % parts == 0)
