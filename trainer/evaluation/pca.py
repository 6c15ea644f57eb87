"""PCA of examples with many numbers, computed from chunks of the examples. NumPy only.

With few examples, PCA is exact: it follows from the eigenvectors of the Gram matrix of the examples. With many, the
components are computed in a block Krylov subspace (Musco and Musco, Randomized block Krylov methods for stronger and
faster approximate singular value decomposition, NeurIPS 2015). They are orthonormal, so that their error is that of a
linear code, and not below that of PCA on the training examples.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from trainer.evaluation.blas import one_thread
from trainer.evaluation.centered_rows import CenteredRows

MAX_COLUMNS = 1_024  # of a covariance matrix: its eigenvectors take 0.6 s
MAX_ROWS = 2_048  # of a Gram matrix: its eigenvectors take 1.5 s
MAX_PRODUCTS = 1e12  # multiplications: 10 to 20 seconds
MAX_BASIS_BYTES = 192 << 20

BLOCK_NUMBERS = 8 << 20  # of components: 64 MiB
TOLERANCE = 2e-4  # estimated relative excess of the error; 0.1 % is promised
MIN_WIDTH = 8  # of a block
MIN_PASSES, USUAL_PASSES, MAX_PASSES = 12, 16, 32  # over the examples; a decaying spectrum needs 8 to 12
READ_PRODUCTS = 64  # multiplications that take as long as the conversion of a number


class Limits(NamedTuple):
    """Limits of the computation.

    Attributes:
      columns: numbers of an example up to which PCA follows from the covariance matrix.
      rows: examples up to which it follows from their Gram matrix.
      products: multiplications. Above, evenly spaced training examples are used.
      basis_bytes: bytes of the basis of a Krylov subspace.
    """

    columns: int = MAX_COLUMNS
    rows: int = MAX_ROWS
    products: float = MAX_PRODUCTS
    basis_bytes: int = MAX_BASIS_BYTES


LIMITS = Limits()


@dataclasses.dataclass(frozen=True)
class Components:
    """The principal components of examples.

    Attributes:
      blocks: yields them as orthonormal blocks, [D, k] float64.
      num_examples: number of examples that they are computed from.
      excess: estimate of the relative excess of the squared error over that of exact PCA; None: it is exact.
    """

    blocks: Callable[[], Iterator[np.ndarray]]
    num_examples: int
    excess: float | None = None

    @one_thread
    def captured(self, rows: CenteredRows) -> float:
        """Returns the squared norm of the projections of all rows."""
        return sum(float(np.square(chunk @ block).sum()) for block in self.blocks() for chunk in rows.chunks())


@one_thread
def fit(rows: CenteredRows, code_size: int, stored: np.dtype, limits: Limits) -> Components:
    """Returns the first principal components of rows, at most `code_size`.

    Args:
      rows: the training examples.
      code_size: numbers per code, at least 1.
      stored: type of the stored values. Bytes are multiplied in float32, all other types in float64.
      limits: decide between exact PCA and an approximation, and how many of the examples are used.
    """
    count, columns = len(rows.examples), len(rows.mean)
    dtype = np.float32 if stored == np.uint8 else np.float64
    capacity = limits.basis_bytes // (np.dtype(dtype).itemsize * columns)
    width = max(MIN_WIDTH, code_size // 4)
    gram_limit = max(1, min(limits.rows, math.isqrt(int(limits.products // columns))))
    krylov_limit = int(limits.products // (columns * (USUAL_PASSES * (2 * width + READ_PRODUCTS) + code_size)))
    has_room = capacity >= min(MIN_PASSES * width, count, columns)
    if count <= gram_limit or krylov_limit <= gram_limit or not has_room:
        return _from_gram(rows.spaced(gram_limit), code_size)
    return _from_krylov(rows.spaced(krylov_limit), code_size, width, capacity, dtype)


def _from_gram(rows: CenteredRows, code_size: int) -> Components:
    """Computes exact components from the eigenvectors of the Gram matrix, without those that are only rounding."""
    count = len(rows.examples)
    values, vectors = np.linalg.eigh(_gram(rows))  # ascending
    first = max(count - code_size, int(np.sum(values <= count * np.finfo(np.float64).eps * values[-1])))
    return Components(functools.partial(_gram_blocks, rows, vectors[:, first:]), count)


def _gram(rows: CenteredRows) -> np.ndarray:
    """Returns the inner products of all pairs of rows, [N, N]; only the lower triangle is set."""
    gram = np.zeros((len(rows.examples), len(rows.examples)))
    start = 0
    for left in rows.chunks():
        stop, first = start + len(left), 0
        for right in rows.chunks():
            gram[start:stop, first : first + len(right)] = left @ right.T
            first += len(right)
            if first >= stop:
                break
        start = stop
    return gram


def _gram_blocks(rows: CenteredRows, vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the components [D, k] that belong to eigenvectors [N, K] of the Gram matrix."""
    width = max(1, BLOCK_NUMBERS // len(rows.mean))
    for start in range(0, vectors.shape[1], width):
        part = vectors[:, start : start + width]
        block, first = np.zeros((len(rows.mean), part.shape[1])), 0
        for chunk in rows.chunks():
            block += chunk.T @ part[first : first + len(chunk)]
            first += len(chunk)
        yield block / np.linalg.norm(block, axis=0)


def _from_krylov(rows: CenteredRows, code_size: int, width: int, capacity: int, dtype: type) -> Components:
    """Computes components in a growing Krylov subspace, until the estimated excess of their error is small.

    Args:
      rows: [N, D].
      code_size: K.
      width: columns of the random block; less than K is faster than K.
      capacity: largest dimension of the subspace, if N, D and the number of passes allow it.
      dtype: type of the products with the rows.
    """
    largest = min(len(rows.examples), len(rows.mean))
    subspace = _KrylovSubspace(rows, width, min(capacity, MAX_PASSES * width, largest), dtype)
    resolution = subspace.total * float(np.finfo(dtype).eps) / 4
    excess, errors = math.inf, []
    while excess > TOLERANCE and subspace.grow():
        errors.append(subspace.total - subspace.captured(code_size))
        excess = 0.0 if subspace.size == largest else _excess(errors, resolution)
    components = subspace.components(code_size)
    del subspace  # frees its basis
    orthonormal = np.linalg.qr(components.astype(np.float64))[0]
    return Components(lambda: iter((orthonormal,)), len(rows.examples), excess)


class _KrylovSubspace:
    """The span of B, CB, CCB, ..., where C is the product of [D, N] and [N, D] rows, and B is in the span of the rows.

    Attributes:
      size: its dimension.
      total: squared norm of all rows.
    """

    def __init__(self, rows: CenteredRows, width: int, capacity: int, dtype: type) -> None:
        self._rows, self.size, self._capacity = rows, 0, capacity
        self._basis: np.ndarray = np.empty((len(rows.mean), capacity), dtype, order="F")  # orthonormal
        self._projected = np.zeros((capacity, capacity))  # C in this basis; only the lower triangle is set
        self._block: np.ndarray = np.zeros((len(rows.mean), width), dtype)
        self.total, random = 0.0, np.random.default_rng(0)
        for chunk in rows.chunks(dtype):
            self.total += float(np.square(chunk).sum(dtype=np.float64))
            self._block += chunk.T @ random.standard_normal((len(chunk), width)).astype(dtype)

    def grow(self) -> bool:
        """Adds a block, in one pass over the rows; returns False if the capacity is reached."""
        if self.size == self._capacity:
            return False
        start = self.size
        block = _orthonormal(self._block[:, : self._capacity - start], self._basis[:, :start])
        self.size += block.shape[1]
        self._basis[:, start : self.size] = block
        self._block = np.zeros_like(block)
        for chunk in self._rows.chunks(block.dtype.type):
            self._block += chunk.T @ (chunk @ block)
        self._projected[start : self.size, : self.size] = self._block.T @ self._basis[:, : self.size]
        return True

    def captured(self, code_size: int) -> float:
        """Returns the squared norm of the projections of all rows on the best directions, at most `code_size`."""
        return float(np.linalg.eigvalsh(self._projected[: self.size, : self.size])[-code_size:].sum())

    def components(self, code_size: int) -> np.ndarray:
        """Returns the best directions, [D, at most code_size]."""
        _, vectors = np.linalg.eigh(self._projected[: self.size, : self.size])  # ascending
        return self._basis[:, : self.size] @ vectors[:, -code_size:].astype(self._basis.dtype)


def _orthonormal(block: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Returns orthonormal columns that span the part of a block orthogonal to a basis."""
    for _ in range(2):  # The first time, rounding errors are large if the block is almost in the span of the basis.
        block = np.linalg.qr(block - basis @ (basis.T @ block))[0]
    return block


def _excess(errors: Sequence[float], resolution: float) -> float:
    """Estimates by how much, relatively, the last of a series of decreasing errors exceeds the limit.

    The gains are continued as a geometric series (Aitken). The result is at least a fifth of the last gain, because the
    first gains can be small by chance.

    Args:
      errors: squared errors.
      resolution: a gain that is only rounding.
    """
    if len(errors) < 3:
        return math.inf
    before, gain = errors[-3] - errors[-2], errors[-2] - errors[-1]
    if gain <= resolution:
        return 0.0
    remaining = gain**2 / (before - gain) if before > gain else math.inf
    return max(remaining, gain / 5) / max(errors[-1], resolution)
