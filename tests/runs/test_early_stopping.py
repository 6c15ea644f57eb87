"""Runs that end early, because their evaluation error no longer falls."""

import json
import os
import pathlib
import shutil
import signal
from types import SimpleNamespace

import pytest
from readers import read_images, scalars
from storms import digests
from trained import killed_after, row, seen, weights

from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests
from trainer.runs.directory import RunFiles
from trainer.runs.recovery import Recovery
from trainer.training.plan import Plan

# The learning rate is too high, so that the error rises now and then.
NOISY = ("--dataset=iris", "--hidden=2", "--jit=off", "--batch_size=10", "--schedule=constant", "--learning_rate=0.2")
NOISY = (*NOISY, "--steps=400", "--log_every=5", "--eval_every=10", "--image_every=0")
OFTEN = (*NOISY, "--early_stopping=3", "--checkpoint_every=5", "--keep=100")
BEST, END = 80, 110  # of OFTEN


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, small_blocks):
    """The directory of an uninterrupted run that ends early, with a checkpoint every five steps."""
    import launch

    run = tmp_path_factory.mktemp("stopped") / "run"
    assert launch.main([*OFTEN, f"--run_dir={run}"]) == 0
    return run


def result_of(run):
    return json.loads((run / "result.json").read_text())


def test_a_run_ends_after_three_evaluations_without_a_lower_error(stopped):
    curves = scalars(stopped / "eval")
    assert list(curves["reconstruction/rmse"]) == list(range(0, END + 1, 10))
    errors = curves["reconstruction/rmse"]
    assert min(errors, key=errors.get) == BEST
    assert [curves["best/age"][step] for step in range(BEST, END + 1, 10)] == [0, 1, 2, 3]
    assert max(curves["best/age"][step] for step in range(0, END, 10)) == 2
    assert list(scalars(stopped / "train")["reconstruction/rmse"]) == [END]
    assert list(read_images(stopped / "eval", "latent/scatter")) == [0, END]
    assert list(scalars(stopped / "floor/pca")["reconstruction/rmse"]) == [0, END]
    assert row(stopped)[2] == 1  # success
    series, *others = seen(stopped).values()
    assert all(other == series for other in others)


def test_the_result_and_the_history_say_why_and_the_best_weights_are_exported(stopped):
    result = result_of(stopped)
    lowest = scalars(stopped / "eval")["reconstruction/rmse"][BEST]
    assert result["stopped"].pop("best/rmse") == pytest.approx(lowest)
    assert result["stopped"] == {"reason": "early_stopping", "patience": 3, "step": END, "best/step": BEST}
    assert (result["step"], result["best"], result["export"], result["exported"]) == (END, BEST, "best", BEST)
    reason = f"step {END}\tstopped early: 3 evaluations in a row had no lower error than step {BEST} (rmse"
    assert reason in (stopped / "history.txt").read_text()


@pytest.mark.parametrize("step", [35, *(pytest.param(step, marks=pytest.mark.whole) for step in (BEST, END))])
def test_a_killed_run_ends_at_the_same_step_with_the_same_bits(step, stopped, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(stopped, step, run)
    code, output, error = launch(f"--run_dir={run}")
    assert code == 0, error
    assert f"resumed     at step {step}; the result will be that of an uninterrupted run, to the bit" in output
    assert digests.differences(digests.read(run), digests.read(stopped)) == []
    del (result := result_of(run))["seconds"], (expected := result_of(stopped))["seconds"]
    assert result == expected


def test_the_same_command_says_that_the_run_has_stopped_early_and_more_patience_continues_it(stopped, tmp_path, launch):
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    code, output, _ = launch(*OFTEN, f"--run_dir={run}")
    assert code == 0
    assert "a larger --early_stopping, or --early_stopping=0, continues it" in output
    assert "stopped     early: 3 evaluations in a row had no lower error than step 80" in output
    assert launch(*OFTEN, f"--run_dir={run}", "--steps=900")[1].startswith("finished already")

    assert "to the bit" in launch(*OFTEN, f"--run_dir={run}", "--early_stopping=4")[1]
    assert launch(*OFTEN, "--run_dir=new", "--early_stopping=4")[0] == 0
    end = digests.newest_step(run)
    assert end > END
    assert weights(run, end) == weights(pathlib.Path("new"), end)
    assert list(read_images(run / "eval", "latent/scatter")) == [0, end]
    assert {**result_of(run), "seconds": 0} == {**result_of(pathlib.Path("new")), "seconds": 0}


@pytest.mark.whole
def test_every_evaluation_with_a_lower_error_is_a_checkpoint_and_the_best_one_stays(stopped, launch):
    code, output, _ = launch(*NOISY, "--early_stopping=3", "--checkpoint_every=0", "--run_dir=run", "--keep=1")
    assert code == 0
    folder = pathlib.Path("run/checkpoints")
    assert [(step, place.name) for step, place in catalog.committed(folder)] == [(END, "checkpoints"), (BEST, "best")]
    assert f"SavedModel  {folder.parent.absolute()}/export/{BEST}" in output
    assert weights(folder.parent, END) == weights(stopped, END)


@pytest.mark.whole
def test_a_signal_at_the_last_evaluation_does_not_keep_the_run_from_its_end(stopped, tmp_path, launch, monkeypatch):
    from trainer.summaries.recorder import Recorder

    evaluate = Recorder.evaluate

    def evaluate_and_signal(self, step):
        text = evaluate(self, step)
        if step == END:
            os.kill(os.getpid(), signal.SIGTERM)
        return text

    monkeypatch.setattr(Recorder, "evaluate", evaluate_and_signal)
    run = tmp_path / "run"
    killed_after(stopped, 100, run)
    assert launch(f"--run_dir={run}")[0] == 0
    assert result_of(run)["stopped"]["step"] == END


@pytest.mark.whole
def test_less_patience_ends_a_run_at_its_newest_checkpoint_with_a_complete_result(stopped, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(stopped, 100, run)
    code, output, error = launch(f"--run_dir={run}", "--early_stopping=2", "--export=last")
    assert code == 0, error
    assert "stopped     early: 2 evaluations in a row had no lower error than step 80" in output
    result = result_of(run)
    assert (result["step"], result["exported"]) == (100, 100)
    assert result["train/reconstruction/rmse"] > 0
    assert "finished already" in launch(f"--run_dir={run}")[1]


@pytest.mark.whole
def test_a_run_may_be_shortened_to_a_step_that_was_not_evaluated(stopped, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(stopped, 35, run)
    code, _, error = launch(f"--run_dir={run}", "--steps=35", "--early_stopping=0", "--export=none")
    assert code == 0, error
    result, manifest = result_of(run), manifests.read(run / "checkpoints", 35)
    assert result["stopped"] is None
    assert result["eval/reconstruction/rmse"] != manifest.metrics["eval/reconstruction/rmse"]
    assert result["train/reconstruction/rmse"] > 0


@pytest.mark.whole
def test_evaluations_of_pretraining_do_not_count(launch):
    flags = ("--dataset=iris", "--hidden=3,2", "--jit=off", "--steps=90", "--eval_every=5", "--learning_rate=1e-6")
    flags = (*flags, "--pretrain=layerwise", "--pretrain_steps=20", "--schedule=constant", "--export=none")
    # The error of the whole network hardly changes, and rises at first.
    assert launch(*flags, "--early_stopping=2", "--run_dir=run", "--optimizer=sgd")[0] == 0
    ages = scalars(pathlib.Path("run/eval"))["best/age"]
    assert all(ages[step] == 0 for step in range(0, 41, 5))


def test_a_rollback_goes_to_the_best_step_rather_than_to_an_older_checkpoint_of_the_schedule(stopped):
    def newest_scheduled(**options):
        plan = Plan(total_steps=400, steps_per_block=7, log_every=5, eval_every=10, checkpoint_every=60, **options)
        components = SimpleNamespace(directory=RunFiles(stopped), plan=plan)
        return Recovery(components, store=None).scheduled_steps()[0]

    assert newest_scheduled() == 60
    assert newest_scheduled(early_stopping=3) == BEST
