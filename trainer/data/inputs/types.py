"""What was given, once it is read."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Examples that a person gave.

    Attributes:
      examples: [N, H, W, C] pictures, uint8 or as float32 in [0, 1], or [N, D] float32 rows of a table; at least one.
      names: [N], what to call them. Files go by their stems (by their whole names where two share a stem), rows of a
        table by "row 0", "row 1", ..., other pictures by "0", "1", ...
      notes: what was done to them that the person should know, each a line.
    """

    examples: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> np.ndarray:
        """[N, ...] float32 as a network sees them: pictures in [0, 1], rows in their own units."""
        return self.examples / np.float32(255) if self.examples.dtype == np.uint8 else self.examples
