"""The depth of 16-bit images: in folders, arrays and TensorFlow Datasets, and in the inputs of a trained network."""

import io
import json

import numpy as np
import pytest
from custom_data import load
from formats import TFDS
from input_files import png_of_16_bits
from PIL import Image

from trainer import config
from trainer.data import datasets, describe
from trainer.data.formats import depth as depths
from trainer.data.formats import image_files
from trainer.data.inputs import reader
from trainer.data.limits import Limits
from trainer.errors import CheckpointError, as_flag, option_style
from trainer.runs.directory import RunFiles
from trainer.runs.loading import LoadedRun

RANDOM = np.random.default_rng(0)
COUNTS = np.concatenate(  # 16-bit gray values; the training images use exactly 200 to 1,200
    [RANDOM.integers(200, 1_201, (29, 6, 8)), np.linspace(200, 1_200, 48).reshape(1, 6, 8).round()]
).astype(np.uint16)
STRETCHED = np.rint((COUNTS - 200.0) * 255 / 1_000).astype(np.uint8)
GRAY = {"image_size": (6, 8), "color": "grey", "eval_fraction": 0.0}
LAYOUTS = {"gray": (0, 1), "color": (2, 3), "gray with alpha": (4, 2), "color with alpha": (6, 4)}  # PNG type, channels


@pytest.fixture
def scans(tmp_path):
    """Thirty 16-bit images that use 200 to 1,200, in one folder."""
    return save_all(tmp_path / "scans", COUNTS)


def save_all(folder, images):
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:02}.png")
    return folder


def gray(data):
    return data.train.examples[..., 0]


def notes(data):
    return [note for note in data.notes if "16" in note and "converted" not in note]


def test_auto_stretches_images_that_use_a_small_part_of_the_scale_and_notes_the_numbers(scans, tmp_path):
    for data in (load(tmp_path, "images", scans, **GRAY) for _ in range(2)):  # The second is from the cache.
        np.testing.assert_array_equal(gray(data), STRETCHED)
        assert data.depth == (200, 1_200)
        assert notes(data) == ["16-bit images use 200 to 1,200 of 65,535: stretched to the full range"]
    assert describe.summary_lines(data)[1].endswith("from 0 to 255")


@pytest.mark.parametrize("top", [16_384, 65_535])
def test_auto_is_full_from_a_quarter_of_the_scale_on(top, tmp_path):
    images = np.where(COUNTS == 1_200, top, COUNTS).astype(np.uint16)
    folder = save_all(tmp_path / "scans", images)
    auto = load(tmp_path, "images", folder, **GRAY)
    full = load(tmp_path, "images", folder, depth="full", **GRAY)
    np.testing.assert_array_equal(gray(auto), np.rint(images / 257))
    assert auto.fingerprint == full.fingerprint
    assert auto.depth == depths.FULL
    assert notes(auto) == []
    stretched = load(tmp_path, "images", folder, depth="stretch", **GRAY)
    np.testing.assert_array_equal(gray(stretched), np.rint((images - 200.0) * 255 / (top - 200)))


def test_full_keeps_dark_images_and_the_summary_notes_it(scans, tmp_path):
    data = load(tmp_path, "images", scans, depth="full", **GRAY)
    np.testing.assert_array_equal(gray(data), np.rint(COUNTS / 257))
    note = "the images are almost black: no value is above 5 of 255; if they have 16 bits, give --depth=stretch"
    with option_style(as_flag):
        assert f"note        {note}" in describe.summary_lines(data)


def test_dark_8_bit_and_float_arrays_are_noted(tmp_path):
    for values, shown in ((STRETCHED // 5, "51 of 255"), (STRETCHED / np.float32(2_550), "0.1 of 1")):
        np.save(tmp_path / "a.npy", values)
        lines = describe.summary_lines(load(tmp_path, "array", tmp_path / "a.npy", eval_fraction=0.0))
        assert f"note        the images are almost black: no value is above {shown}" in lines


def test_stretched_images_have_another_fingerprint_than_equal_8_bit_images(scans, tmp_path):
    stretched = load(tmp_path, "images", scans, **GRAY)
    plain = load(tmp_path, "images", save_all(tmp_path / "plain", STRETCHED), **GRAY)
    np.testing.assert_array_equal(stretched.train.examples, plain.train.examples)
    assert stretched.fingerprint != plain.fingerprint
    assert plain.fingerprint == load(tmp_path, "images", tmp_path / "plain", depth="full", **GRAY).fingerprint


def test_the_range_is_that_of_the_training_images_and_others_are_clipped(tmp_path):
    save_all(tmp_path / "data" / "train", COUNTS)
    save_all(tmp_path / "data" / "test", [np.uint16([[0, 200, 700, 1_200, 9_000, 65_535]])])
    data = load(tmp_path, "images", tmp_path / "data", **{**GRAY, "fit": "pad"})
    assert data.depth == (200, 1_200)
    resized = load(tmp_path, "images", tmp_path / "data", **{**GRAY, "image_size": (1, 6), "fit": "resize"})
    assert resized.evaluation.examples[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255, 255]
    assert CLIPPED.format("0 to 65,535") in resized.notes


@pytest.mark.parametrize("limits", [Limits(), Limits(in_memory_bytes=100, chunk_bytes=999)], ids=["memory", "cache"])
def test_values_of_evaluation_arrays_that_are_clipped_are_noted(limits, tmp_path):
    np.savez(tmp_path / "a.npz", x_train=COUNTS, x_test=COUNTS + np.uint16([50]))
    assert load(tmp_path, "array", tmp_path / "a.npz", limits=limits).notes[-1] == CLIPPED.format("200 to 1,250")
    np.savez(tmp_path / "a.npz", x_train=COUNTS, x_test=COUNTS[:3])
    assert "clipped" not in " ".join(load(tmp_path, "array", tmp_path / "a.npz", limits=limits).notes)


CLIPPED = "evaluation images have values outside of this range, which are clipped: with them, the values are {}"


def test_8_bit_images_beside_16_bit_images_keep_their_values(tmp_path):
    eight = RANDOM.integers(0, 256, (4, 6, 8), np.uint8)
    save_all(tmp_path / "data" / "eight", eight)
    save_all(tmp_path / "data" / "sixteen", COUNTS)
    data = load(tmp_path, "images", tmp_path / "data", **GRAY)
    np.testing.assert_array_equal(gray(data), np.concatenate([eight, STRETCHED]))
    assert notes(data) == ["30 of 34 images have 16 bits and use 200 to 1,200 of 65,535: stretched to the full range"]
    sixteen = load(tmp_path, "images", tmp_path / "data", classes=("sixteen",), **GRAY)
    np.testing.assert_array_equal(gray(sixteen), STRETCHED)


def test_stretch_without_16_bit_images_and_of_a_single_value_changes_nothing_and_notes_it(tmp_path):
    plain = save_all(tmp_path / "plain", STRETCHED)
    data = load(tmp_path, "images", plain, depth="stretch", **GRAY)
    np.testing.assert_array_equal(gray(data), STRETCHED)
    assert "no image has 16 bits: nothing was stretched" in data.notes
    data = load(tmp_path, "images", save_all(tmp_path / "flat", np.full((2, 6, 8), 700, np.uint16)), **GRAY)
    assert notes(data) == ["16-bit images use only the value 700 of 65,535: not stretched"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_16_bit_png_files_of_all_layouts_are_stretched_exactly(layout, tmp_path):
    color_type, channels = LAYOUTS[layout]
    values = RANDOM.integers(200, 1_201, (12, 6, 8, channels)).astype(np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65_535  # opaque
    values[0, 0, :2, : channels - (channels in (2, 4))] = np.array([[200], [1_200]])
    (tmp_path / "data").mkdir()
    for index, image in enumerate(values):
        pixels = image[..., 0] if channels == 1 else image
        (tmp_path / "data" / f"{index:02}.png").write_bytes(png_of_16_bits(pixels, color_type))
    data = load(tmp_path, "images", tmp_path / "data", **{**GRAY, "color": "rgb"})
    color = values[..., :3] if channels >= 3 else values[..., :1]
    expected = np.broadcast_to(np.rint((color - 200.0) * 255 / 1_000), (12, 6, 8, 3))
    np.testing.assert_array_equal(data.train.examples, expected)
    assert data.depth == (200, 1_200)


def test_transparent_values_are_not_part_of_the_range():
    ranges = []
    content = png_of_16_bits(np.uint16([[65_535, 300], [400, 65_535]]), 0, (b"tRNS", b"\xff\xff"))
    target = image_files.Target(2, 2, 1, depth=(300, 400))
    pixels, _ = image_files.decode(io.BytesIO(content), target, on_range=ranges.append)
    assert ranges == [(300, 400)]
    assert pixels[..., 0].tolist() == [[255, 0], [255, 255]]  # Transparent pixels are white.


@pytest.mark.parametrize("kind", ["<u2", ">u2"])
@pytest.mark.parametrize("limits", [Limits(), Limits(in_memory_bytes=100, chunk_bytes=999)], ids=["memory", "cache"])
def test_uint16_arrays_are_read_like_16_bit_images(kind, limits, scans, tmp_path):
    np.savez(tmp_path / "a.npz", data=COUNTS.astype(kind), labels=np.arange(30) % 3)
    data = load(tmp_path, "array", tmp_path / "a.npz", limits=limits, eval_fraction=0.0)
    np.testing.assert_array_equal(gray(data), STRETCHED)
    assert (data.depth, data.scale) == ((200, 1_200), 255)
    assert data.fingerprint == load(tmp_path, "images", scans, **GRAY).fingerprint
    assert notes(data) == ["16-bit images use 200 to 1,200 of 65,535: stretched to the full range"]
    full = load(tmp_path, "array", tmp_path / "a.npz", limits=limits, eval_fraction=0.0, depth="full")
    np.testing.assert_array_equal(gray(full), np.rint(COUNTS / 257))
    kept = load(tmp_path, "array", tmp_path / "a.npz", limits=limits, eval_fraction=0.3, classes=("1",))
    rows = kept.train.examples.astype(float)
    assert (rows.min(), rows.max()) == (0, 255)


def test_uint8_and_uint16_arrays_in_one_file_are_rejected(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=COUNTS, x_test=STRETCHED)
    with pytest.raises(datasets.DataError, match="different example shapes or types"):
        load(tmp_path, "array", tmp_path / "a.npz")


def test_tfds_images_are_stretched(tmp_path, monkeypatch):
    text = TFDS.format(splits={"train": 30}).replace('Image.new("RGB", (8, 6), (shade,) * 3)', SCAN)
    (tmp_path / "tensorflow_datasets.py").write_text(text.replace("number == 3", "False"))
    monkeypatch.syspath_prepend(tmp_path)
    data = load(tmp_path, "tfds:shades", "where", image_size=(6, 8), color="grey")
    assert sorted(np.unique(data.train.examples)) == [0, 255]
    assert data.depth == (100, 300)


SCAN = "Image.fromarray(np.full((6, 8), 100 + shade, np.uint16))"


def test_inputs_of_a_network_are_stretched_like_its_training_images(scans, tmp_path):
    files = reader.read(str(scans), (6, 8, 1), "crop", (200, 1_200))
    np.testing.assert_array_equal(files.examples[..., 0], STRETCHED)
    assert files.notes == ()
    np.save(tmp_path / "a.npy", COUNTS)
    array = reader.read(str(tmp_path / "a.npy"), (6, 8, 1), "crop", (200, 1_200))
    np.testing.assert_array_equal(array.examples, files.examples)
    assert array.notes == ()


def test_inputs_outside_the_range_of_the_training_images_are_noted(scans, tmp_path):
    clipped = "clipped to the 16-bit range of the training images, 300 to 900"
    assert reader.read(str(scans), (6, 8, 1), "crop", (300, 900)).notes == (f"00.png and 29 more were {clipped}",)
    np.save(tmp_path / "a.npy", COUNTS)
    assert reader.read(str(tmp_path / "a.npy"), (6, 8, 1), "crop", (300, 900)).notes == (f"a.npy was {clipped}",)
    dark = "read at the full 16-bit scale, of which it uses less than a quarter"
    assert reader.read(str(scans / "00.png"), (6, 8, 1)).notes == (f"00.png was {dark}",)
    assert reader.read(str(tmp_path / "a.npy"), (6, 8, 1)).notes == (f"a.npy was {dark}",)


@pytest.mark.parametrize("array", [STRETCHED, np.float32(STRETCHED / 255)], ids=["uint8", "float"])
def test_arrays_that_are_not_stretched_are_noted_in_a_stretched_run(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    note = "a.npy is not stretched: 0 stands for the 16-bit value 200, and 1 (in uint8: 255) for 1,200"
    assert reader.read(str(tmp_path / "a.npy"), (6, 8, 1), "crop", (200, 1_200)).notes == (note,)
    assert reader.read(str(tmp_path / "a.npy"), (6, 8, 1)).notes == ()


def test_a_run_stores_its_depth_and_applies_it_to_inputs(scans, tmp_path, launch):
    run = tmp_path / "run"
    flags = ["--dataset=images", "--image_size=6x8", "--color=gray", "--hidden=4", "--batch_size=8", "--steps=1"]
    flags += ["--eval_fraction=0", f"--data_dir={scans}", f"--run_dir={run}"]
    assert launch(*flags)[0] == 0
    assert json.loads((run / "depth.json").read_text()) == {"low": 200, "high": 1_200}
    assert json.loads((run / "export" / "1" / "assets.extra" / "depth.json").read_text()) == {"low": 200, "high": 1_200}
    Image.fromarray(np.uint16([[199] * 8] * 6)).save(tmp_path / "dark.png")
    code, out, _ = launch("--mode=reconstruct", f"--run_dir={run}", f"--input={tmp_path / 'dark.png'}")
    assert code == 0
    assert "dark.png was clipped to the 16-bit range of the training images, 200 to 1,200" in out
    assert run / "depth.json" in RunFiles(run).before_checkpoints  # A mirror copies these files first.
    (run / "depth.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"depth\.json is missing or damaged"):
        LoadedRun(*config.parse([f"--run_dir={run}"])).depth()
