"""A cache of converted data sets, which are memory-mapped, so that they may be larger than memory.

A cached data set is a folder whose name has a hash of its sources: the raw values of each split (`train`, `eval`), the
labels, and `about.json` with the metadata. It is built in a temporary folder, under a lock, and then renamed.
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

from trainer.data.custom import common
from trainer.data.dataset import CachedStatistics, Dataset, Split, chunk_slices, units
from trainer.data.formats.depth import FULL, Depth
from trainer.data.options import DataOptions
from trainer.data.schema import Schema
from trainer.errors import DataError, option
from trainer.system import files, locks

SCHEMA = 3
METADATA, LABELS, TOTAL, OFFSET = "about.json", "labels-{}.npy", "total.npy", "offset.npy"
SPLITS = ("train", "eval")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuiltDataset:
    """Metadata of the examples that a build function has written.

    Attributes:
      shape: shape of one example.
      dtype: "uint8" or "float32".
      labels: labels of each split, [N] int64.
      label_names, scale, notes, depth, offset, has_missing, schema: see `Dataset`.
      bad: the first examples that could not be used: (name, reason).
      num_bad: number of examples that could not be used.
      is_temporary: True if some bad files may be readable later; the data set is then built again at the next start.
    """

    shape: tuple[int, ...]
    dtype: str
    labels: Sequence[np.ndarray]
    label_names: Sequence[str]
    scale: float
    notes: Sequence[str] = ()
    depth: Depth = FULL
    offset: np.ndarray | None = None
    has_missing: bool = False
    schema: Schema | None = None
    bad: Sequence[tuple[str, str]] = ()
    num_bad: int = 0
    is_temporary: bool = False


def built_images(
    options: DataOptions,
    *,
    labels: Sequence[np.ndarray],
    label_names: Sequence[str],
    sizes: collections.Counter[str],
    bad: Sequence[tuple[str, str]],
    is_temporary: bool = False,
    depth: Depth = FULL,
    notes: Sequence[str] = (),
) -> BuiltDataset:
    """Returns the metadata of converted images; `sizes` counts the original sizes, such as "640x480"."""
    return BuiltDataset(
        shape=common.image_target(options).shape,
        dtype="uint8",
        labels=labels,
        label_names=label_names,
        scale=255.0,
        notes=[common.size_note(options, sizes), *notes],
        depth=depth,
        bad=bad[: common.MAX_BAD_STORED],
        num_bad=len(bad),
        is_temporary=is_temporary,
    )


@dataclasses.dataclass(frozen=True)
class CachedDataset:
    """A data set in the cache, and the examples that could not be used; `bad` and `num_bad`: see `BuiltDataset`."""

    data: Dataset
    bad: Sequence[tuple[str, str]]
    num_bad: int


def get_or_build(
    cache_dir: pathlib.Path,
    key: Mapping[str, Any],
    build: Callable[[pathlib.Path], BuiltDataset],
    *,
    name: str,
    source: str,
    log: Callable[[str], None],
) -> CachedDataset:
    """Returns the cached data set; builds it if it is missing or damaged.

    Args:
      cache_dir: folder of the cache.
      key: everything that the data set depends on; serializable as JSON.
      build: writes the files `train` and `eval` into a folder: raw values, one example after the other.
      name, source: see `Dataset`.
      log: called with a line if the data set is built again.

    Raises:
      DataError: the cache cannot be written, or `build` raises it.
    """
    digest = hashlib.sha256(json.dumps({"schema": SCHEMA, **key}, sort_keys=True).encode()).hexdigest()[:32]
    folder = cache_dir / f"{name.split(':')[0]}-{digest}"
    metadata = files.read_json(folder / METADATA)
    try:
        if metadata is None or not _is_valid(folder, metadata):  # A valid cache may be read-only: it is not locked.
            with _locked(folder):
                metadata = files.read_json(folder / METADATA)
                if metadata is None or not _is_valid(folder, metadata):
                    if folder.exists() and not (metadata or {}).get("may_pass"):
                        log(f"{folder} is damaged and is built again")
                    metadata = _build(folder, build)
    except OSError as error:
        raise DataError(
            f"the cache {cache_dir} cannot be written",
            found=error.strerror or str(error),
            remedy=f"free disk space, correct its permissions, or give another {option('cache_dir')}",
        ) from error
    return _open(folder, metadata, name=name, source=source)


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds the lock of a cached data set, so that only one of several runs builds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(folder.with_name(f".{folder.name}.lock")):
        yield


def memory_map(path: pathlib.Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Memory-maps raw values as an array, copied on write: TensorFlow would copy memory that is not writable."""
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "c", 0, shape)


def _build(folder: pathlib.Path, build: Callable[[pathlib.Path], BuiltDataset]) -> dict[str, Any]:
    temporary = folder.with_name(f".{folder.name}.tmp")
    for old in (temporary, folder):
        shutil.rmtree(old, ignore_errors=True)
    temporary.mkdir()
    try:
        built = build(temporary)
        for split, labels in zip(SPLITS, built.labels, strict=True):
            np.save(temporary / LABELS.format(split), labels, allow_pickle=False)
        metadata = _describe(temporary, built)
        files.write_json(temporary / METADATA, metadata)
        for path in (*temporary.iterdir(), temporary):
            files.fsync(path)
        os.replace(temporary, folder)
        files.fsync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return metadata


def _describe(folder: pathlib.Path, built: BuiltDataset) -> dict[str, Any]:
    """Returns metadata and statistics, from one pass over the examples; writes the sum of the training examples."""
    counts = [len(labels) for labels in built.labels]
    # The same digest as `Dataset.fingerprint`.
    digest = hashlib.sha256(units(built.scale, built.depth))
    if built.offset is not None:
        digest.update(built.offset.tobytes())
        np.save(folder / OFFSET, built.offset, allow_pickle=False)
    low, high, total = np.inf, -np.inf, np.zeros(built.shape)
    # Without evaluation examples, the training examples are used for evaluation.
    splits = [(SPLITS[0], counts[0]), (SPLITS[1], counts[1]) if counts[1] else (SPLITS[0], counts[0])]
    for index, (split, count) in enumerate(splits):
        examples = memory_map(folder / split, built.dtype, (count, *built.shape))
        digest.update(f"{examples.dtype} {examples.shape}".encode())
        for chunk in chunk_slices(examples):
            rows = np.ascontiguousarray(examples[chunk])
            digest.update(rows.data)
            if index == 0:
                low, high = min(low, float(np.nanmin(rows))), max(high, float(np.nanmax(rows)))
                total += np.nansum(rows, axis=0, dtype=np.float64)
    np.save(folder / TOTAL, total, allow_pickle=False)
    return {
        "schema": SCHEMA,
        "shape": built.shape,
        "dtype": built.dtype,
        "counts": counts,
        "label_names": list(built.label_names),
        "scale": built.scale,
        "depth": list(built.depth),
        "has_missing": built.has_missing,
        "columns": built.schema and built.schema.to_json(),
        "notes": list(built.notes),
        "bad": list(built.bad),
        "num_bad": built.num_bad,
        "may_pass": built.is_temporary,
        "fingerprint": digest.hexdigest(),
        "low": low,
        "high": high,
        "files": {path.name: [files.sha256(path), *_stamp(path)] for path in sorted(folder.iterdir())},
    }


def _stamp(path: pathlib.Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _is_valid(folder: pathlib.Path, metadata: Mapping[str, Any]) -> bool:
    """Returns True if each file has the stored size and modification time, or otherwise the stored hash."""
    try:
        stored = metadata["files"].items()
        return (
            metadata["schema"] == SCHEMA
            and not metadata["may_pass"]
            and all(
                _stamp(folder / name) == stamp or files.sha256(folder / name) == digest
                for name, (digest, *stamp) in stored
            )
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return False


def _open(folder: pathlib.Path, metadata: Mapping[str, Any], *, name: str, source: str) -> CachedDataset:
    shape, dtype, columns = tuple(metadata["shape"]), metadata["dtype"], metadata.get("columns")
    splits = [
        Split(
            memory_map(folder / split, dtype, (count, *shape)),
            np.load(folder / LABELS.format(split), allow_pickle=False),
        )
        for split, count in zip(SPLITS, metadata["counts"], strict=True)
    ]
    data = Dataset(
        name=name,
        train=splits[0],
        evaluation=splits[1] if len(splits[1].examples) else splits[0],
        label_names=tuple(metadata["label_names"]),
        scale=metadata["scale"],
        source=source,
        notes=tuple(metadata["notes"]),
        depth=tuple(metadata.get("depth", FULL)),  # Caches of older versions have no depth, and no missing numbers.
        offset=np.load(folder / OFFSET, allow_pickle=False) if OFFSET in metadata["files"] else None,
        has_missing=metadata.get("has_missing", False),
        schema=Schema.from_json(columns) if columns else None,
        statistics=CachedStatistics(
            metadata["fingerprint"], metadata["low"], metadata["high"], np.load(folder / TOTAL, allow_pickle=False)
        ),
    )
    return CachedDataset(data, [tuple(pair) for pair in metadata["bad"]], metadata["num_bad"])
