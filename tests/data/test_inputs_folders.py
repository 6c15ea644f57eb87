"""Folders of images as inputs of a trained network, and damaged images."""

import contextlib
import os
import warnings

import numpy as np
import pytest
from input_files import COLOR, GRAY, PIXELS, RANDOM, read_error, save
from PIL import Image

from trainer.data.formats import image_files
from trainer.data.inputs import images, reader, types
from trainer.errors import DataError, UsageError


def test_images_in_a_folder_and_its_subfolders_are_sorted_by_name(tmp_path):
    hidden = [".hidden.png", "._b.png", ".cache/x.png", "__MACOSX/b.png", "inner/.DS_Store"]
    for value, name in enumerate(
        ["b.png", "a.JPG", "c.gif", "inner/b.png", "inner/deep/d.TIFF", "e.png/f.png", *hidden]
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / name, np.full(GRAY[:2], value, np.uint8), **({"format": "PNG"} if "DS" in name else {}))
    inputs = reader.read(str(tmp_path), GRAY)
    assert inputs.names == ("a", "b", "c", "e.png/f", "inner/b", "inner/deep/d")
    assert inputs.examples[:, 0, 0, 0].tolist() == [1, 0, 2, 5, 3, 4]
    assert inputs.notes == ()


def test_folder_may_have_the_extension_of_an_array(tmp_path):
    (tmp_path / "a.npy").mkdir()
    save(tmp_path / "a.npy" / "b.png", PIXELS)
    assert reader.read(str(tmp_path / "a.npy"), COLOR).names == ("b",)


def test_other_files_in_a_folder_are_skipped_with_a_note(tmp_path):
    for name in ("b.heic", "c.txt", "d.h5", "e.eps"):
        (tmp_path / name).write_text("x")
    save(tmp_path / "a.png", PIXELS)
    inputs = reader.read(str(tmp_path), COLOR)
    assert inputs.names == ("a",)
    assert inputs.notes == ("skipped 4 files without the extension of an image (1 .eps, 1 .h5, 1 .heic, 1 .txt)",)


def test_only_images_with_the_same_stem_keep_their_extensions(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("a.png", "a.bmp", "b.png", "inner/a.png"):
        save(tmp_path / name, PIXELS)
    assert reader.read(str(tmp_path), COLOR).names == ("a.bmp", "a.png", "b", "inner/a")


def test_batches_are_all_examples_in_order_also_from_a_temporary_file(tmp_path, monkeypatch):
    for number in range(7):
        save(tmp_path / f"{number}.png", np.full(GRAY[:2], number, np.uint8))
    in_memory = reader.read(str(tmp_path), GRAY)
    monkeypatch.setattr(images, "IN_MEMORY_BYTES", 10)
    monkeypatch.setattr(types, "BATCH", 3)
    mapped = reader.read(str(tmp_path), GRAY)
    assert isinstance(mapped.examples, np.memmap)
    places, batches = zip(*mapped.batches(), strict=True)
    assert [(place.start, len(batch)) for place, batch in zip(places, batches, strict=True)] == [(0, 3), (3, 3), (6, 1)]
    np.testing.assert_array_equal(np.concatenate(batches), in_memory.scaled)
    monkeypatch.setattr(types, "BATCH_BYTES", 1)
    assert len(list(mapped.batches())) == 7


def test_a_full_temporary_folder_leaves_the_images_in_memory(tmp_path, monkeypatch):
    save(tmp_path / "a.png", PIXELS)
    monkeypatch.setattr(images, "IN_MEMORY_BYTES", 10)

    def full(path, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images.files, "reserve", full)
    np.testing.assert_array_equal(reader.read(str(tmp_path), COLOR).examples[0], PIXELS)


def test_each_kind_of_conversion_has_one_note(tmp_path):
    for number in range(5):
        save(tmp_path / f"{number}.png", RANDOM.integers(0, 256, (8, 12, 3), np.uint8))
    save(tmp_path / "5.png", PIXELS)
    assert reader.read(str(tmp_path), GRAY).notes == (
        "0.png and 4 more were resized from 12x8 to 6x4 and converted to gray",
        "5.png was converted to gray",
    )


def test_number_of_notes_is_limited(tmp_path):
    for number in range(13):
        save(tmp_path / f"{number:02}.png", np.zeros((4 + number, 6, 3), np.uint8))
    notes = reader.read(str(tmp_path), COLOR).notes
    assert len(notes) == 11
    assert notes[0] == "01.png was cropped to its center and resized from 6x5 to 6x4"
    assert notes[-1] == "2 more images were converted"


def test_folder_without_images_is_rejected(tmp_path):
    assert "has no images" in read_error(DataError, tmp_path, GRAY)
    np.save(tmp_path / "a.npy", PIXELS)
    assert "(1 .npy)" in read_error(DataError, tmp_path, GRAY)
    os.mkfifo(tmp_path / "b.png")
    assert "skipped 1 pipes, sockets or devices" in read_error(DataError, tmp_path, GRAY)


def test_folder_with_too_many_images_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_IMAGES", 2)
    for name in "abc":
        save(tmp_path / f"{name}.png", PIXELS)
        if name == "b":
            assert len(reader.read(str(tmp_path), COLOR).examples) == 2
    assert "has 3 images" in read_error(UsageError, tmp_path, COLOR)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.webp"])
def test_truncated_image_in_a_folder_is_named(name, tmp_path):
    save(tmp_path / "0.png", PIXELS)
    path = tmp_path / name
    save(path, RANDOM.integers(0, 256, (40, 60, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert str(path) in read_error(DataError, tmp_path, GRAY)
    assert DataError.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_file_that_is_not_an_image_is_rejected(content, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    assert "a.jpg is not an image" in read_error(DataError, tmp_path / "a.jpg", GRAY)


def test_broken_link_is_rejected_by_name(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    assert "a.png cannot be decoded" in read_error(DataError, tmp_path, GRAY)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif", "a.webp", "a.npy"])
def test_randomly_damaged_files_are_read_or_rejected(name, tmp_path):
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, PIXELS)
    else:
        save(path, PIXELS)
    valid = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(valid)
        for index in random.integers(0, len(valid), 3):
            damaged[index] = random.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            assert reader.read(str(path), COLOR).examples.shape == (1, *COLOR)


@pytest.mark.parametrize("limit", [(image_files, "MAX_PIXELS"), (Image, "MAX_IMAGE_PIXELS")], ids=["ours", "Pillow's"])
def test_decompression_bomb_is_not_unpacked(limit, tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", PIXELS)
    monkeypatch.setattr(*limit, 5)
    assert "too large" in read_error(DataError, path, COLOR)


def test_warnings_of_other_code_are_not_suppressed(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader.read(save(tmp_path / "a.png", PIXELS), COLOR)
        warnings.warn("a warning", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["a warning"]


def test_names_that_are_not_text_are_sanitized(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\nb.png")
    reader.read(save(path, PIXELS), COLOR)
    inputs = reader.read(path, GRAY)
    assert (inputs.names, inputs.notes) == (("a? b",), ("a? b.png was converted to gray",))
