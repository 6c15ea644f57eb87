"""Devices, their settings, and defaults that depend on speed; without a GPU."""

import os

import numpy as np
import pytest

from trainer import config
from trainer.compute import devices
from trainer.compute.options import ComputeOptions
from trainer.data import datasets
from trainer.data.dataset import Dataset, Split
from trainer.data.sources import Sources
from trainer.runs import builder, description, planning


def prepare():
    return devices.prepare(ComputeOptions(device="cpu"), model="dense")


def test_xla_flags_are_added_once_before_the_users_flags(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_user_flag=1")
    prepare()
    prepare()
    (flags,) = devices.CPU_XLA_FLAGS.values()
    assert os.environ["XLA_FLAGS"] == f"{flags} --xla_user_flag=1"


def test_no_xla_flags_are_added_for_other_tensorflow_versions(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(devices.tf, "__version__", "2.99.1")
    prepare()
    assert os.environ["XLA_FLAGS"] == ""


@pytest.mark.parametrize(
    ("precision", "model", "expected"),
    [
        ("float32", "dense", True),
        ("mixed_float16", "dense", True),
        ("mixed_bfloat16", "dense", False),
        ("float32", "conv", False),
    ],
)
def test_xla_is_used_where_it_is_faster_unless_the_flag_is_set(precision, model, expected):
    assert devices.uses_jit("auto", kind="cpu", precision=precision, model=model) is expected
    assert devices.uses_jit("on", kind="cpu", precision=precision, model=model)
    assert not devices.uses_jit("off", kind="gpu", precision=precision, model=model)


def test_only_a_gpu_keeps_data_resident_and_only_if_they_fit():
    gpu, cpu = (devices.Device(kind, "", True, 1, "") for kind in ("gpu", "cpu"))
    assert gpu.keeps_resident(devices.MAX_RESIDENT_BYTES)
    assert not gpu.keeps_resident(devices.MAX_RESIDENT_BYTES + 1)
    assert not cpu.keeps_resident(1)


@pytest.mark.parametrize(
    ("kind", "flags", "text"),
    [
        ("cpu", [], "float32, XLA on"),
        ("gpu", [], "float32 without TF32, XLA on"),
        ("gpu", ["--tf32"], "float32 with TF32 products, XLA on"),
        ("gpu", ["--tf32", "--precision=mixed_float16"], "mixed_float16, XLA on"),
    ],
)
def test_the_header_shows_precision_tf32_and_xla(kind, flags, text):
    options, _ = config.parse([*flags, "--hidden=3", "--steps=5"])
    device = devices.Device(kind, "/CPU:0", True, 1, "X", tf32=options.compute.tf32)
    data = datasets.load("iris", Sources())
    model = builder.network(options, data, "float32")
    assert description.header(options, data, device, planning.plan(options, data), model)["device"] == f"X, {text}"


@pytest.mark.parametrize(
    ("flags", "evaluations"),
    [
        (["--steps=700", "--batch_size=1000", "--hidden=1000,30"], 4),  # a minute: at 200, 400, 600 and 700
        (["--steps=10000", "--batch_size=64", "--hidden=32"], 5),  # seconds: with the checkpoints
        (["--steps=10000", "--batch_size=64", "--hidden=8"], 20),  # seconds, and evaluations take milliseconds
        (["--steps=100000", "--batch_size=500", "--hidden=1000,30"], 20),  # hours
    ],
)
def test_runs_with_many_evaluation_examples_evaluate_less_often(flags, evaluations):
    options, _ = config.parse(["--dataset=mnist", *flags])
    split = Split(np.zeros((10_000, 28, 28, 1), np.uint8), np.zeros(10_000, np.int64))
    data = Dataset(name="x", train=split, evaluation=split, label_names=("x",), scale=255.0, source="")
    plan = planning.plan(options, data)
    due = [step for step in range(1, plan.total_steps + 1) if step % plan.eval_every == 0 or step == plan.total_steps]
    assert len(due) == evaluations


@pytest.mark.parametrize(
    ("flags", "num_rows"),
    [
        (["--steps=700", "--batch_size=1000", "--hidden=1000,30"], 10_500),  # a minute: 0.5 % of 3 x 700,000
        (["--steps=100", "--batch_size=64", "--hidden=32"], 60_000),  # a second
        # a minute with a wide network: as many as the evaluation examples
        (["--steps=2000", "--batch_size=64", "--hidden=9999"], 10_000),
        (["--steps=100000", "--batch_size=500", "--hidden=1000,30"], 60_000),  # hours
    ],
)
def test_the_final_evaluation_of_training_examples_is_a_small_part_of_a_run(flags, num_rows):
    options, _ = config.parse(["--dataset=mnist", *flags])
    train, evaluation = (
        Split(np.broadcast_to(np.uint8(0), (count, 28, 28, 1)), np.zeros(count, np.int64)) for count in (60_000, 10_000)
    )
    data = Dataset(name="x", train=train, evaluation=evaluation, label_names=("x",), scale=255.0, source="")
    rows = planning.final_train_rows(options, data, options.training.steps)
    assert len(set(rows)) == len(rows) == num_rows
    assert (rows[0], rows[-1]) == (0, 59_999)
