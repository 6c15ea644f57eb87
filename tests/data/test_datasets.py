import gzip
import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from formats import (
    binary_batch,
    cifar_archive,
    cifar_folder,
    cifar_rows,
    idx,
    idx_folder,
    mnist_arrays,
    python2_batch,
)

from trainer.data import datasets
from trainer.data.builtin import cifar, mnist, safe_pickle
from trainer.data.builtin.archives import Archive
from trainer.data.dataset import Dataset, Split
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError

COUNT = 20  # images in a batch; the real batches have 10,000


@pytest.fixture
def small(monkeypatch):
    """Reduces the number of examples in the files."""
    monkeypatch.setattr(cifar, "ROWS_PER_BATCH", COUNT)
    monkeypatch.setattr(mnist, "NUM_TRAIN", 30)
    monkeypatch.setattr(mnist, "NUM_EVALUATION", 10)


def publish(monkeypatch, module, name, path):
    """Makes a file the published archive."""
    content = path.read_bytes()
    monkeypatch.setattr(module, name, Archive(path.name, hashlib.sha256(content).hexdigest(), len(content)))


def load(name, folder, classes=()):
    return datasets.load(name, Sources(DataOptions(data_dir=str(folder), classes=tuple(classes))))


PYTHON = (cifar.PYTHON_BATCHES, python2_batch, COUNT)
BINARY = (cifar.BINARY_BATCHES, binary_batch, COUNT)


def test_digits_and_iris_equal_the_data_of_scikit_learn():
    from sklearn import datasets as sklearn_datasets

    for name, bunch in (("digits", sklearn_datasets.load_digits()), ("iris", sklearn_datasets.load_iris())):
        data = load(name, ".")
        if name == "digits":
            examples = np.concatenate([data.train.examples, data.evaluation.examples])
            labels = np.concatenate([data.train.labels, data.evaluation.labels])
            assert len(data.evaluation.examples) == 297
        else:
            examples, labels = data.train.examples, data.train.labels
            assert data.evaluation is data.train
        np.testing.assert_array_equal(examples.reshape(len(examples), -1), bunch.data.astype(examples.dtype))
        np.testing.assert_array_equal(labels, bunch.target)


@pytest.mark.parametrize(
    ("location", "batches"),
    [
        ("cifar-10-batches-bin", BINARY),
        ("cifar-10-batches-py", PYTHON),
        ("cifar-10-batches-py-target/cifar-10-batches-py", PYTHON),
        (".", BINARY),
        (".", PYTHON),
    ],
)
def test_cifar_is_read_from_unpacked_batches(location, batches, small, tmp_path):
    cifar_folder(tmp_path / "data" / location if location != "." else tmp_path / "data", *batches)
    data = load("cifar10", tmp_path / "data")
    assert data.train.examples.shape == (5 * COUNT, 32, 32, 3)
    rows, labels = cifar_rows(seed=1, count=COUNT)  # the second batch
    np.testing.assert_array_equal(data.train.labels[COUNT : 2 * COUNT], labels)
    red, green, blue = rows[3].reshape(3, 32, 32)
    np.testing.assert_array_equal(data.train.examples[COUNT + 3], np.stack([red, green, blue], axis=-1))
    np.testing.assert_array_equal(data.evaluation.labels, cifar_rows(seed=5, count=COUNT)[1])


@pytest.mark.parametrize(
    ("file", "published", "inner", "batches"),
    [
        ("cifar-10-binary.tar.gz", "BINARY", "cifar-10-batches-bin", BINARY),
        ("cifar-10-python.tar.gz", "PYTHON", "cifar-10-batches-py", PYTHON),
        ("cifar-10-batches-py-target_archive", "PYTHON", "cifar-10-batches-py", PYTHON),
    ],
)
def test_cifar_is_read_from_an_archive_without_unpacking_it(
    file, published, inner, batches, small, tmp_path, monkeypatch
):
    cifar_archive(tmp_path / file, inner, *batches)
    publish(monkeypatch, cifar, published, tmp_path / file)
    data = load("cifar10", tmp_path)
    np.testing.assert_array_equal(data.evaluation.labels, cifar_rows(seed=5, count=COUNT)[1])
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_python_and_binary_batches_give_the_same_data(small, tmp_path):
    cifar_folder(tmp_path / "a" / "cifar-10-batches-py", *PYTHON)
    cifar_folder(tmp_path / "b" / "cifar-10-batches-bin", *BINARY)
    assert load("cifar_horse", tmp_path / "a").fingerprint == load("cifar_horse", tmp_path / "b").fingerprint


def test_cifar_horse_has_only_gray_horses(small, tmp_path):
    cifar_folder(tmp_path / "cifar-10-batches-bin", *BINARY)
    data = load("cifar_horse", tmp_path)
    assert data.train.examples.shape == (5 * COUNT // 10, 32, 32, 1)
    rows, labels = cifar_rows(seed=0, count=COUNT)
    mean = rows[labels == 7][0].reshape(3, 32, 32).mean(axis=0)
    np.testing.assert_array_equal(data.train.examples[0, ..., 0], np.rint(mean))


def test_gray_is_rounded_to_the_nearest_integer():
    images = np.uint8([[0, 0, 1], [0, 1, 1], [255, 255, 255], [1, 2, 3]]).reshape(1, 2, 2, 3)
    assert cifar.gray_images(images).ravel().tolist() == [0, 1, 255, 2]


def damage(path, kind):
    content = bytearray(path.read_bytes())
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "longer":
        path.write_bytes(content + b"x")
    elif kind == "a web page":
        path.write_bytes(b"<html>Please log in</html>")
    elif kind == "missing":
        path.unlink()


@pytest.mark.parametrize("kind", ["truncated", "empty", "longer", "a web page", "missing"])
@pytest.mark.parametrize(("location", "batches"), [("cifar-10-batches-bin", BINARY), ("cifar-10-batches-py", PYTHON)])
def test_damaged_batch_is_named(location, batches, kind, small, tmp_path):
    cifar_folder(tmp_path / location, *batches)
    damaged = tmp_path / location / batches[0][2]
    damage(damaged, kind)
    if kind == "longer" and batches is PYTHON:
        load("cifar10", tmp_path)  # Bytes after the end of a pickle are not read.
        return
    with pytest.raises(DataError) as error:
        load("cifar10", tmp_path)
    assert str(damaged) in str(error.value)


@pytest.mark.parametrize("kind", ["truncated", "empty", "a web page"])
def test_archive_with_another_hash_is_rejected(kind, small, tmp_path, monkeypatch):
    path = tmp_path / "cifar-10-binary.tar.gz"
    cifar_archive(path, "cifar-10-batches-bin", *BINARY)
    publish(monkeypatch, cifar, "BINARY", path)
    damage(path, kind)
    with pytest.raises(DataError, match="SHA-256") as error:
        load("cifar10", tmp_path)
    assert cifar.BINARY.sha256 in str(error.value)


def test_truncated_archive_with_the_right_hash_is_rejected(small, tmp_path, monkeypatch):
    path = tmp_path / "cifar-10-binary.tar.gz"
    cifar_archive(path, "cifar-10-batches-bin", *BINARY)
    damage(path, "truncated")
    publish(monkeypatch, cifar, "BINARY", path)
    with pytest.raises(DataError, match=r"damaged|lacks"):
        load("cifar10", tmp_path)


def test_other_members_of_an_archive_are_ignored(small, tmp_path, monkeypatch):
    outside, link = tarfile.TarInfo("../../outside"), tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    outside.size = 4
    path = tmp_path / "in" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    cifar_archive(path, "cifar-10-batches-bin", *BINARY, extra=[(outside, b"evil"), (link, b"")])
    publish(monkeypatch, cifar, "BINARY", path)
    assert len(load("cifar10", path.parent).train.examples) == 5 * COUNT
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["cifar-10-binary.tar.gz", "in"]


def test_batches_with_wrong_shapes_types_or_labels_are_rejected(small, tmp_path):
    rows, labels = cifar_rows(0, COUNT)
    wrong = {
        "rows": python2_batch(rows[:-1], labels),
        "columns": python2_batch(rows[:, :-1], labels),
        "labels": python2_batch(rows, labels[:-1]),
        "a label": python2_batch(rows, [*labels[:-1], 10]),
        "a list": pickle.dumps([1, 2]),
        "no data": pickle.dumps({b"labels": list(range(COUNT))}),
        "floats": pickle.dumps({b"data": rows.astype(np.float32), b"labels": labels.tolist()}),
        "words": pickle.dumps({b"data": rows, b"labels": ["a"] * COUNT}),
    }
    for name, content in wrong.items():
        with pytest.raises(DataError):
            cifar.read_python(content, name)
    cifar.read_python(python2_batch(rows, labels), "a valid batch")
    with pytest.raises(DataError, match="label 10"):
        cifar.read_binary(binary_batch(rows, [*labels[:-1], 10]), "a label")


def test_arrays_pickled_by_the_installed_numpy_are_read():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for protocol in (3, 4):
        np.testing.assert_array_equal(safe_pickle.load(pickle.dumps({"data": array}, protocol))["data"], array)


class Call:
    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    "malicious",
    [
        Call(os.system, "touch executed"),
        Call(eval, "open('executed', 'w')"),
        Call(np.fromfile, "/etc/passwd"),
        Call(np.ndarray, (10**12,)),
        Call(np.memmap, "executed", "uint8", "w+", 0, (5,)),
        {b"data": Call(exec, "open('executed', 'w')"), b"labels": []},
    ],
    ids=["system", "eval", "fromfile", "huge", "memmap", "nested"],
)
def test_malicious_pickle_runs_no_code(malicious, tmp_path):
    with pytest.raises(DataError, match="damaged"):
        cifar.read_python(pickle.dumps(malicious, protocol=2), "malicious")
    assert list(tmp_path.iterdir()) == []


def test_pickle_with_a_large_memo_index_allocates_no_memory():
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(DataError):
        cifar.read_python(b"\x80\x04Nr\x00\x00\x00\x08.", "a bomb")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("location", [".", "MNIST/raw"])
def test_mnist_is_read_from_idx_files(packed, location, small, tmp_path):
    arrays = mnist_arrays(30, 10)
    idx_folder(tmp_path / location, mnist.IDX_FILES, arrays, packed)
    data = load("mnist", tmp_path)
    np.testing.assert_array_equal(data.train.examples[..., 0], arrays[0])
    np.testing.assert_array_equal(data.evaluation.labels, arrays[3])


def test_mnist_is_read_from_the_cache_of_keras(small, monkeypatch, tmp_path):
    arrays = mnist_arrays(30, 10)
    path = tmp_path / "keras_home" / "datasets" / "mnist.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, x_train=arrays[0], y_train=arrays[1], x_test=arrays[2], y_test=arrays[3])
    publish(monkeypatch, mnist, "MNIST_NPZ", path)
    data = datasets.load("mnist", Sources())
    np.testing.assert_array_equal(data.evaluation.examples[..., 0], arrays[2])


def test_npz_with_pickled_objects_is_rejected(small, monkeypatch, tmp_path):
    arrays = mnist_arrays(30, 10)
    malicious = np.array([Call(os.system, "touch executed")] * 30, dtype=object)
    np.savez(tmp_path / "mnist.npz", x_train=malicious, y_train=arrays[1], x_test=arrays[2], y_test=arrays[3])
    publish(monkeypatch, mnist, "MNIST_NPZ", tmp_path / "mnist.npz")
    with pytest.raises(DataError):
        load("mnist", tmp_path)
    assert not (tmp_path / "executed").exists()


def test_fashion_mnist_is_read_from_the_folder_of_torchvision(small, tmp_path):
    idx_folder(tmp_path / "FashionMNIST" / "raw", mnist.IDX_FILES, mnist_arrays(30, 10), packed=False)
    assert load("fashion_mnist", tmp_path).label_names[9] == "Ankle boot"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        idx(np.zeros((3, 28, 28), np.uint8))[:-1],
        idx(np.zeros((3, 28, 28), np.uint8)) + b"x",
        idx(np.zeros((2, 28, 28), np.uint8)),
        idx(np.zeros((3, 28), np.uint8)),
        b"\x00\x00\x0d\x03" + idx(np.zeros((3, 28, 28), np.uint8))[4:],
    ],
    ids=["empty", "truncated", "longer", "fewer", "flat", "floats"],
)
@pytest.mark.parametrize("packed", [True, False])
def test_damaged_idx_file_is_rejected(content, packed, tmp_path):
    path = tmp_path / ("images.gz" if packed else "images")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match="damaged"):
        mnist.read_idx(path, (3, 28, 28))


def test_gzip_bomb_is_not_unpacked(tmp_path):
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    (tmp_path / "images.gz").write_bytes(idx(np.zeros((3, 28, 28), np.uint8))[:0] + bomb.getvalue())
    with pytest.raises(DataError, match="magic"):
        mnist.read_idx(tmp_path / "images.gz", (3, 28, 28))


@pytest.mark.parametrize("classes", [("1", "5", "6"), ("6", "1", "5", "1")])
def test_classes_are_kept_by_label(classes):
    data = load("digits", ".", classes)
    assert set(data.train.labels) == set(data.evaluation.labels) == {1, 5, 6}
    all_classes = load("digits", ".")
    is_kept = np.isin(all_classes.train.labels, [1, 5, 6])
    np.testing.assert_array_equal(data.train.examples, all_classes.train.examples[is_kept])


def test_classes_are_kept_by_name():
    assert set(load("iris", ".", ["virginica"]).train.labels) == {2}


@pytest.mark.parametrize(("name", "classes"), [("digits", ["11"]), ("iris", ["rose"])])
def test_unknown_class_is_rejected_with_a_list_of_classes(name, classes):
    with pytest.raises(UsageError, match="known: 0"):
        load(name, ".", classes)


def test_unknown_data_set_is_rejected_with_a_list_of_names():
    with pytest.raises(UsageError, match="cifar_horse"):
        load("cifar", ".")


def test_missing_folder_is_rejected(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load("mnist", tmp_path / "absent")


def test_archive_instead_of_its_folder_is_rejected_with_remedy(tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_text("x")
    with pytest.raises(DataError, match="give its folder"):
        load("cifar10", tmp_path / "cifar-10-binary.tar.gz")


def test_unreadable_file_is_rejected(small, tmp_path):
    cifar_folder(tmp_path / "cifar-10-batches-bin", *BINARY)
    first = tmp_path / "cifar-10-batches-bin" / cifar.BINARY_BATCHES[0]
    first.unlink()
    first.symlink_to(first)
    with pytest.raises(DataError):
        load("cifar10", tmp_path)


def test_error_names_row_and_column_of_a_non_finite_number():
    rows = np.ones((4, 3), np.float32)
    rows[2, 1] = np.nan
    split = Split(rows, np.zeros(4, np.int64))
    with pytest.raises(DataError, match="row 2, column 1"):
        Dataset(name="t", train=split, evaluation=split, label_names=("a",), scale=1.0, source="here")


def test_fingerprint_changes_with_a_single_pixel():
    data = load("digits", ".")
    changed = data.train.examples.copy()
    changed[7, 1, 2, 0] ^= 1
    assert data.with_splits(Split(changed, data.train.labels), data.evaluation).fingerprint != data.fingerprint


def test_any_exception_of_a_damaged_archive_becomes_a_data_error(tmp_path, monkeypatch):
    def damaged(*arguments):
        raise TypeError("ord() expected a character")

    monkeypatch.setattr(cifar.tarfile, "open", damaged)
    monkeypatch.setattr(cifar, "verify", lambda path, archive: None)
    with pytest.raises(DataError, match="is damaged\nord"):
        cifar.read_archive(tmp_path / "a.tar.gz", cifar.PYTHON, ["data_batch_1"], cifar.read_python)


def test_pickle_that_declares_missing_bytes_allocates_no_memory():
    content = b"\x96" + (1 << 33).to_bytes(8, "little") + b"x."
    with pytest.raises(safe_pickle.RejectedPickle, match="KeyError"):
        safe_pickle.load(content)


def test_examples_are_aligned_for_tensorflow():
    data = datasets.load("digits", Sources(DataOptions(classes=("1", "7"))))
    for split in (data.train, data.evaluation):
        assert split.examples.ctypes.data % 64 == 0
        assert split.aligned() is split
    moved = Split(data.train.examples.reshape(-1)[1:65].reshape(1, 8, 8, 1), data.train.labels[:1])
    assert moved.examples.ctypes.data % 64
    np.testing.assert_array_equal(moved.aligned().examples, moved.examples)
