"""Event files: during training, and after a resume."""

import dataclasses
import os
import pathlib
import shutil
import signal

import numpy as np
import pytest
import readers
from readers import read_images, scalars
from trained import SHORT, killed_after, points, row, tf_zeros_like

from trainer.checkpoints import manifest as manifests
from trainer.data import datasets
from trainer.data.sources import Sources


def test_all_readers_read_the_same_series_with_one_value_per_step(finished_series):
    first, *others = finished_series.values()
    assert all(other == first for other in others)
    steps = {key: [step for step, _ in values] for key, values in first.items()}
    assert all(series_steps == sorted(set(series_steps)) for series_steps in steps.values())
    assert steps["scalars", "train", "update_norm"] == list(range(4, 41, 4))
    assert steps["scalars", "eval", "latent/effective_rank"] == [0, 10, 20, 30, 40]
    assert steps["histograms", "train", "gradients/encoder/code/kernel"] == [0, 10, 20, 30, 40]
    assert steps["images", "eval", "latent/traversal"] == [0, 20, 40]
    assert steps["images", "train", "data/sample"] == [0]
    assert ("custom_scalars", "eval", "custom_scalars__config__") in steps


def test_event_files_are_flushed_before_the_first_step_and_at_the_first_point(tmp_path, launch, monkeypatch):
    from trainer.runs import builder

    make_block, snapshots = builder.block, []

    def recording_block(*arguments):
        block = make_block(*arguments)

        def call(examples, first, last):
            if first < last:  # The call that compiles the block runs no step.
                snapshots.append({name: scalars(tmp_path / "run" / name) for name in ("train", "eval")})
            return block(examples, first, last)

        return call

    monkeypatch.setattr(builder, "block", recording_block)
    assert launch(*SHORT, "--jit=off", "--export=none", f"--run_dir={tmp_path / 'run'}")[0] == 0
    assert set(snapshots[0]["eval"]["reconstruction/rmse"]) == {0}
    first = next(snapshot["train"]["loss"] for snapshot in snapshots if "loss" in snapshot["train"])
    assert 4 in first
    assert len(first) < 10  # It was written during the run.


def test_hparams_has_no_status_for_a_stopped_run_and_failure_for_a_diverged_run(launch):
    diverging = ("--dataset=iris", "--hidden=2", "--optimizer=sgd", "--learning_rate=1e6", "--jit=off")
    assert launch(*diverging, "--run_dir=diverged")[0] == 3
    assert row(pathlib.Path("diverged"))[2] == 2
    from trainer.summaries.recorder import Recorder

    with pytest.MonkeyPatch.context() as patch:
        log = Recorder.log
        patch.setattr(Recorder, "log", lambda *arguments: (log(*arguments), os.kill(os.getpid(), signal.SIGTERM)))
        assert launch(*SHORT, "--jit=off", "--run_dir=stopped")[0] == 143
    assert row(pathlib.Path("stopped"))[2] is None


def test_the_only_image_of_a_table_with_two_dimensional_codes_is_a_scatter_plot(launch):
    assert launch("--dataset=iris", "--hidden=2", "--steps=4", "--jit=off", "--export=none", "--run_dir=run")[0] == 0
    assert list(read_images(pathlib.Path("run/eval"), "latent/scatter")) == [0, 1, 2, 4]
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


def test_errors_of_tensorboard_output_are_logged_and_training_continues(launch, monkeypatch):
    from trainer.evaluation import statistics
    from trainer.runs import description
    from trainer.summaries import gallery, hparams, projector, writer

    def fail(*arguments, **options):
        raise ValueError("it fails")

    for module, name in ((projector, "write"), (hparams, "start"), (hparams, "end"), (gallery, "render")):
        monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(description, "text_pages", fail)
    monkeypatch.setattr(statistics, "code_metrics", fail)
    monkeypatch.setattr(writer, "histogram", fail)
    code, output, _ = launch(*SHORT, "--jit=off", "--export=none", "--run_dir=run")
    assert code == 0
    warnings = [line.split(":")[1] for line in output.splitlines() if "training continues" in line]
    names = ("the HParams row", "texts", "statistics", "histograms", "images", "the projector files")
    assert sorted(warnings) == sorted(f" {name} cannot be written (it fails)" for name in names)
    assert list(points(pathlib.Path("run"))["eval"]["reconstruction/rmse"]) == [0, 10, 20, 30, 40]
    assert "in fail" in pathlib.Path("run/run.log").read_text()


def test_codes_that_are_not_finite_are_a_divergence(launch, monkeypatch):
    from trainer.models import autoencoder

    def posterior(self, images):
        return autoencoder.Posterior(self.encoder(images - self.mean).mean * float("inf"), None)

    monkeypatch.setattr(autoencoder.Autoencoder, "posterior", posterior)
    monkeypatch.setattr(autoencoder.Autoencoder, "logits", lambda self, codes: self.decoder(tf_zeros_like(codes)))
    code, _, error = launch(*SHORT, "--jit=off", "--export=none", "--run_dir=run")
    assert code == 3
    assert "after step 0 codes are not finite" in error


@pytest.mark.parametrize(
    ("profile", "traced"), [("11,5", True), ("38,500", True), ("41,5", False), ("999999999999,1", False)]
)
def test_the_profiler_writes_a_trace_or_logs_that_no_step_was_traced(profile, traced, launch):
    code, output, _ = launch(*SHORT, "--jit=off", "--export=none", f"--profile={profile}", "--run_dir=run")
    assert code == 0
    traces = list(pathlib.Path("run/train/plugins/profile").glob("*/*.xplane.pb"))
    assert len(traces) == traced
    assert ("nothing was traced" in output) == (not traced)
    assert "profile" not in pathlib.Path("run/flags.txt").read_text()


@pytest.mark.whole
def test_a_run_resumed_within_the_traced_steps_traces_the_remaining_steps(finished, tmp_path, launch, monkeypatch):
    import tensorflow as tf

    calls = []
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda folder: calls.append("start"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: calls.append("stop"))
    run = tmp_path / "run"
    killed_after(finished, 22, run)
    assert launch(f"--run_dir={run}", "--profile=20,10")[0] == 0
    assert calls == ["start", "stop"]


def test_outdated_projector_files_are_rewritten_after_a_kill(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 40, run)
    folder = run / "eval/plugins/org_tensorflow_tensorboard_projector"
    expected = {path.name: path.read_bytes() for path in folder.iterdir()}
    config = folder / "projector_config.pbtxt"
    config.write_text(config.read_text().replace("step 40", "step 39"))
    (folder / "codes.tsv").write_text("1\t2\t3\n")
    assert launch(f"--run_dir={run}")[0] == 0
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    codes = (np.loadtxt(files["codes.tsv"].decode().splitlines()) for files in (contents, expected))
    np.testing.assert_allclose(*codes, rtol=1e-3, atol=1e-4)
    assert contents["projector_config.pbtxt"] == expected["projector_config.pbtxt"]


@pytest.mark.whole
def test_a_resumed_run_of_an_older_version_gets_the_missing_summaries(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 22, run)
    for path in [*run.glob("train/*tfevents*"), *run.glob("eval/*tfevents*")]:
        path.unlink()
    manifest = run / "checkpoints/ckpt-22.json"
    content = manifests.read(run / "checkpoints", 22)
    metrics = {tag: value for tag, value in content.metrics.items() if not tag.startswith("eval/best/")}
    manifest.unlink()
    manifests.write(run / "checkpoints", dataclasses.replace(content, metrics=metrics))
    shutil.rmtree(run / "checkpoints/best")
    assert launch(f"--run_dir={run}")[0] == 0
    series = readers.read(readers.Accumulators, run)
    assert "data/sample" in series["images"]["train"]
    assert series["custom_scalars"]["eval"]
    assert list(scalars(run / "eval")["best/rmse"]) == [30, 40]


def test_the_text_pages_are_still_complete_after_a_rollback(launch):
    diverging = ("--dataset=iris", "--hidden=3", "--optimizer=sgd", "--schedule=constant", "--steps=40", "--jit=off")
    rollback = ("--learning_rate=3", "--on_divergence=rollback", "--batch_size=10", "--export=none", "--run_dir=run")
    assert launch(*diverging, *rollback)[0] == 0
    assert "rollback" in pathlib.Path("run/history.txt").read_text()
    texts = readers.read(readers.Accumulators, pathlib.Path("run"))["text"]["train"]
    assert {"run/command", "run/flags", "run/network", "run/data"} < set(texts)


def test_a_restarted_run_has_a_new_row_in_hparams(launch):
    tiny = ("--dataset=iris", "--hidden=1", "--steps=1", "--jit=off", "--export=none", "--run_dir=run")
    assert launch(*tiny)[0] == 0
    first = row(pathlib.Path("run"))[1].group_name
    assert launch(*tiny, "--restart")[0] == 0
    assert row(pathlib.Path("run"))[1].group_name != first
    assert first.startswith("run ")
