"""Inputs of a trained network."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Examples that were given as `--input`.

    Attributes:
      examples: [N, H, W, C] images, uint8 or float32 in [0, 1]; or [N, D] float32 rows of a table. N is at least 1.
      names: [N] names. The name of an image file is its stem, or its full name if two files have the same stem. Rows of
        a table are named "row 0", "row 1", ..., and the images in an array "0", "1", ...
      notes: one line for each kind of conversion, and for skipped files.
    """

    examples: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def scaled(self) -> np.ndarray:
        """Examples in the network's units, [N, ...] float32: images in [0, 1], rows in the units of the table."""
        return self.examples / np.float32(255) if self.examples.dtype == np.uint8 else self.examples
