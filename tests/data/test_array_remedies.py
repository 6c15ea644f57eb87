"""Remedies for arrays that cannot be used: each expression is executed as it is printed, until the array loads."""

import re

import numpy as np
import pytest
from custom_data import load, load_error
from input_files import read_error

from trainer.data.inputs import reader
from trainer.data.limits import Limits
from trainer.errors import DataError

LARGE = Limits(in_memory_bytes=9_999, chunk_bytes=999)
RANDOM = np.random.default_rng(0)


def smooth(*shape):
    """Returns [N, H, W, C] floats from 0 to 1 whose neighbors are similar, as in photographs."""
    count, height, width, channels = shape
    y, x = np.linspace(0, 3, height)[:, None, None], np.linspace(0, 2, width)[:, None]
    phase = RANDOM.uniform(0, 6, (2, count, 1, 1, channels))
    values = np.sin(y + phase[0]) * np.cos(x + phase[1])
    return (values - values.min()) / np.ptp(values)


COLOR, GRAY = smooth(30, 12, 14, 3), smooth(30, 12, 14, 1)
COLOR8, GRAY8 = np.rint(COLOR * 255).astype(np.uint8), np.rint(GRAY * 255).astype(np.uint8)
HOLED = GRAY.astype(np.float32)[..., 0]
HOLED[3, 4, 5], HOLED[7, 0, 0] = np.nan, np.inf
INTACT = np.delete(GRAY, [3, 7], axis=0)
SERIES = RANDOM.normal(size=(90, 20, 3))
ROWS = RANDOM.normal(size=(30, 6))
ROWS_NAN = np.where(np.arange(30)[:, None] == 4, np.nan, ROWS)
COLUMN_NAN = np.where(np.arange(6) == 2, np.nan, ROWS)
RECORDS = np.zeros(30, [("a", "i4"), ("b", "f8")])
RECORDS["a"], RECORDS["b"] = np.arange(30), ROWS[:, 0]
# Name: (the array as it was saved, the true examples, the expression, or expressions one after the other).
FAULTS = {
    "channels first": (COLOR8.transpose(0, 3, 1, 2), COLOR, "x.transpose(0, 2, 3, 1)"),
    "one channel first": (GRAY8.transpose(0, 3, 1, 2), GRAY, "x.transpose(0, 2, 3, 1)"),
    "channels first, -1 to 1": (COLOR.transpose(0, 3, 1, 2) * 2 - 1, COLOR, "x.transpose(0, 2, 3, 1)", "(x + 1) / 2"),
    "channels first, int64": (
        COLOR8.transpose(0, 3, 1, 2).astype(np.int64),
        COLOR,
        "x.transpose(0, 2, 3, 1)",
        "x.astype('uint8')",
    ),
    "examples last": (COLOR8.transpose(1, 2, 3, 0), COLOR, "x.transpose(3, 0, 1, 2)"),
    "gray, examples last": (smooth(60, 12, 12, 1)[..., 0].transpose(1, 2, 0), None, "x.transpose(2, 0, 1)"),
    "alpha": (np.concatenate([COLOR8, np.full_like(GRAY8, 255)], axis=-1), COLOR, "x[..., :3]"),
    "alpha, channels first": (
        np.concatenate([COLOR8, np.full_like(GRAY8, 255)], axis=-1).transpose(0, 3, 1, 2),
        COLOR,
        "x[:, :3].transpose(0, 2, 3, 1)",
    ),
    "videos": (COLOR8.reshape(5, 6, 12, 14, 3), COLOR, "x.reshape(-1, *x.shape[2:])"),
    "9 channels": (smooth(30, 12, 14, 9), None, "x.reshape(len(x), -1)"),
    "int64": (GRAY8[..., 0].astype(np.int64), GRAY, "x.astype('uint8')"),
    "int16 of 12 bits": (np.rint(GRAY * 4_095).astype(np.int16), GRAY, "x.astype('uint16')"),
    "int16 of CT": (
        np.rint(GRAY * 4_000 - 1_000).astype(np.int16),
        GRAY,
        "np.interp(x, [-1000, 3000], [0, 1]).astype('float32')",
    ),
    "int16, all values": (
        np.rint(GRAY * 65_535 - 32_768).astype(np.int16),
        GRAY,
        "np.interp(x, [-32768, 32767], [0, 1]).astype('float32')",
    ),
    "int32": (
        np.rint(GRAY * 1e6).astype(np.int32),
        GRAY,
        "np.interp(x, [0, 1000000], [0, 1]).astype('float32')",
    ),
    "0 to 16": (
        np.rint(GRAY * 16).astype(np.int32),
        np.rint(GRAY * 16),
        "np.interp(x, [0, 16], [0, 1]).astype('float32')",
    ),
    "bool": (GRAY > 0.5, GRAY > 0.5, "x.astype('float32')"),
    "integers 0 and 1": ((GRAY > 0.5).astype(np.int32), GRAY > 0.5, "x.astype('float32')"),
    "-1 to 1": (GRAY * 2 - 1, GRAY, "(x + 1) / 2"),
    "-0.5 to 0.5": ((GRAY - 0.5).astype(np.float32), GRAY, "x + 0.5"),
    "0 to 255": (GRAY8.astype(np.float32), GRAY, "x / 255"),
    "0 to 65,535": (np.rint(GRAY * 65_535), GRAY, "x / 65535"),
    "0 to 16, floats": (GRAY * 16, GRAY, "np.interp(x, [0, 16], [0, 1]).astype('float32')"),
    "standardized": (
        (GRAY - 0.5) * 4,
        GRAY,
        "np.interp(x, [-2, 2], [0, 1]).astype('float32')",
    ),
    "overshoot": (GRAY * 1.01 - 0.005, GRAY, "np.clip(x, 0, 1)"),
    "NaN": (HOLED, INTACT, "x[np.isfinite(x.astype('float32')).all(axis=(1, 2))]"),
    "NaN in 0 to 255": (
        HOLED * 255,
        INTACT,
        "x[np.isfinite(x.astype('float32')).all(axis=(1, 2))]",
        "x / 255",
    ),
    "NaN everywhere": (
        np.where(np.arange(14)[:, None] == 0, np.nan, GRAY),
        np.where(np.arange(14)[:, None] == 0, 0, GRAY),
        "np.nan_to_num(x, nan=0, posinf=1, neginf=0)",
    ),
    "one image": (COLOR8[0], COLOR[:1], "x[np.newaxis]"),
    "one float image": (COLOR[0], COLOR[:1], "x[np.newaxis]"),
    "one image with alpha": (np.concatenate([COLOR8[0], GRAY8[0]], -1), COLOR[:1], "x[np.newaxis, ..., :3]"),
    "one gray image": (GRAY8[0], GRAY[:1], "x[np.newaxis]"),
    "one gray image without channels": (
        np.rint(smooth(1, 40, 30, 1) * 255).astype(np.uint8)[0, ..., 0],
        None,
        "x[np.newaxis]",
    ),
    "one image, channels first": (COLOR8[0].transpose(2, 0, 1), COLOR[:1], "x.transpose(1, 2, 0)[np.newaxis]"),
    "series": (SERIES, SERIES.reshape(90, -1), "x.reshape(len(x), -1)"),
    "series of one feature": (SERIES[..., :1], SERIES[..., 0], "x.reshape(len(x), -1)"),
    "series of six features": (np.concatenate([SERIES] * 2, -1), None, "x.reshape(len(x), -1)"),
    "series as one channel": (SERIES[..., np.newaxis], SERIES.reshape(90, -1), "x.reshape(len(x), -1)"),
    "NaN in a row": (ROWS_NAN, np.delete(ROWS, 4, 0), "x[np.isfinite(x.astype('float32')).all(axis=1)]"),
    "NaN in a column": (COLUMN_NAN, np.delete(ROWS, 2, 1), "x[:, np.isfinite(x.astype('float32')).all(axis=0)]"),
    "too large for float32": (
        ROWS * np.where(np.arange(30)[:, None] == 4, 1e300, 1),
        np.delete(ROWS, 4, 0),
        "x[np.isfinite(x.astype('float32')).all(axis=1)]",
    ),
    "text": (ROWS.astype(str), ROWS, "x.astype('float64')"),
    "records": (
        RECORDS,
        np.stack([np.arange(30), ROWS[:, 0]], 1),
        "np.stack([x[name] for name in x.dtype.names], axis=1)",
    ),
    "complex": (
        ROWS + 1j,
        np.concatenate([ROWS, np.ones((30, 6))], 1),
        "np.concatenate([x.real, x.imag], axis=1).reshape(len(x), -1)",
    ),
    "one axis": (ROWS[:, 0], ROWS[:, :1], "x[:, np.newaxis]"),
}  # fmt: skip


def expressions(message):
    """Returns the expressions of a remedy, the first of which is for the most usual case."""
    return re.findall("`([^`]+)`", message.splitlines()[-1])


def correlation(a, b):
    a, b = np.asarray(a, np.float64).reshape(-1), np.asarray(b, np.float64).reshape(-1)
    return np.corrcoef(a, b)[0, 1]


@pytest.mark.parametrize(
    "limits", [Limits(), Limits(in_memory_bytes=100_000, chunk_bytes=999)], ids=["memory", "cache"]
)
@pytest.mark.parametrize("name", FAULTS)
def test_remedy_executed_literally_leads_to_the_true_examples(name, limits, tmp_path):
    x, truth, *codes = FAULTS[name]
    for code in codes:
        np.save(tmp_path / "a.npy", x)
        message = load_error(DataError, tmp_path, "array", tmp_path / "a.npy", limits=limits, eval_fraction=0.0)
        assert expressions(message)[0] == code
        with np.errstate(over="ignore"):
            x = eval(expressions(message)[0], {"np": np, "x": x})
    np.save(tmp_path / "a.npy", x)
    data = load(tmp_path, "array", tmp_path / "a.npy", limits=limits, eval_fraction=0.0)
    examples = data.train.examples
    if truth is None:
        np.testing.assert_allclose(examples.reshape(-1) / data.scale, x.reshape(-1) / data.scale, rtol=1e-6)
        return
    assert examples.size == truth.size
    assert correlation(examples, truth) > 0.9999
    if data.is_image and np.ptp(np.float64(truth)) > 0.9:  # The whole range is used.
        assert np.ptp(examples / data.scale) > 0.9


def test_arrays_of_one_file_are_scaled_alike(tmp_path):
    values = np.rint(GRAY[..., 0] * 3_000 - 500).astype(np.int16)
    np.savez(tmp_path / "a.npz", x_train=values[:20], x_test=values[20:])
    message = load_error(DataError, tmp_path, "array", tmp_path / "a.npz")
    assert "do the same with all arrays of examples" in message
    assert expressions(message) == ["np.interp(x, [-500, 2500], [0, 1]).astype('float32')"]


@pytest.mark.parametrize("shape", [(20, 12, 3), (20, 12, 1), (3, 12, 14), (12, 12, 60)])
def test_unusual_gray_images_are_read_with_a_channel_axis(shape, tmp_path):
    x = RANDOM.integers(0, 256, shape, np.uint8)
    np.save(tmp_path / "a.npy", x)
    message = load_error(DataError, tmp_path, "array", tmp_path / "a.npy")
    assert expressions(message)[-1] == "x[..., np.newaxis]"
    np.save(tmp_path / "a.npy", x[..., np.newaxis])
    data = load(tmp_path, "array", tmp_path / "a.npy", eval_fraction=0.0)
    np.testing.assert_array_equal(data.train.examples[..., 0], x)


def test_rows_of_bytes_are_no_image_unless_they_are_smooth(tmp_path):
    x = RANDOM.integers(0, 256, (40, 30), np.uint8)
    np.save(tmp_path / "a.npy", x)
    data = load(tmp_path, "array", tmp_path / "a.npy", eval_fraction=0.0)
    np.testing.assert_array_equal(data.train.examples, x)
    smooth_rows = np.rint(smooth(1, 40, 30, 1) * 255).astype(np.uint8)[0, ..., 0]
    np.save(tmp_path / "b.npy", smooth_rows)
    message = load_error(DataError, tmp_path, "array", tmp_path / "b.npy")
    np.save(tmp_path / "b.npy", eval(expressions(message)[1], {"x": smooth_rows}))
    data = load(tmp_path, "array", tmp_path / "b.npy", eval_fraction=0.0)
    np.testing.assert_array_equal(data.train.examples, smooth_rows)


# Inputs of a trained network: the remedy brings them to the shape and the range of the training images.
INPUTS = {
    "channels first": (COLOR8.transpose(0, 3, 1, 2), (12, 14, 3), COLOR, "x.transpose(0, 2, 3, 1)"),
    "one, channels first": (COLOR8[0].transpose(2, 0, 1), (12, 14, 3), COLOR[:1], "x.transpose(1, 2, 0)"),
    "flat": (COLOR8.reshape(30, -1), (12, 14, 3), COLOR, "x.reshape(-1, 12, 14, 3)"),
    "flat gray": (GRAY8.reshape(30, -1), (12, 14, 1), GRAY, "x.reshape(-1, 12, 14, 1)"),
    "alpha": (np.concatenate([COLOR8, GRAY8], -1), (12, 14, 3), COLOR, "x[..., :3]"),
    "gray for color": (GRAY8[..., 0], (12, 14, 3), np.repeat(GRAY, 3, -1), "np.repeat(x[..., np.newaxis], 3, axis=-1)"),
    "color for gray": (
        COLOR8,
        (12, 14, 1),
        COLOR.mean(-1),
        "np.rint(x.mean(axis=-1, keepdims=True)).astype(x.dtype)",
    ),
    "-1 to 1": (GRAY * 2 - 1, (12, 14, 1), GRAY, "(x + 1) / 2"),
    "0 to 255": (GRAY8.astype(float), (12, 14, 1), GRAY, "x / 255"),
    "int64": (GRAY8.astype(np.int64), (12, 14, 1), GRAY, "x.astype('uint8')"),
    "series": (SERIES, (60,), SERIES, "x.reshape(-1, 60)"),
    "NaN": (HOLED, (12, 14, 1), INTACT, "x[np.isfinite(x.astype('float32')).reshape(len(x), -1).all(axis=1)]"),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_remedy_for_an_input_leads_to_the_true_examples(name, tmp_path):
    x, shape, truth, code = INPUTS[name]
    path = tmp_path / "a.npy"
    np.save(path, x)
    assert expressions(read_error(DataError, path, shape)) == [code]
    np.save(path, eval(code, {"np": np, "x": x}))
    scaled = reader.read(str(path), shape).scaled
    np.testing.assert_allclose(scaled.reshape(-1), np.asarray(truth).reshape(-1), atol=0.004)
