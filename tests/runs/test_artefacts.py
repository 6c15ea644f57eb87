"""The files of a finished run: results, images, checkpoints, exports."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from formats import binary_batch
from readers import read_images
from trained import points, row

from trainer import config
from trainer.checkpoints import manifest as manifests
from trainer.data import datasets
from trainer.data.builtin import cifar
from trainer.data.sources import Sources
from trainer.runs import directory


def test_a_finished_run_has_the_documented_files(finished):
    assert {path.name for path in finished.iterdir()} == {
        *(path.name for path in directory.RunFiles(finished).contents),
        ".lock",
    } - {
        ".restoring",
        "depth.json",  # of custom images and arrays
        "schema.json",  # of custom rows
        *config.WRITING,
    }
    assert manifests.steps_in(finished / "checkpoints") == list(range(1, 41))
    for step in (1, 17, 40):
        assert manifests.read(finished / "checkpoints", step).step == step


def test_all_documented_scalars_are_written_at_the_scheduled_steps(finished):
    scalars = points(finished)
    assert set(scalars) == {"train", "eval", "floor/mean", "floor/pca"}
    errors = {f"reconstruction/{name}" for name in ("mse", "rmse", "sse", "psnr")}
    norms = {"gradient_norm", "update_norm", "weight_norm"}
    assert set(scalars["train"]) == errors | norms | {"loss", "learning_rate"}
    assert list(scalars["train"]["loss"]) == list(range(4, 41, 4))
    assert list(scalars["train"]["reconstruction/mse"]) == [40]
    health = {f"latent/{name}" for name in ("active_units", "effective_rank", "mean_correlation")}
    percentiles = {"error/p10", "error/p50", "error/p90"}
    others = {"reconstruction/ssim", "loss", "best/rmse", "best/step", "best/age"}
    assert set(scalars["eval"]) == errors | health | percentiles | others
    assert list(scalars["eval"]["reconstruction/rmse"]) == [0, 10, 20, 30, 40]
    for baseline in ("floor/mean", "floor/pca"):
        assert list(scalars[baseline]["reconstruction/rmse"]) == [0, 40]
        assert scalars[baseline]["loss"] == scalars[baseline]["reconstruction/mse"]


def test_logged_errors_are_those_of_the_exported_model(finished):
    import tensorflow as tf

    data = datasets.load("digits", Sources())
    network = tf.saved_model.load(str(finished / "export" / "40"))
    scalars = points(finished)
    for split, folder in ((data.train, "train"), (data.evaluation, "eval")):
        images = split.examples.astype(np.float32) / 16
        mse = np.mean((network.reconstruct(images)["reconstructions"].numpy() - images) ** 2)
        assert scalars[folder]["reconstruction/mse"][40] == pytest.approx(mse, rel=1e-4)
        assert scalars[folder]["reconstruction/rmse"][40] == pytest.approx(mse**0.5, rel=1e-4)
    assert scalars["floor/pca"]["reconstruction/rmse"][0] < scalars["eval"]["reconstruction/rmse"][40]
    assert scalars["floor/mean"]["reconstruction/rmse"][0] == pytest.approx(
        scalars["eval"]["reconstruction/rmse"][0], rel=0.2
    )
    assert scalars["train"]["loss"][40] < scalars["train"]["loss"][4]


def test_images_show_originals_reconstructions_and_errors_from_the_first_to_the_last_step(finished):
    grids = read_images(finished / "eval", "reconstruction")
    assert list(grids) == [0, 20, 40]
    rows = {step: np.split(grid[1:-1], 3) for step, grid in grids.items()}
    np.testing.assert_array_equal(rows[0][0], rows[40][0])
    assert rows[40][2].mean() < rows[0][2].mean()  # The third row shows errors.
    image = datasets.load("digits", Sources()).evaluation.examples[0, ..., 0] / 16
    np.testing.assert_array_equal(rows[40][0][1:65:8, 2:66:8, 0], (image * 255).round())


def test_the_sample_of_the_data_is_evenly_spaced(finished):
    grid = read_images(finished / "train", "data/sample")[0]
    last = datasets.load("digits", Sources()).train.examples[-1, ..., 0] / 16
    # The last tile is the last example, enlarged four times and framed.
    np.testing.assert_array_equal(grid[-34:-2:4, -34:-2:4, 0], (last * 255).round())


@pytest.mark.whole
def test_cifar_horse_is_loaded_trained_and_exported(tmp_path, launch):
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).integers(0, 256, (cifar.ROWS_PER_BATCH, cifar.ROW), dtype=np.uint8)
    for name in cifar.BINARY_BATCHES:
        (folder / name).write_bytes(binary_batch(rows, np.arange(cifar.ROWS_PER_BATCH) % 10))
    code, output, error = launch(
        "--dataset=cifar_horse", "--hidden=100", f"--data_dir={tmp_path / 'data'}", "--steps=3", "--jit=off"
    )
    assert code == 0, error
    assert "cifar_horse: 5,000 train, 1,000 eval, 32x32x1" in output
    assert "dense 1024 -> 100 -> 1024, 205,924 weights" in output
    assert (tmp_path / "runs" / "cifar_horse-dense-100" / "export" / "3" / "saved_model.pb").exists()


def test_a_table_is_trained_without_image_metrics(tmp_path, launch):
    import tensorflow as tf

    code, _, error = launch("--dataset=iris", "--hidden=1", "--batch_size=10", "--steps=30", "--run_dir=run")
    assert code == 0, error
    assert "reconstruction/psnr" not in points(tmp_path / "run")["eval"]
    rows = datasets.load("iris", Sources()).train.examples
    codes = tf.saved_model.load("run/export/30").signatures["encode"](rows=rows)["codes"]
    assert codes.shape == (150, 1)
    assert json.loads(pathlib.Path("run/result.json").read_text())["floor/pca/train"] == pytest.approx(
        0.29258, abs=1e-5
    )


def test_no_ratio_is_printed_if_the_code_is_wider_than_the_data(launch):
    code, output, error = launch("--dataset=iris", "--hidden=8", "--batch_size=150", "--steps=2", "--run_dir=run")
    assert code == 0, error
    assert [line.split()[3] for line in output.splitlines() if line.startswith(("train ", "eval "))] == ["-", "-"]


@pytest.mark.parametrize("name", [pytest.param("a b ü", marks=pytest.mark.whole), "run[1]"])
def test_run_directories_may_have_unusual_names(name, launch, tmp_path):
    arguments = (f"--run_dir={tmp_path / name}", "--dataset=iris", "--hidden=2", "--steps=6", "--jit=off")
    assert launch(*arguments, "--checkpoint_every=1", "--keep=2")[0] == 0
    assert manifests.steps_in(tmp_path / name / "checkpoints") == [5, 6]
    code, output, _ = launch(*arguments, "--steps=7")
    assert code == 0
    assert "resumed     at step 6" in output


@pytest.mark.whole
def test_a_longer_run_keeps_only_images_of_the_new_schedule_and_updates_hparams(finished, tmp_path, launch):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    assert row(run)[2] == 1  # success
    longer = ("--steps=60", "--image_every=30", f"--run_dir={run}", "--export=none")
    assert launch(*longer)[0] == 0
    assert list(read_images(run / "eval", "reconstruction")) == [0, 60]
    assert list(read_images(run / "train", "data/sample")) == [0]
    _, started, status = row(run)
    assert (started.hparams["steps"].number_value, status) == (60, 1)
