"""Reads the pickles that CIFAR-10 is published as, without ever calling what a pickle names.

A pickle is a program. The four NumPy globals that an array needs are allowed and stand for inert stand-ins, which
only remember what they were given; anything else is refused. So no code of anybody's runs, and a declared shape
allocates nothing: the array is a view of bytes that are in the file.
"""

import io
import math
import pickle
from typing import Any, ClassVar

import numpy as np


class RejectedPickle(Exception):
    """The pickle is damaged, or wants something that an array of numbers does not need."""


class _Dtype:
    """Stands for numpy.dtype: uint8 only."""

    def __init__(self, *arguments: Any) -> None:
        if not arguments or arguments[0] not in ("u1", "|u1", b"u1", b"|u1"):
            raise RejectedPickle(f"an array of dtype {arguments[:1]}; expected uint8")

    def __setstate__(self, state: Any) -> None:
        """The byte order and the like mean nothing for single bytes."""


class _Array:
    """Stands for numpy.ndarray: remembers its state until `_resolve` checks it."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        if arguments:
            raise RejectedPickle("an array that is not built as NumPy pickles arrays")

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


# Python's own unpickler in Python: that in C takes gigabytes for a memo index that eight bytes can name.
class _Unpickler(pickle._Unpickler):
    # It would make room for as many bytes as eight bytes can name, before it looks whether they are there.
    dispatch: ClassVar = {code: do for code, do in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise RejectedPickle(f"it names {module}.{name}, which no array of numbers needs") from None

    def persistent_load(self, pid: Any) -> Any:
        raise RejectedPickle("it refers to something outside itself")


def load(content: bytes) -> Any:
    """Unpickles a dict of plain values and uint8 arrays. Strings of Python 2 become bytes.

    Raises:
      Refused: whatever is wrong with it.
    """
    try:
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except RejectedPickle:
        raise
    except Exception as error:  # A damaged pickle can raise anything at all.
        raise RejectedPickle(f"not a pickle that can be read: {type(error).__name__}: {error}") from error
    return {key: _resolve(item) for key, item in value.items()} if isinstance(value, dict) else value


def _resolve(item: Any) -> Any:
    """An array's stand-in -> the array; anything else as it is."""
    if not isinstance(item, _Array):
        return item
    try:
        _, shape, dtype, fortran_order, content = item.state
        fits = isinstance(dtype, _Dtype) and isinstance(content, bytes) and math.prod(shape) == len(content)
    except (TypeError, ValueError) as error:
        raise RejectedPickle("an array without shape, type and bytes") from error
    if not fits or fortran_order or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise RejectedPickle(f"an array whose bytes do not fit its shape {shape}")
    return np.frombuffer(content, np.uint8).reshape(shape)
