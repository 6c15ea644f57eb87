"""Remarks on a run, the table of errors, and the unit of errors."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from trainer import config as configs
from trainer.data.custom import columns
from trainer.runs import remarks, report
from trainer.runs.data import load
from trainer.runs.directory import RunFiles

CODES = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)


def on_result(*flags, train=0.5, evaluation=0.5, codes=CODES, notes=()):
    config, _ = configs.parse(["--dataset=iris", *flags])
    result = {"train/reconstruction/rmse": train, "eval/reconstruction/rmse": evaluation}
    result |= {"floor/mean/train": 0.9, "floor/mean/eval": 1.0}
    return remarks.on_result(config, dataclasses.replace(load(config), notes=notes), result, codes)


def test_a_good_run_has_no_remark():
    assert on_result() == []
    assert on_result("--variational") == []


def test_a_run_that_is_worse_than_the_mean_has_one_remark_with_the_errors():
    (remark,) = on_result(train=0.95, evaluation=2.865)
    assert "worse than the mean of the training examples on train (0.95; mean 0.9) and eval (2.865; mean 1)" in remark
    assert "--standardise" in remark
    assert "--standardise" not in on_result("--standardise", train=2.0)[0]
    assert "masking" not in remark
    assert "--noise=gaussian because masking sets numbers to 0" in on_result("--noise=masking", train=2.0)[0]


def test_a_run_that_is_worse_than_the_mean_on_eval_only_does_not_generalize():
    (remark,) = on_result(evaluation=1.01)
    assert "on eval (1.01; mean 1), but not on train: it does not generalize" in remark


def test_a_run_on_columns_that_float32_cannot_tell_apart_refers_to_their_note():
    (remark,) = on_result(train=2.0, notes=(f"{columns.FINE}: 'a'",))
    assert remark.endswith("see the note on float32")


@pytest.mark.parametrize("flags", [(), ("--variational",)])
def test_a_code_that_does_not_vary_is_not_used(flags):
    codes = np.full_like(CODES, 3) + (1e-3 * CODES if flags else 0)
    (remark,) = on_result(*flags, train=0.901, codes=codes)
    assert remark.startswith("the code is not used: none of its 8 units differs between the examples")
    assert ("a smaller --beta" in remark) == bool(flags)


def test_a_plain_code_of_which_few_units_vary_has_a_remark():
    codes = CODES * [1, 0.5, 0, 0, 0, 0, 0, 0.001]
    assert on_result(codes=codes)[0].startswith("only 2 of the 8 units of the code are used")
    assert on_result(codes=CODES * [1, 1, 1, 0, 0, 0, 0, 0]) == []
    assert on_result("--sparsity=0.1", codes=codes) == []
    assert on_result("--variational", codes=codes) == []


def test_a_learning_rate_that_rises_because_a_run_was_extended_has_a_remark():
    (remark,) = remarks.on_learning_rate("cosine", 5e-8, 9.8e-4, 300, 600)
    assert "rises from 5e-08 to 0.00098" in remark
    assert "ended at step 300, now ends at step 600" in remark
    assert remarks.on_learning_rate("cosine", 1e-3, 1.05e-3, 300, 310) == []
    assert remarks.on_learning_rate("cosine", 1e-4, 1e-3, 300, 300) == []


def summary(**values):
    result = {"step": 5, "seconds": 1.0, "best": 5, "exported": None, "floor/pca/train": 0.397, "floor/pca/eval": 0.386}
    result |= {"train/reconstruction/rmse": 41.6, "eval/reconstruction/rmse": 54.8, **values}
    return report.summary(result, RunFiles(pathlib.Path("run")), "tensorboard")


@pytest.mark.parametrize("mean", [0.27, 18996.0988, 1.5e30])
def test_the_columns_of_the_table_of_errors_never_run_together(mean):
    lines = summary(**{"floor/mean/train": mean, "floor/mean/eval": mean})[1:4]
    assert [line.split() for line in lines] == [
        ["rmse", "trained", "PCA", "ratio", "mean"],
        ["train", "41.60000", "0.39700", "104.7859", f"{mean:.5f}"],
        ["eval", "54.80000", "0.38600", "141.9689", f"{mean:.5f}"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_the_summary_names_the_unit_of_rows_and_repeats_the_remarks():
    unit = report.error_unit(is_image=False, is_standardized=True)
    lines = summary(unit=unit, notes=["something"])
    assert "errors      in standard deviations of the columns" in lines
    assert "note        something" in lines
    assert not any(
        line.startswith("errors") for line in summary(unit=report.error_unit(is_image=True, is_standardized=False))
    )
    assert not any(line.startswith(("errors", "note")) for line in summary())  # of an older version


@pytest.fixture
def measurements():
    """A table of a large column and five small ones that depend on one number; the same with anomalies."""
    random = np.random.default_rng(3)
    hidden = random.normal(size=(400, 1)).astype(np.float32)
    small = hidden @ [[1, -1, 2, 0.5, 1]] + random.normal(size=(400, 5)) * 0.05
    rows = np.column_stack([random.uniform(0, 170_000, 400), small]).astype(np.float32)
    np.save("rows.npy", rows)
    anomalies = rows[:100].copy()
    anomalies[::2, 1:] += random.choice([-6, 6], (50, 5))
    np.save("new.npy", anomalies)
    return anomalies


def test_errors_of_a_standardized_run_are_in_standard_deviations(launch, measurements):
    flags = ("--dataset=array", "--data_dir=rows.npy", "--standardise", "--hidden=1", "--steps=300", "--batch_size=50")
    code, output, _ = launch(*flags, "--jit=off", "--export=none", "--learning_rate=0.02", "--run_dir=run")
    assert code == 0
    assert "errors      in standard deviations of the columns" in output
    assert json.loads(pathlib.Path("run/result.json").read_text())["unit"] == "in standard deviations of the columns"

    code, output, _ = launch("--mode=reconstruct", "--run_dir=run", "--input=new.npy", "--output=out")
    assert code == 0
    assert "errors      in standard deviations of the columns, and in the units of the data" in output
    arrays = np.load("out/reconstructions.npz")
    differences = measurements - arrays["reconstructions"].astype(np.float64)
    data = load(configs.parse(flags)[0])
    expected = np.sqrt(np.square(differences / data.scale).mean(axis=1))
    np.testing.assert_allclose(arrays["rmse"], expected, rtol=1e-4)
    np.testing.assert_allclose(arrays["rmse_data_unit"], np.sqrt(np.square(differences).mean(axis=1)), rtol=1e-4)
    # In standard deviations, all anomalies have larger errors than all other rows. In the data's units, they do not.
    assert arrays["rmse"][::2].min() > arrays["rmse"][1::2].max()
    assert arrays["rmse_data_unit"][::2].min() < arrays["rmse_data_unit"][1::2].max()
    assert f"rmse {arrays['rmse'][0]:.4g} ({arrays['rmse_data_unit'][0]:.4g})" in output


def test_an_overflow_in_float16_before_training_names_remedies_that_work(launch):
    np.save("large.npy", np.random.default_rng(0).uniform(-2e5, 2e5, (60, 3)))
    flags = ("--dataset=array", "--data_dir=large.npy", "--hidden=2", "--steps=3", "--batch_size=10", "--jit=off")
    flags = (*flags, "--export=none", "--run_dir=run")
    code, _, error = launch(*flags, "--precision=mixed_float16")
    assert code == 3
    assert "before the first step the evaluation error is" in error
    assert "overflow in float16" in error
    assert "give --restart and --standardise, or give --precision=mixed_bfloat16 or --precision=float32" in error
    assert "learning_rate" not in error
    assert launch(*flags, "--precision=mixed_float16", "--restart", "--standardise")[0] == 0


@pytest.mark.whole
def test_the_other_precision_is_a_remedy_too(launch):
    np.save("large.npy", np.random.default_rng(0).uniform(-2e5, 2e5, (60, 3)))
    flags = ("--dataset=array", "--data_dir=large.npy", "--hidden=2", "--steps=3", "--batch_size=10", "--run_dir=run")
    assert launch(*flags, "--precision=mixed_float16")[0] == 3
    assert launch(*flags, "--precision=mixed_bfloat16")[0] == 0
