"""Baselines of the reconstruction error: the training mean, and PCA, the best linear code. NumPy only."""

import contextlib
import dataclasses
import functools
import math
import pathlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.data.rows import RowSubset
from trainer.evaluation import pca
from trainer.evaluation.blas import one_thread
from trainer.evaluation.centered_rows import CenteredRows, scaled_chunks
from trainer.evaluation.pca import LIMITS, Limits
from trainer.system import files
from trainer.system.logs import log

CHUNK_BYTES = 2 << 20


@dataclasses.dataclass(frozen=True)
class Baselines:
    """Mean squared errors over pixels and examples on (train, eval), in the scale of the network's input.

    Attributes:
      mean: errors of the training mean as the reconstruction.
      pca: errors of PCA; None only in files of earlier versions, for examples of more than 4,096 numbers.
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
    limits: Limits = LIMITS,
    *,
    has_missing: bool = False,
) -> Baselines:
    """Computes the baselines for codes of `code_size` numbers.

    The first `code_size` principal components of the training examples are the linear code with the smallest squared
    training error (Eckart and Young 1936; Baldi and Hornik 1989 for linear autoencoders). Missing numbers are replaced
    by the mean first, as in the network's input. Then other linear codes can have smaller errors.

    Args:
      train: [N, ...] examples as stored.
      evaluation: [M, ...] examples as stored.
      code_size: numbers per code, at least 1.
      scale: divisor of the stored values.
      rows: indices of the training examples for the training errors; None: all.
      mean: mean of the scaled training examples, [D] float64; None: it is computed.
      limits: see `Limits`.
      has_missing: True if numbers of the examples may be missing (NaN); `mean` has to be given then.
    """
    fitted = CenteredRows(train, training_mean(train, scale) if mean is None else mean, scale, has_missing)
    splits = fitted if rows is None else fitted.subset(rows), fitted.of(evaluation)
    if len(fitted.mean) <= limits.columns:
        return _from_covariance(fitted, splits, code_size, limits)
    return _from_components(pca.fit(fitted, code_size, train.dtype, limits), splits, len(train))


@one_thread
def _from_covariance(
    train: CenteredRows, splits: tuple[CenteredRows, CenteredRows], code_size: int, limits: Limits
) -> Baselines:
    """Computes the errors on (train, eval) from the covariance matrix of the training examples."""
    columns = len(train.mean)
    fitted = _limit_examples(train, limits.products)
    _log_part(len(fitted.examples), len(train.examples))
    covariance = _covariance(fitted)
    eigenvalues, vectors = np.linalg.eigh(covariance)  # ascending
    components = vectors[:, max(columns - code_size, 0) :]
    if splits[0] is fitted and not train.has_missing:
        # The total variance is the trace, so that it agrees with the eigenvalues to the last digit.
        mean_train = float(np.trace(covariance)) / columns
        pca_train = float(np.clip(eigenvalues[: columns - components.shape[1]], 0, None).sum()) / columns
    else:
        mean_train, pca_train = _mean_error(splits[0]), _projection_error(splits[0], components)
    return Baselines(
        mean=(mean_train, _mean_error(splits[1])), pca=(pca_train, _projection_error(splits[1], components))
    )


def _limit_examples(train: CenteredRows, max_products: float) -> CenteredRows:
    """Returns evenly spaced training examples, as many as the limit for the covariance allows."""
    count, limit = len(train.examples), int(max_products // len(train.mean) ** 2)
    if count <= limit:
        return train
    return train.subset(np.linspace(0, count - 1, max(1, limit)).astype(np.int64))


def _covariance(rows: CenteredRows) -> np.ndarray:
    """Returns the covariance matrix, [D, D] float64."""
    covariance = np.zeros((len(rows.mean), len(rows.mean)))
    for chunk in rows.chunks(num_bytes=CHUNK_BYTES):
        covariance += chunk.T @ chunk
    return covariance / len(rows.examples)


def _from_components(
    components: pca.Components, splits: tuple[CenteredRows, CenteredRows], num_train: int
) -> Baselines:
    """Computes the errors on (train, eval): the squared norm of rows, and what remains of it without components."""
    _log_part(components.num_examples, num_train)
    if components.excess is not None:
        excess = f"{100 * components.excess:.2g} %"
        log.info(f"PCA baseline: approximate; its squared error is an estimated {excess} above that of exact PCA")
    means = [_mean_error(split) for split in splits]
    if splits[0].has_missing:
        vectors = np.concatenate(list(components.blocks()), axis=1)
        errors = [_projection_error(split, vectors) for split in splits]
    else:
        errors = [
            max(0.0, mean - components.captured(split) / split.examples.size)
            for mean, split in zip(means, splits, strict=True)
        ]
    return Baselines(mean=(means[0], means[1]), pca=(errors[0], errors[1]))


def _log_part(fitted: int, count: int) -> None:
    if fitted < count:
        log.info(f"PCA baseline: computed from {fitted:,} of the {count:,} training examples, evenly spaced")


def training_mean(examples: np.ndarray | RowSubset, scale: float | np.ndarray) -> np.ndarray:
    """Returns the mean of the flattened, scaled examples, [D] float64."""
    chunks = scaled_chunks(examples, scale, num_bytes=CHUNK_BYTES)
    return sum((rows.sum(axis=0) for rows in chunks), np.zeros(())) / len(examples)


def _mean_error(rows: CenteredRows) -> float:
    return rows.mean_squared_error(lambda chunk: chunk, CHUNK_BYTES)


def _projection_error(rows: CenteredRows, vectors: np.ndarray) -> float:
    """Returns the mean squared distance per pixel to the span of the orthonormal `vectors`, [D, K]."""
    return rows.mean_squared_error(lambda chunk: chunk - (chunk @ vectors) @ vectors.T, CHUNK_BYTES)


def stored_errors(path: pathlib.Path) -> dict[str, float]:
    """Returns the root mean squared errors in a file of `BackgroundBaselines`, as `floor/<name>/<split>`.

    Errors on a part of the training examples are left out. A damaged file has no errors.
    """
    stored = files.read_json(path) or {}
    result, key = _parse(stored), stored.get("key")
    if result is None or not isinstance(key, dict):
        return {}
    splits = [(index, split) for index, split in enumerate(("train", "eval")) if split == "eval" or "train" not in key]
    known = [(name, errors) for name, errors in (("mean", result.mean), ("pca", result.pca)) if errors]
    return {f"floor/{name}/{split}": errors[index] ** 0.5 for index, split in splits for name, errors in known}


def _parse(stored: dict[str, Any]) -> Baselines | None:
    """Returns the baselines in the contents of a file; None if it is damaged."""
    mean, errors = _pair(stored.get("mean")), _pair(stored.get("pca"))
    if mean is None or (errors is None and stored.get("pca") is not None):
        return None
    return Baselines(mean=mean, pca=errors)


def _pair(value: Any) -> tuple[float, float] | None:
    """Returns two mean squared errors; None if the value is anything else."""
    if not isinstance(value, list) or [type(error) for error in value] != [float, float]:
        return None
    return (value[0], value[1]) if all(0 <= error < math.inf for error in value) else None


class BackgroundBaselines:
    """Computes the baselines in a background thread during training, and caches them in a file.

    Args:
      train, evaluation, code_size, scale, rows, mean, has_missing: see `compute`.
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
        has_missing: bool = False,
    ) -> None:
        if rows is not None and len(rows) == len(train):
            rows = None
        self._key = {"data": fingerprint, "code": code_size} | ({} if rows is None else {"train": len(rows)})
        self._cache = cache
        self._is_polled = False
        self.result = self._read()
        # A daemon, so that a run that ends early does not wait for it. The thread writes no file.
        compute_now = functools.partial(
            compute, train, evaluation, code_size, scale, rows, mean, has_missing=has_missing
        )
        self._thread = threading.Thread(target=self._compute, args=(compute_now,), daemon=True)

    def start(self) -> None:
        """Starts the computation, unless the file has the baselines or the computation was started before."""
        if self.result is None and self._thread.ident is None:
            self._thread.start()

    def _read(self) -> Baselines | None:
        stored = files.read_json(self._cache)
        if not stored or stored.get("key") != self._key:
            return None
        result = _parse(stored)
        return result if result and result.pca else None  # Earlier versions had no PCA of large examples.

    def _compute(self, compute_now: Callable[[], Baselines]) -> None:
        try:
            self.result = compute_now()
        except (OSError, MemoryError, np.linalg.LinAlgError) as error:  # The data may be on a disk that fails.
            log.warning(f"no baselines: {error or type(error).__name__}")

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
