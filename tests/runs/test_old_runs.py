"""Runs of a version without --heading and --depth: old_runs.zip has them at step 4, and what it computed at step 8."""

import json
import pathlib
import zipfile

import numpy as np
import pytest
from PIL import Image

RUNS = pathlib.Path(__file__).with_name("old_runs.zip")


def write_rows(folder: pathlib.Path) -> pathlib.Path:
    rows = [f"{n},{n * n % 17 * 100},{n % 5 / 10}" for n in range(40)]
    (folder / "rows.csv").write_text("\n".join(["a,b,c", *rows]) + "\n")
    return folder / "rows.csv"


def write_scans(folder: pathlib.Path) -> pathlib.Path:
    (folder / "scans").mkdir()
    for n in range(20):
        pixels = (np.arange(64).reshape(8, 8) * (n + 1) * 50).astype(np.uint16)
        Image.fromarray(pixels).save(folder / "scans" / f"{n:02}.png")
    return folder / "scans"


def write_labeled(folder: pathlib.Path) -> pathlib.Path:
    rows = [f"{n},{n * n},{label}.0000000e+00" for n in range(20) for label in (1, 2, 3)]
    (folder / "labeled.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n")
    return folder / "labeled.csv"


@pytest.fixture
def old(tmp_path):
    """Returns a function that unpacks a run, and returns its path and that of its data."""

    def unpack(name):
        with zipfile.ZipFile(RUNS) as archive:
            archive.extractall(tmp_path, [member for member in archive.namelist() if member.startswith(f"{name}/")])
        write = {"rows": write_rows, "scans": write_scans, "labeled": write_labeled}[name]
        (tmp_path / "data").mkdir()
        return tmp_path / name, write(tmp_path / "data")

    return unpack


@pytest.mark.parametrize("name", ["rows", "scans"])
def test_standardized_rows_and_16_bit_images_keep_the_meaning_that_their_run_began_with(name, old, launch):
    run, data = old(name)
    expected = json.loads((run / "result.json").read_text())
    stored = json.loads((run / "checkpoints" / "ckpt-4.json").read_text())["metrics"]
    code, output, error = launch("--mode=evaluate", f"--run_dir={run}", f"--data_dir={data}", "--output=out")
    assert code == 0, error
    evaluated = json.loads(pathlib.Path("out/evaluation.json").read_text())
    assert evaluated["eval/reconstruction/mse"] == pytest.approx(stored["eval/reconstruction/mse"], rel=1e-5)
    code, output, error = launch(f"--run_dir={run}", f"--data_dir={data}")
    assert code == 0, error
    assert "resumed" in output
    result = json.loads((run / "result.json").read_text())
    for split in ("train", "eval"):
        tag = f"{split}/reconstruction/mse"
        assert result[tag] == pytest.approx(expected[tag], rel=1e-5)


def test_a_class_that_was_selected_by_its_place_is_refused_with_the_remedy_that_resumes_the_run(old, launch):
    run, data = old("labeled")
    expected = json.loads((run / "result.json").read_text())
    for flags in ((), ("--mode=evaluate",)):
        code, _, error = launch(*flags, f"--run_dir={run}", f"--data_dir={data}")
        assert code == 1
        assert "read some tables, labels and folders in another way" in error
        assert "give --classes with the labels themselves if the run selected them by number" in error
    code, _, error = launch(f"--run_dir={run}", f"--data_dir={data}", "--classes=2")
    assert code == 0, error
    result = json.loads((run / "result.json").read_text())
    assert result["train/reconstruction/mse"] == pytest.approx(expected["train/reconstruction/mse"], rel=1e-5)
