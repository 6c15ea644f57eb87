"""Arrays of one's own: .npy and .npz files. Nothing in them is run, and nothing that they only claim is allocated."""

import contextlib
import dataclasses
import functools
import math
import os
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO

import numpy as np

from trainer.datasets import splitting, store
from trainer.datasets.data import Data, Split
from trainer.datasets.sources import Sources, printable
from trainer.errors import DataError, said

SUFFIXES = (".npy", ".npz")
IN_MEMORY_BYTES = 1 << 30  # Larger ones are copied into the cache, train and eval apart, and mapped from there.
# Of an archive's member: what is larger and packed more tightly is a bomb; pictures do not shrink so far.
BOMB_BYTES, BOMB_RATIO = 256 << 20, 200
TRAIN_KEYS, EVALUATION_KEYS = ("x_train", "data"), ("x_test", "x_eval", "x_val")
LABEL_KEYS = {"x_train": "y_train", "data": "labels", "x_test": "y_test", "x_eval": "y_eval", "x_val": "y_val"}
NO_LABEL = "all"
EXPECTED = "uint8 or float pictures [N, H, W], [N, H, W, 1], [N, H, W, 3], or numbers [N, D]"


def array(sources: Sources) -> Data:
    """An array of one's own: `--data_dir` is an .npy file of it, or an .npz with Keras's names.

    [N, D] are rows in their own units; [N, H, W] and [N, H, W, C] are pictures, uint8 or floats in [0, 1]. In an .npz:
    `x_train` or `data`, and if it is there `x_test`; their labels `y_train`, `y_test` or `labels`; an archive of one
    array may call it as it likes.

    Raises:
      UsageError: no file was given.
      DataError: it is damaged, or holds something else.
    """
    path = sources.own_file("array", SUFFIXES)
    try:
        with _opened(path) as members:
            return _data(path, members, sources)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, MemoryError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, said(error) or type(error).__name__) from error


@dataclasses.dataclass(frozen=True)
class _Member:
    """One array in a file, not yet read.

    Attributes:
      shape, dtype: of it.
      read: all of it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: "functools.partial[np.ndarray]"

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Mapping[str, _Member]]:
    """The arrays in a file, by name; that of an .npy is called data."""
    if path.suffix.lower() == ".npy":
        with open(path, "rb") as file:
            shape, dtype = _header(file, path, path.stat().st_size)
        yield {"data": _Member(shape, dtype, functools.partial(np.load, path, mmap_mode="r", allow_pickle=False))}
        return
    with zipfile.ZipFile(path) as archive:
        members = {}
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if info.is_dir() or name == info.filename:
                continue
            if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * max(1, info.compress_size):
                raise ValueError(
                    f"{printable(info.filename)} has {info.compress_size:,} bytes that would become {info.file_size:,}"
                )
            with archive.open(info) as file:
                shape, dtype = _header(file, path, info.file_size)
            members[name] = _Member(shape, dtype, functools.partial(_read_member, path, info.filename))
        yield members


def _header(file: IO[bytes], path: pathlib.Path, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """An array's shape and type, if there are as many bytes as these need."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except Exception as error:  # A damaged header is parsed as Python, and can raise anything at all.
        raise ValueError(said(error) or type(error).__name__) from error
    if dtype.hasobject:
        raise ValueError("it holds objects, which only unpickling could read: that may run anything, and is not done")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != size - file.tell():
        raise ValueError(f"its header claims {wanted:,} bytes of numbers, and {size - file.tell():,} are there")
    return shape, dtype


def _read_member(path: pathlib.Path, name: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive, archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _data(path: pathlib.Path, members: Mapping[str, _Member], sources: Sources) -> Data:
    train_key = next((key for key in TRAIN_KEYS if key in members), None)
    if train_key is None and len(members) == 1:
        train_key = next(iter(members))
    if train_key is None:
        raise DataError(
            f"{printable(path)} holds no x_train and no data",
            found=f"arrays: {', '.join(map(printable, members)) or 'none'}",
            remedy="save it with numpy.savez(path, x_train=..., x_test=...), or data=...",
        )
    evaluation_key = next((key for key in EVALUATION_KEYS if key in members), None)
    keys = [key for key in (train_key, evaluation_key) if key is not None]
    for key in keys:
        _check_kind(path, key, members[key])
    if len(keys) == 2 and members[keys[0]].shape[1:] != members[keys[1]].shape[1:]:
        shapes = ", ".join(f"{key} {list(members[key].shape)}" for key in keys)
        raise DataError(f"{printable(path)}: its arrays do not go together", found=shapes, remedy="save equal shapes")
    labels, label_names = _labels(path, keys, members)
    large = sum(members[key].nbytes for key in keys) > IN_MEMORY_BYTES
    return (_stored if large else _in_memory)(path, keys, members, labels, label_names, sources)


def _check_kind(path: pathlib.Path, key: str, member: _Member) -> None:
    shape, kind = member.shape, member.dtype.kind
    is_picture = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    allowed = (member.dtype == np.uint8 or kind == "f") if is_picture else (len(shape) == 2 and kind in "uif")
    if not allowed or 0 in shape:
        raise DataError(
            f"{printable(path)}: {printable(key)} is {member.dtype} of shape {list(shape)}",
            found=f"expected {EXPECTED}",
            remedy="convert it, for example with .astype('uint8') or .reshape, and save it again",
        )


def _labels(
    path: pathlib.Path, keys: list[str], members: Mapping[str, _Member]
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Of each of the arrays [N] int64, and the meanings: the different labels that there are, as text."""
    found = []
    for key in keys:
        count, member = members[key].shape[0], members.get(LABEL_KEYS.get(key, ""))
        if member is None:
            found.append(np.full(count, NO_LABEL))
            continue
        if math.prod(member.shape) != count or member.dtype.kind not in "uiUSb":
            raise DataError(
                f"{printable(path)}: {LABEL_KEYS[key]} is {member.dtype} of shape {list(member.shape)}",
                found=f"expected {count:,} whole numbers or texts, one for each example",
                remedy="mend it or leave it out",
            )
        values = member.read().reshape(-1)
        found.append(values.astype(str) if values.dtype.kind != "S" else np.char.decode(values, errors="replace"))
    every = np.unique(np.concatenate(found))
    names = sorted(every.tolist(), key=lambda name: (0, int(name), "") if _is_int(name) else (1, 0, name))
    numbers = {name: number for number, name in enumerate(names)}
    return [np.array([numbers[name] for name in some.tolist()], np.int64) for some in found], tuple(names)


def _is_int(text: str) -> bool:
    return text.lstrip("-").isdecimal() and len(text) < 19


def _splits(count: int, keys: list[str], fraction: float) -> list[tuple[int, np.ndarray | None]]:
    """Of the training and the evaluation split: the number of its array, and its rows there; None: all of them."""
    if len(keys) == 2:
        return [(0, None), (1, None)]
    evaluates = splitting.by_index(count, fraction)
    return [(0, np.flatnonzero(~evaluates)), (0, np.flatnonzero(evaluates))]


def _in_memory(
    path: pathlib.Path,
    keys: list[str],
    members: Mapping[str, _Member],
    labels: list[np.ndarray],
    label_names: tuple[str, ...],
    sources: Sources,
) -> Data:
    arrays = [members[key].read() for key in keys]
    splits = []
    for place, rows in _splits(len(arrays[0]), keys, sources.wanted.eval_fraction):
        some = arrays[place] if rows is None else arrays[place][rows]
        examples = _converted(path, keys[place], some, rows)
        splits.append(Split(examples, labels[place] if rows is None else labels[place][rows]))
    return Data(
        name="array",
        train=splits[0],
        evaluation=splits[1] if len(splits[1].examples) else splits[0],
        label_names=label_names,
        scale=255.0 if splits[0].examples.dtype == np.uint8 else 1.0,
        source=str(path),
    )


def _converted(path: pathlib.Path, key: str, values: np.ndarray, rows: np.ndarray | None, first: int = 0) -> np.ndarray:
    """[N, ...] as stored in the file -> as `Split.examples`; checked.

    Args:
      path, key: where they are.
      values: rows of it.
      rows: their numbers there; None: they are all, one after the other.
      first: the number of the first one then.
    """
    is_picture = values.ndim > 2
    shaped = values[..., np.newaxis] if values.ndim == 3 else values
    if is_picture and values.dtype == np.uint8:
        return np.ascontiguousarray(shaped)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.ascontiguousarray(shaped, np.float32)
        wrong = ~((numbers >= 0) & (numbers <= 1)) if is_picture else ~np.isfinite(numbers)
    if wrong.any():
        place = np.unravel_index(int(wrong.argmax()), wrong.shape)
        row = first + int(place[0]) if rows is None else int(rows[place[0]])
        where = ", ".join(map(str, (row, *map(int, place[1:]))))
        expected = "from 0 to 1" if is_picture else "finite, of 32 bits"
        remedy = "divide by the largest they can be, or save uint8" if is_picture else "mend or leave out these rows"
        raise DataError(
            f"{printable(path)}: {printable(key)}[{where}] is {shaped[place]}",
            found=f"{int(wrong.sum()):,} such values in these {len(values):,} examples; expected numbers {expected}",
            remedy=remedy,
        )
    return numbers


def _stored(
    path: pathlib.Path,
    keys: list[str],
    members: Mapping[str, _Member],
    labels: list[np.ndarray],
    label_names: tuple[str, ...],
    sources: Sources,
) -> Data:
    """Through the cache."""
    found = path.stat()

    def make(folder: pathlib.Path) -> store.Made:
        sources.say(f"copying {path.name} into the cache, {sum(members[key].nbytes for key in keys) / 1e9:.1f} GB")
        arrays = [members[key].read() for key in keys]
        parts, last = [], np.zeros(0)
        for split, (place, rows) in zip(
            store.SPLITS, _splits(len(arrays[0]), keys, sources.wanted.eval_fraction), strict=True
        ):
            parts.append(labels[place] if rows is None else labels[place][rows])
            with open(folder / split, "wb") as file:
                last = _copy(path, keys[place], arrays[place], rows, file) if len(parts[-1]) else last
        return store.Made(
            shape=last.shape[1:],
            dtype=str(last.dtype),
            labels=parts,
            label_names=label_names,
            scale=255.0 if last.dtype == np.uint8 else 1.0,
        )

    made_from = {
        "kind": "array",
        "path": str(path),
        "stamp": [found.st_size, found.st_mtime_ns],
        "eval_fraction": sources.wanted.eval_fraction,
    }
    return store.stored(sources.cache, made_from, make, name="array", source=str(path), say=sources.say).data


def _copy(path: pathlib.Path, key: str, values: np.ndarray, rows: np.ndarray | None, file: IO[bytes]) -> np.ndarray:
    """Writes rows, a few megabytes at a time; returns the last of them."""
    count = len(values) if rows is None else len(rows)
    size = max(1, store.CHUNK_BYTES // max(1, values[:1].nbytes))
    some = np.zeros(0)
    for start in range(0, count, size):
        chosen = None if rows is None else rows[start : start + size]
        some = _converted(
            path, key, np.asarray(values[start : start + size] if chosen is None else values[chosen]), chosen, start
        )
        file.write(some.data)
    file.flush()
    os.fsync(file.fileno())
    return some


def _damaged(path: pathlib.Path, found: str) -> DataError:
    return DataError(
        f"{printable(path)} cannot be read", found=found, remedy="write it with numpy.save or numpy.savez, as numbers"
    )
