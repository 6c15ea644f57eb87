"""The training error that no linear code of a size can beat, and that of the mean. NumPy only."""

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
MAX_PRODUCTS = 1e12  # of two numbers, for the covariance: some ten seconds


@dataclasses.dataclass(frozen=True)
class Baselines:
    """Mean squared errors over pixels, data scaled as the model sees it.

    Attributes:
      mean: of predicting the training mean, on (train, eval).
      pca: of the best linear code, on (train, eval); None where the data have too many columns.
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
    """The floors of a code of `code_size` numbers.

    The first `code_size` principal components, fitted on the training examples, are the linear code with the least
    squared training error (Eckart and Young 1936; Baldi and Hornik 1989 for linear autoencoders).

    Args:
      train: [N, ...] examples, any shape; evaluation: [M, ...].
      code_size: numbers in a code, at least 1.
      scale: what stored values are divided by.
      rows: numbers of the training examples that the training error is of; None: of all.
      mean: of the training examples, [D] float64; None: it is computed.
      max_products: of two numbers, for the covariance; of more examples some are taken, spread evenly.
    """
    if mean is None:
        mean = training_mean(train, scale)
    fitted_on = _fitted_on(train, max_products)
    _, covariance = moments(fitted_on, scale, mean)
    # The total variance comes from the diagonal, so that it and the eigenvalues agree to the last digit.
    columns = len(mean)
    if rows is None and len(fitted_on) < len(train):
        rows = np.arange(len(train))
    if rows is None and columns <= MAX_COLUMNS:
        mean_train = float(np.trace(covariance)) / columns
    else:
        mean_train = _mean_error(train if rows is None else RowSubset(train, rows), mean, scale)
    mean_floor = (mean_train, _mean_error(evaluation, mean, scale))
    if columns > MAX_COLUMNS:
        return Baselines(mean=mean_floor, pca=None)
    eigenvalues, vectors = np.linalg.eigh(covariance)  # ascending
    kept = vectors[:, max(columns - code_size, 0) :]
    if rows is None:
        pca_train = float(np.clip(eigenvalues[: columns - kept.shape[1]], 0, None).sum()) / columns
    else:
        pca_train = _projection_error(RowSubset(train, rows), mean, kept, scale)
    return Baselines(mean=mean_floor, pca=(pca_train, _projection_error(evaluation, mean, kept, scale)))


def _fitted_on(train: np.ndarray, max_products: float) -> np.ndarray | RowSubset:
    """What the components are of: of so many examples that it would take minutes, some, spread evenly."""
    columns = math.prod(train.shape[1:])
    most = int(max_products // columns**2)
    return (
        train
        if len(train) <= most or columns > MAX_COLUMNS
        else RowSubset(train, np.linspace(0, len(train) - 1, max(1, most)).astype(np.int64))
    )


def moments(
    examples: np.ndarray | RowSubset, scale: float | np.ndarray, mean: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and covariance [D, D] in float64; the covariance is empty above `MAX_COLUMNS` columns.

    Args:
      examples: [N, ...].
      scale: what stored values are divided by.
      mean: where it is known.
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
    """Mean of the flattened examples, [D] float64."""
    return sum((rows.sum(axis=0) for rows in _chunks(examples, scale)), np.zeros(())) / len(examples)


def _chunks(examples: np.ndarray | RowSubset, scale: float | np.ndarray) -> Iterator[np.ndarray]:
    """Flattened, scaled float64 rows, some megabytes at a time."""
    size = max(1, CHUNK_BYTES // (8 * math.prod(examples.shape[1:])))
    for start in range(0, len(examples), size):
        rows = examples[start : start + size]
        yield rows.reshape(len(rows), -1).astype(np.float64) / scale


def _mean_error(examples: np.ndarray | RowSubset, mean: np.ndarray, scale: float | np.ndarray) -> float:
    return sum(float(np.square(rows - mean).sum()) for rows in _chunks(examples, scale)) / examples.size


def _projection_error(
    examples: np.ndarray | RowSubset, mean: np.ndarray, vectors: np.ndarray, scale: float | np.ndarray
) -> float:
    """Squared distance to the span of orthonormal `vectors` [D, K], a mean over pixels."""
    total = 0.0
    for rows in _chunks(examples, scale):
        rows -= mean
        total += float(np.square(rows - (rows @ vectors) @ vectors.T).sum())
    return total / examples.size


def stored_errors(path: pathlib.Path) -> dict[str, float]:
    """The root mean squared errors in a file of `BackgroundBaselines`'s, as "floor/<mean or pca>/<train or eval>"."""
    stored = files.read_json(path) or {}
    of_some = "train" in stored.get("key", {})  # Those on training examples are of some of them only.
    splits = [(place, split) for place, split in enumerate(("train", "eval")) if not (of_some and split == "train")]
    known = [(name, errors) for name in ("mean", "pca") if (errors := stored.get(name))]
    return {f"floor/{name}/{split}": errors[place] ** 0.5 for place, split in splits for name, errors in known}


class BackgroundBaselines:
    """Computes the floors while training goes on, once started, and keeps them in a file for the next start.

    Args:
      train: [N, ...] examples; evaluation: [M, ...].
      code_size: numbers in a code.
      scale: what stored values are divided by.
      fingerprint: of the data: the file counts for these only.
      cache: the file.
      rows: numbers of the training examples that the training errors are of.
      mean: of the training examples, as the network sees them; None: it is computed.
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
        self._taken = False
        self._found = self._stored()
        # A daemon: a run that ends early does not wait for it, and it touches no file.
        self._thread = threading.Thread(
            target=self._compute, args=(train, evaluation, code_size, scale, rows, mean), daemon=True
        )

    def start(self) -> None:
        """Begins, unless the file has them, or it has begun."""
        if self._found is None and self._thread.ident is None:
            self._thread.start()

    def _stored(self) -> Baselines | None:
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
            found = compute(*arguments)
        except (np.linalg.LinAlgError, MemoryError) as error:
            log.warning(f"no floors: {error}")
            return
        if found.pca is None:
            log.info(f"no PCA floor: more than {MAX_COLUMNS:,} numbers an example")
        self._found = found

    def peek(self) -> Baselines | None:
        """The floors, if they are known by now."""
        return self._found

    def take(self) -> Baselines | None:
        """The floors, once: the first time that they are known. They are stored for the next start then."""
        found = self._found
        if self._taken or found is None:
            return None
        self._taken = True
        with contextlib.suppress(OSError):  # A full disk costs some seconds at the next start.
            files.write_json(self._cache, {"key": self._key, **dataclasses.asdict(found)})
        return found

    def wait(self) -> Baselines | None:
        """The floors, as soon as they are known; None where computing them failed."""
        self.start()
        if self._found is None:
            self._thread.join()
        return self._found
