"""How a contender's process is spoken to: one line of JSON asks, one answers."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol


class Contender(Protocol):
    """One way to train a workload."""

    def epochs(self, count: int) -> None:
        """Trains for so many passes through the data; done when it returns."""

    def loss(self) -> float:
        """Mean squared error over all training images, with the weights as they are."""


def serve(make: Callable[[], Contender]) -> None:
    """Answers on what was standard output, until standard input ends; whatever libraries print goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    contender = make()
    answers.write('{"ready": true}\n')
    for line in sys.stdin:
        answers.write(json.dumps(_answer(contender, json.loads(line))) + "\n")


def _answer(contender: Contender, question: dict[str, Any]) -> dict[str, float]:
    if question["ask"] == "loss":
        return {"loss": contender.loss()}
    began = time.perf_counter()
    contender.epochs(question["epochs"])
    return {"seconds": time.perf_counter() - began}
