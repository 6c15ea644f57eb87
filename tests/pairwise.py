"""Cases in which every pair of choices meets at least once: far fewer than the whole product."""

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any


def cases(
    choices: Mapping[str, Sequence[Hashable]], allowed: Callable[[dict[str, Any]], bool] = lambda case: True
) -> list[dict[str, Any]]:
    """Greedily, always the same: of all allowed cases the one with the most pairs that have not met yet."""
    every = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    left = [case for case in every if allowed(case)]
    missing = set().union(*map(_pairs, left))
    chosen = []
    while missing:
        best = max(left, key=lambda case: len(_pairs(case) & missing))
        chosen.append(best)
        missing -= _pairs(best)
    return chosen


def _pairs(case: dict[str, Any]) -> set[tuple[tuple[str, Any], tuple[str, Any]]]:
    return set(itertools.combinations(sorted(case.items(), key=str), 2))
