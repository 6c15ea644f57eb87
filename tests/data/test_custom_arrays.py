"""Custom arrays: .npy and .npz files."""

import io
import pathlib
import zipfile

import numpy as np
import pytest
from custom_data import PIXELS, load, load_error
from hostile import crafted

from trainer.data import describe, splits
from trainer.data.limits import Limits
from trainer.errors import DataError, UsageError

SMALL = Limits(in_memory_bytes=100, chunk_bytes=999)


@pytest.mark.parametrize(
    ("array", "shape", "scale"),
    [
        (np.arange(960, dtype=np.uint8).reshape(20, 8, 6), (8, 6, 1), 255),
        (np.arange(960, dtype=np.uint8).reshape(20, 4, 4, 3), (4, 4, 3), 255),
        (np.linspace(0, 1, 960).reshape(20, 4, 4, 3), (4, 4, 3), 1),
        (np.linspace(-9, 9, 960).reshape(20, 48), (48,), 1),
        (np.arange(960).reshape(20, 48), (48,), 1),
        (np.asfortranarray(np.arange(960).reshape(20, 48)), (48,), 1),
    ],
    ids=["gray", "color", "floats", "rows", "integers", "Fortran order"],
)
def test_array_is_split_by_row_numbers(array, shape, scale, tmp_path):
    np.save(tmp_path / "a.npy", array)
    data = load(tmp_path, "array", tmp_path / "a.npy", eval_fraction=0.3)
    evaluates = splits.by_index(20, 0.3)
    assert (data.shape, data.scale) == (shape, scale)
    for split, rows in ((data.train, ~evaluates), (data.evaluation, evaluates)):
        np.testing.assert_allclose(split.examples.reshape(len(split.examples), -1), array[rows].reshape(rows.sum(), -1))


def test_npz_with_the_keys_of_keras_has_its_own_split_and_labels(tmp_path):
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.integers(0, 256, (6, 4, 4), np.uint8),
        "y_train": np.array([[2], [10], [2], [2], [10], [2]]),
    }
    arrays |= {"x_test": random.integers(0, 256, (2, 4, 4), np.uint8), "y_test": np.array([10, 3])}
    np.savez(tmp_path / "a.npz", **arrays)
    data = load(tmp_path, "array", tmp_path / "a.npz")
    np.testing.assert_array_equal(data.train.examples[..., 0], arrays["x_train"])
    assert data.label_names == ("2", "3", "10")
    assert data.train.labels.tolist() == [0, 2, 0, 0, 2, 0]
    assert data.evaluation.labels.tolist() == [2, 1]
    np.savez_compressed(tmp_path / "b.npz", data=arrays["x_train"])
    assert len(load(tmp_path, "array", tmp_path / "b.npz", eval_fraction=0.0).train.examples) == 6
    np.savez_compressed(tmp_path / "c.npz", anything=arrays["x_train"])
    assert len(load(tmp_path, "array", tmp_path / "c.npz", eval_fraction=0.0).train.examples) == 6


LARGE = {
    "gray": ("npy", {"data": PIXELS}),
    "rows": ("npy", {"data": np.linspace(0, 1, 4_000).reshape(50, 80)}),
    "Fortran order": ("npy", {"data": np.asfortranarray(np.arange(4_000.0).reshape(50, 80))}),
    "compressed": ("npz", {"data": PIXELS}),
    "labeled": ("npz", {"data": PIXELS, "labels": np.arange(50) % 3}),
    "split": ("npz", {"x_train": PIXELS, "x_test": PIXELS[:7], "y_train": np.arange(50) % 3, "y_test": np.arange(7)}),
}


@pytest.mark.parametrize("options", [{}, {"eval_fraction": 0.0}, {"classes": ("2", "1")}], ids=str)
@pytest.mark.parametrize("kind", LARGE)
def test_large_array_is_memory_mapped_with_equal_results(kind, options, tmp_path):
    suffix, arrays = LARGE[kind]
    path = tmp_path / f"a.{suffix}"
    np.save(path, arrays["data"]) if suffix == "npy" else np.savez_compressed(path, **arrays)
    if "classes" in options and len(arrays) == 1:
        assert "have no labels" in load_error(UsageError, tmp_path, "array", path, **options)
        assert "have no labels" in load_error(UsageError, tmp_path, "array", path, limits=SMALL, **options)
        return
    in_memory = load(tmp_path, "array", path, **options)
    cached = load(tmp_path, "array", path, limits=SMALL, **options)
    assert isinstance(cached.train.examples, np.memmap)
    assert cached.fingerprint == in_memory.fingerprint
    assert cached.label_names == in_memory.label_names
    for split in ("train", "evaluation"):
        np.testing.assert_array_equal(getattr(cached, split).examples, getattr(in_memory, split).examples)
        np.testing.assert_array_equal(getattr(cached, split).labels, getattr(in_memory, split).labels)
    assert (cached.evaluation is cached.train) == (in_memory.evaluation is in_memory.train)


def test_arrays_of_different_shapes_or_types_are_rejected(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    for other in (pixels.astype(float), pixels[:, :2]):
        np.savez(tmp_path / "a.npz", x_train=pixels, x_test=other)
        assert "different example shapes or types" in load_error(DataError, tmp_path, "array", tmp_path / "a.npz")


def test_classes_without_training_examples_are_rejected(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=PIXELS, x_test=PIXELS[:1], y_train=np.arange(50) % 2, y_test=[2])
    for limits in (Limits(), SMALL):
        message = load_error(DataError, tmp_path, "array", tmp_path / "a.npz", limits=limits, classes=("2",))
        assert "training examples: 0, evaluation examples: 1" in message


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 4, 2), np.uint8), "uint8 of shape [4, 4, 4, 2]"),
        (np.zeros((4, 4, 4), np.int32), "int32"),
        (np.zeros(4), "of shape [4]"),
        (np.zeros((0, 4)), "of shape [0, 4]"),
        (np.array([[1.0, np.nan], [1.0, 2.0]]), "data[0, 1] is nan"),
        (np.full((3, 2, 2), 1.5), "data[0, 0, 0, 0] is 1.5"),
        (np.array([["a"]]), "<U1"),
        (np.zeros((2, 2), complex), "complex128"),
    ],
)
def test_array_of_another_shape_or_type_is_rejected(array, message, tmp_path):
    np.save(tmp_path / "a.npy", array)
    assert message in load_error(DataError, tmp_path, "array", tmp_path / "a.npy", eval_fraction=0.0)


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_array_of_objects_is_not_unpickled(tmp_path):
    for name, write in (("a.npy", np.save), ("a.npz", np.savez)):
        write(tmp_path / name, np.array([Malicious(tmp_path / "ran")], object), allow_pickle=True)
        assert "objects" in load_error(DataError, tmp_path, "array", tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_size_in_a_header_is_checked_before_allocation(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 10, 10)})
    (tmp_path / "a.npy").write_bytes(header.getvalue() + b"x")
    assert "claims 100,000,000,000,000 bytes" in load_error(DataError, tmp_path, "array", tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("data.npy", header.getvalue() + b"x")
    assert "claims" in load_error(DataError, tmp_path, "array", tmp_path / "a.npz")


def test_decompression_bomb_is_not_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", data=np.zeros((1_000, 1_000), np.uint8))
    message = load_error(DataError, tmp_path, "array", tmp_path / "a.npz", limits=Limits(bomb_bytes=1_000))
    assert "to 1,000,128" in message


def test_archive_with_a_large_directory_is_rejected(tmp_path):
    (tmp_path / "a.npz").write_bytes(crafted.crowd(30))
    assert "has no array x_train" in load_error(DataError, tmp_path, "array", tmp_path / "a.npz")
    message = load_error(DataError, tmp_path, "array", tmp_path / "a.npz", limits=Limits(directory_bytes=30 * 57 - 1))
    assert "its directory has 1,710 bytes" in message


def test_end_record_of_an_archive_is_the_one_that_zipfile_uses(tmp_path):
    content = crafted.zipped({f"{number}.npy": b"" for number in range(30)})
    (tmp_path / "a.npz").write_bytes(content[:-6] + b"PK\5\6" + content[-2:])  # a second signature in the last field
    message = load_error(DataError, tmp_path, "array", tmp_path / "a.npz", limits=Limits(directory_bytes=100))
    assert "its directory has" in message


def test_any_key_and_any_label_text_are_read_and_unused_arrays_are_noted(tmp_path):
    np.savez(tmp_path / "a.npz", x_test=PIXELS)
    assert len(load(tmp_path, "array", tmp_path / "a.npz", eval_fraction=0.0).train.examples) == 50
    labels = np.array(["--5", "-5", "5", "\u00b2", "a  b", "a b"])
    np.savez(tmp_path / "b.npz", x_train=PIXELS[:6], y_train=labels, x_test=PIXELS[6:8], x_val=PIXELS[8:], y_val=labels)
    data = load(tmp_path, "array", tmp_path / "b.npz")
    assert data.label_names == ("-5", "5", "--5", "a b", "all", "\u00b2")
    assert [data.label_names[label] for label in data.train.labels] == ["--5", "-5", "5", "\u00b2", "a b", "a b"]
    assert data.notes == ("skipped arrays that are not used: x_val, y_val",)


def test_damaged_archive_is_rejected(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.write(tmp_path / "a.npy", "data.npy")
    content = (tmp_path / "a.npz").read_bytes()
    middle = content.index(b"data.npy") + 60
    (tmp_path / "a.npz").write_bytes(content[:middle] + b"\xff" * 9 + content[middle + 9 :])
    assert "cannot be read" in load_error(DataError, tmp_path, "array", tmp_path / "a.npz")


def test_almost_black_images_are_noted(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS % 2)
    assert any("almost black" in line for line in describe.summary_lines(load(tmp_path, "array", tmp_path / "a.npy")))


def test_labels_that_are_not_text_are_rejected(tmp_path):
    np.savez(tmp_path / "a.npz", data=PIXELS[:2], labels=np.array(["a", "b" * 2_000]))
    assert "<U2000 of shape [2]" in load_error(DataError, tmp_path, "array", tmp_path / "a.npz")
    labels = np.full(4, 0x110000, np.uint32).view("<U1")
    np.savez(tmp_path / "a.npz", data=PIXELS[:4], labels=labels)
    assert "labels has invalid Unicode characters" in load_error(DataError, tmp_path, "array", tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", data=PIXELS[:4], labels=np.array(list("abca"), ">U1"))
    assert load(tmp_path, "array", tmp_path / "a.npz").label_names == ("a", "b", "c")
