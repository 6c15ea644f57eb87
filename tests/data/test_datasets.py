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

COUNT = 20  # pictures a batch, where a real one has 10,000


@pytest.fixture
def small(monkeypatch):
    """The real formats, with fewer examples."""
    monkeypatch.setattr(cifar, "ROWS_A_BATCH", COUNT)
    monkeypatch.setattr(mnist, "NUM_TRAIN", 30)
    monkeypatch.setattr(mnist, "NUM_EVALUATION", 10)


def publish(monkeypatch, module, name, path):
    """Makes a file the published one."""
    content = path.read_bytes()
    monkeypatch.setattr(module, name, Archive(path.name, hashlib.sha256(content).hexdigest(), len(content)))


def load(name, folder, classes=()):
    return datasets.load(name, Sources(DataOptions(data_dir=str(folder), classes=tuple(classes))))


PYTHON = (cifar.PYTHON_BATCHES, python2_batch, COUNT)
BINARY = (cifar.BINARY_BATCHES, binary_batch, COUNT)


def test_scikit_learns_files_are_read_as_scikit_learn_reads_them():
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
    ("place", "batches"),
    [
        ("cifar-10-batches-bin", BINARY),
        ("cifar-10-batches-py", PYTHON),
        ("cifar-10-batches-py-target/cifar-10-batches-py", PYTHON),
        (".", BINARY),
        (".", PYTHON),
    ],
)
def test_cifar_is_found_unpacked_where_people_and_libraries_leave_it(place, batches, small, tmp_path):
    cifar_folder(tmp_path / "data" / place if place != "." else tmp_path / "data", *batches)
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


def test_horses_are_grey_and_only_horses(small, tmp_path):
    cifar_folder(tmp_path / "cifar-10-batches-bin", *BINARY)
    data = load("cifar_horse", tmp_path)
    assert data.train.examples.shape == (5 * COUNT // 10, 32, 32, 1)
    rows, labels = cifar_rows(seed=0, count=COUNT)
    mean = rows[labels == 7][0].reshape(3, 32, 32).mean(axis=0)
    np.testing.assert_array_equal(data.train.examples[0, ..., 0], np.rint(mean))


def test_grey_rounds_to_the_nearest():
    pictures = np.uint8([[0, 0, 1], [0, 1, 1], [255, 255, 255], [1, 2, 3]]).reshape(1, 2, 2, 3)
    assert cifar.gray_images(pictures).ravel().tolist() == [0, 1, 255, 2]


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "longer":
        path.write_bytes(content + b"x")
    elif how == "a page":
        path.write_bytes(b"<html>Please log in</html>")
    elif how == "missing":
        path.unlink()


@pytest.mark.parametrize("how", ["cut short", "empty", "longer", "a page", "missing"])
@pytest.mark.parametrize(("place", "batches"), [("cifar-10-batches-bin", BINARY), ("cifar-10-batches-py", PYTHON)])
def test_a_damaged_batch_is_named(place, batches, how, small, tmp_path):
    cifar_folder(tmp_path / place, *batches)
    damaged = tmp_path / place / batches[0][2]
    damage(damaged, how)
    if how == "longer" and batches is PYTHON:
        load("cifar10", tmp_path)  # What stands after a pickle's end is not read.
        return
    with pytest.raises(DataError) as error:
        load("cifar10", tmp_path)
    assert str(damaged) in str(error.value)


@pytest.mark.parametrize("how", ["cut short", "empty", "a page"])
def test_an_archive_that_is_not_the_published_one_is_refused_by_its_hash(how, small, tmp_path, monkeypatch):
    path = tmp_path / "cifar-10-binary.tar.gz"
    cifar_archive(path, "cifar-10-batches-bin", *BINARY)
    publish(monkeypatch, cifar, "BINARY", path)
    damage(path, how)
    with pytest.raises(DataError, match="SHA-256") as error:
        load("cifar10", tmp_path)
    assert cifar.BINARY.sha256 in str(error.value)


def test_a_truncated_archive_whose_hash_is_right_is_still_refused(small, tmp_path, monkeypatch):
    path = tmp_path / "cifar-10-binary.tar.gz"
    cifar_archive(path, "cifar-10-batches-bin", *BINARY)
    damage(path, "cut short")
    publish(monkeypatch, cifar, "BINARY", path)
    with pytest.raises(DataError, match=r"damaged|lacks"):
        load("cifar10", tmp_path)


def test_members_that_are_no_batches_are_ignored_and_nothing_is_written(small, tmp_path, monkeypatch):
    outside, link = tarfile.TarInfo("../../outside"), tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    outside.size = 4
    path = tmp_path / "in" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    cifar_archive(path, "cifar-10-batches-bin", *BINARY, extra=[(outside, b"evil"), (link, b"")])
    publish(monkeypatch, cifar, "BINARY", path)
    assert len(load("cifar10", path.parent).train.examples) == 5 * COUNT
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["cifar-10-binary.tar.gz", "in"]


def test_wrong_shapes_types_and_labels_in_a_batch_are_refused(small, tmp_path):
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
    for what, content in wrong.items():
        with pytest.raises(DataError):
            cifar.read_python(content, what)
    cifar.read_python(python2_batch(rows, labels), "a sound one")
    with pytest.raises(DataError, match="label 10"):
        cifar.read_binary(binary_batch(rows, [*labels[:-1], 10]), "a label")


def test_arrays_that_numpy_pickles_today_are_read_too():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for protocol in (3, 4):
        np.testing.assert_array_equal(safe_pickle.load(pickle.dumps({"data": array}, protocol))["data"], array)


class Call:
    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    "evil",
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
def test_a_malicious_pickle_runs_nothing(evil, tmp_path):
    with pytest.raises(DataError, match="damaged"):
        cifar.read_python(pickle.dumps(evil, protocol=2), "evil")
    assert list(tmp_path.iterdir()) == []


def test_eight_bytes_do_not_take_gigabytes():
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(DataError):
        cifar.read_python(b"\x80\x04Nr\x00\x00\x00\x08.", "a bomb")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", [".", "MNIST/raw"])
def test_mnist_is_read_from_idx_files(packed, place, small, tmp_path):
    arrays = mnist_arrays(30, 10)
    idx_folder(tmp_path / place, mnist.IDX_FILES, arrays, packed)
    data = load("mnist", tmp_path)
    np.testing.assert_array_equal(data.train.examples[..., 0], arrays[0])
    np.testing.assert_array_equal(data.evaluation.labels, arrays[3])


def test_mnist_is_read_from_the_npz_of_keras_in_its_cache(small, monkeypatch, tmp_path):
    arrays = mnist_arrays(30, 10)
    path = tmp_path / "keras_home" / "datasets" / "mnist.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, x_train=arrays[0], y_train=arrays[1], x_test=arrays[2], y_test=arrays[3])
    publish(monkeypatch, mnist, "MNIST_NPZ", path)
    data = datasets.load("mnist", Sources())
    np.testing.assert_array_equal(data.evaluation.examples[..., 0], arrays[2])


def test_an_npz_with_pickled_objects_is_refused(small, monkeypatch, tmp_path):
    arrays = mnist_arrays(30, 10)
    evil = np.array([Call(os.system, "touch executed")] * 30, dtype=object)
    np.savez(tmp_path / "mnist.npz", x_train=evil, y_train=arrays[1], x_test=arrays[2], y_test=arrays[3])
    publish(monkeypatch, mnist, "MNIST_NPZ", tmp_path / "mnist.npz")
    with pytest.raises(DataError):
        load("mnist", tmp_path)
    assert not (tmp_path / "executed").exists()


def test_fashion_mnist_is_read_from_where_torchvision_leaves_it(small, tmp_path):
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
    ids=["empty", "cut short", "longer", "fewer", "flat", "floats"],
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_damaged_idx_file_is_refused(content, packed, tmp_path):
    path = tmp_path / ("images.gz" if packed else "images")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match="damaged"):
        mnist.read_idx(path, (3, 28, 28))


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
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
    everything = load("digits", ".")
    kept = np.isin(everything.train.labels, [1, 5, 6])
    np.testing.assert_array_equal(data.train.examples, everything.train.examples[kept])


def test_classes_are_kept_by_name_too():
    assert set(load("iris", ".", ["virginica"]).train.labels) == {2}


@pytest.mark.parametrize(("name", "classes"), [("digits", ["11"]), ("iris", ["rose"])])
def test_a_class_that_does_not_exist_is_a_usage_error_that_lists_the_classes(name, classes):
    with pytest.raises(UsageError, match="known: 0"):
        load(name, ".", classes)


def test_an_unknown_data_set_lists_the_known_ones():
    with pytest.raises(UsageError, match="cifar_horse"):
        load("cifar", ".")


def test_a_folder_that_does_not_exist_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load("mnist", tmp_path / "absent")


def test_an_archive_in_place_of_its_folder_is_a_data_error(tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_text("x")
    with pytest.raises(DataError, match="give its folder"):
        load("cifar10", tmp_path / "cifar-10-binary.tar.gz")


def test_a_file_that_cannot_be_read_is_a_data_error(small, tmp_path):
    cifar_folder(tmp_path / "cifar-10-batches-bin", *BINARY)
    first = tmp_path / "cifar-10-batches-bin" / cifar.BINARY_BATCHES[0]
    first.unlink()
    first.symlink_to(first)
    with pytest.raises(DataError):
        load("cifar10", tmp_path)


def test_a_number_that_is_not_finite_is_named_by_row_and_column():
    rows = np.ones((4, 3), np.float32)
    rows[2, 1] = np.nan
    split = Split(rows, np.zeros(4, np.int64))
    with pytest.raises(DataError, match="row 2, column 1"):
        Dataset(name="t", train=split, evaluation=split, label_names=("a",), scale=1.0, source="here")


def test_the_fingerprint_changes_with_a_single_pixel():
    data = load("digits", ".")
    changed = data.train.examples.copy()
    changed[7, 1, 2, 0] ^= 1
    assert data.with_splits(Split(changed, data.train.labels), data.evaluation).fingerprint != data.fingerprint


def test_a_damaged_archive_may_raise_anything(tmp_path, monkeypatch):
    def damaged(*arguments):
        raise TypeError("ord() expected a character")

    monkeypatch.setattr(cifar.tarfile, "open", damaged)
    monkeypatch.setattr(cifar, "verify", lambda path, archive: None)
    with pytest.raises(DataError, match="is damaged\nord"):
        cifar.read_archive(tmp_path / "a.tar.gz", cifar.PYTHON, ["data_batch_1"], cifar.read_python)


def test_a_pickle_is_given_no_room_for_bytes_that_are_not_there():
    content = b"\x96" + (1 << 33).to_bytes(8, "little") + b"x."
    with pytest.raises(safe_pickle.RejectedPickle, match="KeyError"):
        safe_pickle.load(content)


def test_examples_lie_where_tensorflow_can_use_them_without_a_copy():
    data = datasets.load("digits", Sources(DataOptions(classes=("1", "7"))))
    for split in (data.train, data.evaluation):
        assert split.examples.ctypes.data % 64 == 0
        assert split.aligned() is split
    moved = Split(data.train.examples.reshape(-1)[1:65].reshape(1, 8, 8, 1), data.train.labels[:1])
    assert moved.examples.ctypes.data % 64
    np.testing.assert_array_equal(moved.aligned().examples, moved.examples)
