"""The modes that use a trained network, on what training has left behind."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.checkpoints import manifest as manifests
from trainer.data import datasets
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.runs import trained

FLAGS = {
    "digits": ("--hidden=9,2", "--steps=40", "--checkpoint_every=20", "--variational", "--noise=masking", "--jit=off"),
    "iris": ("--dataset=iris", "--hidden=1", "--steps=20", "--batch_size=10", "--precision=mixed_bfloat16"),
    "conv": ("--model=conv", "--hidden=4,3", "--steps=3", "--loss=bernoulli"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A trained run of each."""
    import launch

    folder = tmp_path_factory.mktemp("runs")
    for name, flags in FLAGS.items():
        assert launch.main([*flags, f"--run_dir={folder / name}"]) == 0
    return folder


@pytest.fixture
def use(runs, launch):
    """Uses a run: use("digits", "encode", flags...) -> what it said; nothing of the run itself may change."""

    def run(name, mode, *flags, code=0):
        folder = runs / name
        before = {
            p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "run.log" and mode not in p.parts
        }
        found, out, err = launch(f"--mode={mode}", f"--run_dir={folder}", *flags)
        assert found == code, err
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
    said = use("digits", "encode")
    path = runs / "digits" / "encode" / "40" / "codes.npz"
    assert str(path) in said
    found, data = np.load(path), datasets.load("digits", Sources())
    for name, split in (("train", data.train), ("eval", data.evaluation)):
        images = tf.constant(split.examples.astype(np.float32) / 16)
        expected = served(runs, "digits").signatures["encode"](images=images)["codes"]
        np.testing.assert_allclose(found[f"{name}_codes"], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found[f"{name}_labels"], split.labels)
        assert found[f"{name}_log_variances"].shape == (len(split.labels), 2)
    assert tuple(found["label_names"]) == data.label_names


def test_what_tensorflow_says_while_a_network_is_used_goes_to_the_log(use, runs, monkeypatch):
    assess = trained.TrainedModel.assess

    def noisy(network, data):
        os.write(2, b"I0000 a greeting\n")
        return assess(network, data)

    monkeypatch.setattr(trained.TrainedModel, "evaluate", noisy)

    assert "a greeting" not in use("iris", "evaluate")
    assert "I0000 a greeting\n" in (runs / "iris" / "run.log").read_text()


def test_evaluate_measures_what_training_has_measured(use, runs):
    said = use("digits", "evaluate")
    found = json.loads((runs / "digits" / "evaluate" / "40" / "evaluation.json").read_text())
    result = json.loads((runs / "digits" / "result.json").read_text())
    same = set(found) & set(result) - {"step"}
    assert {"eval/reconstruction/mse", "eval/elbo/elbo", "eval/denoising/rmse_1x", "train/reconstruction/rmse"} <= same
    assert "floor/pca/eval" in same
    for name in same:
        assert found[name] == pytest.approx(result[name], rel=1e-4), name
        assert name in said


def test_a_checkpoint_is_chosen_by_its_step(use, runs):
    use("digits", "evaluate", "--at_step=20")
    older, newer = (runs / "digits" / "evaluate" / step / "evaluation.json" for step in ("20", "40"))
    use("digits", "evaluate")
    errors = [json.loads(path.read_text())["eval/reconstruction/mse"] for path in (older, newer)]
    assert errors[0] != errors[1]
    said = use("digits", "evaluate", "--at_step=7", code=1)
    assert "there are: 20, 40" in said


@pytest.mark.parametrize("name", ["digits", "conv"])
def test_a_picture_of_any_size_is_reconstructed(name, use, runs, elsewhere):
    Image.effect_noise((64, 48), 90).save(elsewhere / "photo.png")
    said = use(name, "reconstruct", "--input=photo.png", f"--output={elsewhere / 'out'}")
    assert "photo" in said
    found = np.load(elsewhere / "out" / "reconstructions.npz")
    decoded = served(runs, name).signatures["decode"](codes=tf.constant(found["codes"]))["reconstructions"]
    np.testing.assert_allclose(found["reconstructions"], decoded, rtol=1e-4, atol=1e-5)
    picture = np.asarray(Image.open(elsewhere / "out" / "pictures" / "photo.png"))
    expected = (np.clip(found["reconstructions"][0, :, :, 0], 0, 1) * 255).round()
    np.testing.assert_array_equal(picture, expected)
    assert (elsewhere / "out" / "comparison.png").exists()


def test_a_data_sets_own_pictures_are_reconstructed_with_its_own_error(use, runs, elsewhere):
    data = datasets.load("digits", Sources()).evaluation.examples[:4]
    np.save("some.npy", (data / 16).astype(np.float32))
    use("conv", "reconstruct", "--input=some.npy", f"--output={elsewhere / 'out'}")
    found = np.load("out/reconstructions.npz")
    errors = np.sqrt(np.square(found["reconstructions"] - data / 16).mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(found["rmse"], errors, rtol=1e-4)


def test_of_very_many_examples_only_the_first_become_pictures(use, elsewhere):
    np.save("many.npy", np.zeros((130, 8, 8), np.uint8))
    said = use("conv", "reconstruct", "--input=many.npy", f"--output={elsewhere / 'out'}")
    assert len(np.load("out/reconstructions.npz")["codes"]) == 130
    assert len(list((elsewhere / "out" / "pictures").iterdir())) == 100
    assert len(said.splitlines()) < 20


def test_a_checkpoint_that_training_removes_meanwhile_is_used_all_the_same(runs, tmp_path, launch, monkeypatch):
    shutil.copytree(runs / "digits", tmp_path / "copy")
    load = datasets.load

    def removing(*arguments):
        manifests.delete(tmp_path / "copy" / "checkpoints", 40)
        return load(*arguments)

    monkeypatch.setattr(datasets, "load", removing)
    code, said, _ = launch("--mode=evaluate", f"--run_dir={tmp_path / 'copy'}")
    assert (code, "step 40" in said) == (0, True)


def test_a_file_is_no_folder_to_write_to(use, elsewhere):
    (elsewhere / "file").write_text("mine")
    assert "is a file" in use("iris", "generate", "--code=1", "--output=file", code=1)
    assert "--output=~nosuchperson/x" in use("iris", "generate", "--code=1", "--output=~nosuchperson/x", code=1)
    assert (elsewhere / "file").read_text() == "mine"


def test_a_refused_command_makes_no_folder(use, elsewhere):
    use("digits", "generate", "--code=1,2,3", "--output=typo/deep", code=1)
    assert not (elsewhere / "typo").exists()


def test_pictures_whose_names_become_the_same_are_all_written(use, elsewhere):
    folder = elsewhere / "two"
    folder.mkdir()
    for name in ("a b", "a  b", "漢" * 83, "shot\u202fPM"):
        Image.new("L", (8, 8)).save(folder / f"{name}.png")
    use("conv", "reconstruct", "--input=two", f"--output={elsewhere / 'out'}")
    assert len(list((elsewhere / "out" / "pictures").iterdir())) == 4
    use("conv", "reconstruct", "--input=two/shot\u202fPM.png", f"--output={elsewhere / 'one'}")


def test_numbers_that_a_network_cannot_compute_with_are_refused(use):
    assert "not finite" in use("digits", "generate", "--code=3e38,3e38", code=1)


def test_a_damaged_checkpoint_that_is_passed_over_is_named(runs, tmp_path, launch):
    shutil.copytree(runs / "digits", tmp_path / "copy")
    for path in (tmp_path / "copy" / "checkpoints").glob("ckpt-40.data*"):
        path.write_bytes(b"0" * path.stat().st_size)
    common = ("--mode=generate", "--code=1,1", f"--run_dir={tmp_path / 'copy'}")
    code, out, said = launch(*common)
    assert (code, "step 20" in out, "ckpt-40" in out + said) == (0, True, True)
    code, _, said = launch(*common, "--at_step=40")
    assert (code, "another --at_step" in said) == (4, True)


def test_beginning_again_is_for_training_only(use):
    assert "--restart belongs to --mode=train" in use("digits", "generate", "--code=1,1", "--restart", code=1)


def test_numbers_on_the_command_line_are_reconstructed_and_said(use, runs):
    said = use("iris", "reconstruct", "--input=8,4,6,2")
    found = np.load(runs / "iris" / "reconstruct" / "20" / "reconstructions.npz")
    rows = tf.constant([[8.0, 4, 6, 2]])
    expected = served(runs, "iris").signatures["serving_default"](rows=rows)["reconstructions"]
    np.testing.assert_allclose(found["reconstructions"], expected, rtol=1e-5)
    assert ", ".join(f"{value:.4g}" for value in found["reconstructions"][0]) in said


def test_codes_are_decoded_and_drawn(use, runs):
    use("digits", "generate", "--code=5,5;0,-1")
    folder = runs / "digits" / "generate" / "40"
    found = np.load(folder / "generated.npz")
    np.testing.assert_array_equal(found["codes"], [[5, 5], [0, -1]])
    decoded = served(runs, "digits").signatures["decode"](codes=tf.constant(found["codes"]))["reconstructions"]
    np.testing.assert_allclose(found["generated"], decoded, rtol=1e-4, atol=1e-5)
    assert {path.name for path in folder.iterdir()} == {"pictures", "comparison.png", "generated.npz"}
    assert {path.name for path in (folder / "pictures").iterdir()} == {"0.png", "1.png"}


@pytest.mark.parametrize("code", [None, "5", "5,5,5", "5,x", "5,5;", "nan,1", "1e300,0"])
def test_what_is_no_code_is_refused_with_an_example(code, use):
    said = use("digits", "generate", *([] if code is None else [f"--code={code}"]), code=1)
    assert "--code=5,5" in said


def test_what_needs_no_data_does_not_load_them(use, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda *arguments: pytest.fail("the data were loaded"))
    use("digits", "generate", "--code=1,1")
    use("iris", "reconstruct", "--input=1,1,1,1")


def test_other_data_than_it_was_trained_on_are_refused(use, monkeypatch):
    load = datasets.load

    def other(name, sources):
        return load(name, Sources(DataOptions(classes=("1", "2"))))

    monkeypatch.setattr(datasets, "load", other)
    assert "is not what this run was trained on" in use("digits", "encode", code=2)


def test_flags_of_another_network_are_refused(use):
    assert "--hidden: 9,2 -> 5" in use("digits", "encode", "--hidden=5", code=1)


def test_where_there_is_no_run_that_is_said(launch, elsewhere):
    code, _, said = launch("--mode=encode", f"--run_dir={elsewhere / 'absent'}")
    assert code == 1
    assert "there is no run" in said
    assert not (elsewhere / "absent").exists()


def test_a_run_without_a_sound_checkpoint_is_exit_4(use, runs, tmp_path, launch):
    shutil.copytree(runs / "iris", tmp_path / "copy")
    for path in (tmp_path / "copy" / "checkpoints").rglob("*.data*"):
        path.write_bytes(b"0" * path.stat().st_size)
    code, _, said = launch("--mode=generate", "--code=1", f"--run_dir={tmp_path / 'copy'}")
    assert code == 4
    assert "SHA-256" in said


def test_codes_of_many_examples_are_those_of_each(runs):
    from trainer import config
    from trainer.checkpoints import catalog

    given = config.from_flagfile((runs / "iris" / "flags.txt").read_text())
    network = trained.TrainedModel.load(given, catalog.find(runs / "iris"))
    rows = np.random.default_rng(0).normal(5, 1, (2_345, 4)).astype(np.float32)
    np.testing.assert_allclose(network.encode(rows)["codes"], network.model.encode(rows), rtol=1e-5)
    codes = network.encode(rows)["codes"]
    np.testing.assert_allclose(network.decode(codes), network.model(rows), rtol=1e-5)
