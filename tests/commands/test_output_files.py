"""The files that modes write: images with the names of their inputs, and arrays in parts."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from trainer.commands.array_file import ArrayFile
from trainer.commands.image_output import ImageFiles, relative_paths
from trainer.commands.new_data import rmse
from trainer.commands.output import Output
from trainer.config.options import CommandOptions
from trainer.errors import UsageError


def paths(*names):
    return list(map(str, relative_paths(names)))


def test_images_keep_the_subfolders_of_their_names():
    assert paths("a", "b/a", "b/c d/ü") == ["a.png", "b/a.png", "b/c d/ü.png"]


def test_equal_names_and_names_of_folders_get_the_index_of_the_image():
    assert paths("a b", "a b", "a") == ["a b-0.png", "a b-1.png", "a.png"]
    assert paths("a", "a.png/b") == ["a-0.png", "a.png/b.png"]
    assert len({*paths("a", "a", "a-0", "a-1", "a-0")}) == 5


def test_long_names_are_truncated_and_no_name_leaves_the_folder():
    long = "漢" * 100
    for path in paths(long, long + "x", "..", "../x", "a/../../x", ".", " .. /x", "/x"):
        assert not pathlib.PurePath(path).is_absolute()
        assert all(part.strip(". ") and len(part.encode()) <= 210 for part in pathlib.PurePath(path).parts)


def test_images_are_written_in_batches_up_to_the_limit(tmp_path):
    images = np.linspace(0, 1, 5, dtype=np.float32)[:, np.newaxis, np.newaxis, np.newaxis] * np.ones((5, 2, 3, 1))
    for limit, count in ((None, 5), (4, 4)):
        files = ImageFiles(tmp_path / str(count), [f"f/{index}" for index in range(5)], limit)
        files.write(0, images[:3])
        files.write(3, images[3:])
        written = sorted((tmp_path / str(count) / "f").iterdir())
        assert [path.name for path in written] == [f"{index}.png" for index in range(count)]
        shades = [int(np.asarray(Image.open(path))[0, 0]) for path in written]
        assert shades == [0, 64, 128, 191, 255][:count]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8])
def test_an_array_in_parts_is_read_like_a_whole_one(kind):
    array = np.random.default_rng(0).integers(0, 200, (7, 3, 2)).astype(kind)
    whole, parts = io.BytesIO(), io.BytesIO()
    for file, divided in ((whole, False), (parts, True)):
        with ArrayFile(file) as arrays:
            if divided:
                arrays.write_parts("a", array.shape, [array[:3], array[3:3], np.asfortranarray(array[3:])])
            else:
                arrays.write("a", array)
            arrays.write("names", np.array(["x", "yy"]))
    loaded = np.load(io.BytesIO(parts.getvalue()))
    np.testing.assert_array_equal(loaded["a"], array)
    assert (loaded["a"].dtype, loaded["names"].tolist()) == (kind, ["x", "yy"])
    assert parts.getvalue() == whole.getvalue()


def test_missing_numbers_do_not_count_in_an_error():
    differences = np.array([[3, np.nan, -4], [1, 1, 1]], np.float32)
    np.testing.assert_allclose(rmse(differences), [12.5**0.5, 1])


def test_the_input_is_never_replaced_by_a_result(tmp_path):
    path = tmp_path / "errors.csv"
    path.write_text("1,2\n")
    output = Output(CommandOptions(mode="evaluate", input=str(path), output=str(tmp_path)), tmp_path)
    with pytest.raises(UsageError, match="is the input"):
        output.write("errors.csv", "name,rmse\n")
    with pytest.raises(UsageError, match="is the input"), output.file("errors.csv"):
        pass
    assert path.read_text() == "1,2\n"
    output.write("others.csv", "name,rmse\n")


def test_standard_output_is_no_folder(tmp_path):
    with pytest.raises(UsageError, match="is only for"):
        Output(CommandOptions(mode="encode", output="-"), tmp_path)
