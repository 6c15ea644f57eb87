"""What was found in a data set, for a person."""

import numpy as np

from trainer.data.dataset import Data, Split
from trainer.errors import printable

MOST_LABELS = 20


def lines(data: Data) -> list[str]:
    """Where it is, its splits with counts by label, sizes, the range of values, and what else there is to know."""
    shape = "x".join(map(str, data.shape))
    low, high = data.value_range
    kind = "pictures" if data.is_pictures else "numbers a row"
    found = [
        f"data        {data.name}, {printable(data.source)}",
        f"examples    {shape} {kind}, {data.train.examples.dtype}, from {low:g} to {high:g}",
        f"train       {_counts(data, data.train)}",
        f"eval        {_counts(data, data.evaluation)}",
    ]
    if data.evaluation is data.train:
        found[-1] += ": the same"
    if data.train.examples.dtype == np.uint8 and data.scale == 255 and high <= 1:
        found.append("note        no value is above 1 of 255: to a network they are all but black")
    return [*found, *(f"note        {printable(note)}" for note in data.notes)]


def _counts(data: Data, split: Split) -> str:
    labels, counts = np.unique(split.labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_LABELS] if len(labels) > MOST_LABELS else np.arange(len(labels))
    words = ", ".join(f"{data.class_name(labels[place])} {counts[place]:,}" for place in order)
    more = f", and {len(labels) - MOST_LABELS:,} more labels" if len(labels) > MOST_LABELS else ""
    return f"{len(split.examples):,} ({words}{more})"
