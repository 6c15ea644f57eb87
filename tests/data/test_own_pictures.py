"""Folders of pictures of one's own, and the cache of what they became."""

import io
import multiprocessing
import os
import subprocess

import numpy as np
import pytest
from own_data import COLOURS, PIXELS, load, refused, save, seen
from PIL import Image

from trainer.data import datasets, splits
from trainer.data.custom import cache, decode_pool
from trainer.data.dataset import Dataset, Split
from trainer.data.formats import image_files
from trainer.data.limits import Limits
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError
from trainer.system import files


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
        for label, color in COLOURS.items():
            for number in range(count):
                save(tmp_path / "p" / split / label / f"{number}.png", color)
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
    before = dict(zip(names[::2], splits.by_name(names[::2], 0.1), strict=True))
    after = dict(zip(names, splits.by_name(names, 0.1), strict=True))
    assert {name: after[name] for name in before} == before
    assert 60 < sum(after.values()) < 140
    np.testing.assert_array_equal(splits.by_index(1_000, 0.1)[:500], splits.by_index(500, 0.1))
    assert 60 < splits.by_index(1_000, 0.1).sum() < 140
    assert np.flatnonzero(splits.by_index(50, 0.1)).tolist() == [2, 32, 33, 41, 42, 43]  # the same on every machine
    assert [name for name in names[:40] if after[name]] == [f"{number}.png" for number in SPLIT_OF_40]


SPLIT_OF_40 = [0, 6, 8, 33]


def test_each_side_of_a_split_has_something_however_few_there_are(tmp_path):
    assert splits.by_index(2, 0.01).sum() == 1
    assert splits.by_name(["a", "b"], 0.9).sum() == 1
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


def test_many_pictures_are_decoded_by_several_processes_to_the_same(folder, tmp_path):
    alone = load(tmp_path, "images", folder)
    limits = Limits(files_for_one=1, files_a_job=2, processes=2)  # More jobs than wait at once.
    options = DataOptions(data_dir=str(folder), cache_dir=str(tmp_path / "other"))
    together = datasets.load("images", Sources(options, limits=limits))
    assert together.fingerprint == alone.fingerprint
    np.testing.assert_array_equal(together.train.labels, alone.train.labels)


def test_decoded_pictures_are_taken_from_the_cache(folder, tmp_path, monkeypatch):
    first = load(tmp_path, "images", folder)
    monkeypatch.setattr(image_files, "decode", None)
    again = load(tmp_path, "images", folder)
    np.testing.assert_array_equal(again.train.examples, first.train.examples)
    assert isinstance(again.train.examples, np.memmap)
    assert again.fingerprint == first.fingerprint
    assert again.value_range == (10, 200)


def test_what_is_kept_is_known_as_arrays_are(folder, tmp_path):
    data = load(tmp_path, "images", folder)
    of_arrays = Dataset(
        name="x",
        train=Split(np.array(data.train.examples), data.train.labels),
        evaluation=Split(np.array(data.evaluation.examples), data.evaluation.labels),
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
    whole, real = load(tmp_path, "images", folder), decode_pool._opened
    save(folder / "cat" / "new.png", COLOURS["cat"])

    def opened(path, root):
        if path.endswith("new.png"):
            raise error
        return real(path, root)

    with monkeypatch.context() as patch:
        patch.setattr(decode_pool, "_opened", opened)
        assert "new.png" in refused(DataError, tmp_path, "images", folder)
        less = load(tmp_path, "images", folder, on_bad_file="skip")
        assert less.fingerprint == whole.fingerprint
    again = load(tmp_path, "images", folder)
    assert len(again.train.examples) + len(again.evaluation.examples) == 41


def test_a_cache_that_is_whole_is_used_where_nothing_can_be_written(folder, tmp_path, monkeypatch):
    first = load(tmp_path, "images", folder)

    def refuse(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(cache, "_locked", refuse)
    assert load(tmp_path, "images", folder).fingerprint == first.fingerprint


class Deadly(str):
    """A file's name whose reading ends the process, if it is not that of the tests."""

    def startswith(self, *arguments):
        if multiprocessing.parent_process() is not None:
            os._exit(3)
        return super().startswith(*arguments)


def test_a_picture_that_ends_its_process_costs_nothing_but_itself(folder, tmp_path):
    limits = Limits(files_for_one=1, processes=2)
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.*"))]
    names[9] = Deadly(names[9])
    path = tmp_path / "rows"
    files.reserve(path, 40 * 12)
    target = image_files.Target(2, 2, 3)
    jobs = [
        decode_pool.Job(str(folder), names[start : start + 4], target, str(path), start) for start in range(0, 40, 4)
    ]
    reports = [report for _, report in decode_pool.reports(jobs, 40, limits)]
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
        (kept / cache.ABOUT).write_text('{"schema": 1, "files": {}')
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
    (kept.with_name(f".{kept.name}.tmp") / cache.ABOUT).unlink()
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
        datasets.load("images", Sources())


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
    pixels, _ = image_files.decode(tmp_path / "a.png", image_files.Target(4, 4, 1, fit))
    found = pixels[2, :, 0].astype(int)
    assert np.abs(found - row).max() <= 16  # Lanczos's filter swings at an edge.


def test_a_large_jpeg_is_what_it_is_at_full_size(tmp_path):
    gradient = np.uint8(np.add.outer(np.arange(400) / 4, np.arange(600) / 4))
    for name, options in (("a.jpg", {}), ("a.png", {})):
        Image.fromarray(gradient).convert("RGB").save(tmp_path / name, **options)
    target = image_files.Target(32, 32, 3, "crop")
    small, large = (image_files.decode(tmp_path / name, target)[0].astype(int) for name in ("a.jpg", "a.png"))
    assert np.abs(small - large).max() <= 2


@pytest.mark.parametrize("mode", ["CMYK", "L", "LA", "P", "1", "I;16", "RGBA"])
def test_every_kind_of_picture_becomes_rgb_or_grey(mode, tmp_path):
    grey = Image.new("L", (6, 4), 255)
    picture = Image.fromarray(np.full((4, 6), 65_535, np.uint16)) if mode == "I;16" else grey.convert(mode)
    picture.save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"))
    (path,) = tmp_path.iterdir()
    for channels in (1, 3):
        pixels, _ = image_files.decode(path, image_files.Target(4, 6, channels))
        assert pixels.shape == (4, 6, channels)
        assert (pixels >= 254).all()
