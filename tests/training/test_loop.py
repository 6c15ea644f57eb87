"""The outer loop with everything around it replaced by fakes."""

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
    """Counts steps instead of training; the loss of step s (from 1 on) is s, or as `losses` says."""

    def __init__(self, losses=None, on_step=None, ruined_at=(), scales=None, full_at=(), parts=None):
        self.seconds = 0.0
        self.events, self.logged, self.saved, self.profiled, self.on_first_block = [], {}, {}, [], []
        self.losses, self.on_step = losses or {}, on_step or (lambda step: None)
        self.step = 0
        self.ruined_at, self.scales, self.full_at = ruined_at, scales or {}, full_at
        self.parts, self.calls = parts or (lambda step: []), []

    def block(self, data, first, last):
        reports = np.zeros((len(data), steps.NUM_REPORTED + len(self.parts(0))), np.float32)
        self.calls.append((self.step, self.step + last - first))
        for row in range(first, last):
            self.step += 1
            report = [self.losses.get(self.step, self.step), 0.1, self.scales.get(self.step, 1.0), 0.2, 0.3, 0.4]
            reports[row] = [*report, *self.parts(self.step)]
            self.on_step(self.step)
        return tf.constant(reports)

    def run(self, start=None, pending=(0.0, 0), steps_per_block=8, **plan):
        self.step = start or 0
        plan = {"log_every": 0, "eval_every": 0, "checkpoint_every": 0, **plan}
        plan["pictures"] = intervals.image_steps(plan["total_steps"], plan.pop("image_every", 0), 1_000)
        actions = loop.Actions(
            on_first_block=lambda: self.on_first_block.append(self.step),
            log=lambda step, values: self.logged.update({step: dict(values)}),
            evaluate=self.evaluate,
            write_images=lambda step: self.events.append(("picture", step)),
            profile=lambda step: self.profiled.append(step),
            weights_are_finite=lambda: self.step not in self.ruined_at,
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
                words="",
                clock=progress.Clock(),
                bar=progress.Bar(10),
                stop=stop,
                now=lambda: self.seconds,
            )

    def evaluate(self, step):
        self.events.append(("evaluate", step))
        return ""

    def save(self, step, pending):
        if step in self.full_at:
            raise StorageError("it could not be saved", found="no space", remedy="make room")
        self.events.append(("save", step))
        self.saved[step] = pending.sums

    def when(self, what):
        return [step for event, step in self.events if event == what]


def test_everything_happens_when_it_is_due_and_at_both_ends():
    fakes = Fakes()
    assert fakes.run(total_steps=25, log_every=4, eval_every=5, image_every=10, checkpoint_every=7) == 25
    assert fakes.when("evaluate") == [0, 5, 10, 15, 20, 25]
    assert fakes.when("picture") == [0, 10, 20, 25]
    assert fakes.when("save") == [7, 14, 21, 25]
    assert list(fakes.logged) == [4, 8, 12, 16, 20, 24, 25]


def test_what_can_wait_comes_once_after_the_first_call_whenever_a_run_begins():
    for start, first in ((None, 1), (10, 11)):
        fakes = Fakes()
        fakes.run(start=start, total_steps=25, log_every=1, eval_every=5)
        assert fakes.on_first_block == [first]


def test_an_interval_of_zero_leaves_the_ends():
    fakes = Fakes()
    fakes.run(total_steps=9)
    assert fakes.events == [("evaluate", 0), ("picture", 0), ("evaluate", 9), ("picture", 9), ("save", 9)]
    assert list(fakes.logged) == [9]


def test_the_checkpoint_comes_after_what_it_vouches_for():
    fakes = Fakes()
    fakes.run(total_steps=4, eval_every=2, image_every=2, checkpoint_every=2)
    assert [event for event, step in fakes.events if step == 2] == ["evaluate", "picture", "save"]


def test_a_point_is_the_mean_loss_since_the_last_point():
    fakes = Fakes()
    fakes.run(total_steps=7, log_every=3)
    assert {step: values["loss"] for step, values in fakes.logged.items()} == {3: 2.0, 6: 5.0, 7: 7.0}


def test_a_point_tells_all_that_the_step_has_reported():
    fakes = Fakes()
    fakes.run(total_steps=7, log_every=7, batch_size=5, eval_every=3)
    (point,) = fakes.logged.values()
    norms = {"learning_rate": 0.1, "gradient_norm": 0.2, "update_norm": 0.3, "weight_norm": 0.4}
    assert {name: point[name] for name in norms} == pytest.approx(norms)
    assert point["perf/examples_per_second"] == 5 * point["perf/steps_per_second"]
    assert 0 <= point["perf/input_wait"] <= 1
    assert "loss_scale" not in point


def test_a_point_tells_the_means_of_the_parts_since_the_last_point():
    fakes = Fakes(parts=lambda step: [10 * step, -step])
    fakes.run(total_steps=6, log_every=4, parts=("elbo/kl", "sparsity/penalty"), checkpoint_every=5)
    assert {s: (v["elbo/kl"], v["sparsity/penalty"]) for s, v in fakes.logged.items()} == {4: (25, -2.5), 6: (55, -5.5)}
    assert fakes.saved[5] == (5, 1, 50, -5)
    again = Fakes(parts=lambda step: [10 * step, -step])
    again.run(5, (5, 1, 50, -5), total_steps=6, log_every=4, parts=("elbo/kl", "sparsity/penalty"))
    assert again.logged[6].items() <= fakes.logged[6].items()


def test_no_call_and_no_point_is_of_two_stages_and_each_has_its_tag():
    fakes = Fakes(parts=lambda step: [1.0])
    fakes.run(total_steps=20, log_every=4, stage_ends=(6, 12), parts=("elbo/kl",), steps_per_block=7)
    assert not [call for call in fakes.calls for end in (6, 12) if call[0] < end < call[1]]
    losses = {s: {tag: v for tag, v in values.items() if tag != "elbo/kl"} for s, values in fakes.logged.items()}
    tagged = {s: [tag for tag in values if tag == "loss" or "pretrain" in tag] for s, values in losses.items()}
    first, second = ["pretrain/stage_1"], ["pretrain/stage_2"]
    assert tagged == {4: first, 6: first, 8: second, 12: second, 16: ["loss"], 20: ["loss"]}
    assert (losses[6]["pretrain/stage_1"], losses[8]["pretrain/stage_2"], losses[16]["loss"]) == (5.5, 7.5, 14.5)
    assert [s for s, values in fakes.logged.items() if "elbo/kl" in values] == [16, 20]


def test_under_float16_a_point_tells_the_loss_scale():
    fakes = Fakes(scales={3: 512.0})
    fakes.run(total_steps=3, has_loss_scale=True)
    assert fakes.logged[3]["loss_scale"] == 512.0


def test_the_share_of_time_that_went_by_waiting_is_of_the_calls_time():
    pace = loop._Pace()
    pace.took(1, 9.0)  # It compiles: this says nothing.
    pace.waited(0.75)
    pace.took(1, 1.0)
    assert pace.input_wait == pytest.approx(0.75)
    pace.took(1, 1.0)
    assert pace.input_wait == 0


def test_the_profiler_is_asked_right_before_the_first_traced_step_and_right_after_the_last():
    fakes = Fakes()
    fakes.run(total_steps=40, traced=(12, 17), steps_per_block=100)
    assert {11, 17} <= set(fakes.profiled)
    early = Fakes()
    early.run(total_steps=9, traced=(1, 9))
    assert early.profiled[0] == 0


@pytest.mark.parametrize("stop_at", range(1, 10))
def test_a_resumed_run_logs_the_same_points(stop_at):
    whole, first, second = Fakes(), Fakes(), Fakes()
    whole.run(total_steps=10, log_every=4)
    first.run(total_steps=10, log_every=4, checkpoint_every=stop_at)
    second.run(start=stop_at, pending=first.saved[stop_at], total_steps=10, log_every=4)
    before = {step: values for step, values in first.logged.items() if step <= stop_at}
    points = {step: values["loss"] for step, values in (before | second.logged).items()}
    assert points == {step: values["loss"] for step, values in whole.logged.items()}


def test_a_resumed_run_does_not_evaluate_step_0_again():
    fakes = Fakes()
    fakes.run(start=5, total_steps=9)
    assert fakes.when("evaluate") == [9]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_and_is_never_saved(bad):
    fakes = Fakes(losses={13: bad})
    with pytest.raises(DivergedError) as error:
        fakes.run(total_steps=30, checkpoint_every=5)
    assert "the loss of step 13 is" in str(error.value)
    assert "(batch 13)" in str(error.value)
    assert "checkpoint is of step 10" in str(error.value)
    assert fakes.when("save") == [5, 10]


@pytest.mark.parametrize("step", [10, 30])
def test_weights_that_the_last_update_ruined_are_never_saved(step):
    fakes = Fakes(ruined_at=[step])
    with pytest.raises(DivergedError, match=f"after step {step} weights or optimizer slots are not finite"):
        fakes.run(total_steps=30, checkpoint_every=5)
    assert fakes.when("save") == list(range(5, step, 5))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_running_call_saves_and_returns(number):
    fakes = Fakes(on_step=lambda step: step == 12 and os.kill(os.getpid(), number))
    reached = fakes.run(total_steps=10_000, steps_per_block=4)
    assert 12 <= reached < 10_000
    assert fakes.when("save") == [reached]


def test_a_checkpoint_is_saved_when_five_minutes_have_passed():
    fakes = Fakes(on_step=lambda step: setattr(fakes, "seconds", step * 100.0))
    fakes.run(total_steps=8, steps_per_block=1)
    assert fakes.when("save") == [4, 8]


def test_a_step_0_is_saved_where_the_plan_wants_it_and_not_evaluated_again_from_there():
    fakes = Fakes()
    fakes.run(total_steps=4, save_first=True)
    assert fakes.when("save") == [0, 4]
    resumed = Fakes()
    resumed.run(start=0, total_steps=4, save_first=True)
    assert resumed.events == [("evaluate", 4), ("picture", 4), ("save", 4)]


def test_what_is_kept_for_good_is_saved_between_checkpoints_too():
    fakes = Fakes()
    fakes.run(total_steps=12, checkpoint_every=5, keep_every=4)
    assert fakes.when("save") == [4, 5, 8, 10, 12]


def test_a_loss_scale_that_collapses_says_which_precision_to_use():
    fakes = Fakes(scales={13: 0.5})
    with pytest.raises(DivergedError) as error:
        fakes.run(total_steps=30, checkpoint_every=5)
    assert "below 1 at step 13" in str(error.value)
    assert "use mixed_bfloat16" in str(error.value)
    assert fakes.when("save") == [5, 10]


def a_second_a_step(**given):
    """Fakes whose clock goes on by a second a step."""
    fakes = Fakes(on_step=lambda step: setattr(fakes, "seconds", float(step)), **given)
    return fakes


def test_a_checkpoint_that_the_disk_does_not_take_is_tried_again_after_a_while():
    fakes = a_second_a_step(full_at=[10])
    fakes.run(total_steps=100, steps_per_block=1, checkpoint_every=10)
    again = 10 + int(loop.SECONDS_BEFORE_ANOTHER_TRY) + 1
    assert fakes.when("save") == [again, *range((again // 10 + 1) * 10, 101, 10)]


def test_a_disk_that_takes_nothing_several_times_ends_the_run():
    fakes = a_second_a_step(full_at=range(11, 1000))
    with pytest.raises(StorageError):
        fakes.run(total_steps=1000, steps_per_block=1, checkpoint_every=10)
    assert fakes.when("save") == [10]
    assert fakes.step == 20 + (loop.FAILURES_IN_A_ROW - 1) * (int(loop.SECONDS_BEFORE_ANOTHER_TRY) + 1)


def test_the_last_checkpoint_and_a_stopped_runs_have_no_other_time():
    with pytest.raises(StorageError):
        Fakes(full_at=[30]).run(total_steps=30, checkpoint_every=10)
    stopped = Fakes(on_step=lambda step: step == 12 and os.kill(os.getpid(), signal.SIGTERM), full_at=range(12, 99))
    with pytest.raises(StorageError):
        stopped.run(total_steps=10_000, steps_per_block=4)


def test_a_signal_that_comes_after_all_else_of_a_step_is_saved_too(monkeypatch):
    fakes = Fakes()
    is_due = loop._Saver.is_due

    def signalling(self, step):  # The last that is asked before the next step.
        found = is_due(self, step)
        if step >= 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(loop._Saver, "is_due", signalling)
    reached = fakes.run(total_steps=10_000, steps_per_block=1)
    assert 5 <= reached < 10_000
    assert fakes.when("save") == [reached]


def test_an_evaluation_that_is_not_finite_names_the_last_good_checkpoint_too():
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
