"""Data sets that come with scikit-learn: no file to find, nothing to download."""

import numpy as np

from trainer.datasets.data import Data, Split
from trainer.datasets.sources import Sources

NUM_DIGITS_TO_EVALUATE = 297


def digits(sources: Sources) -> Data:
    """1,797 handwritten digits of 8x8 pixels with values 0 to 16; the last 297 evaluate.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test half).
    """
    from sklearn import datasets  # Takes a second: only for those who want it.

    bunch = datasets.load_digits()
    images = bunch.images.astype(np.uint8)[..., np.newaxis]  # [1797, 8, 8, 1] in [0, 16]
    labels = bunch.target.astype(np.int64)
    cut = len(images) - NUM_DIGITS_TO_EVALUATE
    return Data(
        name="digits",
        train=Split(images[:cut], labels[:cut]),
        evaluation=Split(images[cut:], labels[cut:]),
        label_names=tuple(str(digit) for digit in range(10)),
        scale=16.0,
        source="scikit-learn",
    )


def iris(sources: Sources) -> Data:
    """150 flowers, 4 lengths in cm. All of them both train and evaluate: the set is too small to split.

    Source: Fisher, The use of multiple measurements in taxonomic problems, 1936.
    """
    from sklearn import datasets

    bunch = datasets.load_iris()
    rows = Split(bunch.data.astype(np.float32), bunch.target.astype(np.int64))
    return Data(
        name="iris",
        train=rows,
        evaluation=rows,
        label_names=tuple(str(name) for name in bunch.target_names),
        scale=1.0,
        source="scikit-learn",
    )
