"""--mode=scalars: the points of a run as a table."""

import csv
import pathlib
import shutil

import numpy as np
import pytest
from readers import scalars


def rows_of(path: pathlib.Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def curves(finished, tmp_path):
    """A copy of the event files of a run, without its checkpoints and its flags."""
    for name in ("train", "eval", "floor"):
        shutil.copytree(finished / name, tmp_path / "curves" / name)
    return tmp_path / "curves"


def test_the_table_has_every_point_of_every_curve_once_and_in_order(finished, tmp_path, launch):
    code, output, error = launch("--mode=scalars", f"--run_dir={finished}", f"--output={tmp_path}")
    assert code == 0, error
    rows = rows_of(tmp_path / "scalars.csv")
    keys = [(row["run"], row["tag"], int(row["step"])) for row in rows]
    assert keys == sorted(set(keys))
    runs = ("eval", "floor/mean", "floor/pca", "train")
    expected = {
        (run, tag, step): value
        for run in runs
        for tag, series in scalars(finished / run).items()
        for step, value in series.items()
    }
    assert {key: np.float32(row["value"]) for key, row in zip(keys, rows, strict=True)} == expected
    assert {tag for run, tag, _ in keys if run == "train"} >= {"loss", "perf/steps_per_second"}
    for run in runs:
        assert f"{run:12}{sum(key[0] == run for key in keys):,} points" in output


def test_values_have_no_more_digits_than_they_need(finished, tmp_path, launch):
    assert launch("--mode=scalars", f"--run_dir={finished}", f"--output={tmp_path}")[0] == 0
    rates = [row["value"] for row in rows_of(tmp_path / "scalars.csv") if row["tag"] == "learning_rate"]
    assert np.float32(rates[0]) in scalars(finished / "train")["learning_rate"].values()
    assert max(map(len, rates)) <= len("0.00123456789")  # As float64: 0.0019723728764802217.


def test_the_event_files_are_enough(curves, launch):
    code, output, error = launch("--mode=scalars", f"--run_dir={curves}")
    assert code == 0, error
    assert f"written     {curves / 'scalars' / 'scalars.csv'}" in output
    assert len(rows_of(curves / "scalars" / "scalars.csv")) > 100


def test_tensorflow_is_not_imported(curves, python):
    code = "import sys, launch; print(launch.main(sys.argv[1:]), 'tensorflow' in sys.modules)"
    done = python(code, "--mode=scalars", f"--run_dir={curves}")
    assert done.stdout.endswith("0 False\n"), done


def test_a_damaged_event_file_is_named(curves, launch):
    path = max((curves / "floor" / "mean").glob("*.v2"))
    path.write_bytes(path.read_bytes()[:-5] + b"12345")
    code, output, error = launch("--mode=scalars", f"--run_dir={curves}")
    assert code == 0, error
    assert f"{path} is damaged: its points after the damage are left out" in output
    steps = [int(row["step"]) for row in rows_of(curves / "scalars" / "scalars.csv") if row["run"] == "floor/mean"]
    assert set(steps) == {0}


def test_a_folder_without_a_run_is_refused(finished, launch):
    code, _, error = launch("--mode=scalars", f"--run_dir={finished.parent / 'rum'}")
    assert code == 1
    assert "there is no run in" in error
    assert f"runs in {finished.parent}: run" in error


def test_a_run_without_event_files_is_refused(curves, finished, launch):
    shutil.copy(finished / "flags.txt", curves)
    for name in ("train", "eval", "floor"):
        shutil.rmtree(curves / name)
    code, _, error = launch("--mode=scalars", f"--run_dir={curves}")
    assert code == 2
    assert f"there are no event files in {curves}" in error
    assert not (curves / "scalars").exists()
