"""Checks training, checkpoints, export, speed and memory on a GPU.

Prints what passed; exits with 1 if a check failed or was not reached. `--device=cpu` runs the same checks on the CPU,
with smaller networks.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from processes import LAUNCH, environment

from speed import data
from speed.contenders import checkpoints
from speed.workloads import WORKLOADS, Workload

SECONDS = 300
SPARE = 5  # seconds for the start and the end
STEPS = {"gpu": 600, "cpu": 300}
MAX_ERROR = 0.1  # as a share of the mean baseline's error; on a CPU it is 0.02, for conv 0.05
LEG = 30  # steps between changes of the device
CPU_STEPS = 40  # enough to time a CPU
PEAK_BYTES = 1 << 30
GPU = "gpu"
PASS, FAIL, SKIP = "pass", "FAIL", "skip"

# Workloads for a CPU, on which the large ones would take too long, above all in float16.
SMALL = {
    "hinton": dataclasses.replace(WORKLOADS["hinton"], classes="0", examples=6_000, hidden=(200, 30)),
    "conv": dataclasses.replace(
        WORKLOADS["conv"], dataset="cifar_horse", classes="", shape=(32, 32, 1), hidden=(16, 32, 64)
    ),
}
PRECISIONS = {
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}  # by the name of the run; all others are float32

LIST_GPUS = "import tensorflow as tf; print([d.name for d in tf.config.list_physical_devices('GPU')] or '')"
# Runs in a process without a GPU and without Hourglass: an export must not need them.
RECONSTRUCT = """
import sys, numpy as np, tensorflow as tf
export, digits, stride = sys.argv[1:]
stored = np.fromfile(digits, np.uint8, offset=16).reshape(-1, 28, 28, 1)
images = stored[:: int(stride)] / np.float32(255)
network = tf.saved_model.load(export)
rebuilt = network.signatures["serving_default"](images=tf.constant(images))["reconstructions"].numpy()
print(float(np.square(rebuilt - images).mean(dtype=np.float64)))
"""
PREPARE = "import sys; from speed import prepare; prepare.main('hinton', *sys.argv[1:])"
PEAK = """
import pathlib, sys, tensorflow as tf
from speed.with_hourglass import Block
from speed.workloads import WORKLOADS, Inputs
block = Block(WORKLOADS["hinton"], Inputs.read(pathlib.Path(sys.argv[1])), sys.argv[2:])
block.epochs(1)
print(tf.config.experimental.get_memory_info("GPU:0")["peak"] if tf.config.list_logical_devices("GPU") else 0)
"""


@dataclasses.dataclass
class Checks:
    """The state of the checks.

    Attributes:
      folder: folder for runs, their logs, and output.log, the output of all processes.
      scratch: folder for data.
      device: the checked device.
      seconds: time limit of all checks.
      now: clock.
      outcomes: outcome of each check.
    """

    folder: pathlib.Path
    scratch: pathlib.Path
    device: str
    seconds: float = SECONDS
    now: Callable[[], float] = time.monotonic
    outcomes: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = self.now() + self.seconds - SPARE
        self._trained: dict[str, dict[str, float] | None] = {}

    def check(self, name: str) -> bool:
        """Makes one check, if there is time left; returns True if it passed."""
        words, measure = CHECKS[name]
        started = self.now()
        if started < self._end:
            outcome, detail = self._outcome(measure)
        else:
            outcome, detail = SKIP, f"not reached within the {self.seconds} s of --seconds"
        self.outcomes.append(outcome)
        print(
            f"{outcome}  {name:8}  {words.format(device=self.device):33}  {self.now() - started:3.0f} s  {detail}",
            flush=True,
        )
        return outcome == PASS

    def _outcome(self, measure: "Callable[[Checks], tuple[bool, str]]") -> tuple[str, str]:
        """Makes the check; an exception is a failure."""
        try:
            passed, detail = measure(self)
        except subprocess.TimeoutExpired:
            return FAIL, f"not done within the {self.seconds} s of --seconds"
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            return FAIL, (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return PASS if passed else FAIL, detail

    @functools.cached_property
    def data(self) -> pathlib.Path:
        """The folder of the data, which is written on first use."""
        data.write(self.scratch)
        return self.scratch

    def workload(self, name: str) -> Workload:
        """Returns the convolutional workload for `conv`, and the dense one for all other runs."""
        workloads = SMALL if self.device == "cpu" else WORKLOADS
        return workloads["conv" if name == "conv" else "hinton"]

    def python(self, script: str, *arguments: str, hidden: bool = False) -> str:
        """Returns the last line that a script prints in a new process; `hidden` hides the GPU from it."""
        return self._last_line([sys.executable, "-c", script, *arguments], hidden=hidden)

    def train(self, name: str, steps: int, device: str | None = None) -> dict[str, float]:
        """Trains or resumes a run, in the precision of its name; returns its results."""
        run = self.folder / name
        flags = self.workload(name).flags(PRECISIONS.get(name, "float32"))
        flags += [f"--device={device or self.device}", f"--run_dir={run}", f"--data_dir={self.data}"]
        self._last_line([*LAUNCH, *flags, f"--steps={steps}"])
        return json.loads((run / "result.json").read_text())

    def trained(self, name: str) -> dict[str, float]:
        """Returns the results of a whole run, which is trained on first use.

        Raises:
          RuntimeError: The run failed, now or in an earlier check.
        """
        if name not in self._trained:
            self._trained[name] = None
            self._trained[name] = self.train(name, STEPS[self.device])
        results = self._trained[name]
        if results is None:
            raise RuntimeError(f"it needs the run of {name}, which has failed")
        return results

    def _last_line(self, command: list[str], *, hidden: bool = False) -> str:
        variables = environment(**({"CUDA_VISIBLE_DEVICES": "-1"} if hidden else {}))
        remaining = max(self._end - self.now(), 0)
        done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=remaining, check=False)
        with (self.folder / "output.log").open("a") as log:
            log.write(f"$ {shlex.join(command)}\n{done.stdout}{done.stderr}\n")
        if done.returncode:
            raise RuntimeError(f"exit {done.returncode}: {_first_error(done.stderr)}")
        return (done.stdout.strip().splitlines() or [""])[-1]


def _first_error(printed: str) -> str:
    """Returns the first line of Hourglass's error, else the exception that ended Python, else the last line."""
    lines = [line for line in printed.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    _, traceback, after = printed.rpartition("Traceback (most recent call last):\n")
    raised = [line for line in after.splitlines() if traceback and line.strip() and not line.startswith(" ")]
    return next(iter([*errors, *raised, *lines[-1:]]), "nothing was printed")


def _has_gpu(checks: Checks) -> tuple[bool, str]:
    gpus = checks.python(LIST_GPUS)
    return bool(gpus), gpus or "none"


def _learns(name: str, checks: Checks) -> tuple[bool, str]:
    results = checks.trained(name)
    ratio = results["eval/reconstruction/mse"] / results["floor/mean/eval"] ** 2
    detail = f"error {ratio:.3f} of the mean image's after {results['step']} steps, {results['seconds']:.1f} s"
    return ratio < MAX_ERROR, detail


def _changes_device(checks: Checks) -> tuple[bool, str]:
    errors = []
    for leg, device in enumerate(("cpu", checks.device, "cpu"), start=1):
        results = checks.train("handover", LEG * leg, device)
        if results["step"] != LEG * leg:
            return False, f"on {device} it ended at step {results['step']}"
        errors.append(results["eval/reconstruction/mse"])
    return errors == sorted(errors, reverse=True), "errors " + ", ".join(f"{error:.5f}" for error in errors)


def _exports(checks: Checks) -> tuple[bool, str]:
    expected = checks.trained("float32")["eval/reconstruction/mse"]
    export = checks.folder / "float32" / "export" / str(STEPS[checks.device])
    digits = checks.data / data.mnist.IDX_FILES[2]
    # The labels of the generated digits are cyclic, so a stride selects a class.
    stride = WORKLOADS["hinton"].examples // checks.workload("float32").examples
    error = float(checks.python(RECONSTRUCT, str(export), str(digits), str(stride), hidden=True))
    return abs(error / expected - 1) < 1e-3, f"mse {error:.6f} on the CPU, {expected:.6f} in training"


def _is_faster(checks: Checks) -> tuple[bool, str]:
    checks.train("speed", CPU_STEPS, "cpu")
    checks.trained("float32")
    cpu, device = (_steps_per_second(checks.folder / name) for name in ("speed", "float32"))
    detail = f"{device:,.1f} steps a second, {device / cpu:.1f} times the CPU's"
    return device > cpu or checks.device == "cpu", detail


def _steps_per_second(run: pathlib.Path) -> float:
    """Returns the steps per second after the first checkpoint, when everything has been compiled."""
    (first, began, _), *_, (last, ended, _) = checkpoints(run)
    return (last - first) / (ended - began)


def _memory(checks: Checks) -> tuple[bool, str]:
    checks.python(PREPARE, str(checks.data), f"--data_dir={checks.data}", hidden=True)
    flags = [*WORKLOADS["hinton"].flags("float32"), f"--device={checks.device}"]
    peak = int(checks.python(PEAK, str(checks.data), *flags))
    if checks.device == "cpu":
        return True, "it trains; the memory of a CPU is not measured"
    return 0 < peak < PEAK_BYTES, f"{peak / 2**20:,.0f} MiB at most"


# Each check by its name for --only: a description, and a function that returns whether it passed and a measurement.
CHECKS: dict[str, tuple[str, Callable[[Checks], tuple[bool, str]]]] = {
    GPU: ("TensorFlow finds a GPU", _has_gpu),
    **{name: (f"trains in {name}", functools.partial(_learns, name)) for name in ("float32", "bfloat16", "float16")},
    "handover": ("checkpoint from CPU to {device} to CPU", _changes_device),
    "export": ("the export runs without it", _exports),
    "speed": ("steps a second against the CPU", _is_faster),
    "memory": ("peak memory below 1 GiB", _memory),
    "conv": ("trains convolutions", functools.partial(_learns, "conv")),
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="gpu", choices=["gpu", "cpu"])
    parser.add_argument("--seconds", type=int, default=SECONDS, help="time limit (default: %(default)s)")
    only = f"NAME,...: some of {', '.join(CHECKS)}; export and speed also train the run of float32"
    parser.add_argument("--only", metavar="NAME", help=only)
    parser.add_argument("--keep", type=_new_folder, metavar="FOLDER", help="new folder for the runs, which are kept")
    options = parser.parse_args(arguments)
    known = [name for name in CHECKS if name != GPU or options.device == "gpu"]
    chosen = options.only.split(",") if options.only is not None else known
    if unknown := set(chosen) - set(known):
        parser.error(f"--only: unknown: {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
    options.names = [name for name in known if name in chosen]
    return options


def _new_folder(name: str) -> pathlib.Path:
    folder = pathlib.Path(name).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):  # Runs in it would be resumed.
            raise argparse.ArgumentTypeError(f"{name} is not empty; use a new folder")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: {error.strerror}") from error
    return folder


def main(arguments: Sequence[str], now: Callable[[], float] = time.monotonic) -> int:
    """Returns the exit code: 0 if all chosen checks passed."""
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        scratch, runs = pathlib.Path(folder, "data"), options.keep or pathlib.Path(folder, "runs")
        for path in (scratch, runs):
            path.mkdir(exist_ok=True)
        checks = Checks(runs, scratch, options.device, options.seconds, now)
        for name in options.names:
            if not checks.check(name) and name == GPU:
                print("there is no GPU to check: see nvidia-smi, then pip install '.[gpu]'")
                return 1
    passed = checks.outcomes.count(PASS)
    print(f"{passed} of {len(checks.outcomes)} passed")
    if options.keep or passed < len(checks.outcomes):
        print(f"runs and logs are in {options.keep}" if options.keep else "--keep=FOLDER keeps the runs and logs")
    return 0 if passed == len(checks.outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
