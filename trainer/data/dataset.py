"""A loaded data set: arrays, labels and a fingerprint. Later code does not depend on the source of the data."""

import dataclasses
import functools
import hashlib

import numpy as np

from trainer.data.formats.depth import FULL, Depth
from trainer.data.schema import Schema
from trainer.errors import DataError, UsageError, option

NO_LABEL = "all"  # The label of unlabeled examples.
ALIGNMENT = 64  # bytes
CHUNK_BYTES = 4 << 20


@dataclasses.dataclass(frozen=True)
class Split:
    """Examples and their labels.

    Attributes:
      examples: [N, H, W, C] images, uint8 or float32; or [N, D] float32 rows of a table.
      labels: [N] int64, indices into `Dataset.label_names`.
    """

    examples: np.ndarray
    labels: np.ndarray

    def aligned(self) -> "Split":
        """Returns the same split, with examples in memory that TensorFlow can use without copying them."""
        if self.examples.ctypes.data % ALIGNMENT == 0 and self.examples.flags.c_contiguous:
            return self
        buffer = np.empty(self.examples.nbytes + ALIGNMENT, np.uint8)
        aligned_bytes = buffer[-buffer.ctypes.data % ALIGNMENT :][: self.examples.nbytes]
        examples = aligned_bytes.view(self.examples.dtype).reshape(self.examples.shape)
        examples[...] = self.examples
        return Split(examples, self.labels)


@dataclasses.dataclass(frozen=True)
class CachedStatistics:
    """Statistics that are stored with cached data, so that a run can start without reading all examples.

    Attributes:
      fingerprint: see `Dataset.fingerprint`.
      low, high: minimum and maximum of the training examples, as stored.
      total: sum of the training examples, as stored; float64, in the shape of one example.
    """

    fingerprint: str
    low: float
    high: float
    total: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set.

    Attributes:
      name: name in the registry.
      train: examples for training.
      evaluation: examples for evaluation.
      label_names: name of each label.
      scale: divisor of the stored values. It maps uint8 images to [0, 1]: 255, or 16 for `digits`. It is 1 for float32
        images and for tables, and [D] float32, the columns' standard deviations, for standardized tables.
      source: location of the data, for messages.
      notes: one line for each remark on how the data were read.
      statistics: stored statistics; None if they have to be computed.
      depth: the values of 16-bit images that became 0 and 255: `FULL`, or the range that was stretched.
      offset: [D] float64, subtracted from rows before they were converted to float32; None: nothing was subtracted. See
        `custom.columns.offset`.
      has_missing: True if numbers of rows are missing; the examples are NaN there.
      schema: the columns of custom rows; None for images and built-in data sets.
    """

    name: str
    train: Split
    evaluation: Split
    label_names: tuple[str, ...]
    scale: float | np.ndarray
    source: str
    notes: tuple[str, ...] = ()
    statistics: CachedStatistics | None = None
    depth: Depth = FULL
    offset: np.ndarray | None = None
    has_missing: bool = False
    schema: Schema | None = None

    def __post_init__(self) -> None:
        if self.statistics is None:
            for split in (self.train, self.evaluation):
                _check(self.name, split, can_be_missing=self.has_missing)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example: (H, W, C) for images, (D,) for rows."""
        return self.train.examples.shape[1:]

    @property
    def is_image(self) -> bool:
        """True if the examples are images, not rows of a table."""
        return len(self.shape) == 3

    def class_name(self, label: int) -> str:
        """Returns the name of a label; its number if the label has no name."""
        return self.label_names[label] if 0 <= label < len(self.label_names) else str(label)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 in hex of scale, depth of stretched images, offset, and all examples, without the labels."""
        if self.statistics is not None:
            return self.statistics.fingerprint
        digest = hashlib.sha256(units(self.scale, self.depth))
        if self.offset is not None:
            digest.update(self.offset.tobytes())
        for split in (self.train, self.evaluation):
            digest.update(f"{split.examples.dtype} {split.examples.shape}".encode())
            digest.update(np.ascontiguousarray(split.examples).data)
        return digest.hexdigest()

    @functools.cached_property
    def value_range(self) -> tuple[float, float]:
        """Minimum and maximum of the training examples, as stored."""
        if self.statistics is not None:
            return self.statistics.low, self.statistics.high
        return float(np.nanmin(self.train.examples)), float(np.nanmax(self.train.examples))

    def originals(self, rows: np.ndarray) -> np.ndarray:
        """Returns stored rows, [N, D], with the offset added to them."""
        return rows if self.offset is None else rows + self.offset

    @property
    def original_range(self) -> tuple[float, float]:
        """Minimum and maximum of the training examples, as in the source, apart from rounding."""
        if self.offset is None:
            return self.value_range
        ends = np.stack(column_ranges(self.train.examples))
        low, high = self.originals(ends)
        return float(np.nanmin(low)), float(np.nanmax(high))

    def with_splits(self, train: Split, evaluation: Split) -> "Dataset":
        """Returns a copy with these splits, without stored statistics."""
        return dataclasses.replace(self, train=train, evaluation=evaluation, statistics=None)

    def standardized(self) -> "Dataset":
        """Returns a copy scaled by the columns' standard deviations over the training rows; 1 for constant columns.

        Raises:
          UsageError: the examples are images.
        """
        if self.is_image:
            raise UsageError(
                f"{option('standardise')} cannot be used with {self.name} in {self.source}",
                found="its examples are images; only rows of numbers can be standardized",
                remedy=f"remove {option('standardise')}",
            )
        deviations = mean_and_deviations(self.train.examples)[1].astype(np.float32)
        return dataclasses.replace(self, scale=np.where(deviations > 0, deviations, np.float32(1)), statistics=None)

    def aligned(self) -> "Dataset":
        """Returns the same data set, with both splits aligned as in `Split.aligned`."""
        train = self.train.aligned()
        evaluation = train if self.evaluation is self.train else self.evaluation.aligned()
        return dataclasses.replace(self, train=train, evaluation=evaluation)


def units(scale: float | np.ndarray, depth: Depth) -> bytes:
    """Returns the scale, and the depth of stretched images, as the fingerprint includes them."""
    content = scale.tobytes() if isinstance(scale, np.ndarray) else f"{scale}".encode()
    return content if depth == FULL else content + f" depth {depth[0]} {depth[1]}".encode()


def mean_and_deviations(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the columns' means and standard deviations, [N, D] -> [D] float64 each, without missing numbers.

    Both are 0 for columns without numbers. Reads in chunks, because rows may be memory-mapped.
    """
    counts = sum(np.isfinite(rows[chunk]).sum(axis=0) for chunk in chunk_slices(rows))
    counts = np.maximum(counts, 1)
    mean = sum(np.nansum(rows[chunk], axis=0, dtype=np.float64) for chunk in chunk_slices(rows)) / counts
    squares = sum(np.nansum(np.square(rows[chunk] - mean), axis=0) for chunk in chunk_slices(rows))
    return mean, np.sqrt(squares / counts)


def column_ranges(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the columns' minima and maxima, [N, D] -> [D] each; NaN for columns without numbers."""
    return np.fmin.reduce(rows, axis=0), np.fmax.reduce(rows, axis=0)


def chunk_slices(examples: np.ndarray) -> list[slice]:
    """Returns slices of at most `CHUNK_BYTES` each, at least one example, that together cover all examples."""
    size = max(1, CHUNK_BYTES // max(1, examples[:1].nbytes))
    return [slice(start, start + size) for start in range(0, len(examples), size)]


def _check(name: str, split: Split, *, can_be_missing: bool) -> None:
    assert len(split.examples) == len(split.labels), name
    if split.examples.dtype == np.uint8:
        return
    for chunk in chunk_slices(split.examples):
        examples = split.examples[chunk]
        bad = np.argwhere(np.isinf(examples) if can_be_missing else ~np.isfinite(examples))
        if not len(bad):
            continue
        row, *column = bad[0]
        raise DataError(
            f"{name}: row {chunk.start + row}, column {', '.join(map(str, column))} is {examples[tuple(bad[0])]}",
            found=f"{len(bad)} values in these {len(examples):,} rows are not finite numbers",
            remedy="correct or remove these rows",
        )
