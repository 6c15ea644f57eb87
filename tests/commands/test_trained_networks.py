"""The modes that use a trained network."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.checkpoints import manifest as manifests
from trainer.compute import frameworks
from trainer.data import datasets
from trainer.data.inputs import types
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.runs import loading, trained

FLAGS = {
    "digits": ("--hidden=9,2", "--steps=40", "--checkpoint_every=20", "--variational", "--noise=masking", "--jit=off"),
    "iris": ("--dataset=iris", "--hidden=1", "--steps=20", "--batch_size=10", "--precision=mixed_bfloat16"),
    "conv": ("--model=conv", "--hidden=4,3", "--steps=3", "--loss=bernoulli"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with one trained run for each entry of FLAGS."""
    import launch

    folder = tmp_path_factory.mktemp("runs")
    for name, flags in FLAGS.items():
        assert launch.main([*flags, f"--run_dir={folder / name}"]) == 0
    return folder


@pytest.fixture
def use(runs, launch):
    """Runs a mode, checks that it changes no file of the run, and returns its output: use("digits", "encode", ...)."""

    def run(name, mode, *flags, code=0):
        folder = runs / name
        before = {
            p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "run.log" and mode not in p.parts
        }
        exit_code, out, err = launch(f"--mode={mode}", f"--run_dir={folder}", *flags)
        assert exit_code == code, err
        assert all(path.read_bytes() == content for path, content in before.items())
        assert not (
            {p for p in folder.rglob("*") if p.is_file() and mode not in p.parts} - set(before) - {folder / "run.log"}
        )
        return out + err

    return run


def served(runs, name):
    folder = next((runs / name / "export").iterdir())
    return tf.saved_model.load(str(folder))


def test_encode_writes_the_codes_and_labels_of_both_splits(use, runs):
    output = use("digits", "encode")
    path = runs / "digits" / "encode" / "40" / "codes.npz"
    assert str(path) in output
    arrays, data = np.load(path), datasets.load("digits", Sources())
    for name, split in (("train", data.train), ("eval", data.evaluation)):
        images = tf.constant(split.examples.astype(np.float32) / 16)
        expected = served(runs, "digits").signatures["encode"](images=images)["codes"]
        np.testing.assert_allclose(arrays[f"{name}_codes"], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(arrays[f"{name}_labels"], split.labels)
        assert arrays[f"{name}_log_variances"].shape == (len(split.labels), 2)
    assert tuple(arrays["label_names"]) == data.label_names


def test_messages_of_tensorflow_go_to_the_log_of_the_run(use, runs, monkeypatch):
    evaluate = trained.TrainedModel.evaluate

    def noisy_evaluate(network, data):
        os.write(2, b"I0000 a message\n")
        return evaluate(network, data)

    monkeypatch.setattr(trained.TrainedModel, "evaluate", noisy_evaluate)

    assert "a message" not in use("iris", "evaluate")
    assert "I0000 a message\n" in (runs / "iris" / "run.log").read_text()


def test_evaluate_has_the_same_metrics_as_the_result_of_training(use, runs):
    output = use("digits", "evaluate")
    evaluation = json.loads((runs / "digits" / "evaluate" / "40" / "evaluation.json").read_text())
    result = json.loads((runs / "digits" / "result.json").read_text())
    common = set(evaluation) & set(result) - {"step", "unit"}
    expected = {"eval/reconstruction/mse", "eval/elbo/elbo", "eval/denoising/rmse_1x", "train/reconstruction/rmse"}
    assert {*expected, "floor/pca/eval"} <= common
    for name in common:
        assert evaluation[name] == pytest.approx(result[name], rel=1e-4), name
        assert name in output


def test_at_step_selects_a_checkpoint(use, runs):
    use("digits", "evaluate", "--at_step=20")
    older, newer = (runs / "digits" / "evaluate" / step / "evaluation.json" for step in ("20", "40"))
    use("digits", "evaluate")
    errors = [json.loads(path.read_text())["eval/reconstruction/mse"] for path in (older, newer)]
    assert errors[0] != errors[1]
    output = use("digits", "evaluate", "--at_step=7", code=1)
    assert "available steps: 20, 40" in output


@pytest.mark.parametrize("name", ["digits", "conv"])
def test_an_image_of_another_size_is_reconstructed(name, use, runs, working_folder):
    Image.effect_noise((64, 48), 90).save(working_folder / "photo.png")
    output = use(name, "reconstruct", "--input=photo.png", f"--output={working_folder / 'out'}")
    assert "photo" in output
    arrays = np.load(working_folder / "out" / "reconstructions.npz")
    decoded = served(runs, name).signatures["decode"](codes=tf.constant(arrays["codes"]))["reconstructions"]
    np.testing.assert_allclose(arrays["reconstructions"], decoded, rtol=1e-4, atol=1e-5)
    image = np.asarray(Image.open(working_folder / "out" / "pictures" / "photo.png"))
    expected = (np.clip(arrays["reconstructions"][0, :, :, 0], 0, 1) * 255).round()
    np.testing.assert_array_equal(image, expected)
    assert (working_folder / "out" / "comparison.png").exists()


def test_reconstruct_writes_the_errors_of_the_reconstructions(use, runs, working_folder):
    data = datasets.load("digits", Sources()).evaluation.examples[:4]
    np.save("four.npy", (data / 16).astype(np.float32))
    use("conv", "reconstruct", "--input=four.npy", f"--output={working_folder / 'out'}")
    arrays = np.load("out/reconstructions.npz")
    errors = np.sqrt(np.square(arrays["reconstructions"] - data / 16).mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(arrays["rmse"], errors, rtol=1e-4)


def test_only_the_first_100_reconstructions_are_written_as_images(use, working_folder):
    np.save("many.npy", np.zeros((130, 8, 8), np.uint8))
    output = use("conv", "reconstruct", "--input=many.npy", f"--output={working_folder / 'out'}")
    assert len(np.load("out/reconstructions.npz")["codes"]) == 130
    assert len(list((working_folder / "out" / "pictures").iterdir())) == 100
    assert len(output.splitlines()) < 20


def test_all_images_of_a_folder_are_reconstructed_with_their_names(use, runs, working_folder, monkeypatch):
    shades = {}
    for number in range(130):
        name = f"a/{number:03}.png" if number % 2 else f"a/b/{number:03}.tif"
        shades[name.rpartition(".")[0]] = number
        (working_folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(working_folder / "in" / name)
    Image.new("L", (8, 8), 200).save(working_folder / "in" / "a" / "001.bmp")
    monkeypatch.setattr(types, "BATCH", 50)
    output = use("conv", "reconstruct", "--input=in", f"--output={working_folder / 'out'}")
    names = sorted({*shades, "a/001.bmp", "a/001.png"} - {"a/001"})
    arrays = np.load("out/reconstructions.npz")
    assert arrays["names"].tolist() == names
    assert "pictures: 131 images" in output
    written = (working_folder / "out" / "pictures").rglob("*.png")
    assert sorted(str(path.relative_to(working_folder / "out" / "pictures")) for path in written) == [
        f"{name}.png" for name in names
    ]
    images = np.float32([shades.get(name.removesuffix(".png"), 200) for name in names]).reshape(-1, 1, 1, 1) / 255
    whole = served(runs, "conv").signatures["serving_default"](images=tf.constant(np.tile(images, (1, 8, 8, 1))))
    np.testing.assert_allclose(arrays["reconstructions"], whole["reconstructions"], rtol=1e-4, atol=1e-5)
    last = np.clip(arrays["reconstructions"][names.index("a/b/128"), ..., 0], 0, 1) * 255
    np.testing.assert_array_equal(np.asarray(Image.open("out/pictures/a/b/128.png")), last.round())
    with open("out/errors.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["name", "rmse"]
    assert [row[0] for row in rows[1:]] == names
    errors = np.sqrt(np.square(whole["reconstructions"] - images).mean(axis=(1, 2, 3)))
    np.testing.assert_allclose([float(row[1]) for row in rows[1:]], errors, rtol=1e-4)


def test_an_input_that_does_not_exist_is_refused_before_tensorflow_is_imported(use, working_folder, monkeypatch):
    monkeypatch.setattr(frameworks, "load", lambda: pytest.fail("TensorFlow was imported"))
    (working_folder / "empty").mkdir()
    assert "neither a path nor numbers" in use("conv", "reconstruct", "--input=absent", code=1)
    assert "has no images" in use("conv", "reconstruct", "--input=empty", code=2)


@pytest.mark.whole
def test_missing_numbers_of_an_input_do_not_count_in_its_error(runs, tmp_path, launch):
    rows = np.random.default_rng(0).normal(size=(30, 4))
    rows[3, 1] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    flags = ["--dataset=array", f"--data_dir={tmp_path / 'rows.npy'}", "--missing=mean", "--hidden=2", "--steps=3"]
    assert launch(*flags, "--batch_size=5", "--export=none", f"--run_dir={tmp_path / 'run'}")[0] == 0
    code, _, error = launch(
        "--mode=reconstruct",
        f"--run_dir={tmp_path / 'run'}",
        f"--input={tmp_path / 'rows.npy'}",
        f"--output={tmp_path / 'out'}",
    )
    assert code == 0, error
    arrays = np.load(tmp_path / "out" / "reconstructions.npz")
    expected = np.sqrt(np.nanmean(np.square(arrays["reconstructions"] - rows), axis=1))
    np.testing.assert_allclose(arrays["rmse"], expected, rtol=1e-5)
    assert np.isfinite(arrays["rmse"]).all()


def test_a_checkpoint_that_is_deleted_while_it_is_in_use_stays_usable(runs, tmp_path, launch, monkeypatch):
    shutil.copytree(runs / "digits", tmp_path / "copy")
    load = datasets.load

    def delete_and_load(*arguments):
        manifests.delete(tmp_path / "copy" / "checkpoints", 40)
        return load(*arguments)

    monkeypatch.setattr(datasets, "load", delete_and_load)
    code, output, _ = launch("--mode=evaluate", f"--run_dir={tmp_path / 'copy'}")
    assert (code, "step 40" in output) == (0, True)


def test_an_output_that_is_a_file_or_has_an_unknown_user_is_refused(use, working_folder):
    (working_folder / "file").write_text("mine")
    assert "is a file" in use("iris", "generate", "--code=1", "--output=file", code=1)
    assert "--output=~nosuchperson/x" in use("iris", "generate", "--code=1", "--output=~nosuchperson/x", code=1)
    assert (working_folder / "file").read_text() == "mine"


def test_a_refused_command_creates_no_folder(use, working_folder):
    use("digits", "generate", "--code=1,2,3", "--output=typo/deep", code=1)
    assert not (working_folder / "typo").exists()


def test_images_with_equal_or_long_names_are_all_written(use, working_folder):
    folder = working_folder / "two"
    folder.mkdir()
    for name in ("a b", "a  b", "漢" * 83, "shot\u202fPM"):
        Image.new("L", (8, 8)).save(folder / f"{name}.png")
    use("conv", "reconstruct", "--input=two", f"--output={working_folder / 'out'}")
    assert len(list((working_folder / "out" / "pictures").iterdir())) == 4
    use("conv", "reconstruct", "--input=two/shot\u202fPM.png", f"--output={working_folder / 'one'}")


def test_codes_whose_output_is_not_finite_are_refused(use):
    assert "not finite" in use("digits", "generate", "--code=3e38,3e38", code=1)


def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(runs, tmp_path, launch):
    shutil.copytree(runs / "digits", tmp_path / "copy")
    for path in (tmp_path / "copy" / "checkpoints").glob("ckpt-40.data*"):
        path.write_bytes(b"0" * path.stat().st_size)
    common = ("--mode=generate", "--code=1,1", f"--run_dir={tmp_path / 'copy'}")
    code, output, error = launch(*common)
    assert (code, "step 20" in output, "ckpt-40" in output + error) == (0, True, True)
    code, _, error = launch(*common, "--at_step=40")
    assert (code, "another --at_step" in error) == (4, True)


def test_exhausted_memory_exits_with_7(use, monkeypatch):
    def fail(network, codes):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(trained.TrainedModel, "decode", fail)
    monkeypatch.setattr(loading, "MAX_COST", 0)
    assert "out of memory\nOOM when allocating\n" in use("iris", "generate", "--code=1", code=7)


def test_restart_is_only_allowed_for_training(use):
    assert "--restart needs --mode=train" in use("digits", "generate", "--code=1,1", "--restart", code=1)


def test_numbers_on_the_command_line_are_reconstructed_and_printed(use, runs):
    output = use("iris", "reconstruct", "--input=8,4,6,2")
    arrays = np.load(runs / "iris" / "reconstruct" / "20" / "reconstructions.npz")
    rows = tf.constant([[8.0, 4, 6, 2]])
    expected = served(runs, "iris").signatures["serving_default"](rows=rows)["reconstructions"]
    np.testing.assert_allclose(arrays["reconstructions"], expected, rtol=1e-5)
    assert ", ".join(f"{value:.4g}" for value in arrays["reconstructions"][0]) in output


def test_codes_are_decoded_and_written_as_images(use, runs):
    use("digits", "generate", "--code=5,5;0,-1")
    folder = runs / "digits" / "generate" / "40"
    arrays = np.load(folder / "generated.npz")
    np.testing.assert_array_equal(arrays["codes"], [[5, 5], [0, -1]])
    decoded = served(runs, "digits").signatures["decode"](codes=tf.constant(arrays["codes"]))["reconstructions"]
    np.testing.assert_allclose(arrays["generated"], decoded, rtol=1e-4, atol=1e-5)
    assert {path.name for path in folder.iterdir()} == {"pictures", "comparison.png", "generated.npz"}
    assert {path.name for path in (folder / "pictures").iterdir()} == {"0.png", "1.png"}


@pytest.mark.parametrize("code", [None, "5", "5,5,5", "5,x", "5,5;", "nan,1", "1e300,0"])
def test_the_error_for_an_invalid_code_has_an_example(code, use):
    output = use("digits", "generate", *([] if code is None else [f"--code={code}"]), code=1)
    assert "--code=5,5" in output


def test_generate_and_reconstruct_do_not_load_the_data_set(use, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda *arguments: pytest.fail("the data were loaded"))
    assert "written" in use("digits", "generate", "--code=1,1")
    assert "written" in use("iris", "reconstruct", "--input=1,1,1,1")


def test_a_changed_data_set_is_refused(use, monkeypatch):
    load = datasets.load

    def load_two_classes(name, sources):
        return load(name, Sources(DataOptions(classes=("1", "2"))))

    monkeypatch.setattr(datasets, "load", load_two_classes)
    assert "is not what this run was trained on" in use("digits", "encode", code=2)


def test_flags_of_another_network_are_refused(use):
    assert "--hidden: 9,2 -> 5" in use("digits", "encode", "--hidden=5", code=1)


def test_a_missing_run_is_a_usage_error(launch, working_folder):
    code, _, error = launch("--mode=encode", f"--run_dir={working_folder / 'absent'}")
    assert code == 1
    assert "there is no run" in error
    assert not (working_folder / "absent").exists()


def test_a_run_without_an_intact_checkpoint_exits_with_4(use, runs, tmp_path, launch):
    shutil.copytree(runs / "iris", tmp_path / "copy")
    for path in (tmp_path / "copy" / "checkpoints").rglob("*.data*"):
        path.write_bytes(b"0" * path.stat().st_size)
    code, _, error = launch("--mode=generate", "--code=1", f"--run_dir={tmp_path / 'copy'}")
    assert code == 4
    assert "SHA-256" in error


def test_several_batches_are_encoded_and_decoded_as_one(runs):
    from trainer import config
    from trainer.checkpoints import catalog

    stored = config.from_flagfile((runs / "iris" / "flags.txt").read_text())
    network = trained.TrainedModel.load(stored, catalog.find(runs / "iris"))
    rows = np.random.default_rng(0).normal(5, 1, (2_345, 4)).astype(np.float32)
    np.testing.assert_allclose(network.encode(rows)["codes"], network.model.encode(rows), rtol=1e-5)
    codes = network.encode(rows)["codes"]
    np.testing.assert_allclose(network.decode(codes), network.model(rows), rtol=1e-5)
