"""The training loop, with everything around it replaced by fakes."""

import itertools
import os
import queue
import signal

import numpy as np
import pytest
import tensorflow as tf

from trainer.errors import DivergedError, StorageError
from trainer.system import intervals, progress, signals
from trainer.training import loop, steps
from trainer.training.plan import Plan


class Fakes:
    """Counts steps instead of training. The loss of step s (from 1) is `losses[s]` if set, else s.

    Early stopping ends the run at `stops_at`; the evaluations of the steps in `best_at` have the lowest error so far.
    """

    def __init__(
        self,
        losses=None,
        on_step=None,
        bad_weights_at=(),
        scales=None,
        disk_full_at=(),
        terms=None,
        stops_at=None,
        best_at=(),
    ):
        self.stops_at, self.best_at = stops_at, best_at
        self.seconds = 0.0
        self.events, self.logged, self.saved, self.profiled, self.on_first_block = [], {}, {}, [], []
        self.losses, self.on_step = losses or {}, on_step or (lambda step: None)
        self.step = 0
        self.bad_weights_at, self.scales, self.disk_full_at = bad_weights_at, scales or {}, disk_full_at
        self.terms, self.calls = terms or (lambda step: []), []

    def block(self, data, first, last):
        reports = np.zeros((len(data), steps.NUM_REPORTED + len(self.terms(0))), np.float32)
        self.calls.append((self.step, self.step + last - first))
        for row in range(first, last):
            self.step += 1
            report = [self.losses.get(self.step, self.step), 0.1, self.scales.get(self.step, 1.0), 0.2, 0.3, 0.4]
            reports[row] = [*report, *self.terms(self.step)]
            self.on_step(self.step)
        return tf.constant(reports)

    def run(self, start=None, pending=(0.0, 0), steps_per_block=8, **plan):
        self.step = start or 0
        plan = {"log_every": 0, "eval_every": 0, "checkpoint_every": 0, **plan}
        plan["image_steps"] = intervals.image_steps(plan["total_steps"], plan.pop("image_every", 0), 1_000)
        actions = loop.Actions(
            on_first_block=lambda: self.on_first_block.append(self.step),
            log=lambda step, values: self.logged.update({step: dict(values)}),
            evaluate=self.evaluate,
            write_images=lambda step: self.events.append(("images", step)),
            profile=lambda step: self.profiled.append(step),
            weights_are_finite=lambda: self.step not in self.bad_weights_at,
            is_last=lambda step: step in (self.stops_at, plan["total_steps"]),
            must_keep=lambda step: step in self.best_at,
            save=self.save,
            describe_batch=lambda step: f"batch {step}",
        )
        blocks = itertools.repeat(np.zeros((steps_per_block, 1)))
        with signals.Stop() as stop:
            return loop.train(
                self.block,
                blocks,
                Plan(steps_per_block=steps_per_block, **plan),
                actions,
                start_step=start,
                pending=loop.LossAccumulator(pending),
                evaluation="",
                clock=progress.Clock(),
                bar=progress.Bar(10),
                stop=stop,
                now=lambda: self.seconds,
            )

    def evaluate(self, step):
        self.events.append(("evaluate", step))
        return ""

    def save(self, step, pending):
        if step in self.disk_full_at:
            raise StorageError("the checkpoint could not be written", found="no space", remedy="free space")
        self.events.append(("save", step))
        self.saved[step] = pending.sums

    def steps_of(self, name):
        return [step for event, step in self.events if event == name]


def test_evaluations_images_and_checkpoints_happen_when_due_and_at_both_ends():
    fakes = Fakes()
    assert fakes.run(total_steps=25, log_every=4, eval_every=5, image_every=10, checkpoint_every=7) == 25
    assert fakes.steps_of("evaluate") == [0, 5, 10, 15, 20, 25]
    assert fakes.steps_of("images") == [0, 10, 20, 25]
    assert fakes.steps_of("save") == [7, 14, 21, 25]
    assert list(fakes.logged) == [4, 8, 12, 16, 20, 24, 25]


def test_deferred_work_starts_once_after_the_first_call():
    for start, first in ((None, 1), (10, 11)):
        fakes = Fakes()
        fakes.run(start=start, total_steps=25, log_every=1, eval_every=5)
        assert fakes.on_first_block == [first]


def test_an_interval_of_zero_leaves_only_the_first_and_last_step():
    fakes = Fakes()
    fakes.run(total_steps=9)
    assert fakes.events == [("evaluate", 0), ("images", 0), ("evaluate", 9), ("images", 9), ("save", 9)]
    assert list(fakes.logged) == [9]


def test_the_checkpoint_is_saved_after_everything_else_of_its_step():
    fakes = Fakes()
    fakes.run(total_steps=4, eval_every=2, image_every=2, checkpoint_every=2)
    assert [event for event, step in fakes.events if step == 2] == ["evaluate", "images", "save"]


def test_the_logged_loss_is_the_mean_since_the_last_logged_step():
    fakes = Fakes()
    fakes.run(total_steps=7, log_every=3)
    assert {step: values["loss"] for step, values in fakes.logged.items()} == {3: 2.0, 6: 5.0, 7: 7.0}


def test_all_values_of_a_report_are_logged():
    fakes = Fakes()
    fakes.run(total_steps=7, log_every=7, batch_size=5, eval_every=3)
    (point,) = fakes.logged.values()
    norms = {"learning_rate": 0.1, "gradient_norm": 0.2, "update_norm": 0.3, "weight_norm": 0.4}
    assert {name: point[name] for name in norms} == pytest.approx(norms)
    assert point["perf/examples_per_second"] == 5 * point["perf/steps_per_second"]
    assert 0 <= point["perf/input_wait"] <= 1
    assert "loss_scale" not in point


def test_logged_loss_terms_are_means_since_the_last_logged_step():
    fakes = Fakes(terms=lambda step: [10 * step, -step])
    fakes.run(total_steps=6, log_every=4, loss_term_tags=("elbo/kl", "sparsity/l1"), checkpoint_every=5)
    assert {s: (v["elbo/kl"], v["sparsity/l1"]) for s, v in fakes.logged.items()} == {4: (25, -2.5), 6: (55, -5.5)}
    assert fakes.saved[5] == (5, 1, 50, -5)
    again = Fakes(terms=lambda step: [10 * step, -step])
    again.run(5, (5, 1, 50, -5), total_steps=6, log_every=4, loss_term_tags=("elbo/kl", "sparsity/l1"))
    assert again.logged[6].items() <= fakes.logged[6].items()


def test_no_call_and_no_mean_spans_two_stages_and_each_stage_has_a_tag():
    fakes = Fakes(terms=lambda step: [1.0])
    fakes.run(total_steps=20, log_every=4, stage_ends=(6, 12), loss_term_tags=("elbo/kl",), steps_per_block=7)
    assert not [call for call in fakes.calls for end in (6, 12) if call[0] < end < call[1]]
    losses = {s: {tag: v for tag, v in values.items() if tag != "elbo/kl"} for s, values in fakes.logged.items()}
    tagged = {s: [tag for tag in values if tag == "loss" or "pretrain" in tag] for s, values in losses.items()}
    first, second = ["pretrain/stage_1"], ["pretrain/stage_2"]
    assert tagged == {4: first, 6: first, 8: second, 12: second, 16: ["loss"], 20: ["loss"]}
    assert (losses[6]["pretrain/stage_1"], losses[8]["pretrain/stage_2"], losses[16]["loss"]) == (5.5, 7.5, 14.5)
    assert [s for s, values in fakes.logged.items() if "elbo/kl" in values] == [16, 20]


def test_float16_logs_the_loss_scale():
    fakes = Fakes(scales={3: 512.0})
    fakes.run(total_steps=3, has_loss_scale=True)
    assert fakes.logged[3]["loss_scale"] == 512.0


def test_input_wait_is_the_fraction_of_time_spent_waiting_for_data():
    throughput = loop._Throughput()
    throughput.record_call(1, 9.0)  # not measured: it includes compilation
    throughput.record_wait(0.75)
    throughput.record_call(1, 1.0)
    assert throughput.input_wait == pytest.approx(0.75)
    throughput.record_call(1, 1.0)
    assert throughput.input_wait == 0


def test_the_profiler_is_called_before_the_first_profiled_step_and_after_the_last():
    fakes = Fakes()
    fakes.run(total_steps=40, profiled=(12, 17), steps_per_block=100)
    assert {11, 17} <= set(fakes.profiled)
    early = Fakes()
    early.run(total_steps=9, profiled=(1, 9))
    assert early.profiled[0] == 0


@pytest.mark.parametrize("stop_at", range(1, 10))
def test_a_resumed_run_logs_the_same_points(stop_at):
    uninterrupted, first, second = Fakes(), Fakes(), Fakes()
    uninterrupted.run(total_steps=10, log_every=4)
    first.run(total_steps=10, log_every=4, checkpoint_every=stop_at)
    second.run(start=stop_at, pending=first.saved[stop_at], total_steps=10, log_every=4)
    before = {step: values for step, values in first.logged.items() if step <= stop_at}
    points = {step: values["loss"] for step, values in (before | second.logged).items()}
    assert points == {step: values["loss"] for step, values in uninterrupted.logged.items()}


def test_a_resumed_run_does_not_evaluate_step_0_again():
    fakes = Fakes()
    fakes.run(start=5, total_steps=9)
    assert fakes.steps_of("evaluate") == [9]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_and_nothing_is_saved(bad):
    fakes = Fakes(losses={13: bad})
    with pytest.raises(DivergedError) as error:
        fakes.run(total_steps=30, checkpoint_every=5)
    assert "the loss of step 13 is" in str(error.value)
    assert "(batch 13)" in str(error.value)
    assert "checkpoint is of step 10" in str(error.value)
    assert fakes.steps_of("save") == [5, 10]


@pytest.mark.parametrize("step", [10, 30])
def test_weights_that_are_not_finite_are_never_saved(step):
    fakes = Fakes(bad_weights_at=[step])
    with pytest.raises(DivergedError, match=f"after step {step} weights or optimizer slots are not finite"):
        fakes.run(total_steps=30, checkpoint_every=5)
    assert fakes.steps_of("save") == list(range(5, step, 5))


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_the_call_finishes_and_a_checkpoint_is_saved(sent):
    fakes = Fakes(on_step=lambda step: step == 12 and os.kill(os.getpid(), sent))
    last_step = fakes.run(total_steps=10_000, steps_per_block=4)
    assert 12 <= last_step < 10_000
    assert fakes.steps_of("save") == [last_step]


def test_a_checkpoint_is_saved_every_five_minutes():
    fakes = Fakes(on_step=lambda step: setattr(fakes, "seconds", step * 100.0))
    fakes.run(total_steps=8, steps_per_block=1)
    assert fakes.steps_of("save") == [4, 8]


def test_step_0_is_saved_if_planned_and_not_evaluated_again_after_a_resume():
    fakes = Fakes()
    fakes.run(total_steps=4, save_initial=True)
    assert fakes.steps_of("save") == [0, 4]
    resumed = Fakes()
    resumed.run(start=0, total_steps=4, save_initial=True)
    assert resumed.events == [("evaluate", 4), ("images", 4), ("save", 4)]


def test_checkpoints_kept_for_good_are_saved_between_regular_ones():
    fakes = Fakes()
    fakes.run(total_steps=12, checkpoint_every=5, keep_every=4)
    assert fakes.steps_of("save") == [4, 5, 8, 10, 12]


def test_a_run_that_is_stopped_early_ends_like_one_that_reaches_its_last_step():
    fakes = Fakes(stops_at=20)
    assert fakes.run(total_steps=90, eval_every=10, image_every=60, log_every=6) == 20
    assert [event for event in fakes.events if event[1] == 20] == [("evaluate", 20), ("images", 20), ("save", 20)]
    assert list(fakes.logged) == [6, 12, 18]  # Later points are those of a run that continues.
    assert fakes.saved[20] == (19 + 20, 2)


def test_a_run_that_was_stopped_early_trains_no_further_step():
    fakes = Fakes(stops_at=20)
    assert fakes.run(start=20, total_steps=90, eval_every=10) == 20
    assert fakes.events == fakes.calls == []


def test_a_run_that_cannot_be_saved_when_it_is_stopped_early_fails():
    with pytest.raises(StorageError):
        Fakes(stops_at=20, disk_full_at=[20]).run(total_steps=90, eval_every=10)


def test_an_evaluation_with_the_lowest_error_so_far_is_saved_if_that_is_required():
    fakes = Fakes(best_at=[10, 30])
    fakes.run(total_steps=50, eval_every=10, checkpoint_every=25)
    assert fakes.steps_of("save") == [10, 25, 30, 50]


def test_a_loss_scale_below_1_ends_the_run_and_the_remedy_names_bfloat16():
    fakes = Fakes(scales={13: 0.5})
    with pytest.raises(DivergedError) as error:
        fakes.run(total_steps=30, checkpoint_every=5)
    assert "below 1 at step 13" in str(error.value)
    assert "resume with --precision=mixed_bfloat16" in str(error.value)
    assert fakes.steps_of("save") == [5, 10]


def one_second_per_step(**options):
    """Returns fakes whose clock advances one second per step."""
    fakes = Fakes(on_step=lambda step: setattr(fakes, "seconds", float(step)), **options)
    return fakes


def test_a_failed_save_is_retried_later():
    fakes = one_second_per_step(disk_full_at=[10])
    fakes.run(total_steps=100, steps_per_block=1, checkpoint_every=10)
    retried = 10 + int(loop.SECONDS_BEFORE_RETRY) + 1
    assert fakes.steps_of("save") == [retried, *range((retried // 10 + 1) * 10, 101, 10)]


def test_several_failed_saves_in_a_row_end_the_run():
    fakes = one_second_per_step(disk_full_at=range(11, 1000))
    with pytest.raises(StorageError):
        fakes.run(total_steps=1000, steps_per_block=1, checkpoint_every=10)
    assert fakes.steps_of("save") == [10]
    assert fakes.step == 20 + (loop.MAX_FAILED_SAVES - 1) * (int(loop.SECONDS_BEFORE_RETRY) + 1)


def test_a_failed_last_save_is_not_retried():
    with pytest.raises(StorageError):
        Fakes(disk_full_at=[30]).run(total_steps=30, checkpoint_every=10)
    stopped = Fakes(
        on_step=lambda step: step == 12 and os.kill(os.getpid(), signal.SIGTERM), disk_full_at=range(12, 99)
    )
    with pytest.raises(StorageError):
        stopped.run(total_steps=10_000, steps_per_block=4)


def test_a_signal_after_the_last_check_of_a_step_still_saves_a_checkpoint(monkeypatch):
    fakes = Fakes()
    is_due = loop._Saver.is_due

    def is_due_with_signal(self, step):  # the last function called before the next step
        result = is_due(self, step)
        if step >= 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    monkeypatch.setattr(loop._Saver, "is_due", is_due_with_signal)
    last_step = fakes.run(total_steps=10_000, steps_per_block=1)
    assert 5 <= last_step < 10_000
    assert fakes.steps_of("save") == [last_step]


def test_an_evaluation_that_is_not_finite_names_the_last_good_checkpoint():
    fakes = Fakes()

    def diverged(step):
        raise DivergedError(f"after step {step} the evaluation error is inf", remedy="none")

    fakes.evaluate = lambda step: diverged(step) if step == 20 else ""
    with pytest.raises(DivergedError, match="evaluation error is inf\nthe last good checkpoint is of step 15"):
        fakes.run(total_steps=30, eval_every=10, checkpoint_every=5)


def test_a_second_signal_exits_at_once(monkeypatch):
    exits = queue.Queue()
    monkeypatch.setattr(signals.os, "_exit", exits.put)
    with signals.Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        os.kill(os.getpid(), signal.SIGTERM)
        assert exits.get(timeout=60) == 143
        assert stop.signal == signal.SIGINT
    assert exits.empty()
