"""The files of a finished run: results, pictures, checkpoints, exports."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from formats import binary_batch
from readers import pictures
from trained import points, row

from trainer import config
from trainer.checkpoints import manifest as manifests
from trainer.data import datasets
from trainer.data.builtin import cifar
from trainer.data.sources import Sources
from trainer.runs import directory


def test_a_run_leaves_what_it_promises(finished):
    assert {path.name for path in finished.iterdir()} == {
        *(path.name for path in directory.RunFiles(finished).contents),
        ".lock",
    } - {
        ".restoring",
        *config.USING,
    }
    assert manifests.steps_in(finished / "checkpoints") == list(range(1, 41))
    for step in (1, 17, 40):
        assert manifests.read(finished / "checkpoints", step).step == step


def test_scalars_are_there_at_every_due_step_under_the_documented_tags(finished):
    found = points(finished)
    assert set(found) == {"train", "eval", "floor/mean", "floor/pca"}
    measures = {f"reconstruction/{name}" for name in ("mse", "rmse", "sse", "psnr")}
    norms = {"gradient_norm", "update_norm", "weight_norm"}
    assert set(found["train"]) == measures | norms | {"loss", "learning_rate"}
    assert list(found["train"]["loss"]) == list(range(4, 41, 4))
    assert list(found["train"]["reconstruction/mse"]) == [40]
    health = {f"latent/{name}" for name in ("active_units", "effective_rank", "mean_correlation")}
    margins = {"error/p10", "error/p50", "error/p90"}
    assert set(found["eval"]) == measures | health | margins | {"reconstruction/ssim", "loss", "best/rmse", "best/step"}
    assert list(found["eval"]["reconstruction/rmse"]) == [0, 10, 20, 30, 40]
    for floor in ("floor/mean", "floor/pca"):
        assert list(found[floor]["reconstruction/rmse"]) == [0, 40]
        assert found[floor]["loss"] == found[floor]["reconstruction/mse"]


def test_the_values_are_those_of_the_network(finished):
    import tensorflow as tf

    data = datasets.load("digits", Sources())
    network = tf.saved_model.load(str(finished / "export" / "40"))
    found = points(finished)
    for split, folder in ((data.train, "train"), (data.evaluation, "eval")):
        images = split.examples.astype(np.float32) / 16
        mse = np.mean((network.reconstruct(images)["reconstructions"].numpy() - images) ** 2)
        assert found[folder]["reconstruction/mse"][40] == pytest.approx(mse, rel=1e-4)
        assert found[folder]["reconstruction/rmse"][40] == pytest.approx(mse**0.5, rel=1e-4)
    assert found["floor/pca"]["reconstruction/rmse"][0] < found["eval"]["reconstruction/rmse"][40]
    assert found["floor/mean"]["reconstruction/rmse"][0] == pytest.approx(
        found["eval"]["reconstruction/rmse"][0], rel=0.2
    )
    assert found["train"]["loss"][40] < found["train"]["loss"][4]


def test_pictures_show_originals_reconstructions_and_errors_from_the_first_step_to_the_last(finished):
    shown = pictures(finished / "eval", "reconstruction")
    assert list(shown) == [0, 20, 40]
    rows = {step: np.split(picture[1:-1], 3) for step, picture in shown.items()}
    np.testing.assert_array_equal(rows[0][0], rows[40][0])
    assert rows[40][2].mean() < rows[0][2].mean()  # less error at the end
    image = datasets.load("digits", Sources()).evaluation.examples[0, ..., 0] / 16
    np.testing.assert_array_equal(rows[40][0][1:65:8, 2:66:8, 0], (image * 255).round())


def test_a_sample_of_the_data_is_spread_over_all_of_them(finished):
    shown = pictures(finished / "train", "data/sample")[0]
    last = datasets.load("digits", Sources()).train.examples[-1, ..., 0] / 16
    np.testing.assert_array_equal(
        shown[-34:-2:4, -34:-2:4, 0], (last * 255).round()
    )  # Four times as large, and an edge.


def test_the_books_horses_are_found_trained_and_exported(tmp_path, launch):
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).integers(0, 256, (cifar.ROWS_A_BATCH, cifar.ROW), dtype=np.uint8)
    for name in cifar.BINARY_BATCHES:
        (folder / name).write_bytes(binary_batch(rows, np.arange(cifar.ROWS_A_BATCH) % 10))
    code, output, error = launch(
        "--dataset=cifar_horse", "--hidden=100", f"--data_dir={tmp_path / 'data'}", "--steps=3", "--jit=off"
    )
    assert code == 0, error
    assert "cifar_horse: 5,000 train, 1,000 eval, 32x32x1" in output
    assert "dense 1024 -> 100 -> 1024, 205,924 weights" in output
    assert (tmp_path / "runs" / "cifar_horse-dense-100" / "export" / "3" / "saved_model.pb").exists()


def test_a_table_trains_without_pictures(tmp_path, launch):
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


def test_a_code_wider_than_the_data_trains_and_has_no_ratio(launch):
    code, output, error = launch("--dataset=iris", "--hidden=8", "--batch_size=150", "--steps=2", "--run_dir=run")
    assert code == 0, error
    assert [line.split()[3] for line in output.splitlines() if line.startswith(("train ", "eval "))] == ["-", "-"]


@pytest.mark.parametrize("name", ["a b ü", "run[1]"])
def test_any_path_will_do(name, launch, tmp_path):
    arguments = (f"--run_dir={tmp_path / name}", "--dataset=iris", "--hidden=2", "--steps=6", "--jit=off")
    assert launch(*arguments, "--checkpoint_every=1", "--keep=2")[0] == 0
    assert manifests.steps_in(tmp_path / name / "checkpoints") == [5, 6]
    code, output, _ = launch(*arguments, "--steps=7")
    assert code == 0
    assert "resumed     at step 6" in output


def test_a_longer_run_with_another_schedule_of_pictures_shows_one_schedule_and_runs_anew(finished, tmp_path, launch):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    assert row(run)[2] == 1  # success
    more = ("--steps=60", "--image_every=30", f"--run_dir={run}", "--export=none")
    assert launch(*more)[0] == 0
    assert list(pictures(run / "eval", "reconstruction")) == [0, 60]
    assert list(pictures(run / "train", "data/sample")) == [0]
    _, started, status = row(run)
    assert (started.hparams["steps"].number_value, status) == (60, 1)
