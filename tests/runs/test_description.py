"""What a run is, in Markdown."""

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
WORDS = {"network": "dense 64 -> 5", "data": "digits: some", "training": "many steps", "device": "a CPU"}


def made(*arguments: str) -> dict[str, str]:
    config, given = configs.parse(arguments)
    data = load(config)
    numerics = {"processor": "a | fast one", "tensorflow": "2", "keras": "3", "numpy": "4"}
    provenance = Provenance(
        run_id="0123", flags={}, data=data.fingerprint, where="here", numerics=numerics, repeatable=True
    )
    return description.text_pages(
        *(config, data, provenance, WEIGHTS, WORDS),
        run=pathlib.Path("/runs/my run"),
        arguments=configs.given_again(config, given),
    )


def test_the_command_says_how_it_was_started_and_how_to_go_on_and_repeat():
    page = made("--hidden=5", "--classes=1,5", "--data_dir=/my data")["run/command"]
    assert "**this start**: `python launch.py --classes=1,5 --hidden=5 '--data_dir=/my data'`" in page
    assert "**goes on with**: `python launch.py '--run_dir=/runs/my run' '--data_dir=/my data'`" in page
    assert "--flagfile=/runs/my run/flags.txt' --run_dir=ANOTHER '--data_dir=/my data'" in page
    assert f"**Hourglass**: {trainer.__version__}, " in page
    assert "**run**: 0123" in page


def test_every_stored_flag_is_in_the_table_with_its_value_and_kind():
    rows = {}
    for line in made("--learning_rate=0.5", "--export=best")["run/flags"].splitlines()[2:]:
        name, value, kind = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name.removeprefix("--")] = (value, kind)
    assert set(rows) == set(configs.names("mathematics", "duration", "numerics", "presentation"))
    assert rows["learning_rate"] == ("`0.5`", "what is computed: fixed for the run")
    assert rows["export"] == ("`best`", "what is written and kept")
    assert rows["log_every"][0] == ""


def test_the_network_is_a_table_of_weights():
    assert "| encoder/code/kernel | 64 x 5 | 320 |" in made()["run/network"]


def test_the_data_are_told_by_counts_range_fingerprint_and_classes():
    page = made("--classes=1,5")["run/data"]
    fingerprint = load(configs.parse(["--classes=1,5"])[0]).fingerprint
    assert f"`{fingerprint}`" in page
    assert "values 0 to 16, divided by 16" in page
    assert "classes: 1: 151, 5: 152\n" in page


def test_what_goes_on_goes_on_where_it_was():
    page = made("--device=cpu", "--mirror_dir=/copy", "--restart")["run/command"]
    assert "**goes on with**: `python launch.py '--run_dir=/runs/my run' --device=cpu --mirror_dir=/copy`" in page


@pytest.mark.parametrize(
    "address", ["https://me:secret@host/data.tgz?key=secret", "https://host/data.tgz?key=secret@x"]
)
def test_no_secret_of_an_address_is_shown(address):
    page = made(f"--data_url={address}")["run/command"]
    assert "secret" not in page.splitlines()[0]
    assert "://host/data.tgz" in page


def test_of_a_table_the_first_rows_are_shown():
    page = made("--dataset=iris")["run/data"]
    assert "| 5.1 | 3.5 | 1.4 | 0.2 |" in page


def test_the_revision_is_that_of_the_checkout(tmp_path, monkeypatch):
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
def test_a_flag_that_is_left_to_a_default_is_an_empty_text(name):
    assert configs.parse([])[0].text(name) == ""
