"""Reads the arrays of a TensorFlow checkpoint without TensorFlow.

A checkpoint `ckpt-N` is an index, `ckpt-N.index`, and the bytes of the arrays, `ckpt-N.data-00000-of-00001`. The index
is a table in the format of LevelDB (doc/table_format.md of its sources), from names to messages `BundleEntryProto`
(tensorflow/core/protobuf/tensor_bundle.proto). The bytes have no checks here: see `catalog.verify`.
"""

import math
import pathlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from trainer.errors import CheckpointError, sanitize

INDEX, DATA = ".index", ".data-00000-of-00001"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"  # the end of the name of a variable
STATISTICS, BIAS = ("model/mean", "model/unit", "model/offset"), "model/decoder/bias"
TRAINABLE = "optimizer/_trainable_variables/"
FOOTER, MAGIC = 48, 0xDB4775248B80FB57
TRAILER = 5  # bytes after each block: its compression, and a checksum
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 10: "?"}  # by TensorFlow's DataType
MAX_NAME, MAX_ENTRIES = 4_096, 100_000
MAX_DIMENSIONS = 32  # of NumPy 1


class Entry(NamedTuple):
    """The place of an array in the data file.

    Attributes:
      dtype: TensorFlow's DataType.
      shape: the shape.
      offset, size: position and length in bytes.
    """

    dtype: int
    shape: tuple[int, ...]
    offset: int
    size: int


class _Damage(Exception):
    """The index is damaged."""


class NetworkArrays(NamedTuple):
    """The arrays of a network in a checkpoint; see `models.portable.network`."""

    mean: np.ndarray
    unit: np.ndarray | None
    offset: np.ndarray | None
    bias: np.ndarray
    trainable: tuple[np.ndarray, ...]


class Statistics(NamedTuple):
    """The statistics of the training set in a checkpoint; see `models.portable.Network`."""

    mean: np.ndarray
    unit: np.ndarray | None
    offset: np.ndarray | None


def statistics(prefix: pathlib.Path) -> Statistics:
    """Reads the statistics of the training set. For arguments and errors see `read`."""
    return _statistics(prefix, read(prefix, STATISTICS))


def _statistics(prefix: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> Statistics:
    mean, unit, offset = (arrays.get(name) for name in STATISTICS)
    if mean is None:
        raise _error(prefix, "it has no network")
    return Statistics(mean, unit, offset)


def network_arrays(prefix: pathlib.Path) -> NetworkArrays:
    """Reads the arrays of the network. For arguments and errors see `read`."""
    numbers = [name.removeprefix(TRAINABLE) for name in variables(prefix) if name.startswith(TRAINABLE)]
    # The output bias is not among them, because it has a name of its own.
    trainable = [f"{TRAINABLE}{number}" for number in sorted(map(int, filter(str.isdecimal, numbers)))]
    arrays = read(prefix, [*trainable, *STATISTICS, BIAS])
    if BIAS not in arrays:
        raise _error(prefix, "it has no network")
    return NetworkArrays(*_statistics(prefix, arrays), arrays[BIAS], tuple(arrays[name] for name in trainable))


def read(prefix: pathlib.Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Reads arrays.

    Args:
      prefix: path of the checkpoint, such as `checkpoints/ckpt-100`.
      names: names of variables, such as `model/mean`. Names that the checkpoint lacks are left out of the result.

    Raises:
      CheckpointError: a file is missing or damaged.
    """
    found, data = variables(prefix), prefix.with_name(prefix.name + DATA)
    try:
        length = data.stat().st_size
        return {name: _array(data, length, found[name]) for name in names if name in found}
    except (OSError, _Damage) as error:
        raise _error(prefix, str(error)) from error


def variables(prefix: pathlib.Path) -> Mapping[str, Entry]:
    """Returns the places of the variables of a checkpoint by name. For arguments and errors see `read`."""
    try:
        return entries(prefix.with_name(prefix.name + INDEX).read_bytes())
    except (OSError, _Damage) as error:
        raise _error(prefix, str(error)) from error


def _error(prefix: pathlib.Path, found: str) -> CheckpointError:
    return CheckpointError(f"{sanitize(prefix)} cannot be read", found=found, remedy="use another checkpoint")


def entries(index: bytes) -> dict[str, Entry]:
    """Parses an index; returns the variables by name, without `VALUE`.

    Raises:
      _Damage: the index is damaged.
    """
    try:
        if len(index) < FOOTER or struct.unpack("<Q", index[-8:])[0] != MAGIC:
            raise _Damage("the index is not complete")
        return dict(_entries(index))
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise _Damage(f"the index is damaged: {error}") from error


def _entries(index: bytes) -> Iterator[tuple[str, Entry]]:
    footer = index[-FOOTER:]
    _, position = _handle(footer, 0)
    (start, size), _ = _handle(footer, position)
    end_of_last = count = 0
    for _, value in _block(index, start, size):
        (block_start, block_size), _ = _handle(value, 0)
        if block_start < end_of_last:  # Otherwise few bytes could stand for many blocks.
            raise _Damage("the blocks of the index overlap")
        end_of_last = block_start + block_size
        for key, message in _block(index, block_start, block_size):
            count += 1
            if count > MAX_ENTRIES:
                raise _Damage(f"the index has more than {MAX_ENTRIES:,} entries")
            name = key.decode("utf-8")
            if name.endswith(VALUE):
                yield name.removesuffix(VALUE), _entry(message)


def _block(index: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields the keys and values of a block. A key shares a prefix with the key before it."""
    if start + size + TRAILER > len(index) or size < 4:
        raise _Damage("a block is outside of the index")
    if index[start + size] != 0:
        raise _Damage("a block of the index is compressed")
    block = index[start : start + size]
    end = size - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        added, position = _varint(block, position)
        length, position = _varint(block, position)
        stop = position + added + length
        if shared > len(key) or stop > end or shared + added > MAX_NAME:
            raise _Damage("a name of the index is damaged")
        key = key[:shared] + block[position : position + added]
        yield key, block[position + added : stop]
        position = stop


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Returns the start and the size of a block, and the position after them."""
    start, position = _varint(data, position)
    size, position = _varint(data, position)
    return (start, size), position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Returns an integer in groups of 7 bits, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Damage("a number of the index is damaged")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields the numbers and values of the fields of a protocol buffer."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        length, position = _varint(message, position) if kind == 2 else ({1: 8, 5: 4}.get(kind, 0), position)
        if kind not in (1, 2, 5) or position + length > len(message):
            raise _Damage("an entry of the index is damaged")
        yield key >> 3, message[position : position + length]
        position += length


def _entry(message: bytes) -> Entry:
    values: dict[int, int | bytes] = dict(_fields(message))
    dtype, shape, offset, size = (values.get(number, default) for number, default in ((1, 0), (2, b""), (4, 0), (5, 0)))
    if not (isinstance(dtype, int) and isinstance(offset, int) and isinstance(size, int) and isinstance(shape, bytes)):
        raise _Damage("an entry of the index is damaged")
    dimensions = [value for number, value in _fields(shape) if number == 2 and isinstance(value, bytes)]
    sizes = [dict(_fields(dimension)).get(1, 0) for dimension in dimensions]
    if len(sizes) > MAX_DIMENSIONS or not all(isinstance(length, int) and length < 1 << 62 for length in sizes):
        raise _Damage("a shape of the index is damaged")
    return Entry(dtype, tuple(int(length) for length in sizes), offset, size)


def _array(data: pathlib.Path, length: int, entry: Entry) -> np.ndarray:
    dtype = np.dtype(DTYPES.get(entry.dtype, "V0"))
    count = math.prod(entry.shape)
    if not dtype.itemsize or count * dtype.itemsize != entry.size or entry.offset + entry.size > length:
        raise _Damage("an array is outside of the data, or has another size or an unknown type")
    return np.fromfile(data, dtype, count, offset=entry.offset).reshape(entry.shape)
