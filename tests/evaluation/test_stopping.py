"""Early stopping: the lowest error so far, its age, and the end of a run."""

import pytest

from trainer.evaluation import stopping


def ages(errors, first_counted=1):
    """The age after each evaluation, one a step from step 0 on."""
    metrics, result = {}, []
    for step, rmse in enumerate(errors):
        values = stopping.best(metrics, step, rmse, counts=step >= first_counted)
        metrics = {f"eval/{tag}": value for tag, value in values.items()}
        result.append(values["best/age"])
    return result


def test_the_age_counts_the_evaluations_in_a_row_that_were_not_lower():
    assert ages([5, 4, 4, 6, 3, 3.5, 2, 9]) == [0, 0, 1, 2, 0, 1, 0, 1]


def test_evaluations_of_pretraining_do_not_add_to_the_age():
    assert ages([5, 6, 6, 6, 6], first_counted=3) == [0, 0, 0, 1, 2]


def test_the_best_step_and_its_error_stay_until_a_lower_one():
    before = {"eval/best/rmse": 0.5, "eval/best/step": 20, "eval/best/age": 2}
    assert stopping.best(before, 50, 0.5, counts=True) == {"best/rmse": 0.5, "best/step": 20, "best/age": 3}
    assert stopping.best(before, 50, 0.4, counts=True) == {"best/rmse": 0.4, "best/step": 50, "best/age": 0}
    assert stopping.is_best(before, 20)
    assert not stopping.is_best(before, 50)
    assert not stopping.is_best({}, 0)


def test_a_checkpoint_of_an_older_version_has_no_age_and_counting_begins_after_it():
    before = {"eval/best/rmse": 0.5, "eval/best/step": 20}
    assert stopping.best(before, 50, 0.6, counts=True)["best/age"] == 1
    assert not stopping.has_stopped(before, 1)


@pytest.mark.parametrize(("age", "patience", "expected"), [(2, 3, False), (3, 3, True), (4, 3, True), (9, 0, False)])
def test_a_run_ends_when_the_age_reaches_the_patience_and_never_without_one(age, patience, expected):
    assert stopping.has_stopped({"eval/best/age": age}, patience) == expected
