"""Custom folders of images, and the cache of decoded images."""

import io
import multiprocessing
import os
import subprocess

import numpy as np
import pytest
from custom_data import COLORS, PIXELS, colors_by_label, load, load_error, save
from PIL import Image

from trainer.data import datasets, splits
from trainer.data.custom import cache, decode_pool, folder_layout
from trainer.data.dataset import Dataset, Split
from trainer.data.formats import image_files
from trainer.data.limits import Limits
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError
from trainer.system import files


def test_folders_are_labels_and_images_are_resized(folder, tmp_path):
    data = load(tmp_path, "images", folder, image_size=(5, 7))
    assert colors_by_label(data) == COLORS
    assert data.shape == (5, 7, 3)
    assert len(data.train.examples) + len(data.evaluation.examples) == 40
    assert 0 < len(data.evaluation.examples) < 12


def test_gray_is_the_mean_of_red_green_and_blue(folder, tmp_path):
    assert colors_by_label(load(tmp_path, "images", folder, color="grey")) == {"cat": (80,), "dog": (80,)}


def test_only_the_selected_classes_are_decoded(folder, tmp_path):
    (folder / "cat" / "bad.png").write_bytes(b"<html>")
    data = load(tmp_path, "images", folder, classes=("dog",))
    assert colors_by_label(data) == {"dog": COLORS["dog"]}
    assert "known: 0 cat, 1 dog" in load_error(UsageError, tmp_path, "images", folder, classes=("cow",))


def test_train_and_test_folders_are_the_split(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for label, color in COLORS.items():
            for number in range(count):
                save(tmp_path / "p" / split / label / f"{number}.png", color)
    data = load(tmp_path, "images", tmp_path / "p")
    assert (len(data.train.examples), len(data.evaluation.examples)) == (6, 4)
    assert colors_by_label(data) == COLORS


@pytest.mark.parametrize("others", [[], ["preview.png", "extra/1.png"]], ids=["split only", "other images"])
@pytest.mark.parametrize("parents", ["", "dataset/", "a/b/"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "Testing"), ("train", "val")])
def test_split_folders_are_detected_below_common_parents(train, test, parents, others, tmp_path):
    for name in [f"{train}/cat/1.png", f"{train}/dog/1.png", f"{test}/cat/1.png", f"{test}/dog/1.png", *others]:
        save(tmp_path / "p" / parents / name, COLORS["cat" if "cat" in name else "dog"])
    data = load(tmp_path, "images", tmp_path / "p")
    assert (len(data.train.examples), len(data.evaluation.examples)) == (2, 2)
    assert colors_by_label(data) == COLORS
    assert ("skipped 2 images outside these folders" in data.notes) == bool(others)


def load_tree(tmp_path, *names, **options):
    """Loads images at these paths, [0, 1, 2, ...] as colors; returns the data set and, by split, {label: colors}."""
    for number, name in enumerate(names):
        save(tmp_path / "p" / name, (number,) * 3)
    data = load(tmp_path, "images", tmp_path / "p", **options)
    colors = [
        {
            name: sorted(split.examples[split.labels == label][:, 0, 0, 0].tolist())
            for label, name in enumerate(data.label_names)
            if label in split.labels
        }
        for split in (data.train, data.evaluation)
    ]
    return data, *colors


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["zip/dataset/cat/0.png", "zip/dataset/dog/1.png", "__MACOSX/dataset/2.png"], {"cat": [0], "dog": [1]}),
        (["pets/cat/0.png", "pets/dog/a/1.png", "pets/dog/b/2.png"], {"cat": [0], "dog": [1, 2]}),
        (["zip/cat/0.png", "zip/cat/1.png"], {"cat": [0, 1]}),
        (["cat/0.png", "cat/1.png"], {"cat": [0, 1]}),
        (["cat/a/0.png", "dog/b/1.png"], {"cat": [0], "dog": [1]}),
        (["0.png", "cat/1.png", "dog/2.png"], {"all": [0], "cat": [1], "dog": [2]}),
        (["train/car/0.png", "train/bus/1.png"], {"bus": [1], "car": [0]}),
    ],
)
def test_labels_begin_below_the_folders_that_all_images_share(names, labels, tmp_path):
    data, train, evaluation = load_tree(tmp_path, *names, eval_fraction=0.0)
    assert train == evaluation == labels
    assert data.notes == (f"images of 8x6 ({sum(map(len, labels.values()))}) were converted to 32x32, rgb, crop",)


@pytest.mark.parametrize(
    ("names", "training"),
    [
        (["train/0.png", "car/1.png"], "train"),
        (["Training Set/cat/0.png", "unseen/cat/1.png"], "Training Set"),
        (["train/0.png"], None),
        (["train/0.png", "val/1.png"], None),
        (["cat/0.png", "trains/1.png"], None),
    ],
)
def test_a_training_folder_that_is_a_class_is_named_in_a_note(names, training, tmp_path):
    data, train, _ = load_tree(tmp_path, *names, eval_fraction=0.0)
    note = (
        f"not a training split, although named like one: {training}; its name is a class, because no evaluation folder,"
        " such as test or val, is beside it"
    )
    assert [other for other in data.notes if "although" in other] == ([note] if training else [])
    assert training is None or training in train


@pytest.mark.parametrize(
    ("train", "test"),
    [
        *[("train", "validate"), ("train", "tests"), ("training", "evaluate"), ("imagesTr", "imagesTs")],
        *[("trainSplit", "testSplit"), ("horsesTrain", "horsesTest")],
        *[("training_set", "test_set"), ("train_set", "validation-set"), ("Train-Data", "Test Data")],
        *[("train_images", "val_images"), ("TRAIN", "dev"), ("trainset", "testset"), ("trainval", "test")],
        *[("train2017", "val2017"), ("train", "test1"), ("images_train", "images_eval"), ("train_val", "holdout")],
        *[("seg_train", "seg_test"), ("cats_vs_dogs-train", "cats_vs_dogs-test"), ("tst", "trn")[::-1]],
    ],
)
@pytest.mark.parametrize("parents", ["", "zip/"])
@pytest.mark.parametrize("is_doubled", [False, True])
def test_usual_names_of_splits_are_splits_also_below_parents_and_doubled(is_doubled, parents, train, test, tmp_path):
    train, test = (f"{parents}{name}/{name}" if is_doubled else f"{parents}{name}" for name in (train, test))
    names = [f"{train}/cat/0.png", f"{train}/dog/1.png", f"{test}/cat/2.png", f"{test}/dog/3.png"]
    data, *splits = load_tree(tmp_path, *names)
    assert splits == [{"cat": [0], "dog": [1]}, {"cat": [2], "dog": [3]}]
    assert data.notes[1:] == ("the split is defined by the training and evaluation folders",)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        # Folders between the split and the labels.
        (
            ["train/images/cat/0.png", "train/images/dog/1.png", "test/images/dog/2.png"],
            [{"cat": [0], "dog": [1]}, {"dog": [2]}],
        ),
        (["train/good/a/0.png", "train/good/b/1.png", "test/good/c/2.png"], [{"good": [0, 1]}, {"good": [2]}]),
        # A class named train.
        (["train/train/0.png", "train/bus/1.png", "test/bus/2.png"], [{"train": [0], "bus": [1]}, {"bus": [2]}]),
        # A split in each class, and beside a stray image.
        (
            ["cat/train/0.png", "cat/test/1.png", "dog/train/2.png", "dog/test/3.png", "4.png"],
            [{"cat": [0], "dog": [2]}, {"cat": [1], "dog": [3]}],
        ),
        (
            ["0.png", "data/train/cat/1.png", "data/train/dog/2.png", "data/test/cat/3.png"],
            [{"cat": [1], "dog": [2]}, {"cat": [3]}],
        ),
        # The plain names are preferred, as in version 0.1.
        (["train/a/0.png", "test/a/1.png", "dev/a/2.png", "seg_train/a/3.png"], [{"a": [0]}, {"a": [1]}]),
        (["seg_train/a/0.png", "seg_test/a/1.png", "seg_pred/2.png"], [{"a": [0]}, {"a": [1]}]),
    ],
)
def test_images_outside_the_split_are_skipped_and_counted(names, splits, tmp_path):
    data, *loaded = load_tree(tmp_path, *names)
    assert loaded == splits
    num_skipped = len(names) - sum(len(colors) for split in splits for colors in split.values())
    assert [note for note in data.notes if "skipped" in note] == (
        [f"skipped {num_skipped} images outside these folders"] if num_skipped else []
    )


@pytest.mark.parametrize(
    ("names", "unused", "classes"),
    [
        (["cat/0.png", "dog/1.png", "Test_Set/2.png"], ("Test_Set", 1), ()),
        (["cat/0.png", "dog/1.png", "test/2.png"], None, ("cat", "dog")),
        (["test/cat/0.png", "test/dog/1.png"], ("test", 2), ()),
        (["train/train/0.png", "train/val/1.png", "test/x/2.png"], ("train/val", 1), ()),
        (["a_train/0.png", "a_test/1.png", "b_train/2.png", "b_test/3.png"], ("a_test, b_test", 2), ()),
        (["trainA/0.png", "testA/1.png", "trainB/2.png", "testB/3.png"], ("testA, testB", 2), ()),
        (["x/a/train/0.png", "x/b/test/1.png", "y/c/dev/2.png"], ("x/b/test, y/c/dev", 2), ()),
        (["a/dev/0.png", "b/dev/1.png", "c/dev/2.png", "d/dev/3.png"], ("a/dev, b/dev, c/dev, ...", 4), ()),
        (["test tube/0.png", "contest/1.png", "b_test/2.png", "latest/3.png", "devil/4.png"], None, ()),
    ],
)
def test_a_folder_that_is_only_named_like_a_test_split_is_named_in_a_note(names, unused, classes, tmp_path):
    data, *_ = load_tree(tmp_path, *names, eval_fraction=0.0, classes=classes)
    notes = [note for note in data.notes if "although named like one" in note]
    if unused is None:
        assert notes == []
    else:
        folders, count = unused
        assert notes == [
            f"not an evaluation split, although named like one: {folders};"
            f" the {count} images there are used like all others"
        ]


def test_layouts_of_version_0_1_keep_their_fingerprints(tmp_path):
    for layout, fingerprint in FINGERPRINTS.items():
        data, *_ = load_tree(tmp_path / str(len(layout)), *layout.split(), image_size=(2, 2))
        assert data.fingerprint.startswith(fingerprint), layout


# The beginnings of the fingerprints that version 0.1 computed.
FINGERPRINTS = {
    "cat/0.png cat/1.png dog/2.png dog/3.png 4.png": "dac02e900e5b1001",
    "train/cat/0.png train/dog/1.png Test/cat/2.png other/3.png": "a247d52f2ebea0a1",
    "zip/x/train/cat/0.png zip/x/val/cat/1.png zip/x/test/dog/2.png zip/x/dev/3.png": "5c03a5a5338de065",
    "zip/dataset/cat/0.png zip/dataset/dog/1.png zip/dataset/dog/2.png": "a247d52f2ebea0a1",
}


def test_long_names_of_folders_are_classified_at_once():
    for name in ("data" * 60 + "!", "1" * 250 + "x", "images" * 40 + "x", "x_" * 120, "train" * 50):
        assert folder_layout._role(name)[0] is None


def test_a_cache_of_version_0_1_is_used_only_if_the_layout_had_the_same_meaning():
    layouts = [folder_layout.FolderLayout(layout.split()) for layout in FINGERPRINTS]
    assert [layout.is_extended for layout in layouts] == [False, False, False, True]


def test_classes_that_are_missing_in_a_split_are_rejected(tmp_path):
    for name in ("train/cat/1.png", "train/dog/1.png", "test/dog/1.png", "test/cow/1.png"):
        save(tmp_path / "p" / name)
    for label, counts in (("cat", (1, 0)), ("cow", (0, 1))):
        message = load_error(DataError, tmp_path, "images", tmp_path / "p", classes=(label,))
        assert "training examples: {}, evaluation examples: {}".format(*counts) in message
    (tmp_path / "p" / "test" / "dog" / "1.png").write_bytes(b"x")
    (tmp_path / "p" / "test" / "cow" / "1.png").write_bytes(b"x")
    message = load_error(DataError, tmp_path, "images", tmp_path / "p", on_bad_file="skip")
    assert "training examples: 2, evaluation examples: 0" in message


def test_classes_are_names_or_labels_and_only_names_if_names_are_integers(folder, tmp_path):
    assert colors_by_label(load(tmp_path, "images", folder, classes=("0",))) == {"cat": COLORS["cat"]}
    assert colors_by_label(load(tmp_path, "images", folder, classes=("0", "dog"))) == COLORS
    np.savez(tmp_path / "a.npz", data=PIXELS, labels=np.arange(50) // 10 * 10)
    data = load(tmp_path, "array", tmp_path / "a.npz", classes=("10", "20"), eval_fraction=0.3)
    assert {data.class_name(label) for label in data.train.labels} == {"10", "20"}
    assert "no such class" in load_error(UsageError, tmp_path, "array", tmp_path / "a.npz", classes=("1",))


def test_images_without_folders_have_one_label(tmp_path):
    for number in range(4):
        save(tmp_path / "p" / f"{number}.png")
    assert load(tmp_path, "images", tmp_path / "p", eval_fraction=0.5).label_names == ("all",)


def test_images_keep_their_splits_when_others_are_added():
    names = [f"{number}.png" for number in range(1_000)]
    before = dict(zip(names[::2], splits.by_name(names[::2], 0.1), strict=True))
    after = dict(zip(names, splits.by_name(names, 0.1), strict=True))
    assert {name: after[name] for name in before} == before
    assert 60 < sum(after.values()) < 140
    np.testing.assert_array_equal(splits.by_index(1_000, 0.1)[:500], splits.by_index(500, 0.1))
    assert 60 < splits.by_index(1_000, 0.1).sum() < 140
    assert np.flatnonzero(splits.by_index(50, 0.1)).tolist() == [2, 32, 33, 41, 42, 43]  # the same on every machine
    assert [name for name in names[:40] if after[name]] == [f"{number}.png" for number in SPLIT_OF_40]


SPLIT_OF_40 = [0, 6, 8, 33]


def test_both_splits_have_an_example_if_there_are_two(tmp_path):
    assert splits.by_index(2, 0.01).sum() == 1
    assert splits.by_name(["a", "b"], 0.9).sum() == 1
    save(tmp_path / "p" / "a.png")
    assert "--eval_fraction=0" in load_error(DataError, tmp_path, "images", tmp_path / "p")
    data = load(tmp_path, "images", tmp_path / "p", eval_fraction=0.0)
    assert data.evaluation is data.train


def test_error_names_the_first_bad_file_and_the_total(folder, tmp_path):
    (folder / "cat" / "a.png").write_bytes(b"")
    (folder / "dog" / "z.jpg").write_bytes(b"<html>not found</html>")
    message = load_error(DataError, tmp_path, "images", folder)
    assert f"cat/a.png in {folder} cannot be used" in message
    assert "it is empty (0 bytes); in total, 2 of 42 files cannot be used" in message
    assert "--on_bad_file=skip" in message


def test_bad_files_are_skipped_with_on_bad_file_skip(folder, tmp_path):
    before = load(tmp_path, "images", folder)
    (folder / "cat" / "00.png").write_bytes(b"")
    (folder / "dog" / "z.jpg").write_bytes(b"<html>not found</html>")
    data = load(tmp_path, "images", folder, on_bad_file="skip")
    assert data.fingerprint == before.fingerprint
    assert colors_by_label(data) == COLORS
    assert any("skipped 2 of 42 files: cat/00.png is empty" in note for note in data.notes)


def test_folder_with_bad_files_only_is_rejected(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.png").write_bytes(b"x")
    for on_bad_file in ("error", "skip"):
        assert "a.png" in load_error(
            DataError, tmp_path, "images", tmp_path / "p", eval_fraction=0.0, on_bad_file=on_bad_file
        )


def test_several_processes_decode_the_same_pixels(folder, tmp_path):
    serial = load(tmp_path, "images", folder)
    limits = Limits(min_parallel_files=1, files_per_job=2, processes=2)  # More jobs than are queued at once.
    options = DataOptions(data_dir=str(folder), cache_dir=str(tmp_path / "other"))
    parallel = datasets.load("images", Sources(options, limits=limits))
    assert parallel.fingerprint == serial.fingerprint
    np.testing.assert_array_equal(parallel.train.labels, serial.train.labels)


def test_decoded_images_are_read_from_the_cache(folder, tmp_path, monkeypatch):
    before = load(tmp_path, "images", folder)
    monkeypatch.setattr(image_files, "decode", None)
    again = load(tmp_path, "images", folder)
    np.testing.assert_array_equal(again.train.examples, before.train.examples)
    assert isinstance(again.train.examples, np.memmap)
    assert again.fingerprint == before.fingerprint
    assert again.value_range == (10, 200)


def test_cached_statistics_equal_those_of_arrays(folder, tmp_path):
    data = load(tmp_path, "images", folder)
    in_memory = Dataset(
        name="x",
        train=Split(np.array(data.train.examples), data.train.labels),
        evaluation=Split(np.array(data.evaluation.examples), data.evaluation.labels),
        label_names=data.label_names,
        scale=255.0,
        source="",
    )
    assert data.fingerprint == in_memory.fingerprint
    assert data.value_range == in_memory.value_range
    np.testing.assert_array_equal(data.statistics.total, np.array(data.train.examples).sum(axis=0))


def test_folders_with_equal_names_sizes_and_times_have_separate_caches(tmp_path):
    for name, shade in (("a", 10), ("b", 200)):
        for number in range(3):
            save(tmp_path / name / f"{number}.bmp", (shade,) * 3)
            os.utime(tmp_path / name / f"{number}.bmp", ns=(0, 0))
    assert [load(tmp_path, "images", tmp_path / name).value_range for name in "ab"] == [(10, 10), (200, 200)]


def test_changes_of_the_targets_of_links_are_detected(tmp_path):
    for number in range(3):
        save(tmp_path / "p" / ".store" / f"{number}.png", (50,) * 3)
        (tmp_path / "p" / f"{number}.png").symlink_to(f".store/{number}.png")
    assert load(tmp_path, "images", tmp_path / "p").value_range == (50, 50)
    for number in range(3):
        save(tmp_path / "p" / ".store" / f"{number}.png", (90,) * 3, (9, 6))
    assert load(tmp_path, "images", tmp_path / "p").value_range == (90, 90)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_unreadable_file_is_read_again_at_the_next_start(error, folder, tmp_path, monkeypatch):
    before, open_regular = load(tmp_path, "images", folder), decode_pool._open_regular
    save(folder / "cat" / "new.png", COLORS["cat"])

    def open_with_error(path, root):
        if path.endswith("new.png"):
            raise error
        return open_regular(path, root)

    with monkeypatch.context() as patch:
        patch.setattr(decode_pool, "_open_regular", open_with_error)
        assert "new.png" in load_error(DataError, tmp_path, "images", folder)
        skipped = load(tmp_path, "images", folder, on_bad_file="skip")
        assert skipped.fingerprint == before.fingerprint
    after = load(tmp_path, "images", folder)
    assert len(after.train.examples) + len(after.evaluation.examples) == 41


def test_valid_cache_may_be_read_only(folder, tmp_path, monkeypatch):
    before = load(tmp_path, "images", folder)

    def fail(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(cache, "_locked", fail)
    assert load(tmp_path, "images", folder).fingerprint == before.fingerprint


class CrashingName(str):
    """A file name that exits the process in which it is read, unless that is the process of the tests."""

    def startswith(self, *arguments):
        if multiprocessing.parent_process() is not None:
            os._exit(3)
        return super().startswith(*arguments)


def test_image_that_crashes_its_process_is_the_only_bad_one(folder, tmp_path):
    limits = Limits(min_parallel_files=1, processes=2)
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.*"))]
    names[9] = CrashingName(names[9])
    path = tmp_path / "rows"
    files.reserve(path, 40 * 12)
    target = image_files.Target(2, 2, 3)
    jobs = [
        decode_pool.Job(str(folder), names[start : start + 4], target, str(path), start) for start in range(0, 40, 4)
    ]
    reports = [report for _, report in decode_pool.run_jobs(jobs, 40, limits)]
    assert [bad for report in reports for bad in report.bad] == [(9, "crashes the image decoder")]
    assert any(report.is_temporary for report in reports)
    rows = np.fromfile(path, np.uint8).reshape(40, 2, 2, 3)[:, 0, 0]
    expected = [COLORS[name.partition("/")[0]] for name in names]
    expected[9] = (0, 0, 0)
    assert list(map(tuple, rows.tolist())) == expected


@pytest.mark.parametrize("change", ["a new image", "another image", "another size"])
def test_changed_folder_is_decoded_again(change, folder, tmp_path):
    before = load(tmp_path, "images", folder)
    if change == "another size":
        assert load(tmp_path, "images", folder, image_size=(4, 4)).shape == (4, 4, 3)
        return
    save(folder / "dog" / ("new.png" if change == "a new image" else "1.png"), (9, 9, 9))
    assert load(tmp_path, "images", folder).fingerprint != before.fingerprint


@pytest.mark.parametrize("damage", ["a bit", "truncated", "missing", "metadata"])
def test_damaged_cache_is_detected_and_rebuilt(damage, folder, tmp_path):
    before = np.array(load(tmp_path, "images", folder).train.examples)
    (cached,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    train = cached / "train"
    content = train.read_bytes()
    if damage == "metadata":
        (cached / cache.METADATA).write_text('{"schema": 1, "files": {}')
    elif damage == "missing":
        train.unlink()
    else:
        train.write_bytes(content[:-1] if damage == "truncated" else bytes([content[0] ^ 1]) + content[1:])
        os.utime(train, ns=(0, 0))
    again = load(tmp_path, "images", folder)
    np.testing.assert_array_equal(again.train.examples, before)
    assert train.read_bytes() == content


def test_incomplete_cache_is_rebuilt(folder, tmp_path):
    load(tmp_path, "images", folder)
    (cached,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    cached.rename(cached.with_name(f".{cached.name}.tmp"))
    (cached.with_name(f".{cached.name}.tmp") / cache.METADATA).unlink()
    assert colors_by_label(load(tmp_path, "images", folder)) == COLORS
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [cached.name]


def test_full_disk_is_reported_before_decoding(folder, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    message = load_error(DataError, tmp_path, "images", folder)
    assert "No space left on device" in message
    assert "--cache_dir" in message
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_links_to_outside_loops_and_pipes_are_skipped(folder, tmp_path):
    save(tmp_path / "secret.png", (255, 255, 255))
    (folder / "cat" / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "cat" / "loop.png").symlink_to(folder / "cat" / "loop.png")
    (folder / "cat" / "nowhere.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "back").symlink_to(folder)
    (folder / "dog" / "inside.png").symlink_to(folder / "dog" / "1.png")
    data = load(tmp_path, "images", folder, on_bad_file="skip")
    assert colors_by_label(data) == COLORS
    assert len(data.train.examples) + len(data.evaluation.examples) == 41
    assert any("skipped 4 of 45 files" in note for note in data.notes)


def test_folders_nested_deeper_than_the_recursion_limit_are_read(tmp_path):
    root = tmp_path / "p"
    root.mkdir()
    deepest, names = os.open(root, os.O_RDONLY), []
    for _ in range(1_200):
        os.mkdir("a", dir_fd=deepest)
        below = os.open("a", os.O_RDONLY, dir_fd=deepest)
        os.close(deepest)
        deepest = below
        names.append("a")
    os.close(deepest)
    save(root / "top.png")
    save(root / "two.png")
    try:
        assert len(load(tmp_path, "images", root).train.examples) == 1
    finally:
        subprocess.run(["rm", "-rf", root], check=True)  # pytest cannot remove it.


def test_files_without_the_extension_of_an_image_are_counted(folder, tmp_path):
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.png").write_text("x")
    assert "skipped 1 files without the extension of an image (1 .txt)" in load(tmp_path, "images", folder).notes


def test_endings_of_images_are_read_in_any_case_and_others_are_counted(tmp_path):
    endings = "bmp BMP gif jfif JFIF jpe Jpeg JPG png PnG tif TIF tiff Tiff webp".split()
    (tmp_path / "p").mkdir()
    for number, ending in enumerate(endings):
        kind = {"jf": "JPEG", "jp": "JPEG", "ti": "TIFF"}.get(ending[:2].lower(), ending.upper())
        Image.new("L", (8, 6), 10 * number).save(tmp_path / "p" / f"{number:02}.{ending}", kind)
    for name in ("a.heic", "b.HEIC", "c.svg", "d.txt", "e.db", "f", "g.zip", "h.ini"):
        (tmp_path / "p" / name).touch()
    data = load(tmp_path, "images", tmp_path / "p", eval_fraction=0.0, color="grey")
    shades = np.sort(data.train.examples[:, 0, 0, 0].astype(int))
    np.testing.assert_allclose(shades, 10 * np.arange(len(endings)), atol=1)  # WebP is lossy.
    (note,) = [note for note in data.notes if "skipped" in note]
    assert note.startswith("skipped 8 files without the extension of an image (2 .heic, ")
    assert note.endswith(", ...)")


def test_files_with_several_frames_are_counted(folder, tmp_path):
    frames = [Image.new("RGB", (8, 6), COLORS["cat"]), Image.new("RGB", (8, 6), (9, 9, 9))]
    frames[0].save(folder / "cat" / "x.gif", save_all=True, append_images=frames[1:])
    data = load(tmp_path, "images", folder)
    assert colors_by_label(data) == COLORS
    assert "only the first page or frame is read of files that have several: 1 files" in data.notes


def test_empty_folder_file_and_missing_folder_have_different_errors(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    assert "has no images" in load_error(DataError, tmp_path, "images", tmp_path / "empty")
    assert "is a file" in load_error(DataError, tmp_path, "images", tmp_path / "file")
    assert "does not exist" in load_error(DataError, tmp_path, "images", tmp_path / "none")
    with pytest.raises(UsageError, match="without --data_dir"):
        datasets.load("images", Sources())


def test_image_with_too_many_pixels_is_not_decoded(tmp_path):
    header = io.BytesIO()
    Image.new("1", (8, 8)).save(header, "png")
    content = bytearray(header.getvalue())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "bomb.png").write_bytes(content)
    save(tmp_path / "p" / "good.png")
    message = load_error(DataError, tmp_path, "images", tmp_path / "p")
    assert "is too large" in message


def test_very_thin_image_is_not_decoded(tmp_path):
    for width, problem in ((65_535, None), (65_536, "is too large")):
        (tmp_path / "p").mkdir(exist_ok=True)
        Image.new("1", (width, 1)).save(tmp_path / "p" / "a.png")
        if problem is None:
            load(tmp_path, "images", tmp_path / "p", eval_fraction=0.0, fit="resize")
        else:
            assert problem in load_error(DataError, tmp_path, "images", tmp_path / "p", eval_fraction=0.0)


@pytest.mark.parametrize(
    ("fit", "row"),
    [("resize", [10, 10, 200, 200]), ("crop", [10, 10, 200, 200]), ("pad", [0, 10, 200, 0])],
)
def test_images_with_other_aspect_ratios_are_fitted(fit, row, tmp_path):
    image = np.zeros((16, 8, 1), np.uint8) if fit == "pad" else np.zeros((16, 32, 1), np.uint8)
    half = image.shape[1] // 2
    image[:, :half], image[:, half:] = 10, 200
    Image.fromarray(image[..., 0]).save(tmp_path / "a.png")
    pixels, _ = image_files.decode(tmp_path / "a.png", image_files.Target(4, 4, 1, fit))
    assert np.abs(pixels[2, :, 0].astype(int) - row).max() <= 16  # A Lanczos filter overshoots at edges.


def test_reduced_decoding_of_a_large_jpeg_is_accurate(tmp_path):
    gradient = np.uint8(np.add.outer(np.arange(400) / 4, np.arange(600) / 4))
    for name, options in (("a.jpg", {}), ("a.png", {})):
        Image.fromarray(gradient).convert("RGB").save(tmp_path / name, **options)
    target = image_files.Target(32, 32, 3, "crop")
    small, large = (image_files.decode(tmp_path / name, target)[0].astype(int) for name in ("a.jpg", "a.png"))
    assert np.abs(small - large).max() <= 2


@pytest.mark.parametrize("mode", ["CMYK", "L", "LA", "P", "1", "I;16", "RGBA"])
def test_every_image_mode_becomes_rgb_or_gray(mode, tmp_path):
    white = Image.new("L", (6, 4), 255)
    image = Image.fromarray(np.full((4, 6), 65_535, np.uint16)) if mode == "I;16" else white.convert(mode)
    image.save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"))
    (path,) = tmp_path.iterdir()
    for channels in (1, 3):
        pixels, _ = image_files.decode(path, image_files.Target(4, 6, channels))
        assert pixels.shape == (4, 6, channels)
        assert (pixels >= 254).all()
