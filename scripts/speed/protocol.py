"""Questions and answers of a contender's process: one line each, `epochs N` or `loss`, and a number."""

import os
import sys
import time
from collections.abc import Callable
from typing import Protocol


class Contender(Protocol):
    """A way to train a workload."""

    def epochs(self, count: int) -> None:
        """Trains for `count` epochs; training has finished when it returns."""

    def loss(self) -> float:
        """Returns the mean squared error over all training images, with the current weights."""


def serve(make: Callable[[], Contender]) -> None:
    """Answers questions from stdin on the original stdout; discards what libraries print to stdout."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    contender = make()
    for question in sys.stdin:
        if question.startswith("loss"):
            print(contender.loss(), file=answers)
        else:
            started = time.perf_counter()
            contender.epochs(int(question.split()[1]))
            print(time.perf_counter() - started, file=answers)
