"""Options for scalars, images and profiles in TensorBoard. No NumPy, no TensorFlow."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from trainer.errors import UsageError, option
from trainer.system.options import MAX_INTERVAL, PLACE, PRESENTATION, Options, declare

MAX_TRACED = 1_000  # steps; a trace is kept in memory
CURVES = "Scalars and images"  # theme


def traced(values: Any) -> tuple[int, ...]:
    """Returns (first step to profile, number of steps), or () for none.

    Raises:
      UsageError: the values are not two such numbers.
    """
    texts: Sequence[str] = [str(value) for value in values]
    numbers = tuple(int(text) for text in texts if text.strip().isdecimal() and len(text) <= 12)
    if texts and (len(texts) != 2 or len(numbers) != 2 or 0 in numbers or numbers[1] > MAX_TRACED):
        raise UsageError(
            option("profile", ",".join(texts)),
            found=f"expected the first step to profile (at least 1) and the number of steps (at most {MAX_TRACED:,})",
            remedy=f"give two whole numbers, such as {option('profile', '100,20')}",
        )
    return numbers


def interval(meaning: str) -> Any:
    """Declares an interval in steps; None: the interval depends on the length of the run."""
    return declare(None, PRESENTATION, CURVES, f"{meaning}. 0: only at the start and the end", low=0, high=MAX_INTERVAL)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SummaryOptions(Options):
    """Options for what is written to TensorBoard, and how often."""

    log_every: int | None = interval("Write scalars every N steps. Default: about 250 points per run")
    eval_every: int | None = interval(
        "Evaluate every N steps. Default: about 20 evaluations per run, but at least 5 and at most 2 % of the work of"
        " training"
    )
    image_every: int | None = interval(
        "Write images every N steps. Default: steps 1, 2, 5, 10, 20, ..., the last ten of them"
    )
    profile: tuple[int, ...] = declare(
        (),
        PLACE,
        CURVES,
        "Profile COUNT steps from step START on, for TensorBoard's Profile tab; given as START,COUNT",
        parse=traced,
    )
