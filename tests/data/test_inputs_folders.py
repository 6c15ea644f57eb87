"""Folders of pictures that a person gives, and files that are no sound pictures."""

import contextlib
import os
import warnings

import numpy as np
import pytest
from given import COLOUR, GREY, PIXELS, RANDOM, refused, save
from PIL import Image

from trainer.data.formats import image_files
from trainer.data.inputs import images, reader
from trainer.errors import DataError, UsageError


def test_a_folder_is_its_pictures_by_name(tmp_path):
    for value, name in enumerate(["b.png", "a.JPG", "c.gif", ".hidden.png", "._b.png"]):
        save(tmp_path / name, np.full(GREY[:2], value, np.uint8))
    (tmp_path / "inner").mkdir()
    save(tmp_path / "inner" / "d.png", PIXELS)
    (tmp_path / "e.png").mkdir()
    found = reader.read(str(tmp_path), GREY)
    assert found.names == ("a", "b", "c")
    assert found.examples[:, 0, 0, 0].tolist() == [1, 0, 2]
    assert found.notes == ()


def test_a_folder_may_be_named_like_an_array(tmp_path):
    (tmp_path / "a.npy").mkdir()
    save(tmp_path / "a.npy" / "b.png", PIXELS)
    assert reader.read(str(tmp_path / "a.npy"), COLOUR).names == ("b",)


def test_what_a_folder_holds_besides_pictures_is_left_out_and_said(tmp_path):
    for name in ("b.heic", "c.txt", "d.h5", "e.eps"):
        (tmp_path / name).write_text("x")
    save(tmp_path / "a.png", PIXELS)
    found = reader.read(str(tmp_path), COLOUR)
    assert found.names == ("a",)
    assert found.notes == ("left out, not named as pictures that can be read: b.heic and 3 more",)


def test_pictures_that_share_a_stem_go_by_their_whole_names(tmp_path):
    for name in ("a.png", "a.bmp", "b.png"):
        save(tmp_path / name, PIXELS)
    assert reader.read(str(tmp_path), COLOUR).names == ("a.bmp", "a.png", "b.png")


def test_what_was_done_to_many_pictures_is_said_once(tmp_path):
    for number in range(5):
        save(tmp_path / f"{number}.png", RANDOM.integers(0, 256, (8, 12, 3), np.uint8))
    save(tmp_path / "5.png", PIXELS)
    assert reader.read(str(tmp_path), GREY).notes == (
        "0.png and 4 more were resized from 12x8 to 6x4 and made grey",
        "5.png was made grey",
    )


def test_notes_do_not_fill_the_screen(tmp_path):
    for number in range(13):
        save(tmp_path / f"{number:02}.png", np.zeros((4 + number, 6, 3), np.uint8))
    notes = reader.read(str(tmp_path), COLOUR).notes
    assert len(notes) == 11
    assert notes[0] == "01.png was cropped to its middle and resized from 6x5 to 6x4"
    assert notes[-1] == "2 more were changed likewise"


def test_a_folder_without_pictures_is_a_data_error(tmp_path):
    assert "holds no pictures" in refused(DataError, tmp_path, GREY)
    np.save(tmp_path / "a.npy", PIXELS)
    assert "other files: a.npy" in refused(DataError, tmp_path, GREY)


def test_a_folder_of_too_many_pictures_is_a_usage_error(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PICTURES", 2)
    for name in "abc":
        save(tmp_path / f"{name}.png", PIXELS)
        if name == "b":
            assert len(reader.read(str(tmp_path), COLOUR).examples) == 2
    assert "holds 3 pictures" in refused(UsageError, tmp_path, COLOUR)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.webp"])
def test_a_truncated_picture_in_a_folder_is_named(name, tmp_path):
    save(tmp_path / "0.png", PIXELS)
    path = tmp_path / name
    save(path, RANDOM.integers(0, 256, (40, 60, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert str(path) in refused(DataError, tmp_path, GREY)
    assert DataError.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_a_data_error(content, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    assert "a.jpg is no picture" in refused(DataError, tmp_path / "a.jpg", GREY)


def test_a_link_that_leads_nowhere_is_missed_by_name(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    assert "a.png cannot be read" in refused(DataError, tmp_path, GREY)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif", "a.webp", "a.npy"])
def test_damaged_files_are_data_errors_or_pictures_and_nothing_else(name, tmp_path):
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, PIXELS)
    else:
        save(path, PIXELS)
    sound = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(sound)
        for place in random.integers(0, len(sound), 3):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            assert reader.read(str(path), COLOUR).examples.shape == (1, *COLOUR)


@pytest.mark.parametrize("place", [(image_files, "MAX_PIXELS"), (Image, "MAX_IMAGE_PIXELS")], ids=["ours", "Pillow's"])
def test_a_decompression_bomb_is_not_unpacked(place, tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", PIXELS)
    monkeypatch.setattr(*place, 5)
    assert "too large" in refused(DataError, path, COLOUR)


def test_warnings_go_on_as_they_were(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader.read(save(tmp_path / "a.png", PIXELS), COLOUR)
        warnings.warn("still heard", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["still heard"]


def test_names_that_are_no_text_can_be_shown(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\nb.png")
    reader.read(save(path, PIXELS), COLOUR)
    found = reader.read(path, GREY)
    assert (found.names, found.notes) == (("a? b",), ("a? b.png was made grey",))
