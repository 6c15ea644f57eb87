"""Inputs that are scored, in blocks of examples."""

import abc
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputBlock:
    """L lines of an input, and the n examples in them. Other inputs than tables have a line for each example.

    Attributes:
      numbers: [L] int64, where the lines are in the input, from 1: the last line of each row, or the number of a row.
      lines: [L] texts; a row with quoted line breaks is one of them.
      is_row: [L] bool, False for blank lines.
      is_good: [L] bool, True for the lines of the n examples.
      examples: [n, ...] float32, NaN for missing numbers.
      bad: the rows that cannot be scored: (index in `lines`, number of cells, reason), ascending.
      labels: the distinct labels of the examples; empty without labels.
      label_of_row: [n] int64, indices into `labels`.
    """

    numbers: np.ndarray
    lines: Sequence[str]
    is_row: np.ndarray
    is_good: np.ndarray
    examples: np.ndarray
    bad: Sequence[tuple[int, int, str]] = ()
    labels: Sequence[str] = ()
    label_of_row: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))


class ScoredInput(abc.ABC):
    """An input of some kind, which is read block by block.

    Attributes:
      name: the name of the input in messages.
      unit: the word for a line, such as "line" or "row"; empty if the lines are names.
      names: names of the columns of the lines, from the heading, or by number.
      has_heading: True if the output has a heading.
      delimiter: separates the cells; a space stands for white space.
      notes: remarks on the input.
      num_examples: number of examples; 0 if it is unknown.
      trained_names: [D] names of the numbers of an example; empty for images.
    """

    name: str
    unit: str
    names: Sequence[str]
    has_heading: bool = True
    delimiter: str = ","
    notes: Sequence[str] = ()
    num_examples: int = 0
    trained_names: Sequence[str]

    @property
    def heading(self) -> Sequence[str]:
        """The lines of the heading; empty without a heading. Known when the first block is."""
        return self.names

    @abc.abstractmethod
    def blocks(self) -> Iterator[InputBlock]:
        """Yields all lines after the heading. Can be called once.

        Raises:
          DataError: the input is damaged.
        """
