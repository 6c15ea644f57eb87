"""The short form of scripts/fuzz; and that what watches it can fail."""

import os
import sys

import pytest
from hostile import launched, mutants, workers
from hostile.workers import Outcome

import launch


def failures(tally):
    return tally.wrong if tally.num_wrong else []


def test_broken_files_are_read_or_refused_in_three_lines():
    tally = workers.run(mutants.make, 500, processes=1)
    assert failures(tally) == []
    assert {kind.rpartition(":")[0] for kind in tally.kinds} == set(mutants.kinds())
    assert sum(number for kind, number in tally.kinds.items() if kind.endswith("exit 0")) > 50


def strange(number):
    def trial(seed):
        if seed == 3:
            os.abort()
        while seed == 5:
            pass
        return Outcome("odd" if seed % 2 else "even", "seven" if seed == 7 else "")

    return trial


def test_a_trial_that_ends_the_process_or_stands_still_costs_only_itself():
    tally = workers.run(strange, 10, processes=1, seconds=1.0)
    assert tally.tried == 10
    assert sorted(failures(tally)) == [(3, "the process ended with -6"), (5, "no answer within 1 s"), (7, "seven")]
    assert tally.kinds == {"odd": 3, "even": 5, "the process ended with -6": 1, "no answer within 1 s": 1}


@pytest.mark.parametrize(
    ("said", "code", "wrong"),
    [
        ("error: a\nremedy: b\n", 2, ""),
        ("error: a\nremedy: b\n", 70, "exit 70"),
        ("error: a\nremedy: b\n", 99, "exit 99"),
        ("error: a\nb\nc\nremedy: d\n", 2, "no error of two or three lines"),
        ("error: a\x1b[2J\nremedy: b\n", 2, "a control character"),
        ("Traceback (most recent call last):\n", 1, "a traceback"),
        ("warning\n", 0, "said to stderr"),
    ],
)
def test_what_an_error_must_not_be_is_told(said, code, wrong, monkeypatch):
    def main(arguments):
        print(said, end="", file=sys.stderr)
        return code

    monkeypatch.setattr(launch, "main", main)
    outcome = launched.outcome(["--x"])
    assert outcome.kind == f"exit {code}"
    assert wrong in outcome.wrong
    assert bool(wrong) == bool(outcome.wrong)
