"""Reads the pickles that CIFAR-10 is published as, without running code that a pickle names.

A pickle is a program. The four NumPy globals that an array needs are replaced by stand-ins that only store their
arguments; all others are rejected. A declared shape allocates no memory: the array is a view of bytes in the file.
"""

import io
import math
import pickle
from typing import Any, ClassVar

import numpy as np


class RejectedPickle(Exception):
    """The pickle is damaged, or uses a feature that an array of numbers does not need."""


class _Dtype:
    """A stand-in for numpy.dtype; uint8 only."""

    def __init__(self, *arguments: Any) -> None:
        if not arguments or arguments[0] not in ("u1", "|u1", b"u1", b"|u1"):
            raise RejectedPickle(f"an array of dtype {arguments[:1]}; expected uint8")

    def __setstate__(self, state: Any) -> None:
        """Ignores the state: byte order and alignment do not matter for single bytes."""


class _Array:
    """A stand-in for numpy.ndarray that stores its state; `_resolve` checks it."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        if arguments:
            raise RejectedPickle("an array that NumPy did not pickle")

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _reconstruct(*arguments: Any) -> _Array:
    return _Array()


_ALLOWED = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


# The unpickler in Python. The one in C allocates gigabytes for a large memo index, which takes eight bytes to write.
class _Unpickler(pickle._Unpickler):
    # BYTEARRAY8 would allocate the size that the pickle declares before it reads the bytes.
    dispatch: ClassVar = {op: load for op, load in pickle._Unpickler.dispatch.items() if op != pickle.BYTEARRAY8[0]}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise RejectedPickle(f"it names {module}.{name}, which an array of numbers does not need") from None

    def persistent_load(self, pid: Any) -> Any:
        raise RejectedPickle("it has a persistent ID, which refers to an object outside the file")


def load(content: bytes) -> Any:
    """Unpickles a dict of plain values and uint8 arrays. Strings of Python 2 become bytes.

    Raises:
      RejectedPickle: the pickle is damaged, or uses a feature that an array of numbers does not need.
    """
    try:
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except RejectedPickle:
        raise
    except Exception as error:  # pickle raises many kinds of exceptions for damaged files.
        raise RejectedPickle(f"the pickle cannot be read: {type(error).__name__}: {error}") from error
    return {key: _resolve(item) for key, item in value.items()} if isinstance(value, dict) else value


def _resolve(item: Any) -> Any:
    """Converts the stand-in of an array to the array; returns other objects unchanged."""
    if not isinstance(item, _Array):
        return item
    try:
        _, shape, dtype, fortran_order, content = item.state
        fits = isinstance(dtype, _Dtype) and isinstance(content, bytes) and math.prod(shape) == len(content)
    except (TypeError, ValueError) as error:
        raise RejectedPickle("an array without a shape, a type and bytes") from error
    if not fits or fortran_order or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise RejectedPickle(f"an array whose bytes do not fit its shape {shape}")
    return np.frombuffer(content, np.uint8).reshape(shape)
