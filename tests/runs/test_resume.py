"""Runs that are resumed after a kill, after damage, with more steps, or in another precision."""

import json
import pathlib
import shutil

import pytest
from trained import SHORT, killed_after, points, seen, weights

from trainer.checkpoints import manifest as manifests


# 7: at the end of a block. 22: inside a block, soon after the end of an epoch, between two logged steps.
@pytest.mark.parametrize("step", [pytest.param(7, marks=pytest.mark.whole), 22])
def test_a_resumed_run_has_the_same_bits(step, finished, finished_series, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, step, run)
    code, output, _ = launch(f"--run_dir={run}")
    assert code == 0
    assert f"resumed     at step {step}; the result will be that of an uninterrupted run, to the bit" in output
    assert weights(run, 40) == weights(finished, 40)
    assert seen(run) == finished_series


def test_the_result_does_not_depend_on_when_checkpoints_are_saved(finished, tmp_path, launch):
    assert launch(*SHORT, "--checkpoint_every=0", "--run_dir=run")[0] == 0
    assert manifests.steps_in(pathlib.Path("run/checkpoints")) == [40]
    assert weights(pathlib.Path("run"), 40) == weights(finished, 40)


@pytest.mark.parametrize(
    ("precision", "optimizer", "loss"),
    [
        pytest.param("mixed_bfloat16", "rmsprop", "rmse", marks=pytest.mark.whole),
        ("mixed_float16", "sgd", "sse"),
    ],
)
def test_a_resumed_run_in_low_precision_has_the_same_bits(precision, optimizer, loss, launch):
    common = (f"--precision={precision}", f"--optimizer={optimizer}", f"--loss={loss}", "--schedule=constant")
    common = (*common, "--dataset=iris", "--hidden=2", "--learning_rate=0.01", "--log_every=3", "--jit=off")
    assert launch(*common, "--steps=11", "--run_dir=whole")[0] == 0
    assert launch(*common, "--steps=4", "--run_dir=parts")[0] == 0
    code, output, _ = launch("--run_dir=parts", "--steps=11")
    assert code == 0
    assert "the result will be that of an uninterrupted run, to the bit" in output
    assert weights(pathlib.Path("whole"), 11) == weights(pathlib.Path("parts"), 11)


def test_a_run_killed_before_its_first_checkpoint_starts_at_step_0(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 0, run)
    assert launch(f"--run_dir={run}")[0] == 0
    assert weights(run, 40) == weights(finished, 40)
    assert points(run) == points(finished)


def test_a_run_killed_after_its_last_checkpoint_writes_no_point_twice(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 40, run)
    code, _, _ = launch(f"--run_dir={run}")
    assert code == 0
    assert points(run) == points(finished)
    expected, result = (json.loads((folder / "result.json").read_text()) for folder in (finished, run))
    assert {k: v for k, v in result.items() if "/" in k} == {k: v for k, v in expected.items() if "/" in k}
    assert (run / "export" / "40" / "saved_model.pb").exists()


def test_a_damaged_checkpoint_is_skipped_and_the_result_is_the_same(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 30, run)
    (run / "checkpoints" / "ckpt-30.index").write_bytes(b"")
    code, output, _ = launch(f"--run_dir={run}")
    assert code == 0
    assert "set aside as damaged-30" in output
    assert weights(run, 40) == weights(finished, 40)
    assert points(run) == points(finished)


def test_a_run_whose_checkpoints_are_all_damaged_exits_with_4_and_restart_sets_them_aside(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 2, run)
    for path in (run / "checkpoints").glob("*.index"):
        path.write_bytes(b"")
    code, _, error = launch(f"--run_dir={run}")
    assert code == 4
    assert len(error.strip().splitlines()) == 3
    assert launch(f"--run_dir={run}", "--restart", *SHORT)[0] == 0
    assert (run / "set_aside" / "run" / "checkpoints" / "ckpt-2.index").exists()


@pytest.mark.whole
def test_a_lost_export_is_repeated_and_a_run_without_checkpoints_is_refused(finished, tmp_path, launch):
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
    for name in ("result.json", "history.txt"):  # Both contain the last step.
        before = points(run)
        code, _, error = launch(f"--run_dir={run}")
        assert code == 4
        assert "has been trained to step 40, but contains no checkpoint" in error
        assert points(run) == before
        (run / name).unlink()


def test_a_finished_run_can_be_continued_with_more_steps(finished, tmp_path, launch):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    code, output, _ = launch(f"--run_dir={run}", "--steps=44")
    assert code == 0
    assert (
        "resumed     at step 40; bit-identity with an uninterrupted run is not claimed (total_steps: 40 -> 44)"
        in output
    )
    # 0.002 x (1 + cos(pi x)) / 2, x being 39 / 40 before, and 40 / 44 now.
    remark = "the learning rate rises from 3.1e-06 to 4.1e-05: the cosine schedule, which ended at step 40, now ends at"
    assert output.count(f"note        {remark} step 44") == 1
    assert f"step 40\t{remark}" in (run / "history.txt").read_text()
    assert list(points(run)["train"]["loss"]) == list(range(4, 45, 4))
    assert launch(f"--run_dir={run}", "--steps=20")[0] == 1


@pytest.mark.parametrize("precision", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.whole)])
def test_a_run_resumed_in_another_precision_exports_float32(precision, finished, tmp_path, launch):
    import tensorflow as tf

    run = tmp_path / "run"
    killed_after(finished, 38, run)
    code, output, _ = launch(f"--run_dir={run}", f"--precision={precision}")
    assert code == 0
    assert f"precision: float32 -> {precision}" in output
    (run / "result.json").unlink()
    output = launch(f"--run_dir={run}")[1]  # The change is remembered.
    assert f"bit-identity with an uninterrupted run is not claimed (precision: float32 -> {precision}" in output
    signature = tf.saved_model.load(str(run / "export" / "40")).signatures["serving_default"]
    assert signature(images=tf.zeros([3, 8, 8, 1]))["reconstructions"].dtype == tf.float32
    assert points(run)["eval"]["reconstruction/mse"][40] == pytest.approx(
        points(finished)["eval"]["reconstruction/mse"][40], rel=0.01
    )


@pytest.mark.whole
def test_resuming_leaves_no_empty_event_files(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 39, run)
    for _ in range(2):
        for folder in ("checkpoints", "checkpoints/best"):
            manifests.delete(run / folder, 40)
        (run / "result.json").unlink(missing_ok=True)
        assert launch(f"--run_dir={run}", "--export=none")[0] == 0
    for folder in ("floor/mean", "floor/pca"):
        assert len(list((run / folder).glob("*tfevents*"))) == 2
