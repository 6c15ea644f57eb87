"""The options of what TensorBoard shows: how often, in steps. No NumPy, no TensorFlow."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from trainer.errors import UsageError, option
from trainer.system.options import MAX_INTERVAL, PLACE, PRESENTATION, Options, declare

MAX_TRACED = 1_000  # steps: a trace is kept in memory
CURVES = "Curves and pictures"  # theme


def traced(values: Any) -> tuple[int, ...]:
    """The first step to trace, and how many; or nothing.

    Raises:
      UsageError: something else.
    """
    texts: Sequence[str] = [str(value) for value in values]
    numbers = tuple(int(text) for text in texts if text.strip().isdecimal() and len(text) <= 12)
    if texts and (len(texts) != 2 or len(numbers) != 2 or 0 in numbers or numbers[1] > MAX_TRACED):
        raise UsageError(
            option("profile", ",".join(texts)),
            found=f"the first step to trace (from 1 on) and how many (at most {MAX_TRACED:,}) are expected",
            remedy=f"give two whole numbers, such as {option('profile', '100,20')}",
        )
    return numbers


def interval(meaning: str) -> Any:
    """Declares an interval in steps; None: one that suits the run's length."""
    return declare(None, PRESENTATION, CURVES, f"{meaning}; 0: only at the ends", low=0, high=MAX_INTERVAL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SummaryOptions(Options):
    """What is written for TensorBoard, and how often."""

    log_every: int | None = interval("steps between scalars (default: about 250 points a run)")
    eval_every: int | None = interval("steps between evaluations (default: about 20 a run, in long ones fewer)")
    image_every: int | None = interval(
        "steps between pictures (default: 1, 2, 5, 10, 20, ...: ten in all, fewer as it goes on)"
    )
    profile: tuple[int, ...] = declare(
        (),
        PLACE,
        CURVES,
        "START,COUNT: trace so many steps from that one on, for TensorBoard's Profile tab",
        parse=traced,
    )
