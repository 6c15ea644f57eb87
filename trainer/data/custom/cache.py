"""Data that were made once, and are mapped into memory from then on: however large they are, they take none of it.

A stored data set is a folder in the cache, named by what it was made from: the examples of each split as plain numbers
(`train`, `eval`), labels, and `about.json`, which seals it. It is made aside, under a lock, and renamed into place.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.data.custom import wanted
from trainer.data.dataset import CachedStatistics, Dataset, Split, chunk_slices
from trainer.data.options import DataOptions
from trainer.errors import DataError, option
from trainer.system import files, locks

SCHEMA = 3
ABOUT, LABELS, TOTAL = "about.json", "labels-{}.npy", "total.npy"
SPLITS = ("train", "eval")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuiltDataset:
    """What a maker tells of the examples that it has written.

    Attributes:
      shape: of one example.
      dtype: uint8 or float32.
      labels: of each split's examples, [N] int64.
      label_names: their meanings.
      scale: as in `Dataset`.
      notes: what a person should know.
      bad: the first of what could not be used, each with the reason.
      num_bad: how many there were.
      may_pass: what was wrong may not be another time: it is made again at the next start.
    """

    shape: tuple[int, ...]
    dtype: str
    labels: Sequence[np.ndarray]
    label_names: Sequence[str]
    scale: float
    notes: Sequence[str] = ()
    bad: Sequence[tuple[str, str]] = ()
    num_bad: int = 0
    may_pass: bool = False


def built_images(
    options: DataOptions,
    *,
    labels: Sequence[np.ndarray],
    label_names: Sequence[str],
    sizes: collections.Counter[str],
    bad: Sequence[tuple[str, str]],
    may_pass: bool = False,
) -> BuiltDataset:
    """What a maker tells of pictures as they were wanted; `sizes` are those that they had, in words."""
    return BuiltDataset(
        shape=wanted.target(options).shape,
        dtype="uint8",
        labels=labels,
        label_names=label_names,
        scale=255.0,
        notes=[wanted.size_note(options, sizes)],
        bad=bad[: wanted.BAD_KEPT],
        num_bad=len(bad),
        may_pass=may_pass,
    )


@dataclasses.dataclass(frozen=True)
class CachedDataset:
    """A data set in the cache, and what could not be used of what it was made from."""

    data: Dataset
    bad: Sequence[tuple[str, str]]
    num_bad: int


def get_or_build(
    cache: pathlib.Path,
    made_from: Mapping[str, Any],
    make: Callable[[pathlib.Path], BuiltDataset],
    *,
    name: str,
    source: str,
    say: Callable[[str], None],
) -> CachedDataset:
    """The data set that was made from this, and where it was not yet, or is damaged: makes it.

    Args:
      cache: where stored data sets are.
      made_from: all that they depend on, as JSON has it.
      make: writes the splits' files into a folder, `train` and `eval`, rows one after the other.
      name, source: as in `Dataset`.
      say: is told what takes long.

    Raises:
      DataError: `make` does; or the cache cannot be written.
    """
    key = hashlib.sha256(json.dumps({"schema": SCHEMA, **made_from}, sort_keys=True).encode()).hexdigest()[:32]
    folder = cache / f"{name.split(':')[0]}-{key}"
    about = files.read_json(folder / ABOUT)
    try:
        if about is None or not _is_sound(folder, about):  # Else it may be where nothing can be written.
            with _locked(folder):
                about = files.read_json(folder / ABOUT)
                if about is None or not _is_sound(folder, about):
                    if folder.exists() and not (about or {}).get("may_pass"):
                        say(f"{folder} is damaged, and made again")
                    about = _make(folder, make)
    except OSError as error:
        raise DataError(
            f"the cache {cache} cannot be written",
            found=error.strerror or str(error),
            remedy=f"make room, mend its permissions, or give another {option('cache_dir')}",
        ) from error
    return _open(folder, about, name=name, source=source)


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Two runs that start together make it once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(folder.with_name(f".{folder.name}.lock")):
        yield


def memory_map(path: pathlib.Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """A file's numbers as an array, copied on write: TensorFlow shares no memory that may not be written."""
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "c", 0, shape)


def _make(folder: pathlib.Path, make: Callable[[pathlib.Path], BuiltDataset]) -> dict[str, Any]:
    aside = folder.with_name(f".{folder.name}.tmp")
    for old in (aside, folder):
        shutil.rmtree(old, ignore_errors=True)
    aside.mkdir()
    try:
        made = make(aside)
        for split, labels in zip(SPLITS, made.labels, strict=True):
            np.save(aside / LABELS.format(split), labels, allow_pickle=False)
        about = _describe(aside, made)
        files.write_json(aside / ABOUT, about)
        for path in (*aside.iterdir(), aside):
            files.fsync(path)
        os.replace(aside, folder)
        files.fsync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return about


def _describe(folder: pathlib.Path, made: BuiltDataset) -> dict[str, Any]:
    """Reads all of what was made, once."""
    counts = [len(labels) for labels in made.labels]
    # As `Dataset.fingerprint` has it of arrays.
    digest = hashlib.sha256(f"{made.scale}".encode())
    low, high, total = np.inf, -np.inf, np.zeros(made.shape)
    # What trains evaluates too, where nothing else does.
    splits = [(SPLITS[0], counts[0]), (SPLITS[1], counts[1]) if counts[1] else (SPLITS[0], counts[0])]
    for number, (split, count) in enumerate(splits):
        examples = memory_map(folder / split, made.dtype, (count, *made.shape))
        digest.update(f"{examples.dtype} {examples.shape}".encode())
        for part in chunk_slices(examples):
            rows = np.ascontiguousarray(examples[part])
            digest.update(rows.data)
            if number == 0:
                low, high = min(low, float(rows.min())), max(high, float(rows.max()))
                total += rows.sum(axis=0, dtype=np.float64)
    np.save(folder / TOTAL, total, allow_pickle=False)
    return {
        "schema": SCHEMA,
        "shape": made.shape,
        "dtype": made.dtype,
        "counts": counts,
        "label_names": list(made.label_names),
        "scale": made.scale,
        "notes": list(made.notes),
        "bad": list(made.bad),
        "num_bad": made.num_bad,
        "may_pass": made.may_pass,
        "fingerprint": digest.hexdigest(),
        "low": low,
        "high": high,
        "files": {path.name: [files.sha256(path), *_stamp(path)] for path in sorted(folder.iterdir())},
    }


def _stamp(path: pathlib.Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _is_sound(folder: pathlib.Path, about: Mapping[str, Any]) -> bool:
    """Whether its files are those that were made: by size and time of change, else by content."""
    try:
        known = about["files"].items()
        return (
            about["schema"] == SCHEMA
            and not about["may_pass"]
            and all(
                _stamp(folder / name) == stamp or files.sha256(folder / name) == digest
                for name, (digest, *stamp) in known
            )
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return False


def _open(folder: pathlib.Path, about: Mapping[str, Any], *, name: str, source: str) -> CachedDataset:
    shape, dtype = tuple(about["shape"]), about["dtype"]
    splits = [
        Split(
            memory_map(folder / split, dtype, (count, *shape)),
            np.load(folder / LABELS.format(split), allow_pickle=False),
        )
        for split, count in zip(SPLITS, about["counts"], strict=True)
    ]
    data = Dataset(
        name=name,
        train=splits[0],
        evaluation=splits[1] if len(splits[1].examples) else splits[0],
        label_names=tuple(about["label_names"]),
        scale=about["scale"],
        source=source,
        notes=tuple(about["notes"]),
        known=CachedStatistics(
            about["fingerprint"], about["low"], about["high"], np.load(folder / TOTAL, allow_pickle=False)
        ),
    )
    return CachedDataset(data, [tuple(one) for one in about["bad"]], about["num_bad"])
