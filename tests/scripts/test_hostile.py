"""The short form of scripts/fuzz, and its workers and checks."""

import os
import sys

import pytest
from hostile import launched, mutants, reading, uses, workers
from hostile.truth import Known
from hostile.workers import Outcome

import launch


def test_broken_files_are_read_or_rejected_in_three_lines():
    tally = workers.run(mutants.make, 500, processes=1)
    assert tally.problems == []
    assert {kind.rpartition(":")[0] for kind in tally.kinds} == set(mutants.kinds())
    assert sum(number for kind, number in tally.kinds.items() if kind.endswith("exit 0")) > 50


def test_data_of_known_content_are_loaded_as_they_are_refused_or_the_guess_is_noted():
    tally = workers.run(reading.make, 150, processes=1)
    assert tally.problems == []
    assert {kind.partition(":")[0] for kind in tally.kinds} == {"table", "array", "folder", "depth"}
    assert sum(number for kind, number in tally.kinds.items() if ": equal" in kind) > 90


def test_every_line_of_a_broken_table_comes_out_when_it_is_scored():
    tally = workers.run(uses.make_scored, 300, processes=1)
    assert tally.problems == []
    assert tally.kinds["scored"] > 50


@pytest.mark.whole
def test_broken_indexes_of_checkpoints_are_read_or_refused():
    tally = workers.run(uses.make_indexes, 300, processes=1, seconds=60.0)
    assert tally.problems == []
    assert min(tally.kinds["read"], tally.kinds["refused"]) > 10


def test_a_lost_row_and_a_false_warning_are_detected():
    class Table:
        notes = ("there is no heading: the first line is a row", "columns that look like ids are trained on")

    lost, equal = Known([], lambda data: "a row is missing"), Known([], lambda data: "")
    assert reading.judge(Table(), lost)[1].startswith("a row is missing")
    assert reading.judge(Table(), equal) == (reading.WARNED, "")
    assert reading.judge("error: a", equal) == (reading.REFUSED, "refused without a remedy: error: a")


def abnormal():
    def trial(number):
        if number == 3:
            os.abort()
        while number == 5:
            pass
        return Outcome("odd" if number % 2 else "even", "seven" if number == 7 else "")

    return trial


def test_only_the_trial_fails_that_ends_or_blocks_its_process():
    tally = workers.run(abnormal, 10, processes=1, seconds=1.0)
    assert tally.tried == 10
    ended, blocked = "the process ended with exit code -6", "no answer within 1 s"
    assert sorted(tally.problems) == [(3, ended), (5, blocked), (7, "seven")]
    assert tally.failed == 3
    assert tally.kinds == {"odd": 3, "even": 5, ended: 1, blocked: 1}


@pytest.mark.parametrize(
    ("printed", "code", "problem"),
    [
        ("error: a\nremedy: b\n", 2, ""),
        ("error: a\nremedy: b\n", 70, "exit 70"),
        ("error: a\nremedy: b\n", 99, "exit 99"),
        ("error: a\nb\nc\nremedy: d\n", 2, "no error message of two or three lines"),
        ("error: a\x1b[2J\nremedy: b\n", 2, "a control character"),
        ("Traceback (most recent call last):\n", 1, "a traceback"),
        ("warning\n", 0, "printed to stderr"),
    ],
)
def test_wrong_error_messages_and_exit_codes_are_detected(printed, code, problem, monkeypatch):
    def main(arguments):
        print(printed, end="", file=sys.stderr)
        return code

    monkeypatch.setattr(launch, "main", main)
    outcome = launched.outcome(["--x"])
    assert outcome.kind == f"exit {code}"
    assert problem in outcome.problem
    assert bool(problem) == bool(outcome.problem)
