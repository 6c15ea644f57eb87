"""A person's own data: folders of pictures, arrays, tables, and where they are kept."""

import io
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from formats import TFDS
from hostile import crafted
from PIL import Image

from trainer import arrayfiles, datasets, imaging
from trainer.datasets import decoding, findings, splitting, store
from trainer.errors import DataError, UsageError

COLOURS = {"cat": (200, 30, 10), "dog": (10, 30, 200)}


def sources(tmp_path, data_dir, **wanted):
    return datasets.Sources(
        str(data_dir), say=lambda words: None, wanted=datasets.Wanted(**wanted), cache_dir=str(tmp_path / "cache")
    )


def load(tmp_path, name, data_dir, **wanted):
    return datasets.load(name, sources(tmp_path, data_dir, **wanted))


def refused(kind, tmp_path, name, data_dir, **wanted):
    with pytest.raises(kind) as caught:
        load(tmp_path, name, data_dir, **wanted)
    words = str(caught.value)
    assert len(words.splitlines()) <= 3
    assert "remedy: " in words
    return words


def save(path, colour=(1, 2, 3), size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Forty pictures in two folders, of one colour each."""
    for label, colour in COLOURS.items():
        for number in range(20):
            save(tmp_path / "pictures" / label / f"{number}.{'png' if number % 2 else 'bmp'}", colour)
    return tmp_path / "pictures"


def seen(data):
    """Colour by label, of both splits."""
    return {
        data.label_names[label]: tuple(example[0, 0].tolist())
        for split in (data.train, data.evaluation)
        for label, example in zip(split.labels, split.examples, strict=True)
    }


def test_folders_are_labels_and_pictures_have_the_size_that_is_wanted(folder, tmp_path):
    data = load(tmp_path, "images", folder, image_size=(5, 7))
    assert seen(data) == COLOURS
    assert data.shape == (5, 7, 3)
    assert len(data.train.examples) + len(data.evaluation.examples) == 40
    assert 0 < len(data.evaluation.examples) < 12


def test_grey_is_the_mean_of_red_green_and_blue(folder, tmp_path):
    assert seen(load(tmp_path, "images", folder, color="grey")) == {"cat": (80,), "dog": (80,)}


def test_only_the_classes_that_are_wanted_are_decoded(folder, tmp_path):
    (folder / "cat" / "bad.png").write_bytes(b"<html>")
    data = load(tmp_path, "images", folder, classes=("dog",))
    assert seen(data) == {"dog": COLOURS["dog"]}
    assert "known: 0 cat, 1 dog" in refused(UsageError, tmp_path, "images", folder, classes=("cow",))


def test_a_split_of_its_own_is_taken(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for label, colour in COLOURS.items():
            for number in range(count):
                save(tmp_path / "p" / split / label / f"{number}.png", colour)
    data = load(tmp_path, "images", tmp_path / "p")
    assert (len(data.train.examples), len(data.evaluation.examples)) == (6, 4)
    assert seen(data) == COLOURS


@pytest.mark.parametrize("others", [[], ["preview.png", "extra/1.png"]], ids=["nothing else", "others beside"])
@pytest.mark.parametrize("above", ["", "dataset/", "a/b/"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "Testing"), ("train", "val")])
def test_what_is_to_evaluate_is_never_trained_on(train, test, above, others, tmp_path):
    for name in [f"{train}/cat/1.png", f"{train}/dog/1.png", f"{test}/cat/1.png", f"{test}/dog/1.png", *others]:
        save(tmp_path / "p" / above / name, COLOURS["cat" if "cat" in name else "dog"])
    data = load(tmp_path, "images", tmp_path / "p")
    assert (len(data.train.examples), len(data.evaluation.examples)) == (2, 2)
    assert seen(data) == COLOURS
    assert ("left out, beside those folders: 2 pictures" in data.notes) == bool(others)


def test_classes_that_a_split_has_none_of_are_told(tmp_path):
    for name in ("train/cat/1.png", "train/dog/1.png", "test/dog/1.png", "test/cow/1.png"):
        save(tmp_path / "p" / name)
    assert "1 to train on, 0 to evaluate" in refused(DataError, tmp_path, "images", tmp_path / "p", classes=("cat",))
    assert "0 to train on, 1 to evaluate" in refused(DataError, tmp_path, "images", tmp_path / "p", classes=("cow",))
    (tmp_path / "p" / "test" / "dog" / "1.png").write_bytes(b"x")
    (tmp_path / "p" / "test" / "cow" / "1.png").write_bytes(b"x")
    words = refused(DataError, tmp_path, "images", tmp_path / "p", on_bad_file="skip")
    assert "2 to train on, 0 to evaluate" in words


def test_classes_are_names_or_numbers_and_where_names_are_numbers_those(folder, tmp_path):
    assert seen(load(tmp_path, "images", folder, classes=("0",))) == {"cat": COLOURS["cat"]}
    assert seen(load(tmp_path, "images", folder, classes=("0", "dog"))) == COLOURS
    np.savez(tmp_path / "a.npz", data=PIXELS, labels=np.arange(50) // 10 * 10)
    data = load(tmp_path, "array", tmp_path / "a.npz", classes=("10", "20"), eval_fraction=0.3)
    assert {data.class_name(label) for label in data.train.labels} == {"10", "20"}
    assert "no such class" in refused(UsageError, tmp_path, "array", tmp_path / "a.npz", classes=("1",))


def test_pictures_without_folders_have_one_label(tmp_path):
    for number in range(4):
        save(tmp_path / "p" / f"{number}.png")
    assert load(tmp_path, "images", tmp_path / "p", eval_fraction=0.5).label_names == ("all",)


def test_a_picture_stays_on_its_side_of_the_split_when_others_come():
    names = [f"{number}.png" for number in range(1_000)]
    before = dict(zip(names[::2], splitting.by_name(names[::2], 0.1), strict=True))
    after = dict(zip(names, splitting.by_name(names, 0.1), strict=True))
    assert {name: after[name] for name in before} == before
    assert 60 < sum(after.values()) < 140
    np.testing.assert_array_equal(splitting.by_index(1_000, 0.1)[:500], splitting.by_index(500, 0.1))
    assert 60 < splitting.by_index(1_000, 0.1).sum() < 140
    assert np.flatnonzero(splitting.by_index(50, 0.1)).tolist() == [2, 32, 33, 41, 42, 43]  # the same on every machine
    assert [name for name in names[:40] if after[name]] == [f"{number}.png" for number in SPLIT_OF_40]


SPLIT_OF_40 = [0, 6, 8, 33]


def test_each_side_of_a_split_has_something_however_few_there_are(tmp_path):
    assert splitting.by_index(2, 0.01).sum() == 1
    assert splitting.by_name(["a", "b"], 0.9).sum() == 1
    save(tmp_path / "p" / "a.png")
    assert "--eval_fraction=0" in refused(DataError, tmp_path, "images", tmp_path / "p")
    data = load(tmp_path, "images", tmp_path / "p", eval_fraction=0.0)
    assert data.evaluation is data.train


def test_the_first_bad_file_is_named_and_the_total_told(folder, tmp_path):
    (folder / "cat" / "a.png").write_bytes(b"")
    (folder / "dog" / "z.jpg").write_bytes(b"<html>not found</html>")
    words = refused(DataError, tmp_path, "images", folder)
    assert f"cat/a.png in {folder} cannot be used" in words
    assert "it is empty (0 bytes); in all 2 of 42 files cannot be used" in words
    assert "--on_bad_file=skip" in words


def test_bad_files_are_left_out_and_told_where_that_is_wanted(folder, tmp_path):
    whole = load(tmp_path, "images", folder)
    (folder / "cat" / "00.png").write_bytes(b"")
    (folder / "dog" / "z.jpg").write_bytes(b"<html>not found</html>")
    data = load(tmp_path, "images", folder, on_bad_file="skip")
    assert data.fingerprint == whole.fingerprint
    assert seen(data) == COLOURS
    assert any("left out 2 of 42 files: cat/00.png is empty" in note for note in data.notes)


def test_bad_files_only_are_an_error_in_either_case(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.png").write_bytes(b"x")
    for on_bad_file in ("error", "skip"):
        assert "a.png" in refused(
            DataError, tmp_path, "images", tmp_path / "p", eval_fraction=0.0, on_bad_file=on_bad_file
        )


def test_many_pictures_are_decoded_by_several_processes_to_the_same(folder, tmp_path, monkeypatch):
    alone = load(tmp_path, "images", folder)
    monkeypatch.setattr(decoding, "FILES_FOR_ONE", 1)
    monkeypatch.setattr(decoding, "FILES_A_JOB", 2)  # More of them than wait at once.
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    together = datasets.load("images", datasets.Sources(str(folder), cache_dir=str(tmp_path / "other"), say=print))
    assert together.fingerprint == alone.fingerprint
    np.testing.assert_array_equal(together.train.labels, alone.train.labels)


def test_decoded_pictures_are_taken_from_the_cache(folder, tmp_path, monkeypatch):
    first = load(tmp_path, "images", folder)
    monkeypatch.setattr(imaging, "decode", None)
    again = load(tmp_path, "images", folder)
    np.testing.assert_array_equal(again.train.examples, first.train.examples)
    assert isinstance(again.train.examples, np.memmap)
    assert again.fingerprint == first.fingerprint
    assert again.value_range == (10, 200)


def test_what_is_kept_is_known_as_arrays_are(folder, tmp_path):
    data = load(tmp_path, "images", folder)
    of_arrays = datasets.Data(
        name="x",
        train=datasets.Split(np.array(data.train.examples), data.train.labels),
        evaluation=datasets.Split(np.array(data.evaluation.examples), data.evaluation.labels),
        label_names=data.label_names,
        scale=255.0,
        source="",
    )
    assert data.fingerprint == of_arrays.fingerprint
    assert data.value_range == of_arrays.value_range
    np.testing.assert_array_equal(data.known.total, np.array(data.train.examples).sum(axis=0))


def test_two_folders_that_look_alike_are_told_apart(tmp_path):
    for name, shade in (("a", 10), ("b", 200)):
        for number in range(3):
            save(tmp_path / name / f"{number}.bmp", (shade,) * 3)
            os.utime(tmp_path / name / f"{number}.bmp", ns=(0, 0))
    assert [load(tmp_path, "images", tmp_path / name).value_range for name in "ab"] == [(10, 10), (200, 200)]


def test_what_links_lead_to_is_looked_at_for_changes(tmp_path):
    for number in range(3):
        save(tmp_path / "p" / ".store" / f"{number}.png", (50,) * 3)
        (tmp_path / "p" / f"{number}.png").symlink_to(f".store/{number}.png")
    assert load(tmp_path, "images", tmp_path / "p").value_range == (50, 50)
    for number in range(3):
        save(tmp_path / "p" / ".store" / f"{number}.png", (90,) * 3, (9, 6))
    assert load(tmp_path, "images", tmp_path / "p").value_range == (90, 90)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_what_could_not_be_read_once_is_tried_again(error, folder, tmp_path, monkeypatch):
    whole, real = load(tmp_path, "images", folder), decoding._opened
    save(folder / "cat" / "new.png", COLOURS["cat"])

    def opened(path, root):
        if path.endswith("new.png"):
            raise error
        return real(path, root)

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "_opened", opened)
        assert "new.png" in refused(DataError, tmp_path, "images", folder)
        less = load(tmp_path, "images", folder, on_bad_file="skip")
        assert less.fingerprint == whole.fingerprint
    again = load(tmp_path, "images", folder)
    assert len(again.train.examples) + len(again.evaluation.examples) == 41


def test_a_cache_that_is_whole_is_used_where_nothing_can_be_written(folder, tmp_path, monkeypatch):
    first = load(tmp_path, "images", folder)

    def refuse(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(store, "_locked", refuse)
    assert load(tmp_path, "images", folder).fingerprint == first.fingerprint


class Deadly(str):
    """A file's name whose reading ends the process, if it is not that of the tests."""

    def startswith(self, *arguments):
        if multiprocessing.parent_process() is not None:
            os._exit(3)
        return super().startswith(*arguments)


def test_a_picture_that_ends_its_process_costs_nothing_but_itself(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "FILES_FOR_ONE", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.*"))]
    names[9] = Deadly(names[9])
    path = tmp_path / "rows"
    store.reserve(path, 40 * 12)
    target = imaging.Target(2, 2, 3)
    jobs = [decoding.Job(str(folder), names[start : start + 4], target, str(path), start) for start in range(0, 40, 4)]
    reports = [report for _, report in decoding.reports(jobs, 40)]
    assert [bad for report in reports for bad in report.bad] == [(9, "ends the process that decodes it")]
    assert any(report.may_pass for report in reports)
    rows = np.fromfile(path, np.uint8).reshape(40, 2, 2, 3)[:, 0, 0]
    expected = [COLOURS[name.partition("/")[0]] for name in names]
    expected[9] = (0, 0, 0)
    assert list(map(tuple, rows.tolist())) == expected


@pytest.mark.parametrize("change", ["a picture more", "another picture", "another size"])
def test_a_changed_folder_is_decoded_again(change, folder, tmp_path):
    first = load(tmp_path, "images", folder)
    if change == "another size":
        assert load(tmp_path, "images", folder, image_size=(4, 4)).shape == (4, 4, 3)
        return
    save(folder / "dog" / ("new.png" if change == "a picture more" else "1.png"), (9, 9, 9))
    assert load(tmp_path, "images", folder).fingerprint != first.fingerprint


@pytest.mark.parametrize("damage", ["a bit", "cut", "gone", "seal"])
def test_a_damaged_cache_is_noticed_and_made_again(damage, folder, tmp_path):
    first = np.array(load(tmp_path, "images", folder).train.examples)
    (kept,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    train = kept / "train"
    content = train.read_bytes()
    if damage == "seal":
        (kept / store.ABOUT).write_text('{"schema": 1, "files": {}')
    elif damage == "gone":
        train.unlink()
    else:
        train.write_bytes(content[:-1] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:])
        os.utime(train, ns=(0, 0))
    again = load(tmp_path, "images", folder)
    np.testing.assert_array_equal(again.train.examples, first)
    assert train.read_bytes() == content


def test_a_cache_that_was_being_made_when_the_power_went_is_made_anew(folder, tmp_path):
    load(tmp_path, "images", folder)
    (kept,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    kept.rename(kept.with_name(f".{kept.name}.tmp"))
    (kept.with_name(f".{kept.name}.tmp") / store.ABOUT).unlink()
    assert seen(load(tmp_path, "images", folder)) == COLOURS
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [kept.name]


def test_a_disk_without_room_is_told_before_anything_is_decoded(folder, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    words = refused(DataError, tmp_path, "images", folder)
    assert "No space left on device" in words
    assert "--cache_dir" in words
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_links_to_outside_loops_and_pipes_are_not_followed(folder, tmp_path):
    save(tmp_path / "secret.png", (255, 255, 255))
    (folder / "cat" / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "cat" / "loop.png").symlink_to(folder / "cat" / "loop.png")
    (folder / "cat" / "nowhere.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "back").symlink_to(folder)
    (folder / "dog" / "inside.png").symlink_to(folder / "dog" / "1.png")
    data = load(tmp_path, "images", folder, on_bad_file="skip")
    assert seen(data) == COLOURS
    assert len(data.train.examples) + len(data.evaluation.examples) == 41
    assert any("left out 4 of 45 files" in note for note in data.notes)


def test_a_tree_deeper_than_python_calls_is_read(tmp_path):
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
        subprocess.run(["rm", "-rf", root], check=True)  # pytest could not.


def test_files_that_are_no_pictures_by_name_are_left_out_and_counted(folder, tmp_path):
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.png").write_text("x")
    assert any("1 files (1 .txt)" in note for note in load(tmp_path, "images", folder).notes)


def test_an_empty_folder_a_file_and_nothing_are_told_apart(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    assert "holds no pictures" in refused(DataError, tmp_path, "images", tmp_path / "empty")
    assert "is a file" in refused(DataError, tmp_path, "images", tmp_path / "file")
    assert "does not exist" in refused(DataError, tmp_path, "images", tmp_path / "none")
    with pytest.raises(UsageError, match="without --data_dir"):
        datasets.load("images", datasets.Sources())


def test_what_a_bomb_claims_is_not_decoded(tmp_path):
    header = io.BytesIO()
    Image.new("1", (8, 8)).save(header, "png")
    content = bytearray(header.getvalue())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "bomb.png").write_bytes(content)
    save(tmp_path / "p" / "good.png")
    words = refused(DataError, tmp_path, "images", tmp_path / "p")
    assert "too large a picture" in words


def test_very_thin_pictures_are_not_decoded(tmp_path):
    for width, what in ((65_535, None), (65_536, "too large a picture")):
        (tmp_path / "p").mkdir(exist_ok=True)
        Image.new("1", (width, 1)).save(tmp_path / "p" / "a.png")
        if what is None:
            load(tmp_path, "images", tmp_path / "p", eval_fraction=0.0, fit="resize")
        else:
            assert what in refused(DataError, tmp_path, "images", tmp_path / "p", eval_fraction=0.0)


@pytest.mark.parametrize(
    ("fit", "row"),
    [("resize", [10, 10, 200, 200]), ("crop", [10, 10, 200, 200]), ("pad", [0, 10, 200, 0])],
)
def test_pictures_of_other_proportions_are_fitted_as_wanted(fit, row, tmp_path):
    wide = np.zeros((16, 8, 1), np.uint8) if fit == "pad" else np.zeros((16, 32, 1), np.uint8)
    half = wide.shape[1] // 2
    wide[:, :half], wide[:, half:] = 10, 200
    Image.fromarray(wide[..., 0]).save(tmp_path / "a.png")
    pixels, _ = imaging.decode(tmp_path / "a.png", imaging.Target(4, 4, 1, fit))
    found = pixels[2, :, 0].astype(int)
    assert np.abs(found - row).max() <= 16  # Lanczos's filter swings at an edge.


def test_a_large_jpeg_is_what_it_is_at_full_size(tmp_path):
    gradient = np.uint8(np.add.outer(np.arange(400) / 4, np.arange(600) / 4))
    for name, options in (("a.jpg", {}), ("a.png", {})):
        Image.fromarray(gradient).convert("RGB").save(tmp_path / name, **options)
    target = imaging.Target(32, 32, 3, "crop")
    small, large = (imaging.decode(tmp_path / name, target)[0].astype(int) for name in ("a.jpg", "a.png"))
    assert np.abs(small - large).max() <= 2


@pytest.mark.parametrize("mode", ["CMYK", "L", "LA", "P", "1", "I;16", "RGBA"])
def test_every_kind_of_picture_becomes_rgb_or_grey(mode, tmp_path):
    grey = Image.new("L", (6, 4), 255)
    picture = Image.fromarray(np.full((4, 6), 65_535, np.uint16)) if mode == "I;16" else grey.convert(mode)
    picture.save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"))
    (path,) = tmp_path.iterdir()
    for channels in (1, 3):
        pixels, _ = imaging.decode(path, imaging.Target(4, 6, channels))
        assert pixels.shape == (4, 6, channels)
        assert (pixels >= 254).all()


# Arrays


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
    ids=["grey", "colour", "floats", "rows", "whole numbers", "by columns"],
)
def test_an_array_is_split_by_its_rows_numbers(array, shape, scale, tmp_path):
    np.save(tmp_path / "a.npy", array)
    data = load(tmp_path, "array", tmp_path / "a.npy", eval_fraction=0.3)
    evaluates = splitting.by_index(20, 0.3)
    assert (data.shape, data.scale) == (shape, scale)
    for split, rows in ((data.train, ~evaluates), (data.evaluation, evaluates)):
        np.testing.assert_allclose(split.examples.reshape(len(split.examples), -1), array[rows].reshape(rows.sum(), -1))


def test_an_archive_with_kerass_names_has_its_own_split_and_labels(tmp_path):
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


PIXELS = (np.arange(4_000) % 251).astype(np.uint8).reshape(50, 5, 16)
LARGE = {
    "grey": ("npy", {"data": PIXELS}),
    "rows": ("npy", {"data": np.linspace(0, 1, 4_000).reshape(50, 80)}),
    "by columns": ("npy", {"data": np.asfortranarray(np.arange(4_000.0).reshape(50, 80))}),
    "packed": ("npz", {"data": PIXELS}),
    "labelled": ("npz", {"data": PIXELS, "labels": np.arange(50) % 3}),
    "divided": ("npz", {"x_train": PIXELS, "x_test": PIXELS[:7], "y_train": np.arange(50) % 3, "y_test": np.arange(7)}),
}


@pytest.mark.parametrize("wanted", [{}, {"eval_fraction": 0.0}, {"classes": ("2", "1")}], ids=str)
@pytest.mark.parametrize("kind", LARGE)
def test_an_array_too_large_for_memory_is_mapped_to_the_same(kind, wanted, tmp_path, monkeypatch):
    suffix, arrays = LARGE[kind]
    path = tmp_path / f"a.{suffix}"
    np.save(path, arrays["data"]) if suffix == "npy" else np.savez_compressed(path, **arrays)
    if "classes" in wanted and len(arrays) == 1:
        assert "has no such class" in refused(UsageError, tmp_path, "array", path, **wanted)
        monkeypatch.setattr(datasets.arrays, "IN_MEMORY_BYTES", 100)
        assert "has no such class" in refused(UsageError, tmp_path, "array", path, **wanted)
        return
    in_memory = load(tmp_path, "array", path, **wanted)
    monkeypatch.setattr(datasets.arrays, "IN_MEMORY_BYTES", 100)
    monkeypatch.setattr(store, "CHUNK_BYTES", 999)
    mapped = load(tmp_path, "array", path, **wanted)
    assert isinstance(mapped.train.examples, np.memmap)
    assert mapped.fingerprint == in_memory.fingerprint
    assert mapped.label_names == in_memory.label_names
    for split in ("train", "evaluation"):
        np.testing.assert_array_equal(getattr(mapped, split).examples, getattr(in_memory, split).examples)
        np.testing.assert_array_equal(getattr(mapped, split).labels, getattr(in_memory, split).labels)
    assert (mapped.evaluation is mapped.train) == (in_memory.evaluation is in_memory.train)


def test_arrays_that_do_not_go_together_are_told(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    for other in (pixels.astype(float), pixels[:, :2]):
        np.savez(tmp_path / "a.npz", x_train=pixels, x_test=other)
        assert "do not go together" in refused(DataError, tmp_path, "array", tmp_path / "a.npz")


def test_classes_that_leave_a_split_empty_are_told_whether_mapped_or_not(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x_train=PIXELS, x_test=PIXELS[:1], y_train=np.arange(50) % 2, y_test=[2])
    for limit in (1 << 30, 100):
        monkeypatch.setattr(datasets.arrays, "IN_MEMORY_BYTES", limit)
        words = refused(DataError, tmp_path, "array", tmp_path / "a.npz", classes=("2",))
        assert "0 to train on, 1 to evaluate" in words


@pytest.mark.parametrize(
    ("array", "words"),
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
def test_an_array_of_something_else_is_told(array, words, tmp_path):
    np.save(tmp_path / "a.npy", array)
    assert words in refused(DataError, tmp_path, "array", tmp_path / "a.npy", eval_fraction=0.0)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    for name, write in (("a.npy", np.save), ("a.npz", np.savez)):
        write(tmp_path / name, np.array([Evil(tmp_path / "ran")], object), allow_pickle=True)
        assert "objects" in refused(DataError, tmp_path, "array", tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_what_a_header_claims_is_not_allocated(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 10, 10)})
    (tmp_path / "a.npy").write_bytes(header.getvalue() + b"x")
    assert "claims 100,000,000,000,000 bytes" in refused(DataError, tmp_path, "array", tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("data.npy", header.getvalue() + b"x")
    assert "claims" in refused(DataError, tmp_path, "array", tmp_path / "a.npz")


def test_an_archive_that_would_become_too_large_is_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", data=np.zeros((1_000, 1_000), np.uint8))
    monkeypatch.setattr(arrayfiles, "BOMB_BYTES", 1_000)
    assert "would become 1,000,128" in refused(DataError, tmp_path, "array", tmp_path / "a.npz")


def test_an_archive_with_a_list_of_members_too_long_is_not_listed(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_bytes(crafted.crowd(30))
    assert "holds no x_train" in refused(DataError, tmp_path, "array", tmp_path / "a.npz")
    monkeypatch.setattr(arrayfiles, "MAX_DIRECTORY_BYTES", 30 * 57 - 1)
    assert "its list of members has 1,710 bytes" in refused(DataError, tmp_path, "array", tmp_path / "a.npz")


def test_the_end_of_an_archive_is_where_zipfile_finds_it(tmp_path, monkeypatch):
    content = crafted.zipped({f"{number}.npy": b"" for number in range(30)})
    (tmp_path / "a.npz").write_bytes(content[:-6] + b"PK\5\6" + content[-2:])  # in the record's own field
    monkeypatch.setattr(arrayfiles, "MAX_DIRECTORY_BYTES", 100)
    assert "its list of members has" in refused(DataError, tmp_path, "array", tmp_path / "a.npz")


def test_arrays_of_any_name_and_labels_of_any_text_are_taken_and_what_is_not_used_is_told(tmp_path):
    np.savez(tmp_path / "a.npz", x_test=PIXELS)
    assert len(load(tmp_path, "array", tmp_path / "a.npz", eval_fraction=0.0).train.examples) == 50
    labels = np.array(["--5", "-5", "5", "\u00b2", "a  b", "a b"])
    np.savez(tmp_path / "b.npz", x_train=PIXELS[:6], y_train=labels, x_test=PIXELS[6:8], x_val=PIXELS[8:], y_val=labels)
    data = load(tmp_path, "array", tmp_path / "b.npz")
    assert data.label_names == ("-5", "5", "--5", "a b", "all", "\u00b2")
    assert [data.label_names[label] for label in data.train.labels] == ["--5", "-5", "5", "\u00b2", "a b", "a b"]
    assert data.notes == ("left out, arrays that are not used: x_val, y_val",)


def test_damage_of_any_kind_in_an_archive_is_told(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.write(tmp_path / "a.npy", "data.npy")
    content = (tmp_path / "a.npz").read_bytes()
    middle = content.index(b"data.npy") + 60
    (tmp_path / "a.npz").write_bytes(content[:middle] + b"\xff" * 9 + content[middle + 9 :])
    assert "cannot be read" in refused(DataError, tmp_path, "array", tmp_path / "a.npz")


def test_pictures_of_zeros_and_ones_are_told(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS % 2)
    assert any("all but black" in line for line in findings.lines(load(tmp_path, "array", tmp_path / "a.npy")))


def test_labels_that_are_no_text_are_told(tmp_path):
    np.savez(tmp_path / "a.npz", data=PIXELS[:2], labels=np.array(["a", "b" * 2_000]))
    assert "<U2000 of shape [2]" in refused(DataError, tmp_path, "array", tmp_path / "a.npz")
    labels = np.full(4, 0x110000, np.uint32).view("<U1")
    np.savez(tmp_path / "a.npz", data=PIXELS[:4], labels=labels)
    assert "labels holds what is no text" in refused(DataError, tmp_path, "array", tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", data=PIXELS[:4], labels=np.array(list("abca"), ">U1"))
    assert load(tmp_path, "array", tmp_path / "a.npz").label_names == ("a", "b", "c")


# Tables


def table(tmp_path, text, **wanted):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(tmp_path, "table", path, **{"eval_fraction": 0.0, **wanted})


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",
        "a,b\n1,2\n3,4",
        '"a";"b, of it"\r\n1;2\r\n3;4\r\n',
        "\ufeffa\tb\n1\t2\n\n3\t4\n",
        "a|b\n1e0| 2 \n3.0|4\n",
        '"a\nb",c\n1,2\n3,4\n',
    ],
    ids=["bare", "heading", "semicolons", "tabs and a mark", "bars", "a heading of two lines"],
)
def test_tables_are_read_however_they_are_written(text, tmp_path):
    data = table(tmp_path, text)
    assert data.train.examples.tolist() == [[1, 2], [3, 4]]
    assert data.train.examples.dtype == np.float32


def test_no_row_is_lost_however_many_there_are(tmp_path):
    for count in (49, 50, 51, 52, 1_000):
        data = table(tmp_path, "".join(f"{number}\n" for number in range(count)))
        assert data.train.examples[:, 0].tolist() == list(range(count))


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a,b,c\n1,2,3\n4,5,6\n", "the first line is a heading: a, b, c"),
        (",a,b\n0,2,3\n1,5,6\n", "the first line is a heading: column 1, a, b"),
        ("0,1,2\n1.5,2,3\n4,5,6\n", "the first line is a heading: 0, 1, 2"),
        ("label,0,1,2\nx,1,2,3\ny,4,5,6\n", "the first line is a heading: label, 0, 1, 2"),
        ("x,1,2,7\ny,4,5,6\n", "no heading: the first line is a row"),
        ("7,8,9\n4,5,6\n", "no heading: the first line is a row"),
    ],
)
def test_a_heading_is_told_from_a_row(text, note, tmp_path):
    data = table(tmp_path, text)
    assert data.train.examples.shape == (2, 3)
    assert note in data.notes


@pytest.mark.parametrize("first", ["3,?,5", "NA,1,2", "1O,1,2", "?,NA,-", ",1,2", ",1,x"])
def test_a_wrong_cell_in_the_first_row_makes_no_heading_of_it(first, tmp_path):
    with pytest.raises(DataError, match="line 1 in"):
        table(tmp_path, f"{first}\n3,4,5\n6,7,8\n")


@pytest.mark.parametrize("text", ["1,5;2,5\n3,5;4,5\n", "7;7,5\n8;8,5\n", "id;price\n1;1,5\n", 'a,b\n1,"1,234"\n'])
def test_numbers_with_commas_are_told_and_not_cut(text, tmp_path):
    with pytest.raises(DataError, match="has numbers with commas, such as"):
        table(tmp_path, text)


def test_mending_a_row_moves_no_other_to_the_other_side(tmp_path):
    rows = [f"{number},7" for number in range(100, 300)]
    whole = table(tmp_path, "\n".join(rows), eval_fraction=0.1)
    less = table(tmp_path, "\n".join([*rows[:2], "x,7", *rows[3:]]), eval_fraction=0.1, on_bad_file="skip")
    evaluate = [{int(row[0]) for row in data.evaluation.examples} for data in (whole, less)]
    assert 102 in evaluate[0]
    assert evaluate[1] == evaluate[0] - {102}


def test_a_column_labels_the_rows_and_words_are_left_out(tmp_path):
    text = "name,size,kind\nx,1,b\ny,2,a\nz,3,b\n"
    for column in ("kind", "3"):
        data = table(tmp_path, text, label_column=column)
        assert data.label_names == ("a", "b")
        assert data.train.labels.tolist() == [1, 0, 1]
        assert data.train.examples.tolist() == [[1], [2], [3]]
        assert data.notes == (
            "the first line is a heading: name, size, kind",
            "left out, columns that are no numbers: name",
        )
    with pytest.raises(UsageError, match="columns: name, size, kind"):
        table(tmp_path, text, label_column="colour")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3\n", "line 3 in"),
        ("a,b\n1,2\n3,\n", "line 3 in"),
        ("a,b\n1,2\n3,x\n", "'x' in the column 'b'"),
        ("a,b\n1,nan\n3,1\n", "'nan' in the column 'b'"),
        ("a,b\n1,1e39\n3,1\n", "'1e39' in the column 'b'"),
        ("a,b\n1,1_0\n3,1\n", "'1_0' in the column 'b'"),
        ("", "holds no rows"),
        ("a,b\nx,y\n", "no column of numbers"),
        (b"a,b\n1,\xff\n", "not UTF-8"),
        ('a,b\n1,"2\n3,4\n', "no row of a table"),
        ("a,b\n1,2\n1,2\x00\n", "cannot be used"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_by_its_line(text, words, tmp_path):
    with pytest.raises(DataError) as caught:
        table(tmp_path, text)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_row_that_goes_on_and_on_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.tables, "MAX_ROW_CHARACTERS", 100)
    assert len(table(tmp_path, "a,b\n" + "1,2\n" * 100).train.examples) == 100
    for row in ("1," * 60, '"\n",' * 60, '"' + "1\n" * 60):
        with pytest.raises(DataError, match="line 3 is no row of a table") as caught:
            table(tmp_path, f"a,b\n1,2\n{row}\n")
        assert "more than 100 characters" in str(caught.value)


def test_bad_rows_are_left_out_where_that_is_wanted(tmp_path):
    data = table(tmp_path, "a,b\n1,2\n3\nx,4\n5,6\n", on_bad_file="skip")
    assert data.train.examples.tolist() == [[1, 2], [5, 6]]
    assert data.notes[0].startswith("left out 2 of 4 rows: line 3 has 1 cells; the first line has 2; line 4 has 'x'")


def test_a_standardised_table_is_seen_in_standard_deviations(tmp_path):
    data = table(tmp_path, "1,10,5\n3,50,5\n", standardise=True)
    np.testing.assert_allclose(data.scale, [1, 20, 1])
    assert data.fingerprint != table(tmp_path, "1,10,5\n3,50,5\n").fingerprint
    assert "the same in every row: 1 columns, the first is number 3" in data.notes
    np.save(tmp_path / "p.npy", np.zeros((4, 4, 4), np.uint8))
    assert "they are pictures" in refused(UsageError, tmp_path, "array", tmp_path / "p.npy", standardise=True)


# All of them


def test_labels_that_would_do_something_to_a_terminal_are_named_harmlessly(tmp_path):
    data = table(tmp_path, 'a,b\n1,"x\x1b[2J\n"\n2,y\u202e\n', label_column="b")
    assert data.label_names == ("x?[2J", "y?")
    for name in ("a\x1b[2J", "b"):
        save(tmp_path / "p" / name / "1.png")
    assert load(tmp_path, "images", tmp_path / "p", eval_fraction=0.0).label_names == ("a?[2J", "b")


def test_data_that_do_not_fit_into_memory_are_told(tmp_path, monkeypatch):
    def load_all(*arguments):
        raise MemoryError

    monkeypatch.setitem(datasets.LOADERS, "table", load_all)
    assert "does not fit into memory" in refused(DataError, tmp_path, "table", tmp_path)


def test_what_was_found_is_told(folder, tmp_path):
    lines = findings.lines(load(tmp_path, "images", folder))
    assert any("32x32x3 pictures, uint8, from 10 to 200" in line for line in lines)
    assert any(line.startswith("train") and "cat " in line and "dog " in line for line in lines)
    assert any("pictures of 8x6 (40) were made 32x32, rgb, crop" in line for line in lines)


def test_a_wrong_path_is_told_without_tensorflow(tmp_path):
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
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert "--data_dir=nowhere does not exist" in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 3


def test_a_network_of_a_standardised_table_takes_raw_units(tmp_path, launch):
    rows = np.random.default_rng(0).normal([100, -5], [50, 0.1], (200, 2))
    np.savetxt(tmp_path / "t.csv", rows, delimiter=",")
    given = [
        "--dataset=table",
        f"--data_dir={tmp_path}/t.csv",
        "--standardise",
        "--hidden=2",
        "--steps=600",
        "--learning_rate=0.05",
    ]
    assert launch(*given, f"--run_dir={tmp_path}/run")[0] == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["floor/mean/train"] == pytest.approx(1, rel=1e-3)  # in standard deviations
    assert result["eval/reconstruction/rmse"] < 0.05
    network = tf.saved_model.load(f"{tmp_path}/run/export/600")
    found = network.signatures["serving_default"](rows=tf.constant([[130.0, -5.1]]))["reconstructions"]
    np.testing.assert_allclose(found, [[130, -5.1]], rtol=0.05)
    code, _, err = launch("--mode=reconstruct", f"--run_dir={tmp_path}/run", "--input=130,-5.1")
    assert code == 0, err
    with np.load(tmp_path / "run" / "reconstruct" / "600" / "reconstructions.npz") as found:
        np.testing.assert_allclose(found["reconstructions"], [[130, -5.1]], rtol=0.05)


def test_a_run_on_mapped_pictures_is_that_on_the_same_array(folder, tmp_path, launch):
    """Bit by bit: nothing after the loader knows where data came from."""
    random = np.random.default_rng(0)
    for path in folder.rglob("*.*"):
        Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).save(path)
    data = load(tmp_path, "images", folder, image_size=(6, 8))
    np.savez(tmp_path / "a.npz", x_train=data.train.examples, x_test=data.evaluation.examples)
    cache = f"--cache_dir={tmp_path}/cache"
    given = ["--hidden=3", "--steps=30", "--batch_size=9", "--export=none"]
    images = ["--dataset=images", "--image_size=6x8", f"--data_dir={folder}", cache]
    for name, flags in (("images", images), ("array", ["--dataset=array", f"--data_dir={tmp_path}/a.npz"])):
        code, out, err = launch(*flags, *given, f"--run_dir={tmp_path}/{name}")
        assert code == 0, err
        assert ("were made 8x6, rgb, crop" in out + err) == (name == "images")
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("images", "array")]
    for tag in ("train/reconstruction/mse", "eval/reconstruction/mse", "eval/latent/effective_rank"):
        assert results[0][tag] == results[1][tag]


def test_flags_of_other_data_sets_are_refused(launch, tmp_path):
    code, _, err = launch("--dataset=iris", "--image_size=48", f"--run_dir={tmp_path}/run")
    assert code == 1
    assert "--image_size does nothing with --dataset=iris" in err


# TensorFlow Datasets, of which formats.TFDS stands in


@pytest.mark.parametrize("splits", [{"train": 10, "test": 3}, {"train": 30}])
def test_a_data_set_of_tfds_is_read_as_its_pictures_are(splits, tmp_path, monkeypatch):
    (tmp_path / "tensorflow_datasets.py").write_text(TFDS.format(splits=splits))
    monkeypatch.syspath_prepend(tmp_path)
    words = refused(DataError, tmp_path, "tfds:shades", "where")
    assert "train 3 in shades cannot be used" in words
    data = load(tmp_path, "tfds:shades", "where", on_bad_file="skip", image_size=(6, 8))
    assert seen(data) == {"dark": (0, 0, 0), "light": (200, 200, 200)}
    assert data.shape == (6, 8, 3)
    if "test" in splits:
        assert (len(data.train.examples), len(data.evaluation.examples)) == (9, 3)
    else:
        assert len(data.train.examples) + len(data.evaluation.examples) == 29
        assert 1 <= len(data.evaluation.examples) < 10
    assert "Dataset other not found." in refused(DataError, tmp_path, "tfds:other", "where")


def test_only_classes_that_are_wanted_of_a_data_set_of_tfds_are_decoded(tmp_path, monkeypatch):
    (tmp_path / "tensorflow_datasets.py").write_text(TFDS.format(splits={"train": 30}))
    monkeypatch.syspath_prepend(tmp_path)
    data = load(tmp_path, "tfds:shades", "where", classes=("dark",))  # The broken one is light.
    assert seen(data) == {"dark": (0, 0, 0)}
    assert len(data.train.examples) + len(data.evaluation.examples) == 15
    assert "known: 0 dark, 1 light" in refused(UsageError, tmp_path, "tfds:shades", "where", classes=("grey",))


@pytest.mark.parametrize("name", ["tfds", "tfds:", "mnist:1", "mnist:"])
def test_names_go_on_after_a_colon_only_where_there_are_several_of_a_kind(name, tmp_path):
    assert "tfds:NAME" in refused(UsageError, tmp_path, name, "where")


def test_examples_of_tfds_without_labels_are_kept(tmp_path, monkeypatch):
    (tmp_path / "tensorflow_datasets.py").write_text(TFDS.format(splits={"train": 10, "test": 3}))
    monkeypatch.syspath_prepend(tmp_path)
    data = load(tmp_path, "tfds:unlabelled", "where", on_bad_file="skip")
    assert (len(data.train.examples), len(data.evaluation.examples)) == (9, 3)
    assert "pictures of 8x6 (12) were made 32x32, rgb, crop" in data.notes
    assert data.notes[-1].startswith("left out 1 of 13 pictures")
    words = refused(DataError, tmp_path, "tfds:unlabelled", "where", on_bad_file="skip", classes=("dark",))
    assert "0 to train on" in words


@pytest.mark.parametrize("classes", [(), ("dark",)])
def test_classes_move_no_picture_of_tfds_to_the_other_side(classes, tmp_path, monkeypatch):
    (tmp_path / "tensorflow_datasets.py").write_text(TFDS.format(splits={"train": 60}))
    monkeypatch.syspath_prepend(tmp_path)
    data = load(tmp_path, "tfds:shades", "where", on_bad_file="skip", classes=classes)
    dark = np.flatnonzero(splitting.by_index(60, 0.1)) % 2 == 0
    assert (data.evaluation.labels == 0).sum() == dark.sum() > 1


@pytest.mark.parametrize("name", ["someone:else", "../there", "a/b/c", "gs://there", "A", "x:1", "huggingface:a/b"])
def test_names_that_could_mean_somebodys_code_are_refused(name, tmp_path):
    assert "is no data set's name" in refused(UsageError, tmp_path, f"tfds:{name}", "where")


def test_without_tfds_its_installation_is_the_remedy(tmp_path):
    assert "pip install '.[tfds]'" in refused(UsageError, tmp_path, "tfds:mnist", "where")
