"""Whole runs: what a person types, sees, and finds afterwards."""

import dataclasses
import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import readers
from conftest import ROOT, pictures, scalars
from formats import binary_batch
from test_summaries import session

from trainer import config
from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests
from trainer.data import datasets
from trainer.data.builtin import cifar
from trainer.data.sources import Sources
from trainer.runs import directory

SHORT = ("--steps=40", "--batch_size=70", "--hidden=5", "--log_every=4", "--eval_every=10", "--image_every=20")
LONG = ("--hidden=5", "--schedule=constant", "--log_every=50", "--eval_every=0", "--image_every=0", "--jit=off")
OFTEN = (*SHORT, "--checkpoint_every=1", "--keep=100")  # 1,500 digits: an epoch has 21.4 steps


def weights(run: pathlib.Path, step: int) -> dict[str, bytes]:
    """Every tensor of a checkpoint but the number of saves."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(run / "checkpoints" / manifests.name_of(step)))
    names = [n for n in reader.get_variable_to_shape_map() if not n.startswith(("save_counter", "_CHECKPOINTABLE"))]
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}


def points(run: pathlib.Path) -> dict[str, dict[str, dict[int, float]]]:
    """Every scalar of every TensorBoard run but the speed."""
    folders = {path.parent for path in run.rglob("events.out.tfevents.*")}
    return {
        str(folder.relative_to(run)): {tag: v for tag, v in scalars(folder).items() if not tag.startswith("perf/")}
        for folder in folders
    }


def seen(run: pathlib.Path) -> dict:
    """All that a run's result decides in TensorBoard, as each of its readers sees it: every value, of every step."""
    kinds = ("scalars", "images", "histograms", "custom_scalars")
    return {
        reader.__name__: {
            (kind, folder, tag): values
            for kind, folders in readers.read(reader, run).items()
            if kind in kinds
            for folder, tags in folders.items()
            for tag, values in tags.items()
            if not tag.startswith("perf/")
        }
        for reader in readers.READERS
    }


def row(run: pathlib.Path):
    """The run's row in HParams: its columns, flags, and status."""
    return session(run / "eval")


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Blocks of seven steps: these runs have several."""
    from trainer.runs import planning

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "MAX_BLOCK_STEPS", 7)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An uninterrupted run with a checkpoint at every step."""
    import launch

    run = tmp_path_factory.mktemp("finished") / "run"
    assert launch.main([*OFTEN, f"--run_dir={run}"]) == 0
    return run


@pytest.fixture(scope="module")
def seen_of_finished(finished):
    return seen(finished)


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


def killed_after(finished, step, run):
    """The run as a kill after this step's checkpoint would have left it, with all that was written later."""
    shutil.copytree(finished, run)
    for later, place in catalog.committed(run / "checkpoints"):
        if later > step:
            manifests.delete(place, later)
    if step == 0:
        (run / "history.txt").unlink()
    (run / "result.json").unlink()
    shutil.rmtree(run / "export")


# At a block's end; right after an epoch's end, inside a block, between two logged steps.
@pytest.mark.parametrize("step", [7, 22])
def test_a_killed_run_ends_with_the_bytes_of_one_never_stopped(step, finished, seen_of_finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, step, run)
    code, output, _ = launch(f"--run_dir={run}")
    assert code == 0
    assert f"resumed     at step {step}; the result will be that of an uninterrupted run, to the bit" in output
    assert weights(run, 40) == weights(finished, 40)
    assert seen(run) == seen_of_finished


def test_every_reader_sees_all_of_a_run_and_one_value_a_step(seen_of_finished):
    one, *others = seen_of_finished.values()
    assert all(other == one for other in others)
    steps = {key: [step for step, _ in values] for key, values in one.items()}
    assert all(found == sorted(set(found)) for found in steps.values())
    assert steps["scalars", "train", "update_norm"] == list(range(4, 41, 4))
    assert steps["scalars", "eval", "latent/effective_rank"] == [0, 10, 20, 30, 40]
    assert steps["histograms", "train", "gradients/encoder/code/kernel"] == [0, 10, 20, 30, 40]
    assert steps["images", "eval", "latent/traversal"] == [0, 20, 40]
    assert steps["images", "train", "data/sample"] == [0]
    assert ("custom_scalars", "eval", "custom_scalars__config__") in steps


def test_stages_of_a_stacked_noisy_variational_run_resume_to_the_bit(launch, tmp_path):
    kind = (
        "--dataset=iris",
        "--hidden=4,2",
        "--pretrain=layerwise",
        "--pretrain_steps=4",
        "--variational",
        "--sparsity=0.1",
    )
    often = ("--noise=gaussian", "--checkpoint_every=1", "--keep=100", "--eval_every=5", "--log_every=3", "--jit=off")
    whole = tmp_path / "whole"
    assert launch(*kind, *often, "--steps=12", f"--run_dir={whole}")[0] == 0
    curves = [scalars(whole / name) for name in ("train", "eval")]
    assert list(curves[0]["pretrain/stage_1"]) == [3, 4]
    assert list(curves[0]["pretrain/stage_2"]) == [6, 8]
    assert list(curves[0]["loss"]) == list(curves[0]["elbo/kl"]) == [9, 12]
    for step in (4, 6):  # One stage ends with its last checkpoint, one is cut in two.
        run = tmp_path / f"from-{step}"
        killed_after(whole, step, run)
        code, output, _ = launch(f"--run_dir={run}")
        assert (code, "to the bit" in output) == (0, True)
        assert weights(run, 12) == weights(whole, 12)
        for name, expected in zip(("train", "eval"), curves, strict=True):
            found = scalars(run / name)
            assert {t: v for t, v in found.items() if "perf/" not in t} == {
                t: v for t, v in expected.items() if "perf/" not in t
            }


def test_the_result_does_not_depend_on_when_checkpoints_are_saved(finished, tmp_path, launch):
    assert launch(*SHORT, "--checkpoint_every=0", "--run_dir=run")[0] == 0
    assert manifests.steps_in(pathlib.Path("run/checkpoints")) == [40]
    assert weights(pathlib.Path("run"), 40) == weights(finished, 40)


@pytest.mark.parametrize(
    ("precision", "optimizer", "loss"), [("mixed_bfloat16", "rmsprop", "rmse"), ("mixed_float16", "sgd", "sse")]
)
def test_every_precision_resumes_to_the_bit(precision, optimizer, loss, launch):
    common = (f"--precision={precision}", f"--optimizer={optimizer}", f"--loss={loss}", "--schedule=constant")
    common = (*common, "--dataset=iris", "--hidden=2", "--learning_rate=0.01", "--log_every=3", "--jit=off")
    assert launch(*common, "--steps=11", "--run_dir=whole")[0] == 0
    assert launch(*common, "--steps=4", "--run_dir=parts")[0] == 0
    code, output, _ = launch("--run_dir=parts", "--steps=11")
    assert code == 0
    assert "the result will be that of an uninterrupted run, to the bit" in output
    whole, builder = pathlib.Path("whole"), pathlib.Path("parts")
    assert weights(whole, 11) == weights(builder, 11)


def test_a_run_killed_before_its_first_checkpoint_begins_again(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 0, run)
    assert launch(f"--run_dir={run}")[0] == 0
    assert weights(run, 40) == weights(finished, 40)
    assert points(run) == points(finished)


def test_a_run_killed_at_its_very_end_finishes_without_writing_anything_twice(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 40, run)
    code, _, _ = launch(f"--run_dir={run}")
    assert code == 0
    assert points(run) == points(finished)
    kept, found = (json.loads((folder / "result.json").read_text()) for folder in (finished, run))
    assert {k: v for k, v in found.items() if "/" in k} == {k: v for k, v in kept.items() if "/" in k}
    assert (run / "export" / "40" / "saved_model.pb").exists()


def test_a_damaged_checkpoint_is_passed_over_and_the_result_is_the_same(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 30, run)
    (run / "checkpoints" / "ckpt-30.index").write_bytes(b"")
    code, output, _ = launch(f"--run_dir={run}")
    assert code == 0
    assert "set aside as damaged-30" in output
    assert weights(run, 40) == weights(finished, 40)
    assert points(run) == points(finished)


def test_checkpoints_that_are_all_damaged_are_exit_4_and_restart_keeps_them(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 2, run)
    for path in (run / "checkpoints").glob("*.index"):
        path.write_bytes(b"")
    code, _, error = launch(f"--run_dir={run}")
    assert code == 4
    assert len(error.strip().splitlines()) == 3
    assert launch(f"--run_dir={run}", "--restart", *SHORT)[0] == 0
    assert (run / "set_aside" / "run" / "checkpoints" / "ckpt-2.index").exists()


def test_a_finished_run_says_so_without_tensorflow(finished, python):
    done = python(
        "import sys, launch\ncode = launch.main(sys.argv[1:])\nprint('tensorflow' in sys.modules, code)",
        f"--run_dir={finished}",
    )
    assert "finished already" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "False 0"


def test_a_finished_run_that_has_lost_its_export_exports_again_and_one_without_checkpoints_is_refused(
    finished, tmp_path, launch
):
    run = tmp_path / "moved"
    shutil.copytree(finished, run)
    shutil.rmtree(run / "export")
    (run / "run_id").unlink()
    code, output, _ = launch(f"--run_dir={run}")
    assert code == 0
    assert f"SavedModel  {run}/export/40" in output
    assert weights(run, 40) == weights(finished, 40)
    (run / "result.json").write_text('{"step": 40}')
    assert launch(f"--run_dir={run}")[0] == 0
    (run / "checkpoints" / "ckpt-99999.json").write_text("")
    assert "finished already" in launch(f"--run_dir={run}")[1]
    shutil.rmtree(run / "checkpoints")
    for lost in ("result.json", "history.txt"):  # Each of them knows how far it had come.
        before = points(run)
        code, _, error = launch(f"--run_dir={run}")
        assert code == 4
        assert "has come to step 40, and holds none of its checkpoints" in error
        assert points(run) == before
        (run / lost).unlink()


def test_a_daemon_with_closed_streams_trains(tmp_path):
    command = f"exec {sys.executable} {ROOT / 'launch.py'} --dataset=iris --hidden=1 --steps=3 --jit=off --run_dir=run"
    assert subprocess.run(["sh", "-c", command + " <&- >&- 2>&-"], check=False).returncode == 0
    assert (tmp_path / "run" / "export" / "3").exists()


def test_a_longer_run_goes_on_from_the_end(finished, tmp_path, launch):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    code, output, _ = launch(f"--run_dir={run}", "--steps=44")
    assert code == 0
    assert (
        "resumed     at step 40; bit-identity with an uninterrupted run is not claimed (total_steps: 40 -> 44)"
        in output
    )
    assert list(points(run)["train"]["loss"]) == list(range(4, 45, 4))
    assert launch(f"--run_dir={run}", "--steps=20")[0] == 1


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_run_goes_on_in_another_precision_and_exports_float32(precision, finished, tmp_path, launch):
    import tensorflow as tf

    run = tmp_path / "run"
    killed_after(finished, 38, run)
    code, output, _ = launch(f"--run_dir={run}", f"--precision={precision}")
    assert code == 0
    assert f"precision: float32 -> {precision}" in output
    (run / "result.json").unlink()
    again = launch(f"--run_dir={run}")[1]  # What was lost once stays lost.
    assert f"bit-identity with an uninterrupted run is not claimed (precision: float32 -> {precision}" in again
    signature = tf.saved_model.load(str(run / "export" / "40")).signatures["serving_default"]
    found = signature(images=tf.zeros([3, 8, 8, 1]))["reconstructions"]
    assert found.dtype == tf.float32
    assert points(run)["eval"]["reconstruction/mse"][40] == pytest.approx(
        points(finished)["eval"]["reconstruction/mse"][40], rel=0.01
    )


def test_a_changed_mathematical_flag_is_refused_and_nothing_is_lost(finished, launch):
    def times():
        files = (path for path in finished.rglob("*") if path.name not in (".lock", "run.log") and path.is_file())
        return {path: path.stat().st_mtime_ns for path in files}

    before = times()
    code, _, error = launch(f"--run_dir={finished}", "--hidden=6", "--loss=sse")
    assert code == 1
    assert "--hidden: 5 -> 6; --loss: mse -> sse" in error
    assert times() == before
    assert "--loss: mse -> sse" in (finished / "run.log").read_text()


def test_changed_data_are_refused(finished, tmp_path, launch, monkeypatch):
    run = tmp_path / "run"
    killed_after(finished, 30, run)

    def changed(sources):
        data = datasets.digits_iris.digits(sources)
        return data.with_splits(data.evaluation, data.train)

    monkeypatch.setitem(datasets.LOADERS, "digits", changed)
    code, _, error = launch(f"--run_dir={run}")
    assert code == 2
    assert "fingerprint" in error


def test_a_checkpoint_of_another_run_is_refused(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 30, run)
    (run / "run_id").write_text("0123456789abcdef\n")
    code, _, error = launch(f"--run_dir={run}")
    assert code == 1
    assert "written by another run" in error


HIDE = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("trainer", "launch"):
            raise ImportError(name)
sys.meta_path.insert(0, Hidden())
"""

LOAD = """
import sys
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
images = np.load(sys.argv[2])
codes = loaded.signatures["encode"](images=images)["codes"]
out = {
    "codes": codes,
    "decoded": loaded.signatures["decode"](codes=codes)["reconstructions"],
    "reconstructions": loaded.signatures["serving_default"](images=images)["reconstructions"],
    "one": loaded.signatures["serving_default"](images=images[:1])["reconstructions"],
}
np.savez(sys.argv[3], **out)
assert not {"trainer", "launch"} & set(sys.modules)
"""


def test_the_saved_model_works_in_a_process_that_cannot_import_trainer(finished, tmp_path):
    images = np.random.default_rng(0).random((7, 8, 8, 1)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    arguments = [str(finished / "export" / "40"), "images.npy", "out.npz"]
    # The checkout may be installed, so it is not enough to run elsewhere.
    done = subprocess.run(
        [sys.executable, "-I", "-c", HIDE + LOAD, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    out = np.load("out.npz")
    assert out["codes"].shape == (7, 5)
    assert {array.dtype for array in out.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(out["decoded"], out["reconstructions"], atol=1e-6)
    np.testing.assert_allclose(out["one"], out["reconstructions"][:1], atol=1e-6)
    codes, reconstructions = by_hand(finished, images)
    np.testing.assert_allclose(out["codes"], codes, atol=1e-5)
    np.testing.assert_allclose(out["reconstructions"], reconstructions, atol=1e-5)


def by_hand(run: pathlib.Path, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and reconstructions of 64 -> 5 -> 64, linear, from the checkpoint's tensors with NumPy."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(run / "checkpoints" / "ckpt-40"))
    end = "/.ATTRIBUTES/VARIABLE_VALUE"
    trained = {tuple(reader.get_tensor(f"optimizer/_trainable_variables/{i}{end}").shape): i for i in (0, 1, 3)}
    w, b, v = (reader.get_tensor(f"optimizer/_trainable_variables/{trained[s]}{end}") for s in ((64, 5), (5,), (5, 64)))
    codes = (images - reader.get_tensor(f"model/mean{end}")).reshape(-1, 64) @ w + b
    return codes, (codes @ v).reshape(images.shape) + reader.get_tensor(f"model/decoder/bias{end}")


def test_an_interrupted_process_saves_exits_130_and_the_same_command_ends_it(tmp_path, launch):
    run = tmp_path / "run"
    command = [sys.executable, str(ROOT / "launch.py"), f"--run_dir={run}"]
    # Long enough that the interrupt comes half way.
    process = subprocess.Popen(
        [*command, *LONG, "--checkpoint_every=100", "--steps=2000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not manifests.steps_in(run / "checkpoints"):
        assert process.poll() is None
        os.sched_yield()
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 5
    assert f"locked by process {process.pid} on" in second.stderr
    process.send_signal(signal.SIGINT)
    output, error = process.communicate()
    assert process.returncode == 130, error
    assert error == ""
    reached = manifests.steps_in(run / "checkpoints")[-1]
    assert f"stopped at step {reached:,} of 2,000,000, saved" in output

    code, output, error = launch(f"--run_dir={run}", f"--steps={reached + 3}")
    assert code == 0, error
    assert f"resumed     at step {reached:,}; the result will be that of an uninterrupted run" in output
    whole = tmp_path / "whole"
    assert launch(f"--run_dir={whole}", *LONG, f"--steps={reached + 3}")[0] == 0
    assert weights(run, reached + 3) == weights(whole, reached + 3)


def reached_at(url: str, process: subprocess.Popen) -> bool:
    try:
        with urllib.request.urlopen(url + "data/runs", timeout=10) as response:
            return b"eval" in response.read()
    except (urllib.error.URLError, ConnectionError):
        assert process.poll() is None
        return False


def test_tensorboard_is_served_after_the_run_until_a_signal_and_ends_with_it(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # It registers there.
    command = [sys.executable, str(ROOT / "launch.py"), f"--run_dir={finished}"]
    process = subprocess.Popen([*command, "--tensorboard"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = next(line.split()[-3] for line in process.stdout if line.startswith("TensorBoard goes on at"))
    # The lock is free while it serves.
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    while not reached_at(url, process):
        os.sched_yield()
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(url, timeout=10)


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


def test_divergence_is_exit_3_and_names_the_step(launch):
    code, _, error = launch(
        "--dataset=iris", "--hidden=2", "--steps=200", "--optimizer=sgd", "--learning_rate=1e6", "--run_dir=run"
    )
    assert code == 3
    assert "the loss of step" in error
    assert not list(pathlib.Path("run/checkpoints").glob("*.json"))


def test_an_error_that_is_not_finite_at_the_end_is_no_success(launch):
    arguments = ("--dataset=iris", "--hidden=1", "--optimizer=sgd", "--learning_rate=1e5", "--schedule=constant")
    code, _, error = launch(*arguments, "--steps=2", "--jit=off", "--run_dir=run")
    assert code == 3
    assert "the evaluation error is inf" in error
    assert not pathlib.Path("run/export").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--hiden=3",), 1),
        (("--dataset=cifar",), 1),
        (("--model=convolutional",), 1),
        (("--mode=fly",), 1),
        (("--classes=11",), 1),
        (("--batch_size=5000",), 1),
        (("--run_dir=gs://bucket/run",), 1),
        (("--dataset=mnist", "--data_dir=absent"), 2),
        (("--run_dir=/dev/null/run",), 6),
        (("--run_dir=" + "a" * 300,), 6),
        (("--dataset=mnist", "--data_dir=~nobody-of-this-name"), 2),
        (("--help",), 0),
    ],
)
def test_what_is_wrong_is_told_in_three_lines_and_leaves_nothing_behind(arguments, code, launch, tmp_path):
    found, output, error = launch(*arguments)
    assert found == code
    if code:
        assert error.startswith("error: ")
        assert "remedy: " in error
        assert len(error.strip().splitlines()) <= 3
    else:
        assert "--dataset" in output
    assert list(tmp_path.iterdir()) == []


def test_errors_are_found_without_tensorflow(python):
    wrong = [
        ["--hiden=3"],
        ["--dataset=cifar"],
        ["--classes=11"],
        ["--batch_size=5000"],
        ["--dataset=mnist", "--data_dir=no"],
        ["--help"],
    ]
    code = f"import sys, launch\nfor wrong in {wrong}:\n    launch.main(wrong)\nprint('tensorflow' in sys.modules)"
    done = python(code)
    assert done.stdout.strip().splitlines()[-1:] == ["False"], done.stderr


def test_a_gpu_that_is_not_there_is_exit_7(launch, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    code, _, error = launch("--device=gpu", "--run_dir=run")
    assert code == 7
    assert "--device=cpu" in error


def raising(error):
    def broken(*arguments, **options):
        raise error

    return broken


def test_a_full_disk_is_exit_6_wherever_it_shows_and_the_run_goes_on_afterwards(launch, monkeypatch, tmp_path):
    import tensorflow as tf

    arguments = ("--dataset=iris", "--hidden=2", "--steps=6", "--jit=off", "--run_dir=run")
    for where, error in (
        ("session.Recorder.log", tf.errors.ResourceExhaustedError(None, None, "x.v2; No space left on device")),
        ("finish.export.export", OSError(errno.ENOSPC, "No space left on device")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"trainer.runs.{where}", raising(error))
            code, _, said = launch(*arguments)
        assert code == 6
        assert "No space left" in said
    assert launch(*arguments)[0] == 0
    assert (tmp_path / "run" / "export" / "6").exists()


def test_a_device_out_of_memory_is_exit_7(launch, monkeypatch):
    import tensorflow as tf

    from trainer.runs.session import Session

    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9,9]")
    monkeypatch.setattr(Session, "train", raising(error))
    code, _, said = launch("--dataset=iris", "--hidden=2", "--run_dir=run")
    assert code == 7
    assert "OOM when allocating" in said


def test_a_bug_of_ours_is_exit_70_with_its_traceback_in_the_log(launch, monkeypatch):
    from trainer.runs import run

    monkeypatch.setattr(run, "train", raising(RuntimeError("surprise")))
    code, _, error = launch("--run_dir=run")
    assert code == 70
    assert "RuntimeError: surprise" in error
    assert "Traceback" not in error
    assert "Traceback" in pathlib.Path("run/run.log").read_text()
    for debug in ("--debug", "--debug=true"):
        assert "Traceback" in launch("--run_dir=run", debug)[2]


# TensorBoard.


def test_something_is_on_the_disk_before_the_first_step_and_from_the_first_point_on(tmp_path, launch, monkeypatch):
    from trainer.runs import builder

    make, seen = builder.block, []

    def watched(*arguments):
        block = make(*arguments)

        def call(examples, first, last):
            if first < last:  # Not the call that compiles it ahead of time.
                seen.append({name: scalars(tmp_path / "run" / name) for name in ("train", "eval")})
            return block(examples, first, last)

        return call

    monkeypatch.setattr(builder, "block", watched)
    assert launch(*SHORT, "--jit=off", "--export=none", f"--run_dir={tmp_path / 'run'}")[0] == 0
    assert set(seen[0]["eval"]["reconstruction/rmse"]) == {0}
    first = next(found["train"]["loss"] for found in seen if "loss" in found["train"])
    assert 4 in first
    assert len(first) < 10  # Not all of them: the run was going on.


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


def test_a_stopped_run_is_still_running_and_a_diverged_one_has_failed(launch):
    diverging = ("--dataset=iris", "--hidden=2", "--optimizer=sgd", "--learning_rate=1e6", "--jit=off")
    assert launch(*diverging, "--run_dir=diverged")[0] == 3
    assert row(pathlib.Path("diverged"))[2] == 2
    from trainer.summaries.recorder import Recorder

    with pytest.MonkeyPatch.context() as patch:
        log = Recorder.log
        patch.setattr(Recorder, "log", lambda *point: (log(*point), os.kill(os.getpid(), signal.SIGTERM)))
        assert launch(*SHORT, "--jit=off", "--run_dir=stopped")[0] == 143
    assert row(pathlib.Path("stopped"))[2] is None


def test_tables_with_codes_of_two_numbers_have_a_scatter_and_no_other_picture(launch):
    assert launch("--dataset=iris", "--hidden=2", "--steps=4", "--jit=off", "--export=none", "--run_dir=run")[0] == 0
    shown = pictures(pathlib.Path("run/eval"), "latent/scatter")
    assert list(shown) == [0, 1, 2, 4]
    images = readers.read(readers.Accumulators, pathlib.Path("run"))["images"]
    assert {tag for tags in images.values() for tag in tags} == {"latent/scatter"}
    codes = np.loadtxt("run/eval/plugins/org_tensorflow_tensorboard_projector/codes.tsv")
    assert codes.shape == (150, 3)
    assert not codes[:, 2].any()


def test_the_projector_has_the_codes_and_errors_of_the_last_checkpoint(finished):
    import tensorflow as tf

    data = datasets.load("digits", Sources()).evaluation
    network = tf.saved_model.load(str(finished / "export" / "40"))
    images = data.examples.astype(np.float32) / 16
    codes = network.encode(images)["codes"].numpy()
    folder = finished / "eval/plugins/org_tensorflow_tensorboard_projector"
    np.testing.assert_allclose(np.loadtxt(folder / "codes.tsv"), codes, rtol=1e-3, atol=1e-4)
    rows = [line.split("\t") for line in (folder / "metadata.tsv").read_text().splitlines()]
    errors = np.sqrt(np.mean((network.decode(codes)["reconstructions"].numpy() - images) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose([float(row[1]) for row in rows[1:]], errors, rtol=1e-3)
    assert [row[0] for row in rows[1:]] == [str(label) for label in data.labels]


def test_what_only_tensorboard_shows_may_fail(launch, monkeypatch):
    from trainer.evaluation import statistics
    from trainer.runs import description
    from trainer.summaries import gallery, hparams, projector, writer

    def fail(*arguments, **options):
        raise ValueError("it fails")

    for module, name in ((projector, "write"), (hparams, "start"), (hparams, "end"), (gallery, "draw")):
        monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(description, "pages", fail)
    monkeypatch.setattr(statistics, "latent_health", fail)
    monkeypatch.setattr(writer, "histogram", fail)
    code, output, _ = launch(*SHORT, "--jit=off", "--export=none", "--run_dir=run")
    assert code == 0
    told = [line.split(":")[1] for line in output.splitlines() if "training goes on" in line]
    names = ("the run's row in HParams", "texts", "statistics", "histograms", "pictures", "the projector's files")
    assert sorted(told) == sorted(f" {name} cannot be written (it fails)" for name in names)
    assert list(points(pathlib.Path("run"))["eval"]["reconstruction/rmse"]) == [0, 10, 20, 30, 40]
    assert "in fail" in pathlib.Path("run/run.log").read_text()


def test_codes_that_are_no_numbers_are_a_divergence_and_no_picture(launch, monkeypatch):
    from trainer.models import autoencoder

    def posterior(self, images):
        return autoencoder.Posterior(self.encoder(images - self.mean).mean * float("inf"), None)

    monkeypatch.setattr(autoencoder.Autoencoder, "posterior", posterior)
    monkeypatch.setattr(autoencoder.Autoencoder, "logits", lambda self, codes: self.decoder(tf_zeros_like(codes)))
    code, _, error = launch(*SHORT, "--jit=off", "--export=none", "--run_dir=run")
    assert code == 3
    assert "after step 0 codes are not finite" in error


def tf_zeros_like(values):
    import tensorflow as tf

    return tf.zeros_like(values)


@pytest.mark.parametrize(
    ("profile", "traced"), [("11,5", True), ("38,500", True), ("41,5", False), ("999999999999,1", False)]
)
def test_the_profiler_writes_to_where_tensorboard_looks_or_says_that_there_was_nothing(profile, traced, launch):
    code, output, _ = launch(*SHORT, "--jit=off", "--export=none", f"--profile={profile}", "--run_dir=run")
    assert code == 0
    found = list(pathlib.Path("run/train/plugins/profile").glob("*/*.xplane.pb"))
    assert len(found) == traced
    assert ("nothing was traced" in output) == (not traced)
    assert "profile" not in pathlib.Path("run/flags.txt").read_text()


def test_a_resume_within_the_traced_steps_traces_the_rest(finished, tmp_path, launch, monkeypatch):
    import tensorflow as tf

    seen = []
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda folder: seen.append("start"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: seen.append("stop"))
    run = tmp_path / "run"
    killed_after(finished, 22, run)
    assert launch(f"--run_dir={run}", "--profile=20,10")[0] == 0
    assert seen == ["start", "stop"]


def test_the_projector_is_of_the_last_checkpoint_though_the_kill_came_right_after_it(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 40, run)
    folder = run / "eval/plugins/org_tensorflow_tensorboard_projector"
    expected = {path.name: path.read_bytes() for path in folder.iterdir()}
    config = folder / "projector_config.pbtxt"
    config.write_text(config.read_text().replace("step 40", "step 39"))
    (folder / "codes.tsv").write_text("1\t2\t3\n")
    assert launch(f"--run_dir={run}")[0] == 0
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    np.testing.assert_allclose(
        *(np.loadtxt(content["codes.tsv"].decode().splitlines()) for content in (found, expected)), rtol=1e-3, atol=1e-4
    )
    assert found["projector_config.pbtxt"] == expected["projector_config.pbtxt"]


def test_what_an_older_run_has_not_written_is_written_when_it_goes_on(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 22, run)
    for path in [*run.glob("train/*tfevents*"), *run.glob("eval/*tfevents*")]:
        path.unlink()
    manifest = run / "checkpoints/ckpt-22.json"
    content = manifests.read(run / "checkpoints", 22)
    known = {tag: value for tag, value in content.metrics.items() if not tag.startswith("eval/best/")}
    manifest.unlink()
    manifests.write(run / "checkpoints", dataclasses.replace(content, metrics=known))
    shutil.rmtree(run / "checkpoints/best")
    assert launch(f"--run_dir={run}")[0] == 0
    images = readers.read(readers.Accumulators, run)
    assert "data/sample" in images["images"]["train"]
    assert images["custom_scalars"]["eval"]
    assert list(scalars(run / "eval")["best/rmse"]) == [30, 40]


def test_a_rollback_keeps_what_this_start_has_told_of_the_run(launch):
    diverging = ("--dataset=iris", "--hidden=3", "--optimizer=sgd", "--schedule=constant", "--steps=40", "--jit=off")
    more = ("--learning_rate=3", "--on_divergence=rollback", "--batch_size=10", "--export=none", "--run_dir=run")
    assert launch(*diverging, *more)[0] == 0
    assert "rollback" in pathlib.Path("run/history.txt").read_text()
    texts = readers.read(readers.Accumulators, pathlib.Path("run"))["text"]["train"]
    assert {"run/command", "run/flags", "run/network", "run/data"} < set(texts)


def test_a_run_that_was_begun_again_is_another_row_in_hparams(launch):
    tiny = ("--dataset=iris", "--hidden=1", "--steps=1", "--jit=off", "--export=none", "--run_dir=run")
    assert launch(*tiny)[0] == 0
    first = row(pathlib.Path("run"))[1].group_name
    assert launch(*tiny, "--restart")[0] == 0
    assert row(pathlib.Path("run"))[1].group_name != first
    assert first.startswith("run ")


def test_restarts_leave_no_files_without_content(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 39, run)
    for _ in range(2):
        for place in ("checkpoints", "checkpoints/best"):
            manifests.delete(run / place, 40)
        (run / "result.json").unlink(missing_ok=True)
        assert launch(f"--run_dir={run}", "--export=none")[0] == 0
    for folder in ("floor/mean", "floor/pca"):
        assert len(list((run / folder).glob("*tfevents*"))) == 2
