"""The description of a run, in Markdown."""

import pathlib
import subprocess

import numpy as np
import pytest

import trainer
from trainer import config as configs
from trainer.runs import description
from trainer.runs.data import load
from trainer.runs.provenance import Provenance

WEIGHTS = {"encoder/code/kernel": np.zeros((64, 5)), "decoder/bias": np.zeros((8, 8, 1))}
HEADER = {"network": "dense 64 -> 5", "data": "digits: some", "training": "many steps", "device": "a CPU"}


def pages(*arguments: str) -> dict[str, str]:
    config, given = configs.parse(arguments)
    data = load(config)
    numerics = {"processor": "a | fast one", "tensorflow": "2", "keras": "3", "numpy": "4"}
    provenance = Provenance(
        run_id="0123", flags={}, data=data.fingerprint, data_source="here", numerics=numerics, is_deterministic=True
    )
    return description.text_pages(
        *(config, data, provenance, WEIGHTS, HEADER),
        run=pathlib.Path("/runs/my run"),
        arguments=configs.to_arguments(config, given),
    )


def test_the_command_page_has_the_commands_to_start_resume_and_repeat_the_run():
    page = pages("--hidden=5", "--classes=1,5", "--data_dir=/my data")["run/command"]
    assert "**command**: `python launch.py --classes=1,5 --hidden=5 '--data_dir=/my data'`" in page
    assert "**to resume**: `python launch.py '--run_dir=/runs/my run' '--data_dir=/my data'`" in page
    assert "--flagfile=/runs/my run/flags.txt' --run_dir=ANOTHER '--data_dir=/my data'" in page
    assert f"**Hourglass**: {trainer.__version__}, " in page
    assert "**run**: 0123" in page


def test_the_flags_page_has_all_stored_flags_with_their_values_and_kinds():
    rows = {}
    for line in pages("--learning_rate=0.5", "--export=best")["run/flags"].splitlines()[2:]:
        name, value, kind = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name.removeprefix("--")] = (value, kind)
    assert set(rows) == set(configs.option_names("mathematics", "duration", "numerics", "presentation"))
    assert rows["learning_rate"] == ("`0.5`", "what is computed: fixed for the run")
    assert rows["export"] == ("`best`", "what is written and kept")
    assert rows["log_every"][0] == ""


def test_the_network_page_has_a_table_of_weights():
    assert "| encoder/code/kernel | 64 x 5 | 320 |" in pages()["run/network"]


def test_the_data_page_has_fingerprint_range_and_class_counts():
    page = pages("--classes=1,5")["run/data"]
    fingerprint = load(configs.parse(["--classes=1,5"])[0]).fingerprint
    assert f"`{fingerprint}`" in page
    assert "values 0 to 16, divided by 16" in page
    assert "classes: 1: 151, 5: 152\n" in page


def test_the_command_to_resume_repeats_device_and_mirror():
    page = pages("--device=cpu", "--mirror_dir=/copy", "--restart")["run/command"]
    assert "**to resume**: `python launch.py '--run_dir=/runs/my run' --device=cpu --mirror_dir=/copy`" in page


@pytest.mark.parametrize(
    "address", ["https://me:secret@host/data.tgz?key=secret", "https://host/data.tgz?key=secret@x"]
)
def test_secrets_are_removed_from_urls(address):
    page = pages(f"--data_url={address}")["run/command"]
    assert "secret" not in page.splitlines()[0]
    assert "://host/data.tgz" in page


def test_the_data_page_has_the_first_rows_of_a_table():
    page = pages("--dataset=iris")["run/data"]
    assert "| 5.1 | 3.5 | 1.4 | 0.2 |" in page


def test_the_revision_is_the_git_revision_of_the_checkout(tmp_path, monkeypatch):
    (tmp_path / "trainer").mkdir()
    monkeypatch.setattr(trainer, "__file__", str(tmp_path / "trainer" / "__init__.py"))
    assert description.revision() == "not from a git checkout"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert description.revision() == "git revision unknown"
    (tmp_path / "file").touch()
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert description.revision() == f"git revision {head}"
    (tmp_path / "file").write_text("changed")
    assert description.revision() == f"git revision {head}-dirty"


@pytest.mark.parametrize("name", ["classes", "steps"])
def test_the_text_of_a_flag_without_a_value_is_empty(name):
    assert configs.parse([])[0].text(name) == ""
