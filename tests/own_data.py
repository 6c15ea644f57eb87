"""What tests of a person's own data need: small data, and loading them."""

import numpy as np
import pytest
from PIL import Image

from trainer.data import datasets
from trainer.data.limits import Limits
from trainer.data.options import DataOptions
from trainer.data.sources import Sources

LIMITS = Limits()
PIXELS = (np.arange(4_000) % 251).astype(np.uint8).reshape(50, 5, 16)
COLOURS = {"cat": (200, 30, 10), "dog": (10, 30, 200)}


def sources(tmp_path, data_dir, limits=LIMITS, **wanted):
    options = DataOptions(data_dir=str(data_dir), cache_dir=str(tmp_path / "cache"), **wanted)
    return Sources(options, say=lambda words: None, limits=limits)


def load(tmp_path, name, data_dir, **wanted):
    return datasets.load(name, sources(tmp_path, data_dir, **wanted))


def refused(kind, tmp_path, name, data_dir, **wanted):
    with pytest.raises(kind) as caught:
        load(tmp_path, name, data_dir, **wanted)
    words = str(caught.value)
    assert len(words.splitlines()) <= 3
    assert "remedy: " in words
    return words


def save(path, color=(1, 2, 3), size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def seen(data):
    """Colour by label, of both splits."""
    return {
        data.label_names[label]: tuple(example[0, 0].tolist())
        for split in (data.train, data.evaluation)
        for label, example in zip(split.labels, split.examples, strict=True)
    }


def table(tmp_path, text, **wanted):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(tmp_path, "table", path, **{"eval_fraction": 0.0, **wanted})
