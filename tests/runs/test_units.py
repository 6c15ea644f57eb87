"""Runs whose rows are centered before the conversion to float32, and weights of runs on rows in other units."""

import pathlib

import numpy as np
import pytest

SMALL = ("--dataset=table", "--standardise", "--hidden=1", "--batch_size=20", "--jit=off", "--eval_fraction=0")
ROWS = np.arange(60)
TIMES = 1.6e9 + 60.0 * ROWS  # float32 has steps of 128 seconds here.


def write_table(name, *named_columns):
    table = np.stack(named_columns, axis=1)
    np.savetxt(name, table, delimiter=",", header="time,height", comments="", fmt="%.17g")
    return f"--data_dir={name}"


@pytest.fixture
def run(launch):
    """A run on times and heights that depend on each other, in the working directory."""
    data = write_table("table.csv", TIMES, ROWS / 10)
    code, output, error = launch(*SMALL, data, "--steps=400", "--learning_rate=0.02", "--run_dir=run")
    assert code == 0, error
    assert "centered before the conversion to float32" in output
    return pathlib.Path("run")


def test_inputs_and_outputs_of_a_centered_run_are_in_the_units_of_the_data(run, launch):
    np.save("new.npy", np.stack([TIMES, ROWS / 10], axis=1)[7:9])
    code, _, error = launch("--mode=reconstruct", "--run_dir=run", "--input=new.npy", "--output=out")
    assert code == 0, error
    results = np.load("out/reconstructions.npz")
    assert results["rmse"].max() < 0.05  # of a standard deviation, which is 1,039 s; float32 would be 64 s wrong
    np.testing.assert_allclose(results["reconstructions"][:, 0], TIMES[7:9], rtol=0, atol=60)
    numbers = f"--input={TIMES[7]:.0f},0.7;{TIMES[8]:.0f},0.8"
    code, _, error = launch("--mode=reconstruct", "--run_dir=run", numbers, "--output=same")
    assert code == 0, error
    np.testing.assert_array_equal(np.load("same/reconstructions.npz")["codes"], results["codes"])
    assert launch("--mode=encode", "--run_dir=run", "--output=out")[0] == 0
    np.testing.assert_allclose(np.load("out/codes.npz")["train_codes"][7:9], results["codes"], atol=1e-6)
    code = ",".join(f"{value:.9g}" for value in results["codes"][0])
    assert launch("--mode=generate", "--run_dir=run", f"--code={code}", "--output=out")[0] == 0
    generated = np.load("out/generated.npz")["generated"]
    np.testing.assert_allclose(generated[0], results["reconstructions"][0], rtol=1e-6)


def test_the_saved_model_of_a_centered_run_takes_and_returns_the_units_of_the_data(run):
    import tensorflow as tf

    signatures = tf.saved_model.load("run/export/400").signatures
    rows = np.stack([TIMES, ROWS / 10], axis=1).astype(np.float32)
    codes = signatures["encode"](rows=tf.constant(rows))["codes"].numpy()
    assert np.ptp(codes) > 1  # centered in float64: not one code for all
    outputs = signatures["serving_default"](rows=tf.constant(rows))["reconstructions"].numpy()
    np.testing.assert_allclose(outputs[:, 0], TIMES, rtol=0, atol=300)


def test_a_centered_run_resumes_and_its_weights_fit_data_with_another_offset(run, launch):
    code, output, error = launch("--run_dir=run", "--steps=420")
    assert code == 0, error
    assert "resumed" in output
    later = write_table("later.csv", TIMES + 1e6, ROWS / 10)
    code, _, error = launch(*SMALL, later, "--steps=1", "--learning_rate=1e-9", "--run_dir=new", "--init_from=run")
    assert code == 0, error
    np.save("new.npy", np.stack([TIMES + 1e6, ROWS / 10], axis=1)[7:9])
    assert launch("--mode=reconstruct", "--run_dir=new", "--input=new.npy", "--output=out")[0] == 0
    results = np.load("out/reconstructions.npz")
    assert results["rmse"].max() < 0.05
    np.testing.assert_allclose(results["reconstructions"][:, 0], TIMES[7:9] + 1e6, rtol=0, atol=60)


def test_weights_of_a_run_are_used_in_the_units_of_the_new_data(launch):
    data = write_table("table.csv", 60.0 * ROWS, ROWS / 10)
    assert launch(*SMALL, data, "--steps=400", "--learning_rate=0.02", "--run_dir=run")[0] == 0
    data = write_table("minutes.csv", 1.0 * ROWS, ROWS / 10)
    code, _, error = launch(*SMALL, data, "--steps=1", "--learning_rate=1e-9", "--run_dir=new", "--init_from=run")
    assert code == 0, error
    assert launch("--mode=reconstruct", "--run_dir=new", "--input=7,0.7;50,5", "--output=out")[0] == 0
    results = np.load("out/reconstructions.npz")
    np.testing.assert_allclose(results["reconstructions"], [[7, 0.7], [50, 5]], rtol=0.05)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (True, False, "columns of its data were standardized; those of this run are not"),
        (False, True, "columns of its data were not standardized; those of this run are"),
    ],
)
def test_weights_for_rows_in_other_units_are_refused(old, new, text, launch):
    data = write_table("table.csv", 60.0 * ROWS, ROWS / 10)
    flags = [flag for flag in SMALL if flag != "--standardise"]
    standardized = {True: ["--standardise"], False: []}
    assert launch(*flags, *standardized[old], data, "--steps=1", "--run_dir=run")[0] == 0
    code, _, error = launch(*flags, *standardized[new], data, "--steps=1", "--run_dir=new", "--init_from=run")
    assert code == 1
    assert text in error
