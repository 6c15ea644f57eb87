"""The ways to train: each in a process of its own, which trains when it is asked to."""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from processes import LAUNCH, ROOT, environment

from speed.workloads import WORKLOADS

OTHERS = str(ROOT / ".venv-bench" / "bin" / "python")  # has PyTorch and JAX
RUN, BLOCK = "launch.py", "block"
MAX_PRINTED = 3000  # characters of an error


class Kind(NamedTuple):
    """A way to train: its description, and a module of this package with its arguments."""

    words: str
    module: str
    options: tuple[str, ...] = ()
    python: str = sys.executable  # the interpreter that has its libraries
    models: tuple[str, ...] = ("dense", "conv")  # the networks that it can train


KINDS = {
    BLOCK: Kind("Hourglass, the compiled block alone", "with_hourglass"),
    "keras": Kind("Keras fit, defaults", "with_keras", ("defaults",)),
    "keras-best": Kind("Keras fit, one call per epoch, XLA", "with_keras", ("best",)),
    "tf.function": Kind("one tf.function call per step, tf.data", "with_keras", ("function",)),
    "torch": Kind("PyTorch, eager", "with_torch", ("eager",), OTHERS),
    "torch-compile": Kind("PyTorch, compiled", "with_torch", ("compile",), OTHERS),
    "jax": Kind("JAX lax.scan, one call per epoch", "with_jax", (), OTHERS, ("dense",)),
}


class Process:
    """A contender in its process."""

    def __init__(self, name: str, workload: str, inputs: str, precision: str) -> None:
        kind = KINDS[name]
        self.name = name
        command = [kind.python, "-m", f"speed.{kind.module}", workload, inputs, precision, *kind.options]
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 (closed by `close`)
        self._process = subprocess.Popen(
            command,
            env=environment(TF_CPP_MIN_LOG_LEVEL="3"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def seconds(self, epochs: int) -> float:
        """Trains for some epochs and returns the seconds."""
        return self._ask(f"epochs {epochs}")

    def loss(self) -> float:
        """Returns the mean squared error over all training examples."""
        return self._ask("loss")

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def _ask(self, question: str) -> float:
        with contextlib.suppress(BrokenPipeError):  # The missing answer shows that the process ended.
            print(question, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"{self.name} ended:\n{self._log.read()[-MAX_PRINTED:]}")
        return float(line)


def run(workload: str, steps: int, precision: str, flags: Sequence[str]) -> tuple[float, float, float]:
    """Trains through `launch.py`, with the default of every other flag.

    Returns:
      The seconds per step, from the first stored checkpoint to the last, everything included; the share of that time
      that was not training; and the mean squared error over all training examples at the end.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "run"
        flags = [*WORKLOADS[workload].flags(precision), f"--steps={steps}", f"--run_dir={folder}", *flags]
        done = subprocess.run([*LAUNCH, *flags], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"launch.py {' '.join(flags)}:\n{done.stderr[-MAX_PRINTED:]}")
        (first, trained, began), *_, (last, trained_last, ended) = checkpoints(folder)
        seconds = (ended - began) / 1e9
        loss = json.loads((folder / "result.json").read_text())["train/reconstruction/mse"]
        return seconds / (last - first), 1 - (trained_last - trained) / seconds, loss


def checkpoints(run: pathlib.Path) -> list[tuple[int, float, int]]:
    """Returns (step, seconds of training, time of writing in ns) of each stored checkpoint, oldest first."""
    manifests = [(json.loads(path.read_text()), path) for path in (run / "checkpoints").glob("ckpt-*.json")]
    return sorted((manifest["step"], manifest["seconds"], path.stat().st_mtime_ns) for manifest, path in manifests)
