"""What a data set is, once loaded: arrays, labels, and a fingerprint. Nothing after this knows where it came from."""

import dataclasses
import functools
import hashlib

import numpy as np

from trainer.errors import DataError

ALIGNMENT = 64  # bytes


@dataclasses.dataclass(frozen=True)
class Split:
    """Examples and their labels.

    Attributes:
      examples: [N, H, W, C] uint8 pictures, or [N, D] float32 rows of a table.
      labels: [N] int64, indices into `Data.label_names`.
    """

    examples: np.ndarray
    labels: np.ndarray

    def aligned(self) -> "Split":
        """The same, where TensorFlow can use the examples' memory, and needs no copy of them."""
        if self.examples.ctypes.data % ALIGNMENT == 0 and self.examples.flags.c_contiguous:
            return self
        room = np.empty(self.examples.nbytes + ALIGNMENT, np.uint8)
        bytes_ = room[-room.ctypes.data % ALIGNMENT :][: self.examples.nbytes]
        examples = bytes_.view(self.examples.dtype).reshape(self.examples.shape)
        examples[...] = self.examples
        return Split(examples, self.labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """A data set.

    Attributes:
      name: as in the registry.
      train: what the network learns from.
      evaluation: what it is judged by.
      label_names: the meaning of each label.
      scale: what one stored unit is divided by: 255 for uint8 pictures, so that the model sees [0, 1]; 1 for tables.
      source: where it was found, for people.
    """

    name: str
    train: Split
    evaluation: Split
    label_names: tuple[str, ...]
    scale: float
    source: str

    def __post_init__(self) -> None:
        for split in (self.train, self.evaluation):
            _check(self.name, split)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: (H, W, C) of a picture, (D,) of a row."""
        return self.train.examples.shape[1:]

    @property
    def is_pictures(self) -> bool:
        """Whether examples can be shown as pictures."""
        return len(self.shape) == 3

    def class_name(self, label: int) -> str:
        """A label's name; its number where the data set has none for it."""
        return self.label_names[label] if 0 <= label < len(self.label_names) else str(label)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of everything that training and evaluation depend on."""
        digest = hashlib.sha256(f"{self.scale}".encode())
        for split in (self.train, self.evaluation):
            digest.update(f"{split.examples.dtype} {split.examples.shape}".encode())
            digest.update(np.ascontiguousarray(split.examples).data)
        return digest.hexdigest()

    def with_splits(self, train: Split, evaluation: Split) -> "Data":
        """The same data set with other examples."""
        return dataclasses.replace(self, train=train, evaluation=evaluation)


def _check(name: str, split: Split) -> None:
    assert len(split.examples) == len(split.labels), name
    if split.examples.dtype == np.uint8:
        return
    bad = np.argwhere(~np.isfinite(split.examples))
    if len(bad):
        row, *column = bad[0]
        raise DataError(
            f"{name}: row {row}, column {', '.join(map(str, column))} holds {split.examples[tuple(bad[0])]}",
            found=f"{len(bad)} values are not finite numbers",
            remedy="mend or leave out these rows",
        )
