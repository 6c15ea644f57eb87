"""The learning rate of an existing run: changed from now on, refused otherwise, and raised by an extension."""

import json

import pytest
import readers
from readers import scalars
from trained import killed_after

from trainer.checkpoints import manifest as manifests

CHANGE = "learning_rate: 0.002 -> 0.0005"
NOTE = "from step 23 on, the peak of the learning rate is 0.0005 instead of 0.002"


def history(run):
    """The newest text of the history in TensorBoard."""
    return readers.read(readers.Accumulators, run)["text"]["train"]["history"][-1][1].decode()


@pytest.fixture(scope="module")
def changed(finished, tmp_path_factory):
    """A run of 40 steps whose learning rate was changed after step 22, and what its last start printed."""
    import launch

    run = tmp_path_factory.mktemp("changed") / "run"
    killed_after(finished, 22, run)
    assert launch.main([f"--run_dir={run}", "--learning_rate_from_now=0.0005"]) == 0
    return run


def test_the_curve_before_the_change_stays_and_the_rest_has_the_new_peak(changed, finished):
    before, after = (scalars(run / "train")["learning_rate"] for run in (finished, changed))
    assert list(after) == list(before)
    assert all(after[step] == before[step] for step in range(4, 21, 4))
    assert all(after[step] == pytest.approx(before[step] / 4) for step in range(24, 41, 4))


def test_the_change_is_in_the_flags_the_history_and_every_later_checkpoint(changed):
    assert "--learning_rate=0.0005\n" in (changed / "flags.txt").read_text()
    resumed = f"resumed; bit-identity with an uninterrupted run is not claimed ({CHANGE})"
    for text in ((changed / "history.txt").read_text(), history(changed)):
        assert resumed in text
        assert NOTE in text
    for step in manifests.steps_in(changed / "checkpoints"):
        manifest = manifests.read(changed / "checkpoints", step)
        expected = ([CHANGE], 0.0005) if step > 22 else ([], 0.002)
        assert (manifest.changes, manifest.flags["learning_rate"]) == expected


# 22: it was killed before its first checkpoint after the change.
@pytest.mark.parametrize("step", [22, pytest.param(30, marks=pytest.mark.whole)])
def test_later_starts_need_no_flag_and_remember_the_change(step, changed, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(changed, step, run)
    code, output, _ = launch(f"--run_dir={run}")
    assert code == 0
    assert f"resumed     at step {step}; bit-identity with an uninterrupted run is not claimed ({CHANGE})" in output
    assert (NOTE in output) == (step == 22)
    assert scalars(run / "train").keys() == scalars(changed / "train").keys()
    assert scalars(run / "train")["learning_rate"] == scalars(changed / "train")["learning_rate"]
    code, output, _ = launch(f"--run_dir={run}", "--learning_rate_from_now=0.0005")  # The same command again.
    assert code == 0
    assert output.startswith("finished already")


def test_the_old_value_is_refused_and_so_are_other_changed_flags(changed, launch):
    code, _, error = launch(f"--run_dir={changed}", "--learning_rate=0.002")
    assert code == 1
    assert f"continue it with the new learning rate with --run_dir={changed} --learning_rate_from_now=0.002," in error
    code, _, error = launch(f"--run_dir={changed}", "--learning_rate_from_now=0.1", "--seed=4", "--learning_rate=9")
    assert code == 1
    assert "other flags: --seed: 0 -> 4 (stored" in error


def test_a_finished_run_has_no_step_for_a_new_learning_rate(changed, launch):
    before = (changed / "flags.txt").read_text()
    code, _, error = launch(f"--run_dir={changed}", "--learning_rate_from_now=0.1")
    assert code == 1
    assert "no step is left for --learning_rate_from_now=0.1\nremedy: give a larger --steps or --epochs too" in error
    assert (changed / "flags.txt").read_text() == before


def test_a_new_run_has_no_learning_rate_to_change(launch, tmp_path):
    for place in ("--run_dir=run", "--hidden=3"):
        code, _, error = launch(place, "--learning_rate_from_now=0.1", "--steps=3")
        assert code == 1
        assert "there is no run in" in error
        assert "or give --learning_rate=0.1 to start a new run" in error
    assert list(tmp_path.iterdir()) == []
    error = launch("--run_dir=run", "--restart", "--learning_rate_from_now=0.1")[2]
    assert "cannot be used with --restart" in error


def test_a_rise_of_the_learning_rate_is_noted_before_training_and_in_tensorboard(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 38, run)
    code, output, _ = launch(f"--run_dir={run}", "--steps=44", "--learning_rate_from_now=0.004", "--export=none")
    assert code == 0
    # 0.002 x (1 + cos(pi 37 / 40)) / 2 before, 0.004 x (1 + cos(pi 38 / 44)) / 2 after.
    rise = "the learning rate rises from 2.8e-05 to 0.00018: the cosine schedule, which ended at step 40, now ends at"
    assert output.index(rise) < output.index("finished")
    assert "the peak of the learning rate is 0.004 instead of 0.002" in output
    assert rise in history(run)
    assert json.loads((run / "result.json").read_text())["step"] == 44


def test_a_rollback_stays_in_force_and_is_named():
    from trainer.runs import remarks

    (remark,) = remarks.on_peak(0.1, 0.2, 7, 0.25)
    assert (
        remark
        == "from step 8 on, the peak of the learning rate is 0.2 (times 0.25, because of rollbacks) instead of 0.1"
    )
    assert remarks.on_peak(0.1, 0.1, 7, 0.25) == []
