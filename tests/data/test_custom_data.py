"""Behavior that all custom data share, and TensorFlow Datasets."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from custom_data import colors_by_label, load, load_error, load_table, save
from formats import TFDS
from PIL import Image

from trainer.data import datasets, describe
from trainer.data import splits as splitting
from trainer.errors import DataError, UsageError


def test_control_characters_in_labels_are_replaced(tmp_path):
    data = load_table(tmp_path, 'a,b\n1,"x\x1b[2J\n"\n2,y\u202e\n', label_column="b")
    assert data.label_names == ("x?[2J", "y?")
    for name in ("a\x1b[2J", "b"):
        save(tmp_path / "p" / name / "1.png")
    assert load(tmp_path, "images", tmp_path / "p", eval_fraction=0.0).label_names == ("a?[2J", "b")


def test_data_larger_than_memory_are_rejected_with_remedy(tmp_path, monkeypatch):
    def load_all(*arguments):
        raise MemoryError

    monkeypatch.setitem(datasets.LOADERS, "table", load_all)
    assert "does not fit into memory" in load_error(DataError, tmp_path, "table", tmp_path)


def test_summary_lines_describe_the_data(folder, tmp_path):
    lines = describe.summary_lines(load(tmp_path, "images", folder))
    assert any("32x32x3 images, uint8, from 10 to 200" in line for line in lines)
    assert any(line.startswith("train") and "cat " in line and "dog " in line for line in lines)
    assert any("images of 8x6 (40) were converted to 32x32, rgb, crop" in line for line in lines)


def test_wrong_path_is_rejected_without_importing_tensorflow(tmp_path):
    program = (
        "import sys, launch; code = launch.main(sys.argv[1:]); sys.exit(code + 100 * ('tensorflow' in sys.modules))"
    )
    for name in ("images", "array", "table"):
        command = [
            sys.executable,
            "-c",
            program,
            f"--dataset={name}",
            "--data_dir=nowhere",
            f"--run_dir={tmp_path}/run",
        ]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        assert process.returncode == 2, process.stderr
        assert "--data_dir=nowhere does not exist" in process.stderr
        assert len(process.stderr.strip().splitlines()) <= 3


def test_network_of_a_standardized_table_reads_and_returns_original_units(tmp_path, launch):
    rows = np.random.default_rng(0).normal([100, -5], [50, 0.1], (200, 2))
    np.savetxt(tmp_path / "t.csv", rows, delimiter=",")
    flags = [
        "--dataset=table",
        f"--data_dir={tmp_path}/t.csv",
        "--standardise",
        "--hidden=2",
        "--steps=600",
        "--learning_rate=0.05",
    ]
    assert launch(*flags, f"--run_dir={tmp_path}/run")[0] == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["floor/mean/train"] == pytest.approx(1, rel=1e-3)  # in standard deviations
    assert result["eval/reconstruction/rmse"] < 0.05
    network = tf.saved_model.load(f"{tmp_path}/run/export/600")
    outputs = network.signatures["serving_default"](rows=tf.constant([[130.0, -5.1]]))
    np.testing.assert_allclose(outputs["reconstructions"], [[130, -5.1]], rtol=0.05)
    code, _, err = launch("--mode=reconstruct", f"--run_dir={tmp_path}/run", "--input=130,-5.1")
    assert code == 0, err
    with np.load(tmp_path / "run" / "reconstruct" / "600" / "reconstructions.npz") as arrays:
        np.testing.assert_allclose(arrays["reconstructions"], [[130, -5.1]], rtol=0.05)


@pytest.mark.whole
def test_run_on_memory_mapped_images_equals_run_on_the_same_array(folder, tmp_path, launch):
    """Both runs are equal bit by bit: results do not depend on the loader."""
    random = np.random.default_rng(0)
    for path in folder.rglob("*.*"):
        Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).save(path)
    data = load(tmp_path, "images", folder, image_size=(6, 8))
    np.savez(tmp_path / "a.npz", x_train=data.train.examples, x_test=data.evaluation.examples)
    cache = f"--cache_dir={tmp_path}/cache"
    flags = ["--hidden=3", "--steps=30", "--batch_size=9", "--export=none"]
    images = ["--dataset=images", "--image_size=6x8", f"--data_dir={folder}", cache]
    for name, data_flags in (("images", images), ("array", ["--dataset=array", f"--data_dir={tmp_path}/a.npz"])):
        code, out, err = launch(*data_flags, *flags, f"--run_dir={tmp_path}/{name}")
        assert code == 0, err
        assert ("keep their size; color: rgb" in out + err) == (name == "images")
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("images", "array")]
    for tag in ("train/reconstruction/mse", "eval/reconstruction/mse", "eval/latent/effective_rank"):
        assert results[0][tag] == results[1][tag]


def test_flags_of_other_data_sets_are_rejected(launch, tmp_path):
    code, _, err = launch("--dataset=iris", "--image_size=48", f"--run_dir={tmp_path}/run")
    assert code == 1
    assert "--image_size has no effect with --dataset=iris" in err


# TensorFlow Datasets, replaced by formats.TFDS


@pytest.mark.parametrize("splits", [{"train": 10, "test": 3}, {"train": 30}])
def test_tfds_images_are_read_like_image_files(splits, tmp_path, monkeypatch):
    (tmp_path / "tensorflow_datasets.py").write_text(TFDS.format(splits=splits))
    monkeypatch.syspath_prepend(tmp_path)
    message = load_error(DataError, tmp_path, "tfds:shades", "where")
    assert "train 3 in shades cannot be used" in message
    data = load(tmp_path, "tfds:shades", "where", on_bad_file="skip", image_size=(6, 8))
    assert colors_by_label(data) == {"dark": (0, 0, 0), "light": (200, 200, 200)}
    assert data.shape == (6, 8, 3)
    if "test" in splits:
        assert (len(data.train.examples), len(data.evaluation.examples)) == (9, 3)
    else:
        assert len(data.train.examples) + len(data.evaluation.examples) == 29
        assert 1 <= len(data.evaluation.examples) < 10
    assert "Dataset other not found." in load_error(DataError, tmp_path, "tfds:other", "where")


def test_only_the_selected_classes_of_tfds_are_decoded(tmp_path, monkeypatch):
    (tmp_path / "tensorflow_datasets.py").write_text(TFDS.format(splits={"train": 30}))
    monkeypatch.syspath_prepend(tmp_path)
    data = load(tmp_path, "tfds:shades", "where", classes=("dark",))  # The damaged image is light.
    assert colors_by_label(data) == {"dark": (0, 0, 0)}
    assert len(data.train.examples) + len(data.evaluation.examples) == 15
    assert "known: 0 dark, 1 light" in load_error(UsageError, tmp_path, "tfds:shades", "where", classes=("grey",))


@pytest.mark.parametrize("name", ["tfds", "tfds:", "mnist:1", "mnist:"])
def test_variant_is_required_for_tfds_and_rejected_for_others(name, tmp_path):
    assert "tfds:NAME" in load_error(UsageError, tmp_path, name, "where")


def test_tfds_examples_without_labels_are_kept(tmp_path, monkeypatch):
    (tmp_path / "tensorflow_datasets.py").write_text(TFDS.format(splits={"train": 10, "test": 3}))
    monkeypatch.syspath_prepend(tmp_path)
    data = load(tmp_path, "tfds:unlabeled", "where", on_bad_file="skip")
    assert (len(data.train.examples), len(data.evaluation.examples)) == (9, 3)
    assert "images of 8x6 (12) were converted to 32x32, rgb, crop" in data.notes
    assert data.notes[-1].startswith("skipped 1 of 13 images")
    message = load_error(DataError, tmp_path, "tfds:unlabeled", "where", on_bad_file="skip", classes=("dark",))
    assert "training examples: 0" in message


@pytest.mark.parametrize("classes", [(), ("dark",)])
def test_tfds_images_keep_their_splits_when_classes_are_selected(classes, tmp_path, monkeypatch):
    (tmp_path / "tensorflow_datasets.py").write_text(TFDS.format(splits={"train": 60}))
    monkeypatch.syspath_prepend(tmp_path)
    data = load(tmp_path, "tfds:shades", "where", on_bad_file="skip", classes=classes)
    dark = np.flatnonzero(splitting.by_index(60, 0.1)) % 2 == 0
    assert (data.evaluation.labels == 0).sum() == dark.sum() > 1


@pytest.mark.parametrize("name", ["someone:else", "../there", "a/b/c", "gs://there", "A", "x:1", "huggingface:a/b"])
def test_tfds_names_that_may_refer_to_other_code_are_rejected(name, tmp_path):
    assert "is not a valid name" in load_error(UsageError, tmp_path, f"tfds:{name}", "where")


def test_missing_tfds_is_rejected_with_remedy(tmp_path):
    assert "pip install '.[tfds]'" in load_error(UsageError, tmp_path, "tfds:mnist", "where")
