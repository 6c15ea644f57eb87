"""The file schema.json of a run."""

import json
import shutil

import pytest

from trainer import config
from trainer.checkpoints import manifest as manifests
from trainer.data.schema import Schema
from trainer.errors import CheckpointError
from trainer.runs import schema_file
from trainer.runs.directory import RunFiles
from trainer.runs.loading import LoadedRun
from trainer.system import files

SCHEMA = Schema(names=("a", "b"), has_heading=True, trained=(0, 1), delimiter=",")


@pytest.fixture
def run(table_run, tmp_path):
    return shutil.copytree(table_run, tmp_path / "run")


def loaded(run, *flags):
    return LoadedRun(*config.parse([f"--run_dir={run}", *flags]))


def test_a_run_stores_the_columns_of_its_table_and_the_unit_of_its_errors(run):
    content = json.loads((run / "schema.json").read_text())
    assert content["names"] == ["size", "weight", "age", "kind"]
    assert (content["trained"], content["label"], content["delimiter"]) == ([0, 1, 2], 3, ",")
    assert content["unit"] == "in standard deviations of the columns"
    assert run / "schema.json" in RunFiles(run).before_checkpoints  # A mirror copies these files first.
    manifest = manifests.read(run / "checkpoints", 3)
    assert manifest.columns == files.sha256(run / "schema.json")
    assert loaded(run).schema().trained_names == ["size", "weight", "age"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_text(path.read_text().replace("size", "mass")), "is not that of the checkpoint"),
    ],
)
def test_a_file_that_is_not_that_of_the_checkpoint_is_refused_until_it_is_written_again(change, message, run):
    original = (run / "schema.json").read_bytes()
    change(run / "schema.json")
    with pytest.raises(CheckpointError, match=message):
        loaded(run).schema()
    manifest = manifests.read(run / "checkpoints", 3)
    content = json.loads(original)
    schema_file.write(run / "schema.json", Schema.from_json(content), content["unit"], stored=manifest.columns)
    assert (run / "schema.json").read_bytes() == original
    assert loaded(run).schema().trained == (0, 1, 2)


def test_starting_a_finished_run_again_restores_a_lost_file(run, launch):
    original = (run / "schema.json").read_bytes()
    (run / "schema.json").unlink()
    assert launch(f"--run_dir={run}")[0] == 0
    assert (run / "schema.json").read_bytes() == original
    assert "finished already" in launch(f"--run_dir={run}")[1]


def test_without_a_digest_a_missing_file_is_none_and_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "schema.json"
    assert schema_file.read(path) is None
    assert schema_file.digest(path) == ""
    schema_file.write(path, None, "unit")
    assert not path.exists()
    schema_file.write(path, SCHEMA, "unit")
    assert schema_file.read(path) == SCHEMA
    path.write_text("{}")
    with pytest.raises(CheckpointError, match="is damaged"):
        schema_file.read(path)


def test_the_names_that_a_run_began_with_are_kept(tmp_path, log_lines):
    path = tmp_path / "schema.json"
    schema_file.write(path, SCHEMA, "unit")
    renamed = Schema(names=("c", "d"), has_heading=True, trained=(0, 1), delimiter=",")
    schema_file.write(path, renamed, "unit", stored=schema_file.digest(path))
    assert schema_file.read(path) == SCHEMA
    assert log_lines == [
        "note        the data have other columns than schema.json, which is kept: new rows are read by it"
    ]
