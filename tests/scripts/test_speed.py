"""The benchmark: all contenders train the same network, and the printed values are the measured ones."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from processes import ROOT as CHECKOUT
from processes import environment
from speed import __main__ as command
from speed import compare, data, gpu_check
from speed.workloads import WORKLOADS, Inputs, Workload, activations, layers

from trainer import config
from trainer.data.dataset import Dataset, Split
from trainer.runs import builder

SMALL = Workload(
    dataset="x",
    shape=(4, 4, 1),
    examples=20,
    batch_size=5,
    hidden=(6, 3),
    activation="tanh",
    code_activation="sigmoid",
    optimizer="adam",
    learning_rate=0.01,
)
FUNCTIONS = {
    "linear": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def images(shape, count=20):
    return data.images(count, shape, seed=1)


@pytest.mark.parametrize("name", WORKLOADS)
def test_workload_flags_are_parsed_as_intended(name):
    workload = WORKLOADS[name]
    for precision in ("float32", "mixed_bfloat16"):
        given, _ = config.parse(workload.flags(precision))
        assert (given.model.hidden, given.training.batch_size, given.compute.precision) == (
            workload.hidden,
            workload.batch_size,
            precision,
        )
        assert (given.training.optimizer, given.training.schedule, given.training.loss) == (
            workload.optimizer,
            "constant",
            "mse",
        )


def test_the_contenders_layers_are_hourglasss_network(tmp_path):
    pictures = images(SMALL.shape)
    split = Split(pictures, np.zeros(len(pictures), np.int64))
    made = Dataset(name="x", train=split, evaluation=split, label_names=("x",), scale=255.0, source="")
    given, _ = config.parse([flag for flag in SMALL.flags("float32") if "dataset" not in flag])
    model = builder.network(given, made, "float32")
    weights = {v.path.removeprefix("autoencoder/"): v.numpy() for v in model.trainable_variables}
    Inputs(pictures, model.mean.numpy(), weights).write(tmp_path)
    inputs = Inputs.read(tmp_path)
    scaled = inputs.images.reshape(len(pictures), -1) / np.float32(255)
    values = scaled - inputs.mean.ravel()
    for (kernel, bias), activation in zip(layers(inputs.weights), activations(SMALL), strict=True):
        values = FUNCTIONS[activation](values @ kernel + bias)
    expected = model(pictures / np.float32(255)).numpy().reshape(len(pictures), -1)
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_ratios_are_medians_of_rounds_and_a_contender_that_learned_less_is_an_outlier():
    fast = compare.Row("launch.py", "fast", [10.0, 20.0, 90.0], 0.50, [0.01, 0.03, 0.02])
    slow = compare.Row("keras", "slow", [30.0, 40.0, 90.0], 0.51)
    lazy = compare.Row("lazy", "lazy", [1.0, 1.0, 1.0], 0.60)
    assert slow.against(fast) == 2.0
    assert compare.outliers([fast, slow, lazy]) == [lazy]
    lines = compare.table([fast, slow]).splitlines()
    assert lines[0] == "|  | us per step | x launch.py | loss | not training |"
    assert lines[2] == "| fast | 20 | 1.00 | 0.50000 | 2.0% |"
    assert lines[3] == "| slow | 40 | 2.00 | 0.51000 |  |"


def test_a_contender_prints_only_answers():
    script = (
        "from speed.protocol import serve\n"
        "class Loud:\n"
        "    done = 0\n"
        "    def epochs(self, count): self.done += count; print('noise')\n"
        "    def loss(self): return 1 / self.done\n"
        "serve(Loud)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input="epochs 4\nloss\n",
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(CHECKOUT / "scripts")},
    )
    seconds, loss = map(float, done.stdout.splitlines())
    assert seconds > 0
    assert loss == 0.25


def test_the_error_for_an_unknown_workload_or_contender_lists_the_known_ones(capsys):
    for arguments in (["bok"], ["--only=kears"]):
        with pytest.raises(SystemExit):
            command.parse(arguments)
    assert "choose from book, ibm" in capsys.readouterr().err


class Trainings:
    """A replacement of `subprocess.run` that trains nothing, advances its own clock, and writes a good result.

    Attributes:
      taken: seconds per training.
      error: printed to stderr, with exit code 1; empty for success.
      clock: seconds so far.
      names: names of the runs.
    """

    def __init__(self, taken=1, error=""):
        self.taken, self.error = taken, error
        self.clock, self.names = 0, []

    def __call__(self, command, *, timeout, **_):
        self.clock += min(self.taken, timeout)
        if timeout < self.taken:
            raise subprocess.TimeoutExpired(command, timeout)
        if self.error:
            return subprocess.CompletedProcess(command, 1, "", self.error)
        run = pathlib.Path(next(flag for flag in command if "run_dir" in flag).partition("=")[2])
        result = {"eval/reconstruction/mse": 0.01, "floor/mean/eval": 1.0, "step": 150, "seconds": 9.0}
        run.mkdir()
        (run / "result.json").write_text(json.dumps(result))
        self.names.append(run.name)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def gpu_checked(monkeypatch, capsys):
    """Runs the checks with fake trainings: gpu_checked(trainings, flag, ...) -> (exit code, lines)."""

    def run(trainings, *flags):
        monkeypatch.setattr(gpu_check.subprocess, "run", trainings)
        monkeypatch.setattr(gpu_check.data, "write", lambda _: None)
        code = gpu_check.main(["--device=cpu", *flags], now=lambda: trainings.clock)
        return code, capsys.readouterr().out.splitlines()

    return run


def test_the_error_for_an_unknown_check_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        gpu_check.parse(["--only=float32,flaot16"])
    printed = capsys.readouterr().err
    assert "unknown: flaot16; choose from gpu, float32, bfloat16, float16, handover, export" in printed


def test_checks_beyond_the_time_limit_are_skipped_and_the_gpu_check_fails(gpu_checked):
    trainings = Trainings(taken=60)
    code, lines = gpu_checked(trainings, "--seconds=100", "--only=float16,float32,bfloat16,conv")
    assert [line.split()[:2] for line in lines[:4]] == [
        ["pass", "float32"],
        ["FAIL", "bfloat16"],
        ["skip", "float16"],
        ["skip", "conv"],
    ]
    assert "not reached within the 100 s of --seconds" in lines[2]
    assert (code, lines[4]) == (1, "1 of 4 passed")
    assert trainings.clock < 100  # Time remains for the end.


def test_the_gpu_check_passes_if_all_chosen_checks_pass_and_keeps_runs_on_request(gpu_checked, tmp_path):
    trainings = Trainings()
    code, lines = gpu_checked(trainings, "--only=float32,conv", f"--keep={tmp_path / 'kept'}")
    assert (code, lines[2]) == (0, "2 of 2 passed")
    assert trainings.names == ["float32", "conv"]
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"float32", "conv", "output.log"}
    with pytest.raises(SystemExit):  # Runs in it would be resumed.
        gpu_check.parse([f"--keep={tmp_path / 'kept'}"])


def test_the_gpu_check_shows_the_first_line_of_an_error_and_does_not_repeat_a_failed_run(gpu_checked):
    said = "noise\nerror: --device=gpu: TensorFlow finds no GPU\nno driver\nremedy: check nvidia-smi\n"
    _, lines = gpu_checked(Trainings(error=said), "--only=float32,export")
    assert lines[0].endswith("  exit 1: error: --device=gpu: TensorFlow finds no GPU")
    assert lines[1].endswith("  it needs the run of float32, which has failed")


def test_the_gpu_check_shows_the_exception_that_ended_a_script(gpu_checked):
    said = 'Traceback (most recent call last):\n  File "x.py", line 1\n    f()\nValueError: no cuDNN\n\ndetails: none\n'
    _, lines = gpu_checked(Trainings(error=said), "--only=float32")
    assert lines[0].endswith("  exit 1: ValueError: no cuDNN")


def test_processes_of_the_gpu_check_use_pythonpath(tmp_path, monkeypatch):
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "on_the_shelf.py").write_text("ANSWER = 42\n")
    (tmp_path / "speed.py").write_text("raise ImportError('of the working folder')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shelf"))
    checks = gpu_check.Checks(tmp_path, tmp_path, "cpu")
    assert checks.python("import on_the_shelf, speed.data; print(on_the_shelf.ANSWER)") == "42"
    paths = environment()["PYTHONPATH"].split(os.pathsep)
    assert paths == [str(CHECKOUT), str(CHECKOUT / "scripts"), str(tmp_path / "shelf")]


def test_the_gpu_check_uses_the_given_interpreter_and_path(tmp_path):
    interpreter = tmp_path / "interpreter"
    interpreter.write_text('#!/bin/sh\necho "$PYTHONPATH"\necho "$@"\n')
    interpreter.chmod(0o755)
    given = {**os.environ, "PYTHON": str(interpreter), "PYTHONPATH": "/shelf"}
    command = [CHECKOUT / "scripts" / "gpu_check", "--device=cpu"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    path, arguments = done.stdout.splitlines()
    assert path == os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "scripts"), "/shelf"])
    assert arguments.endswith("-m speed.gpu_check --device=cpu")
