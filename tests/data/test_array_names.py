"""The names of the arrays in .npz files."""

import numpy as np
import pytest
from custom_data import load, load_error

from trainer.data.custom import array_names
from trainer.errors import DataError

RANDOM = np.random.default_rng(0)
TRAIN, TEST, VAL = (RANDOM.integers(0, 256, (count, 4, 5), np.uint8) for count in (9, 4, 3))
LABELS, TEST_LABELS, VAL_LABELS = (np.arange(count) % 2 for count in (9, 4, 3))
FULL = {"eval_fraction": 0.0}


def loaded(tmp_path, arrays, **options):
    """Loads arrays; returns the data set, and the notes on names."""
    np.savez(tmp_path / "a.npz", **arrays)
    data = load(tmp_path, "array", tmp_path / "a.npz", **options)
    return data, [note for note in data.notes if "examples:" in note or "not used" in note]


def labels(split, data):
    return [data.label_names[label] for label in split.labels]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (
            ("train_images", "train_labels", "test_images", "test_labels"),
            "training examples: train_images (labels: train_labels);"
            " evaluation examples: test_images (labels: test_labels)",
        ),
        (
            ("X_train", "Y_train", "X_test", "y_TEST"),
            "training examples: X_train (labels: Y_train); evaluation examples: X_test (labels: y_TEST)",
        ),
        (
            ("trainX", "trainY", "test-x", "test.y"),
            "training examples: trainX (labels: trainY); evaluation examples: test-x (labels: test.y)",
        ),
        (
            ("train_data", "train_targets", "test_data", "test_targets"),
            "training examples: train_data (labels: train_targets);"
            " evaluation examples: test_data (labels: test_targets)",
        ),
        (
            ("images", "labels", "val_images", "val_labels"),
            "training examples: images (labels: labels); evaluation examples: val_images (labels: val_labels)",
        ),
        (
            ("x", "y", "x_test", "y_test"),
            "training examples: x (labels: y); evaluation examples: x_test (labels: y_test)",
        ),
    ],
)
def test_usual_names_are_examples_and_labels_in_any_case(names, shown, tmp_path):
    arrays = (TRAIN, LABELS[:, np.newaxis], TEST, TEST_LABELS)
    data, notes = loaded(tmp_path, dict(zip(names, arrays, strict=True)))
    np.testing.assert_array_equal(data.train.examples[..., 0], TRAIN)
    np.testing.assert_array_equal(data.evaluation.examples[..., 0], TEST)
    assert labels(data.train, data) == [str(label) for label in LABELS]
    assert labels(data.evaluation, data) == [str(label) for label in TEST_LABELS]
    assert notes == [shown]


def test_validation_examples_of_medmnist_are_used_only_without_test_examples(tmp_path):
    arrays = {"train_images": TRAIN, "train_labels": LABELS, "val_images": VAL, "val_labels": VAL_LABELS}
    data, notes = loaded(tmp_path, {**arrays, "test_images": TEST, "test_labels": TEST_LABELS})
    np.testing.assert_array_equal(data.evaluation.examples[..., 0], TEST)
    assert notes[1:] == ["skipped arrays that are not used: val_images, val_labels"]
    data, notes = loaded(tmp_path, arrays)
    np.testing.assert_array_equal(data.evaluation.examples[..., 0], VAL)
    assert len(notes) == 1


def test_arrays_without_names_are_examples_and_labels(tmp_path):
    data, notes = loaded(tmp_path, {"arr_0": TRAIN, "arr_1": LABELS}, **FULL)
    assert labels(data.train, data) == [str(label) for label in LABELS]
    assert notes == ["training examples: arr_0 (labels: arr_1)"]
    data, notes = loaded(tmp_path, {"arr_0": TRAIN, "arr_1": np.arange(7)}, **FULL)
    assert (data.label_names, notes[1:]) == (("all",), ["skipped arrays that are not used: arr_1"])
    assert "has no array x_train or data" in refused(tmp_path, {"arr_0": LABELS, "arr_1": TRAIN})


def refused(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return load_error(DataError, tmp_path, "array", tmp_path / "a.npz")


@pytest.mark.parametrize(
    "names",
    [("images", "x"), ("train_images", "images"), ("X_train", "X_TRAIN"), ("arr_0", "arr_1"), ("arr_0", "arr_2")],
)
def test_two_arrays_that_may_be_the_examples_are_refused_with_their_names(names, tmp_path):
    message = refused(tmp_path, dict.fromkeys(names, TRAIN))
    assert f"several arrays that may be the same examples or labels\n{', '.join(names)}\n" in message


def test_two_arrays_that_may_be_the_evaluation_examples_or_labels_are_refused(tmp_path):
    assert "X_test, X_TEST" in refused(tmp_path, {"X_train": TRAIN, "X_test": TEST, "X_TEST": TEST})
    assert "Labels, LABELS" in refused(tmp_path, {"images": TRAIN, "Labels": LABELS, "LABELS": LABELS})


@pytest.mark.parametrize(
    "arrays",
    [
        {"x_train": TRAIN, "X_train": VAL, "X_test": TEST, "train_images": VAL},
        {"data": TRAIN, "test_data": TEST, "images": VAL, "X": VAL},
    ],
)
def test_names_of_version_0_1_are_preferred_and_read_as_then(arrays, tmp_path):
    data, notes = loaded(tmp_path, arrays, **FULL)
    np.testing.assert_array_equal(data.train.examples[..., 0], TRAIN)
    assert data.evaluation is data.train
    assert notes == [f"skipped arrays that are not used: {', '.join([*arrays][1:])}"]


@pytest.mark.parametrize(
    "targets",
    [np.eye(9), np.linspace(0, 1, 9), np.zeros((9, 14), int), TRAIN],
    ids=["one-hot", "floats", "many", "images"],
)
def test_arrays_that_are_no_labels_are_skipped_under_new_names(targets, tmp_path):
    data, notes = loaded(tmp_path, {"images": TRAIN, "labels": targets}, **FULL)
    assert data.label_names == ("all",)
    assert notes == ["training examples: images", "skipped arrays that are not used: labels"]


def test_the_remedy_for_labels_in_columns_is_right_for_one_hot_labels_only(tmp_path):
    assert "argmax" in refused(tmp_path, {"x_train": TRAIN, "y_train": np.eye(9)})
    many = np.ones((9, 3))
    assert "remedy: correct or remove the labels" in refused(tmp_path, {"x_train": TRAIN, "y_train": many})


def test_every_known_name_has_one_meaning():
    names = [array_names._plain(name) for name in (*array_names.TRAINING, *array_names.EVALUATION)]
    assert len(set(names)) == len(names)
