"""Tries on a GPU what is promised of one, and prints what passed; exits with 1 if anything did not.

With `--device=cpu` the same is tried on the CPU: whether the checks themselves work.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

from speed import data
from speed.contenders import CHECKOUT
from speed.workloads import WORKLOADS

WORKLOAD = WORKLOADS["hinton"]
STEPS = 600
WORST = 0.1  # of the error of the mean picture; on a CPU it is 0.013 after so many steps
PEAK_BYTES = 1 << 30

LISTED = "import tensorflow as tf; print([d.name for d in tf.config.list_physical_devices('GPU')] or '')"
# In a process that sees no GPU: what was exported must not need one.
REBUILT = """
import sys, numpy as np, tensorflow as tf
from trainer import datasets
found = datasets.load("mnist", datasets.Sources(sys.argv[2])).evaluation.examples / np.float32(255)
network = tf.saved_model.load(sys.argv[1])
rebuilt = network.signatures["serving_default"](images=tf.constant(found))["reconstructions"].numpy()
print(float(np.square(rebuilt - found).mean(dtype=np.float64)))
"""
PEAK = """
import json, sys
from speed.with_hourglass import Block
from speed.workloads import WORKLOADS, Inputs
import pathlib, tensorflow as tf
block = Block(WORKLOADS["hinton"], Inputs.read(pathlib.Path(sys.argv[1])), sys.argv[2:])
block.epochs(1)
print(tf.config.experimental.get_memory_info("GPU:0")["peak"] if tf.config.list_logical_devices("GPU") else 0)
"""


@dataclasses.dataclass
class Checks:
    """What was tried.

    Attributes:
      folder: for runs and data.
      device: that is checked.
      rows: (what, whether it passed, what was seen) of each.
    """

    folder: pathlib.Path
    device: str
    rows: list[tuple[str, bool, str]] = dataclasses.field(default_factory=list)

    def check(self, what: str, measure: Callable[[], tuple[bool, str]]) -> None:
        """Tries one thing; whatever is raised is a failure."""
        try:
            passed, seen = measure()
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            passed, seen = False, str(error).strip().splitlines()[-1][:100]
        self.rows.append((what, passed, seen))
        print(f"{'pass' if passed else 'FAIL'}  {what:34} {seen}", flush=True)

    def python(self, script: str, *arguments: str, hidden: bool = False) -> str:
        """The last line that a script prints, in a process of its own; `hidden`: which sees no GPU."""
        return _last_line([sys.executable, "-c", script, *arguments], hidden=hidden)

    def train(self, name: str, *flags: str, device: str | None = None) -> dict[str, float]:
        """Trains, or goes on training, a run of this name; its results."""
        run = self.folder / name
        given = [flag for flag in WORKLOAD.flags("float32") if "precision" not in flag]
        where = [f"--device={device or self.device}", f"--run_dir={run}", f"--data_dir={self.folder}"]
        _last_line([sys.executable, str(CHECKOUT / "launch.py"), *given, *where, *flags])
        return json.loads((run / "result.json").read_text())


def _last_line(command: list[str], *, hidden: bool = False) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'scripts'}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if hidden:
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip()[-300:]}")
    return (done.stdout.strip().splitlines() or [""])[-1]


def _learns(checks: Checks, precision: str) -> tuple[bool, str]:
    found = checks.train(precision, f"--precision={precision}", f"--steps={STEPS}")
    ratio = found["eval/reconstruction/mse"] / found["floor/mean/eval"] ** 2
    return ratio < WORST, f"error {ratio:.3f} of the mean picture's after {STEPS} steps, {found['seconds']:.1f} s"


def _handed_over(checks: Checks) -> tuple[bool, str]:
    errors = []
    for leg, device in enumerate(("cpu", checks.device, "cpu"), start=1):
        flags = ["--schedule=constant", "--precision=float32", f"--steps={30 * leg}"]
        found = checks.train("hand-over", *flags, device=device)
        if found["step"] != 30 * leg:
            return False, f"on {device} it ended at step {found['step']}"
        errors.append(found["eval/reconstruction/mse"])
    return errors == sorted(errors, reverse=True), "errors " + ", ".join(f"{error:.5f}" for error in errors)


def _exported(checks: Checks) -> tuple[bool, str]:
    folder = checks.folder / "float32"
    expected = json.loads((folder / "result.json").read_text())["eval/reconstruction/mse"]
    found = float(checks.python(REBUILT, str(folder / "export" / str(STEPS)), str(checks.folder), hidden=True))
    return abs(found / expected - 1) < 1e-3, f"mse {found:.6f} on the CPU, {expected:.6f} in training"


def _faster(checks: Checks) -> tuple[bool, str]:
    seconds = {}
    for device in ("cpu", checks.device):
        steps = 40 if device == "cpu" else STEPS
        found = checks.train(f"speed-{device}", "--precision=float32", f"--steps={steps}", device=device)
        seconds[device] = found["seconds"] / steps
    ratio = seconds["cpu"] / seconds[checks.device]
    return ratio > 1, f"{1 / seconds[checks.device]:,.1f} steps a second, {ratio:.1f} times the CPU's"


def _memory(checks: Checks) -> tuple[bool, str]:
    prepare = "import sys; from speed import prepare; prepare.main('hinton', *sys.argv[1:])"
    checks.python(prepare, str(checks.folder), f"--data_dir={checks.folder}", hidden=True)
    flags = [*WORKLOAD.flags("float32"), f"--device={checks.device}"]
    peak = int(checks.python(PEAK, str(checks.folder), *flags))
    return peak < PEAK_BYTES, f"{peak / 2**20:,.0f} MiB at most"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="gpu", choices=["gpu", "cpu"])
    device = parser.parse_args().device
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(pathlib.Path(folder), device)
        if device == "gpu":
            checks.check("TensorFlow finds a GPU", lambda: (bool(found := checks.python(LISTED)), found or "none"))
            if not checks.rows[-1][1]:
                print("there is nothing to check: see nvidia-smi, then pip install '.[gpu]'")
                return 1
        data.write(checks.folder)
        for precision in ("float32", "mixed_bfloat16", "mixed_float16"):
            checks.check(f"trains in {precision}", lambda precision=precision: _learns(checks, precision))
        checks.check(f"checkpoint from CPU to {device} to CPU", lambda: _handed_over(checks))
        checks.check("the export runs without it", lambda: _exported(checks))
        checks.check("steps a second against the CPU", lambda: _faster(checks))
        checks.check("peak memory below 1 GiB", lambda: _memory(checks))
    passed = sum(row[1] for row in checks.rows)
    print(f"{passed} of {len(checks.rows)} passed")
    return 0 if passed == len(checks.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
