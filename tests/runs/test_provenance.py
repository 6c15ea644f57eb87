import dataclasses

import pytest

from trainer import config
from trainer.checkpoints.manifest import Manifest
from trainer.compute.devices import Device
from trainer.data import datasets
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, shown
from trainer.runs.directory import RunDirectory
from trainer.runs.provenance import Provenance


def of(tmp_path, *arguments, kind="cpu", threads=2, total_steps=100):
    parsed = config.parse([f"--run_dir={tmp_path}", *arguments])[0]
    data = datasets.load("iris", Sources())
    device = Device(kind=kind, name="/CPU:0", jit=True, threads=threads, description=f"{kind}, {threads} threads")
    return Provenance.collect(parsed, data, device, total_steps, RunDirectory(parsed))


def manifest(provenance, **changes):
    values = {
        "run_id": provenance.run_id,
        "step": 7,
        "flags": provenance.flags,
        "data": provenance.data,
        "numerics": provenance.numerics,
        "metrics": {},
        "changes": [],
        "pending": (0.0, 0),
        "seconds": 1.0,
        "files": {},
    }
    return Manifest(**{**values, **changes})


def test_the_same_computation_is_accepted_and_claimed_to_the_bit(tmp_path):
    provenance = of(tmp_path)
    provenance.check_compatible(manifest(provenance))
    assert provenance.reproducibility_statement(manifest(provenance)).endswith("to the bit")


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"threads": 2}, {"threads": 4}),
        ({"kind": "cpu"}, {"kind": "gpu"}),
        ({"total_steps": 100}, {"total_steps": 200}),
    ],
)
def test_what_bits_depend_on_is_named_when_it_changes(then, now, tmp_path):
    claim = of(tmp_path, **now).claim(manifest(of(tmp_path, **then)))
    assert "not claimed" in claim
    assert str(next(iter(now.values()))) in claim


def test_a_constant_schedule_does_not_depend_on_the_runs_length(tmp_path):
    then = of(tmp_path, "--schedule=constant", total_steps=100)
    now = of(tmp_path, "--schedule=constant", total_steps=200)
    assert now.claim(manifest(then)).endswith("to the bit")


def test_a_claim_that_was_lost_once_stays_lost(tmp_path):
    first, other = of(tmp_path), of(tmp_path, threads=4)
    changes = other.differences(manifest(first))
    assert changes
    resumed = manifest(other, changes=changes)
    assert "not claimed" in other.claim(resumed)
    assert other.differences(resumed) == changes


def test_a_gpu_needs_deterministic_kernels(tmp_path):
    gpu = of(tmp_path, kind="gpu")
    assert "--deterministic" in shown(gpu.claim(manifest(gpu)))
    gpu = of(tmp_path, "--deterministic", kind="gpu")
    assert gpu.claim(manifest(gpu)).endswith("to the bit")


def test_another_runs_checkpoint_other_flags_and_other_data_are_refused(tmp_path):
    provenance = of(tmp_path)
    for changes, error in (
        ({"run_id": "another"}, UsageError),
        ({"flags": {**provenance.flags, "hidden": [9]}}, UsageError),
        ({"data": "0" * 64}, DataError),
    ):
        with pytest.raises(error):
            provenance.check_compatible(manifest(provenance, **changes))


def test_a_flag_that_is_younger_than_the_checkpoint_had_its_default(tmp_path):
    provenance = of(tmp_path)
    older = {name: value for name, value in provenance.flags.items() if name != "activation"}
    provenance.check_compatible(manifest(provenance, flags=older))
    with pytest.raises(UsageError, match="activation: swish -> relu"):
        dataclasses.replace(provenance, flags={**provenance.flags, "activation": "relu"}).check_compatible(
            manifest(provenance, flags=older)
        )
