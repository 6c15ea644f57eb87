import io
import math

import pytest
from rich.console import Console

from trainer.system import intervals, progress


@pytest.mark.parametrize(
    ("step", "every", "due"), [(10, 5, True), (11, 5, False), (0, 5, True), (7, 0, False), (7, 1, True)]
)
def test_an_action_is_due_at_multiples_of_its_interval(step, every, due):
    assert intervals.is_due(step, every) is due


@pytest.mark.parametrize(("step", "every", "expected"), [(0, 5, 5), (4, 5, 5), (5, 5, 10), (3, 0, math.inf)])
def test_the_next_due_step_is_after_the_current_step(step, every, expected):
    assert intervals.next_due(step, every) == expected


@pytest.mark.parametrize(
    ("total", "times", "interval"), [(10_000, 500, 20), (10_000, 40, 500), (3, 500, 1), (125_000, 500, 500), (1, 1, 1)]
)
def test_default_intervals_are_round_and_scale_with_the_run_length(total, times, interval):
    assert intervals.default_interval(total, times) == interval


def test_a_paused_clock_stops():
    now = iter([0.0, 3.0, 10.0, 12.0])  # started, paused, resumed, read
    clock = progress.Clock(seconds=100.0, now=lambda: next(now))
    with clock.paused():
        assert clock.seconds == 103.0
    assert clock.seconds == 105.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "0:05 left"), (65, "1:05 left"), (3661, "1:01:01 left"), (math.inf, "")]
)
def test_time_left_is_formatted(seconds, text):
    assert progress.time_left(seconds) == text


def test_the_bar_shows_step_speed_text_and_time_left():
    terminal = io.StringIO()
    with progress.Bar(1000, Console(file=terminal, force_terminal=True, width=120)) as bar:
        bar.update(400, 200.0, "loss 0.5")
    assert "step 400/1,000  200 steps/s  loss 0.5  0:03 left" in terminal.getvalue()


def test_without_a_terminal_there_is_no_bar():
    output = io.StringIO()
    with progress.Bar(1000, Console(file=output)) as bar:
        bar.update(400, 200.0, "loss 0.5")
    assert output.getvalue() == ""


def test_an_aligned_interval_is_a_divisor_or_multiple_of_the_other():
    assert [intervals.align(20, other) for other in (50, 70, 20, 7, 1, 200, 23)] == [25, 35, 20, 21, 20, 20, 23]


@pytest.mark.parametrize(
    ("total", "every", "expected"),
    [
        (10_000, None, [0, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]),
        (12_500, None, [0, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 12_500]),
        (40, None, [0, 1, 2, 5, 10, 20, 40]),
        (1, None, [0, 1]),
        (25, 10, [0, 10, 20, 25]),
        (20, 10, [0, 10, 20]),
        (25, 0, [0, 25]),
        (25, 99, [0, 25]),
    ],
)
def test_image_steps_include_the_first_and_the_last_step(total, every, expected):
    assert intervals.image_steps(total, every, 1_000) == expected


@pytest.mark.parametrize("total", [1, 7, 998, 999, 1_000, 1_001, 5_000, 123_456_789])
def test_the_number_of_image_steps_is_limited(total):
    for every in (1, 2, 3, 500):
        steps = intervals.image_steps(total, every, 1_000)
        assert len(steps) <= 1_000
        assert steps == sorted(set(steps))
        assert all(step % every == 0 for step in steps[:-1])
        assert (steps[0], steps[-1]) == (0, total)
    assert len(intervals.image_steps(total, None, 1_000)) <= 10


@pytest.mark.parametrize("total", [7, 100, 2_500, 60_000])
def test_a_longer_run_includes_the_later_image_steps_of_a_shorter_run(total):
    shorter, longer = (set(intervals.image_steps(steps, None, 1_000)) for steps in (total, 2 * total))
    assert shorter - longer - {total} <= set(range(total // 100 + 2))
