"""Who is timed: each in a process of its own, which stays, waits for its turn, and trains when it is asked to."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from speed.workloads import WORKLOADS

CHECKOUT = pathlib.Path(__file__).parents[2]
OTHERS = CHECKOUT / ".venv-bench" / "bin" / "python"  # has PyTorch and JAX

RUN, BLOCK = "launch.py", "block"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way of training.

    Attributes:
      words: for people.
      module: of this package, whose process it is.
      options: of that module.
      python: which one runs it.
      models: that it can train.
    """

    words: str
    module: str
    options: tuple[str, ...] = ()
    python: str = sys.executable
    models: tuple[str, ...] = ("dense", "conv")


KINDS = {
    BLOCK: Kind("Hourglass, the compiled block alone", "with_hourglass"),
    "keras": Kind("Keras fit, defaults", "with_keras", ("defaults",)),
    "keras-best": Kind("Keras fit, an epoch a call, XLA", "with_keras", ("best",)),
    "tf.function": Kind("tf.function a step, tf.data", "with_keras", ("function",)),
    "torch": Kind("PyTorch, eager", "with_torch", ("eager",), str(OTHERS)),
    "torch-compile": Kind("PyTorch, compiled", "with_torch", ("compile",), str(OTHERS)),
    "jax": Kind("JAX lax.scan, an epoch a call", "with_jax", (), str(OTHERS), ("dense",)),
}


def environment() -> dict[str, str]:
    """Of a process that uses this checkout: it comes first, then whatever else is on the path for modules."""
    paths = [str(CHECKOUT), str(CHECKOUT / "scripts"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, paths))),
        "PYTHONSAFEPATH": "1",  # Whatever has the same names in the working folder does not come before it.
    }


class Process:
    """A contender in its process."""

    def __init__(self, name: str, workload: str, inputs: pathlib.Path, precision: str) -> None:
        kind = KINDS[name]
        self.name = name
        command = [kind.python, "-m", f"speed.{kind.module}", workload, str(inputs), precision, *kind.options]
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 (closed by `close`)
        self._process = subprocess.Popen(
            command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self._answer()

    def seconds(self, epochs: int) -> float:
        """That so many passes through the data take."""
        return self._ask({"ask": "epochs", "epochs": epochs})["seconds"]

    def loss(self) -> float:
        """Mean squared error over all training examples."""
        return self._ask({"ask": "loss"})["loss"]

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def _ask(self, question: dict[str, object]) -> dict[str, float]:
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"{self.name} has ended:\n{self._log.read()[-3000:]}")
        return json.loads(line)


@dataclasses.dataclass(frozen=True)
class Run:
    """A whole run through `launch.py`, as its checkpoints tell of it.

    Attributes:
      seconds_per_step: of wall time, from one of its checkpoints to the last, with all that comes between.
      around: the share of that time that was not training.
      loss: mean squared error over all training examples, at the end.
    """

    seconds_per_step: float
    around: float
    loss: float


def run(workload: str, steps: int, precision: str, flags: Sequence[str]) -> Run:
    """Trains as a user does, with everything at its default."""
    with tempfile.TemporaryDirectory() as folder:
        given = [*WORKLOADS[workload].flags(precision), f"--steps={steps}", f"--run_dir={folder}/run", *flags]
        command = [sys.executable, str(CHECKOUT / "launch.py"), *given]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
        return _read(pathlib.Path(folder) / "run")


def checkpoints(folder: pathlib.Path) -> list[tuple[int, float, int]]:
    """(step, seconds of training until then, when it was written in ns) of each that a run still has, oldest first."""
    found = [(json.loads(path.read_text()), path) for path in (folder / "checkpoints").glob("ckpt-*.json")]
    return sorted((manifest["step"], manifest["seconds"], path.stat().st_mtime_ns) for manifest, path in found)


def _read(folder: pathlib.Path) -> Run:
    found = checkpoints(folder)
    (first, trained, began), (last, trained_last, ended) = found[0], found[-1]
    seconds = (ended - began) / 1e9
    loss = json.loads((folder / "result.json").read_text())["train/reconstruction/mse"]
    return Run(seconds / (last - first), 1 - (trained_last - trained) / seconds, loss)
