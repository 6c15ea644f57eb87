"""Runs that are stopped, diverge, lose their disk, meet a full disk, or are rolled back."""

import errno
import os
import pathlib
import resource
import shutil
import signal

import numpy as np
import pytest
from readers import scalars
from storms import digests

from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests
from trainer.compute import devices
from trainer.data import datasets
from trainer.runs import builder
from trainer.training import pipeline

IRIS = ("--dataset=iris", "--hidden=2", "--jit=off", "--batch_size=10", "--log_every=5", "--image_every=0")
RUN = (*IRIS, "--run_dir=run", "--steps=40", "--checkpoint_every=10", "--eval_every=10")
DIVERGING = (*IRIS, "--run_dir=run", "--optimizer=sgd", "--schedule=constant", "--steps=40", "--checkpoint_every=10")


def texts(folder, tag):
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return {point.step: tf.make_ndarray(point.tensor_proto).item().decode() for point in accumulator.Tensors(tag)}


def history():
    return [line.split("\t")[2] for line in pathlib.Path("run/history.txt").read_text().splitlines()]


def stop_at(monkeypatch, step, signal_number=signal.SIGTERM):
    """Sends a signal when the scalars of this step are logged."""
    from trainer.summaries.recorder import Recorder

    log = Recorder.log

    def log_and_signal(self, logged_step, values):
        log(self, logged_step, values)
        if logged_step == step:
            os.kill(os.getpid(), signal_number)

    monkeypatch.setattr(Recorder, "log", log_and_signal)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The result of an uninterrupted RUN."""
    import launch

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("uninterrupted"))
        assert launch.main(list(RUN)) == 0
        return digests.read(pathlib.Path("run"))


def same_as(uninterrupted):
    return digests.differences(digests.read(pathlib.Path("run")), uninterrupted) == []


def test_a_stopped_and_resumed_run_has_the_same_result_and_records_both_in_its_history(
    uninterrupted, launch, monkeypatch
):
    with monkeypatch.context() as patch:
        stop_at(patch, 25)
        assert launch(*RUN)[0] == 143
    assert launch(*RUN)[0] == 0
    assert same_as(uninterrupted)
    worse = "the network is worse than the mean"  # 40 steps are not enough.
    assert [event.split(";")[0].split(",")[0].split(" of ")[0] for event in history()] == [
        *("started", "first checkpoint", "stopped by SIGTERM", "resumed", worse, "finished")
    ]
    lines = texts(pathlib.Path("run/train"), "history")[40].splitlines()
    assert lines[0].startswith("* **step 40**: finished (")
    assert lines[-1].startswith("* **step 0**: started (")
    assert len(lines) == 6


def test_the_error_for_a_divergence_names_step_epoch_and_examples(launch):
    code, _, error = launch(*DIVERGING, "--learning_rate=3", "--checkpoint_every=1")
    assert code == 3
    assert "there is no checkpoint yet" not in error
    step = int(error.split("the loss of step ")[1].split()[0])
    assert f"the last good checkpoint is of step {step - 1}" in error
    indices = pipeline.batch_indices(150, batch_size=10, seed=0, step=step)
    assert f"(epoch 1, examples {', '.join(map(str, indices[:5]))}, ...)" in error
    assert manifests.newest(pathlib.Path("run/checkpoints")).step == step - 1


def test_a_rollback_lowers_the_learning_rate_and_training_finishes(launch):
    code, output, error = launch(*DIVERGING, "--learning_rate=3", "--on_divergence=rollback")
    assert code == 0, error
    rollbacks = [event for event in history() if "rollback" in event]
    assert [event.split("; ")[1].split(":")[0] for event in rollbacks] == ["rollback 1 of 3", "rollback 2 of 3"]
    assert all(event in output for event in rollbacks)
    assert "rollback 2 of 3" in texts(pathlib.Path("run/train"), "history")[1]
    curves = scalars(pathlib.Path("run/train"))
    assert list(curves["loss"]) == list(range(5, 41, 5))
    assert set(curves["learning_rate"].values()) == {3 / 16}
    newest = manifests.newest(pathlib.Path("run/checkpoints"))
    assert newest.rollbacks == 2
    shutil.rmtree("run/export")
    pathlib.Path("run/result.json").unlink()
    manifests.delete(pathlib.Path("run/checkpoints"), 40)
    shutil.rmtree("run/checkpoints/best")
    code, output, _ = launch("--run_dir=run")
    assert "not claimed (rollbacks: 2)" in output
    assert set(scalars(pathlib.Path("run/train"))["learning_rate"].values()) == {3 / 16}


def test_a_run_exits_after_three_rollbacks(launch):
    code, _, error = launch(*DIVERGING, "--learning_rate=1e6", "--on_divergence=rollback")
    assert code == 3
    assert "the last good checkpoint is of step 0" in error
    assert sum("rollback" in event for event in history()) == 3


def test_the_best_checkpoint_is_kept_and_exported(launch, monkeypatch):
    import tensorflow as tf

    from trainer.evaluation.metrics import Metrics
    from trainer.summaries.recorder import Recorder

    evaluate = Recorder.evaluate
    steps = []

    def record_step(self, step):
        steps.append(step)
        return evaluate(self, step)

    metrics = Metrics.reconstruction_metrics

    def best_at_20(self, result):
        return {**metrics(self, result), "reconstruction/mse": 1.0 + abs(steps[-1] - 20)}

    monkeypatch.setattr(Recorder, "evaluate", record_step)
    monkeypatch.setattr(Metrics, "reconstruction_metrics", best_at_20)
    code, output, _ = launch(*RUN, "--export=best", "--keep=1", "--keep_every=30")
    assert code == 0
    folder = pathlib.Path("run/checkpoints")
    assert [(step, subfolder.name) for step, subfolder in catalog.committed(folder)] == [
        *((40, "checkpoints"), (30, "kept"), (20, "best"))
    ]
    assert "run/export/20" in output
    exported = tf.saved_model.load("run/export/20")
    best = tf.train.load_checkpoint(str(folder / "best" / "ckpt-20"))
    kernel = best.get_tensor("optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE")
    assert kernel.tobytes() in [variable.numpy().tobytes() for variable in exported.weights]
    assert "finished already" in launch("--run_dir=run")[1]
    assert "run/export/40" in launch("--run_dir=run", "--export=last")[1]


def test_a_lost_run_is_restored_from_its_mirror(uninterrupted, launch, monkeypatch):
    pathlib.Path("bucket").mkdir()
    with monkeypatch.context() as patch:
        stop_at(patch, 25)
        assert launch(*RUN, "--mirror_dir=bucket")[0] == 143
    reached = manifests.newest(pathlib.Path("run/checkpoints")).step
    assert 25 <= reached < 40
    shutil.rmtree("run")
    code, output, _ = launch(*RUN, "--mirror_dir=bucket")
    assert code == 0
    assert f"restored up to step {reached}" in output
    assert f"resumed     at step {reached}; the result will be that of an uninterrupted run, to the bit" in output
    assert same_as(uninterrupted)
    shutil.rmtree("run")
    assert "finished already" in launch(*RUN, "--mirror_dir=bucket")[1]
    assert launch(*RUN, "--mirror_dir=bucket", "--restart")[0] == 0
    assert manifests.steps_in(pathlib.Path("bucket/run/checkpoints")) == [10, 20, 30, 40]
    assert pathlib.Path("bucket/run/set_aside/run/flags.txt").exists()


def test_a_mirror_that_cannot_be_written_does_not_stop_a_run(uninterrupted, launch, monkeypatch):
    pathlib.Path("bucket").mkdir()

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trainer.runs.mirror._sync", full)
    code, output, _ = launch(*RUN, "--mirror_dir=bucket")
    assert code == 0
    assert output.count("cannot be updated") == 1
    assert same_as(uninterrupted)


@pytest.mark.whole
def test_initial_weights_are_needed_only_at_the_first_start(launch, monkeypatch):
    layers = "--hidden=3,2,1"  # Without the optimizer, TensorFlow would find only some of the layers.
    assert launch(*RUN, layers)[0] == 0
    new = (*IRIS, layers, "--run_dir=new", "--steps=20", "--checkpoint_every=20", "--init_from=run", "--seed=5")
    with monkeypatch.context() as patch:
        stop_at(patch, 5)
        assert launch(*new)[0] == 143
    old, initial = digests.tensors(pathlib.Path("run"), 40), digests.tensors(pathlib.Path("new"), 0)
    weights = [name for name in old if name.startswith(("model", "optimizer/_trainable"))]
    assert len(weights) == 13
    assert all(initial[name] == old[name] for name in weights)
    assert initial != old
    shutil.rmtree("run")
    code, output, error = launch(*new)
    assert code == 0, error
    assert "to the bit" in output
    assert "--init_from" in pathlib.Path("new/flags.txt").read_text()


@pytest.mark.parametrize("other", [("--hidden=3",), ("--dataset=digits", "--hidden=2")])
def test_weights_of_another_network_are_refused(other, launch):
    assert launch(*RUN, "--steps=3", "--export=none")[0] == 0
    code, _, error = launch(*IRIS, *other, "--run_dir=new", "--steps=3", "--init_from=run")
    assert code == 1
    assert "a checkpoint of another network" in error
    assert launch(*RUN, "--run_dir=other", "--init_from=absent")[0] == 4
    assert launch(*RUN, "--restart", "--init_from=absent")[0] == 4
    assert launch(*RUN, "--restart", "--init_from=run")[0] == 1
    assert not pathlib.Path("run/set_aside").exists()


def test_curves_that_cannot_be_written_are_dropped_and_the_weights_are_the_same(uninterrupted, launch):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))  # Larger than a checkpoint, smaller than the curves.
    try:
        code, output, error = launch(*RUN, "--log_every=1", "--export=none")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 0, error
    assert "run/train cannot be written (File too large): training continues" in output
    assert digests.tensors(pathlib.Path("run"), 40) == uninterrupted.tensors
    assert digests.scalars(pathlib.Path("run"))  # The event files are readable.


def test_training_continues_if_a_checkpoint_cannot_be_written(uninterrupted, launch, monkeypatch):
    write = manifests.write

    def fail_at_20(folder, manifest):
        if manifest.step == 20:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        write(folder, manifest)

    monkeypatch.setattr(manifests, "write", fail_at_20)
    code, output, _ = launch(*RUN)
    assert code == 0
    assert "the checkpoint of step 20 could not be saved" in output
    assert "(Disk quota exceeded): training continues" in output
    assert same_as(uninterrupted)


def test_a_signal_while_the_data_are_loaded_leaves_no_run_directory(launch, monkeypatch):
    def terminate(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(datasets, "load", terminate)
    code, _, error = launch(*RUN)
    assert code == 143
    assert "nothing was lost" in error
    assert not pathlib.Path("run").exists()


def test_checkpoints_are_listed_without_tensorflow_and_without_changes(uninterrupted, launch, python):
    assert launch(*RUN, "--keep=2", "--keep_every=20")[0] == 0
    before = {path: path.stat().st_mtime_ns for path in pathlib.Path("run").rglob("*")}
    code = "import sys, launch\ncode = launch.main(sys.argv[1:])\nprint('tensorflow' in sys.modules, code)"
    lines = python(code, "--mode=checkpoints", "--run_dir=run", "--verify").stdout.splitlines()
    assert {path: path.stat().st_mtime_ns for path in pathlib.Path("run").rglob("*")} == before
    assert lines[-1] == "False 0"
    rows = [line.split() for line in lines[1:-1]]
    assert [row[0] for row in rows] == ["40", "30", "20"]
    assert [row[-1] for row in rows] == ["verified"] * 3
    assert "newest, kept, best" in lines[1]
    rmse = np.frombuffer(uninterrupted.scalars["eval"]["reconstruction/rmse"][30], np.float32)[0]
    assert f"{rmse:.5f}" in lines[2]


def test_damaged_checkpoints_are_listed_and_exit_with_4_only_if_no_other_exists(launch):
    assert launch(*RUN, "--export=none")[0] == 0
    for path in pathlib.Path("run/checkpoints").rglob("ckpt-40.index"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        break
    assert "damaged" not in launch("--mode=checkpoints", "--run_dir=run")[1]
    code, output, _ = launch("--mode=checkpoints", "--run_dir=run", "--verify")
    assert code == 0
    assert output.count("damaged: ckpt-40.json is damaged: ckpt-40.index has SHA-256") == 2
    for path in pathlib.Path("run/checkpoints").rglob("*.index"):
        path.write_bytes(b"")
    assert launch("--mode=checkpoints", "--run_dir=run")[0] == 4
    assert launch("--mode=checkpoints", "--run_dir=absent")[0] == 1


def test_a_run_that_the_user_rolled_back_has_the_same_result(uninterrupted, launch):
    assert launch(*RUN)[0] == 0
    code, output, _ = launch("--mode=checkpoints", "--run_dir=run", "--rollback=20")
    assert code == 0
    assert "step 20 is the newest now" in output
    code, output, _ = launch(*RUN)
    assert "resumed     at step 20; the result will be that of an uninterrupted run, to the bit" in output
    assert same_as(uninterrupted)
    assert pathlib.Path("run/checkpoints/rolled_back-40/ckpt-40.json").exists()
    assert launch("--mode=checkpoints", "--run_dir=run", "--rollback=21")[0] == 1


def test_a_resumed_run_uses_the_number_of_threads_of_its_checkpoint(launch, monkeypatch):
    assert launch(*RUN, "--steps=1", "--export=none")[0] == 0
    threads = []
    monkeypatch.setattr(devices, "prepare", lambda options, model: threads.append(options.threads))
    from trainer import config

    folder = pathlib.Path("run/checkpoints")
    stored = manifests.newest(folder).numerics["threads"]
    for flags in ((), ("--threads=7",)):
        builder.device(config.parse(flags)[0], folder)
    builder.device(config.parse([])[0], pathlib.Path("absent"))
    assert threads == [stored, 7, 0]
