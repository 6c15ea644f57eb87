"""Custom tables: text, packed text and Parquet, read at once or through the cache."""

import contextlib
import dataclasses
import functools
import io
import pathlib
import tempfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from trainer.data import labels as label_texts
from trainer.data.custom import cache, columns, locate, table_files, table_reader
from trainer.data.custom.table_collector import RowCollector
from trainer.data.custom.table_reader import OpenFile, ReadTable
from trainer.data.dataset import Dataset, Split, chunk_slices
from trainer.data.rows import RowSubset
from trainer.data.sources import Sources
from trainer.errors import render, sanitize

REVISION = 1  # of what is stored in the cache
MAX_GROWTH = 4  # A number has at least two bytes as text, with its delimiter, and eight in float64.


def load_table(sources: Sources) -> Dataset:
    """Loads the numeric columns of the table `--data_dir`; those of `--eval_file`, if it is given, are for evaluation.

    The formats are text (see `TextTable`), such text in .gz files and .zip archives, and Parquet. Columns without a
    number in the first lines are skipped. In the others, every row must have a finite number, unless --missing=mean.
    `--label_column` is the column of labels, and `--ignore_columns` are not read.

    Raises:
      UsageError: --data_dir is missing, or a column that an option names does not exist.
      DataError: the table has no rows or no numeric columns; or a row has another length, or a cell without a finite
        number, and --on_bad_file=error.
    """
    options = sources.options
    path = locate.file(options.data_dir, "table", table_files.SUFFIXES)
    paths = [path]
    if options.eval_file is not None:
        paths.append(locate.file(options.eval_file, "table", table_files.SUFFIXES, "eval_file"))
    if sum(map(table_files.expected_bytes, paths)) <= sources.limits.uncached_table_bytes:
        data = _in_memory(paths, sources)
    else:
        build = functools.partial(_build, paths=paths, sources=sources)
        key = _key(paths, sources)
        name, source = "table", str(path)
        data = cache.get_or_build(sources.cache_dir, key, build, name=name, source=source, log=sources.log).data
    return dataclasses.replace(data, notes=tuple(map(render, data.notes)))


def _key(paths: Sequence[pathlib.Path], sources: Sources) -> dict[str, Any]:
    """Returns everything that the contents of the cache depend on."""
    options = sources.options
    names = ("heading", "label_column", "ignore_columns", "missing", "eval_fraction", "on_bad_file")
    stamps = [(status.st_size, status.st_mtime_ns) for status in (path.stat() for path in paths)]
    return {
        "kind": "table",
        "revision": REVISION,
        "files": [[str(path), *stamp] for path, stamp in zip(paths, stamps, strict=True)],
        **{name: getattr(options, name) for name in names},
    }


@dataclasses.dataclass(frozen=True)
class _Part:
    """Rows of a file, and the mask of those for evaluation, [N] bool."""

    rows: RowCollector
    is_evaluation: np.ndarray

    def training_rows(self) -> RowSubset:
        """Returns the training rows in float64."""
        return RowSubset(self.rows.values(), np.flatnonzero(~self.is_evaluation))


def _in_memory(paths: Sequence[pathlib.Path], sources: Sources) -> Dataset:
    targets = [io.BytesIO() for _ in cache.SPLITS]
    built = _convert(paths, targets, lambda: None, sources)
    train, evaluation = (
        Split(np.frombuffer(target.getbuffer(), built.dtype).reshape(-1, *built.shape), labels)
        for target, labels in zip(targets, built.labels, strict=True)
    )
    return Dataset(
        name="table",
        train=train,
        evaluation=evaluation if len(evaluation.examples) else train,
        label_names=tuple(built.label_names),
        scale=built.scale,
        source=str(paths[0]),
        notes=tuple(built.notes),
        offset=built.offset,
        has_missing=built.has_missing,
        schema=built.schema,
    )


def _build(folder: pathlib.Path, *, paths: Sequence[pathlib.Path], sources: Sources) -> cache.BuiltDataset:
    """Writes the rows into the files of the splits; see `cache.get_or_build`."""
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(open(folder / split, "wb")) for split in cache.SPLITS]

        def open_file() -> IO[bytes] | None:
            is_small = MAX_GROWTH * max(map(table_files.largest_bytes, paths)) <= sources.limits.in_memory_bytes
            return None if is_small else stack.enter_context(tempfile.TemporaryFile(dir=folder))

        return _convert(paths, targets, open_file, sources)


def _convert(
    paths: Sequence[pathlib.Path], targets: Sequence[IO[bytes]], open_file: OpenFile, sources: Sources
) -> cache.BuiltDataset:
    """Reads tables, and writes their rows as float32 to the targets, one for each split."""
    tables = [table_reader.read(paths[0], sources, open_file)]
    tables += [table_reader.read_like(path, tables[0].schema(), sources, open_file) for path in paths[1:]]
    parts = _parts(tables, sources)
    offset = columns.offset(parts[0].training_rows())
    for part in parts:
        _write(part, offset, targets)
    label_names = sorted(set().union(*(part.rows.label_names() for part in parts)), key=label_texts.sort_key)
    labels_of_parts = [(part.rows.labels(label_names), part.is_evaluation) for part in parts]
    return cache.BuiltDataset(
        shape=(len(parts[0].rows.layout.numeric),),
        dtype="float32",
        labels=[
            np.concatenate([labels[mask == is_evaluation] for labels, mask in labels_of_parts])
            for is_evaluation in (False, True)
        ],
        label_names=label_names,
        scale=1.0,
        notes=_notes(tables, paths, offset),
        schema=tables[0].schema(),
        offset=offset,
        has_missing=any(part.rows.num_missing for part in parts),
    )


def _parts(tables: Sequence[ReadTable], sources: Sources) -> list[_Part]:
    if len(tables) == 1:
        return [_Part(tables[0].rows, tables[0].rows.evaluation_mask(sources.options.eval_fraction))]
    return [_Part(table.rows, np.full(table.rows.num_good, index == 1)) for index, table in enumerate(tables)]


def _write(part: _Part, offset: np.ndarray | None, targets: Sequence[IO[bytes]]) -> None:
    """Writes the rows to the targets of their splits."""
    values = part.rows.values()
    for chunk in chunk_slices(values):
        rows, mask = columns.to_float32(values[chunk], offset), part.is_evaluation[chunk]
        for target, is_evaluation in zip(targets, (False, True), strict=True):
            target.write(rows[mask == is_evaluation].data)


def _notes(tables: Sequence[ReadTable], paths: Sequence[pathlib.Path], offset: np.ndarray | None) -> list[str]:
    """Returns the notes on all tables."""
    table, names = tables[0], tables[0].rows.layout.numeric_names
    return [
        *table.notes,
        *filter(None, [table.rows.label_note()]),
        *columns.centered_notes(table.rows.values(), names, offset),
        *(
            f"{sanitize(path.name)}: {note}"
            for path, other in zip(paths[1:], tables[1:], strict=True)
            for note in other.notes
        ),
    ]
