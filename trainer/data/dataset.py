"""What a data set is, once loaded: arrays, labels, and a fingerprint. Nothing after this knows where it came from."""

import dataclasses
import functools
import hashlib

import numpy as np

from trainer.errors import DataError, UsageError, option

NO_LABEL = "all"  # the label of examples that have none
ALIGNMENT = 64  # bytes
CHUNK_BYTES = 4 << 20


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


@dataclasses.dataclass(frozen=True)
class Known:
    """What was computed of data when they were stored, so that not every start has to read all of them.

    Attributes:
      fingerprint: as `Data.fingerprint`.
      low, high: of the training examples, as stored.
      total: the sum of the training examples, as stored; the shape of one, float64.
    """

    fingerprint: str
    low: float
    high: float
    total: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """A data set.

    Attributes:
      name: as in the registry.
      train: what the network learns from.
      evaluation: what it is judged by.
      label_names: the meaning of each label.
      scale: what one stored unit is divided by: 255 for uint8 pictures, so that the model sees [0, 1]; 1 for tables, or
        [D] float32, the standard deviations of their columns.
      source: where it was found, for people.
      notes: what a person should know of how it was read, a line each.
      known: what need not be computed again; None: nothing.
    """

    name: str
    train: Split
    evaluation: Split
    label_names: tuple[str, ...]
    scale: float | np.ndarray
    source: str
    notes: tuple[str, ...] = ()
    known: Known | None = None

    def __post_init__(self) -> None:
        if self.known is None:
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
        if self.known is not None:
            return self.known.fingerprint
        scale = self.scale.tobytes() if isinstance(self.scale, np.ndarray) else f"{self.scale}".encode()
        digest = hashlib.sha256(scale)
        for split in (self.train, self.evaluation):
            digest.update(f"{split.examples.dtype} {split.examples.shape}".encode())
            digest.update(np.ascontiguousarray(split.examples).data)
        return digest.hexdigest()

    @functools.cached_property
    def value_range(self) -> tuple[float, float]:
        """The lowest and the highest number of the training examples, as stored."""
        if self.known is not None:
            return self.known.low, self.known.high
        return float(self.train.examples.min()), float(self.train.examples.max())

    def with_splits(self, train: Split, evaluation: Split) -> "Data":
        """The same data set with other examples."""
        return dataclasses.replace(self, train=train, evaluation=evaluation, known=None)

    def standardised(self) -> "Data":
        """The same, each column of its rows being seen in standard deviations of the training examples.

        Raises:
          UsageError: they are pictures.
        """
        if self.is_pictures:
            raise UsageError(
                f"{option('standardise')} with {self.name} in {self.source}",
                found="they are pictures, which the network sees in [0, 1]",
                remedy="leave it out",
            )
        deviations = _deviations(self.train.examples).astype(np.float32)
        return dataclasses.replace(self, scale=np.where(deviations > 0, deviations, np.float32(1)), known=None)

    def aligned(self) -> "Data":
        """The same, where TensorFlow can use the examples' memory, and needs no copy of them."""
        train = self.train.aligned()
        evaluation = train if self.evaluation is self.train else self.evaluation.aligned()
        return dataclasses.replace(self, train=train, evaluation=evaluation)


def _deviations(rows: np.ndarray) -> np.ndarray:
    """[N, D] -> [D] float64, the standard deviations of columns; some megabytes at a time, for rows may be mapped."""
    mean = sum(rows[part].sum(axis=0, dtype=np.float64) for part in parts(rows)) / len(rows)
    return np.sqrt(sum(np.square(rows[part] - mean).sum(axis=0) for part in parts(rows)) / len(rows))


def parts(examples: np.ndarray) -> list[slice]:
    """Some megabytes each, all of them together."""
    size = max(1, CHUNK_BYTES // max(1, examples[:1].nbytes))
    return [slice(start, start + size) for start in range(0, len(examples), size)]


def _check(name: str, split: Split) -> None:
    assert len(split.examples) == len(split.labels), name
    if split.examples.dtype == np.uint8:
        return
    for part in parts(split.examples):
        some = split.examples[part]
        bad = np.argwhere(~np.isfinite(some))
        if not len(bad):
            continue
        row, *column = bad[0]
        raise DataError(
            f"{name}: row {part.start + row}, column {', '.join(map(str, column))} holds {some[tuple(bad[0])]}",
            found=f"{len(bad)} values of these {len(some):,} rows are not finite numbers",
            remedy="mend or leave out these rows",
        )
