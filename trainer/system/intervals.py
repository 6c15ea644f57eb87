"""When something is due, in steps."""

import math


def is_due(step: int, every: int) -> bool:
    """Whether something that happens `every` so many steps happens after this one; 0 is never."""
    return bool(every) and step % every == 0


def next_due(step: int, every: int) -> float:
    """The first step after `step` at which it is due."""
    return (step // every + 1) * every if every else math.inf


def sensible_interval(total_steps: int, times: int) -> int:
    """An interval of 1, 2 or 5 times a power of ten (or the whole run) that gives about `times` of it."""
    wanted = max(total_steps / times, 1.0)
    power = 10 ** math.floor(math.log10(wanted))
    return next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= wanted)


def image_steps(total_steps: int, every: int | None, limit: int) -> list[int]:
    """When pictures are due: always at step 0 and at the last.

    Args:
      total_steps: of the run.
      every: steps between pictures; 0: none between; None: 1, 2, 5, 10, 20, ... (the last eight of them), so that
        there are at most ten, which is what TensorBoard keeps of a tag unless told otherwise, and that a longer run
        has those of a shorter one.
      limit: at most so many; a smaller interval is widened.
    """
    if every is None:
        decades = (factor * 10**power for power in range(len(str(total_steps))) for factor in (1, 2, 5))
        between = [step for step in decades if step < total_steps][-8:]
    elif every:
        widened = every * -(-(total_steps // every) // (limit - 2))
        between = list(range(widened, total_steps, widened)) if widened else []
    else:
        between = []
    return [0, *between, total_steps]


def aligned(interval: int, other: int) -> int:
    """The next larger interval that divides the other one, or is its multiple."""
    if interval > other:
        return -(-interval // other) * other
    return next(other // parts for parts in range(other // interval, 0, -1) if other % parts == 0)
