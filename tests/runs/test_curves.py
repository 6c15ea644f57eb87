"""Event files: during training, and after a resume."""

import dataclasses
import os
import pathlib
import shutil
import signal

import numpy as np
import pytest
import readers
from readers import pictures, scalars
from trained import SHORT, killed_after, points, row, tf_zeros_like

from trainer.checkpoints import manifest as manifests
from trainer.data import datasets
from trainer.data.sources import Sources


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

    for module, name in ((projector, "write"), (hparams, "start"), (hparams, "end"), (gallery, "render")):
        monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(description, "text_pages", fail)
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
