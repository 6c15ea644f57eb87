"""Helpers for tests of custom data: small data, and functions that load them."""

import numpy as np
import pytest
from PIL import Image

from trainer.data import datasets
from trainer.data.limits import Limits
from trainer.data.options import DataOptions
from trainer.data.sources import Sources

LIMITS = Limits()
PIXELS = (np.arange(4_000) % 251).astype(np.uint8).reshape(50, 5, 16)
COLORS = {"cat": (200, 30, 10), "dog": (10, 30, 200)}


def load(tmp_path, name, data_dir, limits=None, **options):
    options = DataOptions(data_dir=str(data_dir), cache_dir=str(tmp_path / "cache"), **options)
    return datasets.load(name, Sources(options, log=lambda line: None, limits=limits or LIMITS))


def load_error(kind, tmp_path, name, data_dir, **options):
    """Returns the message of the error that loading raises."""
    with pytest.raises(kind) as error:
        load(tmp_path, name, data_dir, **options)
    message = str(error.value)
    assert len(message.splitlines()) <= 3
    assert "remedy: " in message
    return message


def save(path, color=(1, 2, 3), size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def colors_by_label(data):
    """Returns the color of the last image of each label in both splits."""
    return {
        data.label_names[label]: tuple(example[0, 0].tolist())
        for split in (data.train, data.evaluation)
        for label, example in zip(split.labels, split.examples, strict=True)
    }


def load_table(tmp_path, text, **options):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(tmp_path, "table", path, **{"eval_fraction": 0.0, **options})
