"""Data sets that are installed with scikit-learn."""

import importlib.util
import pathlib

import numpy as np

from trainer.data.dataset import Dataset, Split
from trainer.data.sources import Sources

NUM_DIGITS_TO_EVALUATE = 297
IRIS_NAMES = ("setosa", "versicolor", "virginica")


def load_digits(sources: Sources) -> Dataset:
    """Loads 1,797 handwritten digits of 8x8 pixels with values 0 to 16; the last 297 are for evaluation.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test half).
    """
    rows = np.loadtxt(_folder() / "digits.csv.gz", delimiter=",", dtype=np.uint8)  # 64 pixels, then the label
    images, labels = rows[:, :-1].reshape(-1, 8, 8, 1), rows[:, -1].astype(np.int64)
    cut = len(images) - NUM_DIGITS_TO_EVALUATE
    return Dataset(
        name="digits",
        train=Split(images[:cut], labels[:cut]),
        evaluation=Split(images[cut:], labels[cut:]),
        label_names=tuple(str(digit) for digit in range(10)),
        scale=16.0,
        source="scikit-learn",
    )


def load_iris(sources: Sources) -> Dataset:
    """Loads 150 flowers, 4 lengths in cm. All are used for training and for evaluation: they are too few to split.

    Source: Fisher, The use of multiple measurements in taxonomic problems, 1936.
    """
    rows = np.loadtxt(_folder() / "iris.csv", delimiter=",", dtype=np.float32, skiprows=1)  # 4 lengths, then the label
    flowers = Split(rows[:, :-1].copy(), rows[:, -1].astype(np.int64))
    return Dataset(
        name="iris",
        train=flowers,
        evaluation=flowers,
        label_names=IRIS_NAMES,
        scale=1.0,
        source="scikit-learn",
    )


def _folder() -> pathlib.Path:
    """Returns the folder of scikit-learn's data files. Importing scikit-learn itself would take two seconds."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return pathlib.Path(spec.origin).parent / "datasets" / "data"
