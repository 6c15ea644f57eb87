"""`--input`: new data for a trained network."""

import csv
import json
import pathlib

import numpy as np
import polars
import pytest
from PIL import Image

from trainer.compute import frameworks
from trainer.models import portable
from trainer.runs import portable_model

TRAIN = np.random.default_rng(0).normal((0, 50, -3), (1, 20, 0.1), (60, 3))
NEW = np.random.default_rng(1).normal((0, 50, -3), (1, 20, 0.1), (9, 3)).round(4)
LABELS = ["yes" if index % 3 else "no" for index in range(len(NEW))]


def write_table(path, names, columns):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([names, *zip(*columns, strict=True)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two trained runs: a standardized table with labels, and images of 8x8 pixels."""
    import launch

    folder = tmp_path_factory.mktemp("runs")
    write_table(folder / "train.csv", "abck", [*TRAIN.T, ["yes", "no"] * 30])
    short = ("--steps=3", "--batch_size=10", "--export=none", "--jit=off", "--image_every=0")
    table = ("--dataset=table", f"--data_dir={folder / 'train.csv'}", "--label_column=k", "--standardize", "--hidden=2")
    assert launch.main([*table, *short, f"--run_dir={folder / 'table'}"]) == 0
    assert launch.main(["--hidden=3", "--variational", *short, f"--run_dir={folder / 'digits'}"]) == 0
    return folder


@pytest.fixture
def use(runs, launch, working_folder):
    """Runs a mode on new data, with the output folder `out`; returns its output."""

    def run(name, mode, *flags, output="out", code=0):
        exit_code, out, err = launch(f"--mode={mode}", f"--run_dir={runs / name}", *flags, f"--output={output}")
        assert exit_code == code, err
        return out + err

    return run


@pytest.fixture
def shuffled(working_folder):
    """New rows with labels, a column more, and the columns in another order; line 5, row 4, has a wrong cell."""
    a, b, c = (list(column) for column in NEW.T)
    b[3] = "broken"
    write_table("new.csv", "ckbxa", [c, LABELS, b, ["text"] * len(NEW), a])
    return "new.csv"


KEPT = [0, 1, 2, 4, 5, 6, 7, 8]  # rows of NEW without the broken one


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_the_columns_of_a_table_are_found_by_name_and_rows_keep_their_numbers_and_labels(use, shuffled):
    use("table", "encode", f"--input={shuffled}", "--on_bad_file=skip")
    arrays = np.load("out/codes.npz")
    assert arrays["names"].tolist() == [f"row {index + 1}" for index in KEPT]
    assert arrays["labels"].tolist() == [LABELS[index] for index in KEPT]
    np.save("new.npy", NEW[KEPT])
    use("table", "encode", "--input=new.npy")
    np.testing.assert_allclose(arrays["codes"], np.load("out/codes.npz")["codes"], atol=1e-6)
    assert arrays["codes"].dtype == np.float32


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_codes_are_written_to_a_file_with_row_numbers_and_labels(ending, use, shuffled):
    use("table", "encode", f"--input={shuffled}", "--on_bad_file=skip")
    expected = np.load("out/codes.npz")
    use("table", "encode", f"--input={shuffled}", "--on_bad_file=skip", output=f"deep/codes.{ending}")
    if ending == "npz":
        arrays = np.load("deep/codes.npz")
        assert {name: arrays[name].tolist() for name in arrays} == {n: expected[n].tolist() for n in expected}
        return
    frame = (polars.read_csv if ending == "csv" else polars.read_parquet)(f"deep/codes.{ending}")
    assert frame.columns == ["row", "label", "code_1", "code_2"]
    assert frame["row"].to_list() == [index + 1 for index in KEPT]
    assert frame["label"].to_list() == [LABELS[index] for index in KEPT]
    np.testing.assert_allclose(frame.select("code_1", "code_2").to_numpy(), expected["codes"], rtol=1e-6)


def test_reconstructions_of_a_table_are_written_with_the_names_of_its_columns(use, shuffled):
    output = use("table", "reconstruct", f"--input={shuffled}", "--on_bad_file=skip")
    assert "columns that are not in the training data: x" in output
    arrays, (heading, *rows) = np.load("out/reconstructions.npz"), rows_of("out/reconstructions.csv")
    assert heading == ["row", "a", "b", "c"]
    assert [row[0] for row in rows] == [str(index + 1) for index in KEPT]
    np.testing.assert_allclose(np.array(rows, float)[:, 1:], arrays["reconstructions"], rtol=1e-6)
    np.testing.assert_allclose(
        arrays["rmse_data_unit"], np.sqrt(np.square(arrays["reconstructions"] - NEW[KEPT]).mean(axis=1)), rtol=1e-4
    )
    assert [row[0] for row in rows_of("out/errors.csv")[1:]] == arrays["names"].tolist()


def test_evaluate_compares_new_rows_with_the_mean_of_the_training_rows(use, runs):
    write_table("plain.csv", "abc", NEW.T)
    use("table", "reconstruct", "--input=plain.csv", output="reconstructed")
    arrays = np.load("reconstructed/reconstructions.npz")
    output = use("table", "evaluate", "--input=plain.csv")
    values = json.loads(pathlib.Path("out/evaluation.json").read_text())
    assert "floor/mean/input" in output
    assert (values["step"], values["examples"]) == (3, 9)
    assert values["unit"] == "in standard deviations of the columns"
    assert values["input/reconstruction/mse"] == pytest.approx(np.square(arrays["rmse"]).mean())
    assert values["input/data_unit/reconstruction/mse"] == pytest.approx(np.square(arrays["rmse_data_unit"]).mean())
    assert values["input/error/p50"] == pytest.approx(np.median(arrays["rmse"]))
    is_training = ~np.isin(np.arange(60), evaluation_rows(runs))
    train = TRAIN[is_training]
    differences = (NEW - train.mean(axis=0)) / train.std(axis=0)
    assert values["floor/mean/input"] == pytest.approx(np.sqrt(np.square(differences).mean()), rel=1e-4)
    assert rows_of("out/errors.csv")[1:] == [
        [name, f"{error:.9g}"] for name, error in zip(arrays["names"], arrays["rmse"], strict=True)
    ]


def evaluation_rows(runs):
    """The rows of the training file that are held out."""
    from trainer.data import splits

    return np.flatnonzero(splits.by_row_number(np.arange(60), 0.1))


def test_all_arrays_of_examples_in_an_npz_file_are_encoded_with_their_labels(use, working_folder):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
    np.savez("two.npz", x_train=images[:3], y_train=[7, 8, 9], x_test=images[3:], y_test=[8, 7])
    use("digits", "encode", "--input=two.npz")
    arrays = np.load("out/codes.npz")
    assert arrays["names"].tolist() == ["x_train/0", "x_train/1", "x_train/2", "x_test/0", "x_test/1"]
    assert arrays["labels"].tolist() == ["7", "8", "9", "8", "7"]
    np.save("all.npy", images)
    use("digits", "encode", "--input=all.npy")
    assert set(np.load("out/codes.npz")) == {"names", "codes", "log_variances"}
    for name in ("codes", "log_variances"):
        np.testing.assert_allclose(arrays[name], np.load("out/codes.npz")[name], atol=1e-6)
    use("digits", "encode", "--input=two.npz", output="codes.csv")
    assert rows_of("codes.csv")[0] == ["name", "label", "code_1", "code_2", "code_3"]


def test_the_errors_of_images_are_written_beside_the_images(use, working_folder):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    (working_folder / "in" / "a").mkdir(parents=True)
    Image.fromarray(pixels).save("in/a/ramp.png")
    output = use("digits", "reconstruct", "--input=in")
    assert "error_maps: 1 images of the absolute error; white: 0.5 or more" in output
    reconstruction = np.load("out/reconstructions.npz")["reconstructions"][0, :, :, 0]
    expected = np.clip(2 * np.abs(pixels / 255 - reconstruction), 0, 1) * 255
    np.testing.assert_allclose(np.asarray(Image.open("out/error_maps/a/ramp.png")), expected, atol=0.51)
    assert (working_folder / "out" / "pictures" / "a" / "ramp.png").exists()


@pytest.mark.parametrize("mode", ["reconstruct", "encode", "evaluate"])
@pytest.mark.parametrize(
    ("run", "name", "found"),
    [
        ("table", "other.csv", "missing: b; columns: a, c"),
        ("table", "empty.csv", "has no rows"),
        ("table", "broken.csv", "'?' in the column 'a'"),
        ("table", "rows.npy", "expected [3] or [N, 3]"),
        ("digits", "images.npz", "shape [2, 9, 9]"),
        ("digits", "damaged.png", "damaged.png"),
    ],
)
def test_unusable_input_is_refused_and_nothing_is_written(mode, run, name, found, use, working_folder):
    write_table("other.csv", "ac", NEW.T[[0, 2]])
    (working_folder / "empty.csv").touch()
    write_table("broken.csv", "abc", [["?", "1"], ["1", "2"], ["2", "3"]])
    np.save("rows.npy", NEW[:, :2])
    np.savez("images.npz", x_train=np.zeros((2, 9, 9), np.uint8))
    (working_folder / "damaged.png").write_bytes(b"no image")
    message = use(run, mode, f"--input={name}", code=2)
    assert found in message
    assert "--missing" not in message
    assert not (working_folder / "out").exists()


def test_a_table_is_refused_for_a_run_on_images(use):
    write_table("new.csv", "abc", NEW.T)
    assert "cannot be read as images" in use("digits", "encode", "--input=new.csv", code=1)


def test_the_input_is_not_replaced_by_the_codes(use, working_folder):
    write_table("new.csv", "abc", NEW.T)
    before = (working_folder / "new.csv").read_bytes()
    assert "is the input" in use("table", "encode", "--input=new.csv", output="new.csv", code=1)
    assert (working_folder / "new.csv").read_bytes() == before


def test_a_file_is_no_output_for_the_codes_of_the_data_set(use, working_folder):
    assert "is the name of a file" in use("digits", "encode", output="codes.csv", code=1)
    assert not (working_folder / "codes.csv").exists()


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("table", ("reconstruct", "--input=1,50,-3")),
        ("table", ("encode", "--input=new.csv")),
        ("table", ("evaluate", "--input=new.csv")),
        ("table", ("generate", "--code=1,1")),
        ("digits", ("reconstruct", "--input=image.png")),
    ],
)
def test_small_inputs_are_answered_without_tensorflow(name, flags, use, monkeypatch):
    write_table("new.csv", "abc", NEW.T)
    Image.new("L", (8, 8), 90).save("image.png")
    monkeypatch.setattr(frameworks, "load", lambda: pytest.fail("TensorFlow was imported"))
    assert "written" in use(name, *flags)


def test_a_network_without_a_form_for_numpy_is_computed_by_tensorflow(use, monkeypatch):
    use("table", "generate", "--code=1,1;0,2", output="numpy")
    monkeypatch.setattr(portable, "PROGRAMS", {})
    monkeypatch.setattr(portable_model.PortableModel, "load", lambda *arguments: pytest.fail("NumPy was used"))
    assert "has no form without TensorFlow" in use("table", "generate", "--code=1,1;0,2")
    with_numpy, with_tensorflow = (np.load(f"{folder}/generated.npz")["generated"] for folder in ("numpy", "out"))
    np.testing.assert_allclose(with_numpy, with_tensorflow, rtol=1e-5)
    assert with_numpy.dtype == with_tensorflow.dtype


def test_a_gpu_is_used_if_it_is_requested(use):
    assert "no GPU" in use("table", "generate", "--code=1,1", "--device=gpu", code=7)


@pytest.mark.whole
def test_small_inputs_import_no_tensorflow(runs, python, working_folder):
    np.save("rows.npy", NEW)
    code = """
import sys, launch
for flags in (["reconstruct", "--input=1,50,-3"], ["encode", "--input=rows.npy"], ["generate", "--code=1,1"]):
    assert launch.main([f"--mode={flags[0]}", flags[1], f"--run_dir={sys.argv[1]}", "--output=out"]) == 0
print({"tensorflow", "keras"} & set(sys.modules))
"""
    process = python(code, str(runs / "table"))
    assert process.stdout.splitlines()[-1:] == ["set()"], process.stderr
