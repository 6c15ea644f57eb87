import dataclasses

import pytest

from trainer import config
from trainer.checkpoints.manifest import Manifest
from trainer.compute.devices import Device
from trainer.data import datasets
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, render
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


def test_a_checkpoint_of_the_same_computation_is_accepted_with_the_same_bits(tmp_path):
    provenance = of(tmp_path)
    provenance.check_compatible(manifest(provenance))
    assert provenance.reproducibility_statement(manifest(provenance)).endswith("to the bit")


@pytest.mark.parametrize(
    ("stored", "current"),
    [
        ({"threads": 2}, {"threads": 4}),
        ({"kind": "cpu"}, {"kind": "gpu"}),
        ({"total_steps": 100}, {"total_steps": 200}),
    ],
)
def test_changed_numerics_are_named(stored, current, tmp_path):
    statement = of(tmp_path, **current).reproducibility_statement(manifest(of(tmp_path, **stored)))
    assert "not claimed" in statement
    assert str(next(iter(current.values()))) in statement


def test_a_constant_schedule_does_not_depend_on_the_length_of_the_run(tmp_path):
    stored = of(tmp_path, "--schedule=constant", total_steps=100)
    current = of(tmp_path, "--schedule=constant", total_steps=200)
    assert current.reproducibility_statement(manifest(stored)).endswith("to the bit")


def test_a_change_is_remembered_at_all_later_starts(tmp_path):
    first, other = of(tmp_path), of(tmp_path, threads=4)
    changes = other.differences(manifest(first))
    assert changes
    resumed = manifest(other, changes=changes)
    assert "not claimed" in other.reproducibility_statement(resumed)
    assert other.differences(resumed) == changes


def test_a_gpu_needs_deterministic_kernels(tmp_path):
    gpu = of(tmp_path, kind="gpu")
    assert "--deterministic" in render(gpu.reproducibility_statement(manifest(gpu)))
    gpu = of(tmp_path, "--deterministic", kind="gpu")
    assert gpu.reproducibility_statement(manifest(gpu)).endswith("to the bit")


def test_checkpoints_of_other_runs_flags_or_data_are_refused(tmp_path):
    provenance = of(tmp_path)
    for changes, error in (
        ({"run_id": "another"}, UsageError),
        ({"flags": {**provenance.flags, "hidden": [9]}}, UsageError),
        ({"data": "0" * 64}, DataError),
    ):
        with pytest.raises(error):
            provenance.check_compatible(manifest(provenance, **changes))


def test_a_changed_learning_rate_is_accepted_named_and_remembered(tmp_path):
    first, other = of(tmp_path), of(tmp_path, "--learning_rate=0.01")
    other.check_compatible(manifest(first))
    changes = other.differences(manifest(first))
    assert changes == ["learning_rate: 0.002 -> 0.01"]
    assert "not claimed (learning_rate: 0.002 -> 0.01)" in other.reproducibility_statement(manifest(first))
    assert other.differences(manifest(other, changes=changes)) == changes


@pytest.mark.parametrize(
    ("dataset", "lacks_heading", "error"),
    [("table", True, UsageError), ("images", True, UsageError), ("table", False, DataError), ("iris", True, DataError)],
)
def test_other_data_are_a_usage_error_if_an_older_version_may_have_read_them_otherwise(
    dataset, lacks_heading, error, tmp_path
):
    provenance = of(tmp_path, f"--dataset={dataset}")
    flags = {key: value for key, value in provenance.flags.items() if key != "heading" or not lacks_heading}
    with pytest.raises(error, match="is not what this run was trained on") as raised:
        provenance.check_compatible(manifest(provenance, data="0" * 64, flags=flags))
    assert ("older version" in str(raised.value)) == (error is UsageError)
    assert ("--heading=no" in str(raised.value)) == (dataset == "table" and lacks_heading)


def test_runs_of_older_versions_may_change_how_their_data_are_read_and_nothing_else(tmp_path):
    older = {key: value for key, value in of(tmp_path, "--dataset=table").flags.items() if key != "heading"}
    of(tmp_path, "--dataset=table", "--heading=no", "--classes=2").check_compatible(
        manifest(of(tmp_path), flags={**older, "classes": ["1"]})
    )
    for flag in ("--seed=3", "--eval_fraction=0.3"):
        with pytest.raises(UsageError, match="another run"):
            of(tmp_path, "--dataset=table", flag).check_compatible(manifest(of(tmp_path), flags=older))


def test_a_flag_that_the_checkpoint_does_not_contain_has_its_default(tmp_path):
    provenance = of(tmp_path)
    older = {name: value for name, value in provenance.flags.items() if name != "activation"}
    provenance.check_compatible(manifest(provenance, flags=older))
    with pytest.raises(UsageError, match="activation: swish -> relu"):
        dataclasses.replace(provenance, flags={**provenance.flags, "activation": "relu"}).check_compatible(
            manifest(provenance, flags=older)
        )
