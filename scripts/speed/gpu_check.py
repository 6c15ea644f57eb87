"""Tries on a GPU what is promised of one, and prints what passed; exits with 1 if anything did not, or was not reached.

With `--device=cpu` the same is tried on the CPU, with smaller networks: whether the checks themselves work.
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

from speed import data
from speed.contenders import CHECKOUT, checkpoints, environment
from speed.workloads import WORKLOADS, Workload

SECONDS = 300
SPARE = 5  # of them, for the beginning and the end
STEPS = {"gpu": 600, "cpu": 300}
WORST = 0.1  # of the error of the mean picture; on a CPU it is 0.02 after its steps, conv's 0.05
LEG = 30  # steps between hand-overs
FEW = 40  # steps that are enough to time a CPU
PEAK_BYTES = 1 << 30
GPU = "gpu"
PASS, FAIL, SKIP = "pass", "FAIL", "skip"

# For a CPU: large ones would take it longer than there is time, above all in float16.
SMALL = {
    "hinton": dataclasses.replace(WORKLOADS["hinton"], classes="0", examples=6_000, hidden=(200, 30)),
    "conv": dataclasses.replace(
        WORKLOADS["conv"], dataset="cifar_horse", classes="", shape=(32, 32, 1), hidden=(16, 32, 64)
    ),
}
PRECISIONS = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}  # by the names of runs; of all others float32

LISTED = "import tensorflow as tf; print([d.name for d in tf.config.list_physical_devices('GPU')] or '')"
# In a process that sees no GPU, and nothing of Hourglass: what was exported must not need them.
REBUILT = """
import sys, numpy as np, tensorflow as tf
export, digits, every = sys.argv[1:]
stored = np.fromfile(digits, np.uint8, offset=16).reshape(-1, 28, 28, 1)
found = stored[:: int(every)] / np.float32(255)
network = tf.saved_model.load(export)
rebuilt = network.signatures["serving_default"](images=tf.constant(found))["reconstructions"].numpy()
print(float(np.square(rebuilt - found).mean(dtype=np.float64)))
"""
PREPARED = "import sys; from speed import prepare; prepare.main('hinton', *sys.argv[1:])"
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
    """What was tried.

    Attributes:
      folder: for runs, their logs, and output.log: what all processes have printed.
      scratch: for data.
      device: that is checked.
      seconds: that all of it may take.
      now: the clock.
      outcomes: of each row.
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

    def check(self, row: "Row") -> bool:
        """Tries one thing, if there is time left, and says whether it passed."""
        began = self.now()
        if began < self._end:
            outcome, seen = self._outcome(row)
        else:
            outcome, seen = SKIP, f"not reached within the {self.seconds} s of --seconds"
        self.outcomes.append(outcome)
        words = row.words.format(device=self.device)
        print(f"{outcome}  {row.name:8}  {words:33}  {self.now() - began:3.0f} s  {seen}", flush=True)
        return outcome == PASS

    def _outcome(self, row: "Row") -> tuple[str, str]:
        """Whatever is raised is a failure."""
        try:
            passed, seen = row.measure(self)
        except subprocess.TimeoutExpired:
            return FAIL, f"not done within the {self.seconds} s of --seconds"
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            return FAIL, (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return PASS if passed else FAIL, seen

    @functools.cached_property
    def data(self) -> pathlib.Path:
        """The folder of the data, which are made when they are asked for."""
        data.write(self.scratch)
        return self.scratch

    def workload(self, name: str) -> Workload:
        """The dense one, or the one of the row `conv`."""
        workloads = SMALL if self.device == "cpu" else WORKLOADS
        return workloads["conv" if name == "conv" else "hinton"]

    def python(self, script: str, *arguments: str, hidden: bool = False) -> str:
        """The last line that a script prints, in a process of its own; `hidden`: which sees no GPU."""
        return self._last_line([sys.executable, "-c", script, *arguments], hidden=hidden)

    def train(self, name: str, steps: int, device: str | None = None) -> dict[str, float]:
        """Trains, or goes on training, a run of this name, in the precision that it tells of; its results."""
        run = self.folder / name
        given = self.workload(name).flags(PRECISIONS.get(name, "float32"))
        where = [f"--device={device or self.device}", f"--run_dir={run}", f"--data_dir={self.data}"]
        self._last_line([sys.executable, str(CHECKOUT / "launch.py"), *given, *where, f"--steps={steps}"])
        return json.loads((run / "result.json").read_text())

    def trained(self, name: str) -> dict[str, float]:
        """The results of a whole run, which is trained when the first row asks for it, and never twice.

        Raises:
          RuntimeError: it has failed, now or for another row.
        """
        if name not in self._trained:
            self._trained[name] = None
            self._trained[name] = self.train(name, STEPS[self.device])
        found = self._trained[name]
        if found is None:
            raise RuntimeError(f"it needs the run of {name}, which has failed")
        return found

    def _last_line(self, command: list[str], *, hidden: bool = False) -> str:
        given = {**environment(), **({"CUDA_VISIBLE_DEVICES": "-1"} if hidden else {})}
        left = max(self._end - self.now(), 0)
        done = subprocess.run(command, capture_output=True, text=True, env=given, timeout=left, check=False)
        with (self.folder / "output.log").open("a") as log:
            log.write(f"$ {shlex.join(command)}\n{done.stdout}{done.stderr}\n")
        if done.returncode:
            raise RuntimeError(f"exit {done.returncode}: {_first_error(done.stderr)}")
        return (done.stdout.strip().splitlines() or [""])[-1]


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that is tried.

    Attributes:
      name: short, for `--only`.
      words: what it is.
      measure: whether it passed, and what was seen.
    """

    name: str
    words: str
    measure: Callable[[Checks], tuple[bool, str]]


def _first_error(printed: str) -> str:
    """The error in one line: Hourglass's first line, else the exception that ended Python, else the last line."""
    lines = [line for line in printed.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error: ")]
    _, traceback, after = printed.rpartition("Traceback (most recent call last):\n")
    raised = [line for line in after.splitlines() if traceback and line.strip() and not line.startswith(" ")]
    return next(iter([*said, *raised, *lines[-1:]]), "nothing was printed")


def _found(checks: Checks) -> tuple[bool, str]:
    found = checks.python(LISTED)
    return bool(found), found or "none"


def _learns(name: str, checks: Checks) -> tuple[bool, str]:
    found = checks.trained(name)
    ratio = found["eval/reconstruction/mse"] / found["floor/mean/eval"] ** 2
    seen = f"error {ratio:.3f} of the mean picture's after {found['step']} steps, {found['seconds']:.1f} s"
    return ratio < WORST, seen


def _handed_over(checks: Checks) -> tuple[bool, str]:
    errors = []
    for leg, device in enumerate(("cpu", checks.device, "cpu"), start=1):
        found = checks.train("handover", LEG * leg, device)
        if found["step"] != LEG * leg:
            return False, f"on {device} it ended at step {found['step']}"
        errors.append(found["eval/reconstruction/mse"])
    return errors == sorted(errors, reverse=True), "errors " + ", ".join(f"{error:.5f}" for error in errors)


def _exported(checks: Checks) -> tuple[bool, str]:
    expected = checks.trained("float32")["eval/reconstruction/mse"]
    export = checks.folder / "float32" / "export" / str(STEPS[checks.device])
    digits = checks.data / data.mnist.IDX_FILES[2]
    every = WORKLOADS["hinton"].examples // checks.workload("float32").examples  # a class: the labels take turns
    found = float(checks.python(REBUILT, str(export), str(digits), str(every), hidden=True))
    return abs(found / expected - 1) < 1e-3, f"mse {found:.6f} on the CPU, {expected:.6f} in training"


def _faster(checks: Checks) -> tuple[bool, str]:
    checks.train("speed", FEW, "cpu")
    checks.trained("float32")
    known, found = (_pace(checks.folder / name) for name in ("speed", "float32"))
    seen = f"{found:,.1f} steps a second, {found / known:.1f} times the CPU's"
    return found > known or checks.device == "cpu", seen  # Of a CPU and itself either may be the faster one.


def _pace(run: pathlib.Path) -> float:
    """Steps a second between its checkpoints: by the first one all is compiled."""
    (first, began, _), *_, (last, ended, _) = checkpoints(run)
    return (last - first) / (ended - began)


def _memory(checks: Checks) -> tuple[bool, str]:
    checks.python(PREPARED, str(checks.data), f"--data_dir={checks.data}", hidden=True)
    flags = [*WORKLOADS["hinton"].flags("float32"), f"--device={checks.device}"]
    peak = int(checks.python(PEAK, str(checks.data), *flags))
    if checks.device == "cpu":
        return True, "it trains; a CPU's is not measured"
    return 0 < peak < PEAK_BYTES, f"{peak / 2**20:,.0f} MiB at most"


ROWS = (
    Row(GPU, "TensorFlow finds a GPU", _found),
    *(Row(name, f"trains in {name}", functools.partial(_learns, name)) for name in ("float32", "bfloat16", "float16")),
    Row("handover", "checkpoint from CPU to {device} to CPU", _handed_over),
    Row("export", "the export runs without it", _exported),
    Row("speed", "steps a second against the CPU", _faster),
    Row("memory", "peak memory below 1 GiB", _memory),
    Row("conv", "trains convolutions", functools.partial(_learns, "conv")),
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(row.name for row in ROWS)
    parser.add_argument("--device", default="gpu", choices=["gpu", "cpu"])
    parser.add_argument("--seconds", type=int, default=SECONDS, help="that it may take (default: %(default)s)")
    only = f"NAME,...: some of {names}; export and speed train float32's run, if it is not there yet"
    parser.add_argument("--only", metavar="NAME", help=only)
    parser.add_argument("--keep", type=_new_folder, metavar="FOLDER", help="makes runs there, and leaves them")
    options = parser.parse_args(arguments)
    known = {row.name: row for row in ROWS if row.name != GPU or options.device == "gpu"}
    wanted = options.only.split(",") if options.only is not None else list(known)
    if unknown := set(wanted) - set(known):
        parser.error(f"--only: unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    options.rows = [row for row in known.values() if row.name in wanted]
    return options


def _new_folder(name: str) -> pathlib.Path:
    folder = pathlib.Path(name).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):  # A run that is there would go on.
            raise argparse.ArgumentTypeError(f"there is something in {name}; give a new folder")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: {error.strerror}") from error
    return folder


def main(arguments: Sequence[str], now: Callable[[], float] = time.monotonic) -> int:
    """Returns the exit code: 0 if all that was wanted has passed."""
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        scratch, runs = pathlib.Path(folder, "data"), options.keep or pathlib.Path(folder, "runs")
        for made in (scratch, runs):
            made.mkdir(exist_ok=True)
        checks = Checks(runs, scratch, options.device, options.seconds, now)
        for row in options.rows:
            if not checks.check(row) and row.name == GPU:
                print("there is nothing to check: see nvidia-smi, then pip install '.[gpu]'")
                return 1
    passed = checks.outcomes.count(PASS)
    print(f"{passed} of {len(checks.outcomes)} passed")
    if options.keep or passed < len(checks.outcomes):
        print(f"runs and logs are in {options.keep}" if options.keep else "--keep=FOLDER keeps the runs and their logs")
    return 0 if passed == len(checks.outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
