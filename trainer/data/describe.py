"""A summary of a data set for the log."""

import numpy as np

from trainer.data.dataset import Dataset, Split
from trainer.data.formats import depth
from trainer.errors import sanitize

MAX_LABELS_SHOWN = 20


def summary_lines(data: Dataset) -> list[str]:
    """Returns lines with the source, example shape, value range, number of examples by split and label, and notes."""
    shape = "x".join(map(str, data.shape))
    low, high = data.original_range
    kind = "images" if data.is_image else "numbers per row"
    lines = [
        f"data        {data.name}, {sanitize(data.source)}",
        f"examples    {shape} {kind}, {data.train.examples.dtype}, from {low:g} to {high:g}",
        f"train       {_counts(data, data.train)}",
        f"eval        {_counts(data, data.evaluation)}",
    ]
    if data.evaluation is data.train:
        lines[-1] += ": the training examples"
    if data.is_image and isinstance(data.scale, float) and depth.is_dark(high, data.scale):
        lines.append(f"note        the images are almost black: no value is above {high:g} of {data.scale:g}")
    return [*lines, *(f"note        {sanitize(note)}" for note in data.notes)]


def _counts(data: Dataset, split: Split) -> str:
    labels, counts = np.unique(split.labels, return_counts=True)
    num_more = max(0, len(labels) - MAX_LABELS_SHOWN)
    order = np.argsort(-counts, kind="stable")[:MAX_LABELS_SHOWN] if num_more else np.arange(len(labels))
    words = ", ".join(f"{data.class_name(labels[index])} {counts[index]:,}" for index in order)
    more = f", and {num_more:,} more labels" if num_more else ""
    return f"{len(split.examples):,} ({words}{more})"
