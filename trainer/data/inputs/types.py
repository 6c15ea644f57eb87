"""Inputs of a trained network."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

BATCH, BATCH_BYTES = 1_000, 32 << 20  # of float32


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Examples that were given as `--input`.

    Attributes:
      examples: [N, H, W, C] images, uint8 or float32 in [0, 1]; or [N, D] float32 rows of a table, NaN where a number
        is missing. N is at least 1. Many image files are memory-mapped.
      names: [N] names. The name of an image file is its path in the folder without its extension, or with it where two
        files would have the same name. Rows of a table are named "row 0", "row 1", ..., and the images in an array
        "0", "1", ...; rows of a table file are named "row 1", "row 2", ..., as they stand in the file.
      notes: one line for each kind of conversion, and for skipped files.
      are_files: True if each example is an image file.
      numbers: [N] int64, the numbers in the names; None for image files, and for two arrays.
      labels: [N] str, the labels, if the file has them.
      paths: [N] paths of image files in their folder; otherwise empty.
      bad: the examples that could not be read, by their index, and why; their contents are not used.
      columns: names of the columns, [D], if the examples are the rows of a table file; otherwise empty.
    """

    examples: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    are_files: bool = False
    numbers: np.ndarray | None = None
    labels: np.ndarray | None = None
    columns: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    bad: Mapping[int, str] = dataclasses.field(default_factory=dict)

    @property
    def scaled(self) -> np.ndarray:
        """Examples in the network's units, [N, ...] float32: images in [0, 1], rows in the units of the table."""
        return _scaled(self.examples)

    def batches(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yields the places of consecutive examples, and these examples in the network's units, as `scaled`."""
        size = min(BATCH, max(1, BATCH_BYTES // (4 * self.examples[0].size)))
        for start in range(0, len(self.examples), size):
            yield slice(start, start + size), _scaled(self.examples[start : start + size])


def _scaled(examples: np.ndarray) -> np.ndarray:
    return examples / np.float32(255) if examples.dtype == np.uint8 else examples
