"""A summary of a data set for the log."""

import numpy as np

from trainer.data.dataset import Dataset, Split
from trainer.data.formats import depth
from trainer.errors import option, render, sanitize

MAX_LABELS_SHOWN = 20
EMPTY = "(empty)"  # the label of a cell without text


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
        lines.append(
            f"note        the images are almost black: no value is above {high:g} of {data.scale:g}{_remedy(data)}"
        )
    return [*lines, *(f"note        {sanitize(note)}" for note in data.notes)]


def _remedy(data: Dataset) -> str:
    """Returns the remedy for images that may be dark because they had 16 bits."""
    may_have_16_bits = data.name == "images" and data.depth == depth.FULL
    return f"; if they have 16 bits, give {render(option('depth', 'stretch'))}" if may_have_16_bits else ""


def _counts(data: Dataset, split: Split) -> str:
    labels, counts = np.unique(split.labels, return_counts=True)
    num_more = max(0, len(labels) - MAX_LABELS_SHOWN)
    order = np.argsort(-counts, kind="stable")[:MAX_LABELS_SHOWN] if num_more else np.arange(len(labels))
    words = ", ".join(f"{data.class_name(labels[index]) or EMPTY} {counts[index]:,}" for index in order)
    more = f", and {num_more:,} more labels" if num_more else ""
    return f"{len(split.examples):,} ({words}{more})"
