"""Baselines of the reconstruction error: the training mean, and PCA, the best linear code. NumPy only."""

import contextlib
import dataclasses
import math
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer.data.rows import RowSubset
from trainer.system import files
from trainer.system.logs import log

MAX_COLUMNS = 4_096
CHUNK_BYTES = 2 << 20
MAX_PRODUCTS = 1e12  # multiplications for the covariance: about ten seconds


@dataclasses.dataclass(frozen=True)
class Baselines:
    """Mean squared errors over pixels and examples on (train, eval), in the scale of the network's input.

    Attributes:
      mean: errors of the training mean as the reconstruction.
      pca: errors of PCA; None if an example has more than `MAX_COLUMNS` numbers.
    """

    mean: tuple[float, float]
    pca: tuple[float, float] | None


def compute(
    train: np.ndarray,
    evaluation: np.ndarray,
    code_size: int,
    scale: float | np.ndarray,
    rows: np.ndarray | None = None,
    mean: np.ndarray | None = None,
    max_products: float = MAX_PRODUCTS,
) -> Baselines:
    """Computes the baselines for codes of `code_size` numbers.

    The first `code_size` principal components of the training examples are the linear code with the smallest squared
    training error (Eckart and Young 1936; Baldi and Hornik 1989 for linear autoencoders).

    Args:
      train: [N, ...] examples as stored.
      evaluation: [M, ...] examples as stored.
      code_size: numbers per code, at least 1.
      scale: divisor of the stored values.
      rows: indices of the training examples for the training errors; None: all.
      mean: mean of the scaled training examples, [D] float64; None: it is computed.
      max_products: limit of multiplications for the covariance. Above, evenly spaced training examples are used.
    """
    if mean is None:
        mean = training_mean(train, scale)
    fit_examples = _limit_examples(train, max_products)
    _, covariance = moments(fit_examples, scale, mean)
    # The total variance is the trace, so that it agrees with the eigenvalues to the last digit.
    columns = len(mean)
    if rows is None and len(fit_examples) < len(train):
        rows = np.arange(len(train))
    if rows is None and columns <= MAX_COLUMNS:
        mean_train = float(np.trace(covariance)) / columns
    else:
        mean_train = _mean_error(train if rows is None else RowSubset(train, rows), mean, scale)
    mean_errors = (mean_train, _mean_error(evaluation, mean, scale))
    if columns > MAX_COLUMNS:
        return Baselines(mean=mean_errors, pca=None)
    eigenvalues, vectors = np.linalg.eigh(covariance)  # ascending
    components = vectors[:, max(columns - code_size, 0) :]
    if rows is None:
        pca_train = float(np.clip(eigenvalues[: columns - components.shape[1]], 0, None).sum()) / columns
    else:
        pca_train = _projection_error(RowSubset(train, rows), mean, components, scale)
    return Baselines(mean=mean_errors, pca=(pca_train, _projection_error(evaluation, mean, components, scale)))


def _limit_examples(train: np.ndarray, max_products: float) -> np.ndarray | RowSubset:
    """Returns evenly spaced training examples, as many as the limit for the covariance allows."""
    columns = math.prod(train.shape[1:])
    limit = int(max_products // columns**2)
    if len(train) <= limit or columns > MAX_COLUMNS:
        return train
    return RowSubset(train, np.linspace(0, len(train) - 1, max(1, limit)).astype(np.int64))


def moments(
    examples: np.ndarray | RowSubset, scale: float | np.ndarray, mean: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean [D] and the covariance [D, D] in float64; above `MAX_COLUMNS` columns, the latter is empty.

    Args:
      examples: [N, ...] as stored.
      scale: divisor of the stored values.
      mean: the mean of the scaled examples, [D] float64; None: it is computed.
    """
    total = len(examples)
    mean = training_mean(examples, scale) if mean is None else mean
    columns = len(mean)
    covariance = np.zeros((columns, columns) if columns <= MAX_COLUMNS else (0, 0))
    if columns <= MAX_COLUMNS:
        for rows in _chunks(examples, scale):
            rows -= mean
            covariance += rows.T @ rows
    return mean, covariance / total


def training_mean(examples: np.ndarray | RowSubset, scale: float | np.ndarray) -> np.ndarray:
    """Returns the mean of the flattened, scaled examples, [D] float64."""
    return sum((rows.sum(axis=0) for rows in _chunks(examples, scale)), np.zeros(())) / len(examples)


def _chunks(examples: np.ndarray | RowSubset, scale: float | np.ndarray) -> Iterator[np.ndarray]:
    """Yields the examples as scaled float64 rows, at most `CHUNK_BYTES` at a time."""
    size = max(1, CHUNK_BYTES // (8 * math.prod(examples.shape[1:])))
    for start in range(0, len(examples), size):
        rows = examples[start : start + size]
        yield rows.reshape(len(rows), -1).astype(np.float64) / scale


def _mean_error(examples: np.ndarray | RowSubset, mean: np.ndarray, scale: float | np.ndarray) -> float:
    return sum(float(np.square(rows - mean).sum()) for rows in _chunks(examples, scale)) / examples.size


def _projection_error(
    examples: np.ndarray | RowSubset, mean: np.ndarray, vectors: np.ndarray, scale: float | np.ndarray
) -> float:
    """Returns the mean squared distance per pixel to the span of the orthonormal `vectors`, [D, K]."""
    total = 0.0
    for rows in _chunks(examples, scale):
        rows -= mean
        total += float(np.square(rows - (rows @ vectors) @ vectors.T).sum())
    return total / examples.size


def stored_errors(path: pathlib.Path) -> dict[str, float]:
    """Returns the root mean squared errors in a file of `BackgroundBaselines`, as `floor/<name>/<split>`.

    Errors on a part of the training examples are left out.
    """
    stored = files.read_json(path) or {}
    is_partial = "train" in stored.get("key", {})
    splits = [(index, split) for index, split in enumerate(("train", "eval")) if not (is_partial and split == "train")]
    known = [(name, errors) for name in ("mean", "pca") if (errors := stored.get(name))]
    return {f"floor/{name}/{split}": errors[index] ** 0.5 for index, split in splits for name, errors in known}


class BackgroundBaselines:
    """Computes the baselines in a background thread during training, and caches them in a file.

    Args:
      train, evaluation, code_size, scale, rows, mean: see `compute`.
      fingerprint: fingerprint of the data set; a file with another one is ignored.
      cache: path of the file.

    Attributes:
      result: the baselines; None if they are not computed yet, or if the computation failed.
    """

    def __init__(
        self,
        train: np.ndarray,
        evaluation: np.ndarray,
        *,
        code_size: int,
        scale: float | np.ndarray,
        fingerprint: str,
        cache: pathlib.Path,
        rows: np.ndarray | None = None,
        mean: np.ndarray | None = None,
    ) -> None:
        if rows is not None and len(rows) == len(train):
            rows = None
        self._key = {"data": fingerprint, "code": code_size} | ({} if rows is None else {"train": len(rows)})
        self._cache = cache
        self._is_polled = False
        self.result = self._read()
        # A daemon, so that a run that ends early does not wait for it. The thread writes no file.
        self._thread = threading.Thread(
            target=self._compute, args=(train, evaluation, code_size, scale, rows, mean), daemon=True
        )

    def start(self) -> None:
        """Starts the computation, unless the file has the baselines or the computation was started before."""
        if self.result is None and self._thread.ident is None:
            self._thread.start()

    def _read(self) -> Baselines | None:
        stored = files.read_json(self._cache)
        if not stored or stored.get("key") != self._key:
            return None
        try:
            mean, pca = stored["mean"], stored["pca"]
            return Baselines(mean=(float(mean[0]), float(mean[1])), pca=(float(pca[0]), float(pca[1])) if pca else None)
        except (KeyError, TypeError, ValueError, IndexError):
            return None

    def _compute(self, *arguments: Any) -> None:
        try:
            result = compute(*arguments)
        except (np.linalg.LinAlgError, MemoryError) as error:
            log.warning(f"no baselines: {error}")
            return
        if result.pca is None:
            log.info(f"no PCA baseline: an example has more than {MAX_COLUMNS:,} numbers")
        self.result = result

    def poll(self) -> Baselines | None:
        """Returns the baselines, and writes the file, at the first call after the computation; otherwise None."""
        result = self.result
        if self._is_polled or result is None:
            return None
        self._is_polled = True
        with contextlib.suppress(OSError):  # Without the file, the next start computes the baselines again.
            files.write_json(self._cache, {"key": self._key, **dataclasses.asdict(result)})
        return result

    def wait(self) -> Baselines | None:
        """Returns the baselines when they are computed; None if the computation failed."""
        self.start()
        if self.result is None:
            self._thread.join()
        return self.result
