"""Custom arrays: .npy and .npz files."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from trainer.data import filters, splits
from trainer.data.custom import array_checks, array_labels, array_names, cache, columns, locate, missing
from trainer.data.dataset import Dataset, Split
from trainer.data.formats import depth as depths
from trainer.data.formats import npy
from trainer.data.formats.depth import FULL, Depth
from trainer.data.formats.npy import BadArray, StoredArray
from trainer.data.limits import Limits
from trainer.data.schema import Schema
from trainer.data.sources import Sources
from trainer.errors import DataError, sanitize
from trainer.system import files
from trainer.system.progress import Meter


@dataclasses.dataclass(frozen=True)
class _LabeledArray:
    """An array of examples in a file, with labels and a split.

    Attributes:
      key: key of the array in the file.
      stored: the array.
      evaluation_mask: [N] bool, True for evaluation examples.
      labels: [N] int64.
    """

    key: str
    stored: StoredArray
    evaluation_mask: np.ndarray
    labels: np.ndarray


def load_array(sources: Sources) -> Dataset:
    """Loads the examples in the .npy or .npz file `--data_dir`.

    [N, D] arrays are rows in their own units. [N, H, W] and [N, H, W, C] arrays are images: uint8, uint16 or floats in
    [0, 1]. The names of the arrays in an .npz file are those in `array_names`; a single array may have any name.

    Raises:
      UsageError: --data_dir is missing, or a class does not exist.
      DataError: the file is damaged, or has other contents.
    """
    path = locate.file(sources.options.data_dir, "array", npy.SUFFIXES)
    try:
        all_keys = npy.array_keys(path, sources.limits)
        roles = array_names.choose(path, all_keys)
        keys = roles.examples
        stored = {key: npy.open_array(path, key, sources.limits) for key in keys}
        array_checks.check(path, stored, sources.limits)
        array_checks.check_missing(path, stored, sources.options.missing)
        labels, label_names, label_notes = array_labels.read(path, stored, roles.labels)
        fraction = sources.options.eval_fraction
        masks = [_evaluation_mask(stored[key].shape[0], index, len(keys), fraction) for index, key in enumerate(keys)]
        arrays = [_LabeledArray(key, stored[key], mask, y) for key, mask, y in zip(keys, masks, labels, strict=True)]
        is_large = sum(_converted_nbytes(array.stored) for array in arrays) > sources.limits.in_memory_bytes
        data = (_load_cached if is_large else _load_in_memory)(path, arrays, label_names, sources)
        data = missing.noted(data) if sources.options.missing == "mean" else data
        unused = [key for key in all_keys if key not in roles.used]
        notes = [roles.note] if roles.note else []
        notes += [f"skipped arrays that are not used: {', '.join(map(sanitize, unused[:10]))}"] if unused else []
        notes += [*label_notes, *_fine_notes(data, arrays[0].stored, sources)]
        schema = None if data.is_image else Schema.of_array(data.shape[0])
        return dataclasses.replace(data, notes=(*data.notes, *notes), schema=schema)
    except BadArray as error:
        raise DataError(
            f"{sanitize(path)} cannot be read",
            found=str(error),
            remedy="write arrays of numbers with numpy.save or numpy.savez",
        ) from error


def _converted_nbytes(stored: StoredArray) -> int:
    return int(np.prod(stored.shape)) * array_checks.converted_dtype(stored).itemsize


def _fine_notes(data: Dataset, stored: StoredArray, sources: Sources) -> list[str]:
    if data.is_image or data.offset is not None:
        return []
    names = Schema.of_array(data.shape[0]).trained_names
    exact = next(stored.chunks(sources.limits.chunk_bytes))[: max(1, columns.MAX_EXACT // len(names))]
    return columns.fine_notes(exact.astype(np.float64), names)


def _evaluation_mask(count: int, index: int, num_arrays: int, fraction: float) -> np.ndarray:
    """Returns the evaluation mask of the array with this index, [count] bool. The second of two arrays is all True."""
    return splits.by_index(count, fraction) if num_arrays == 1 else np.full(count, index == 1)


@dataclasses.dataclass(frozen=True)
class _Converter:
    """Converts stored rows to `Split.examples`.

    Attributes:
      path: the file.
      arrays: all arrays of examples in the file.
      depth: see `Dataset`.
      limits: size limits.
      can_be_missing: True if numbers of rows may be NaN.
    """

    path: pathlib.Path
    arrays: Sequence[_LabeledArray]
    depth: Depth
    limits: Limits
    can_be_missing: bool

    def convert(self, key: str, values: np.ndarray, first_row: int = 0) -> np.ndarray:
        """Checks and converts rows, [N, ...], of an array; `first_row` is the index of the first."""
        stored = {array.key: array.stored for array in self.arrays}
        is_image = values.ndim > 2
        shaped = values[..., np.newaxis] if values.ndim == 3 else values
        if array_checks.has_16_bits(stored[key]):
            return np.ascontiguousarray(depths.to_8_bits(shaped, self.depth))
        if is_image and values.dtype == np.uint8:
            return np.ascontiguousarray(shaped)
        with np.errstate(over="ignore", invalid="ignore"):
            converted = np.ascontiguousarray(shaped, np.float32)
            if is_image:
                invalid = ~((converted >= 0) & (converted <= 1))
            else:
                invalid = missing.is_invalid(shaped, converted) if self.can_be_missing else ~np.isfinite(converted)
        if invalid.any():
            raise array_checks.value_error(
                self.path, stored, key, shaped, invalid, first_row, self.limits, can_be_missing=self.can_be_missing
            )
        return converted


def _choose_depth(
    arrays: Sequence[_LabeledArray], label_names: Sequence[str], sources: Sources
) -> tuple[Depth, list[str]]:
    """Returns the depth of 16-bit images, from the training examples of the selected classes, and notes on it."""
    if not array_checks.has_16_bits(arrays[0].stored):
        return FULL, []
    kept_labels = filters.class_labels("array", label_names, sources.options.classes)
    total = sum(array.stored.shape[0] for array in arrays)
    ranges: dict[bool, list[Depth]] = {True: [], False: []}  # of training images, and of the others
    for array in arrays if sources.options.depth != "full" else ():
        is_kept, first_row = np.isin(array.labels, kept_labels), 0
        for values in array.stored.chunks(sources.limits.chunk_bytes):
            chunk = slice(first_row, first_row + len(values))
            for is_training, split in ranges.items():
                rows = values[is_kept[chunk] & (array.evaluation_mask[chunk] != is_training)]
                split += [(int(rows.min()), int(rows.max()))] if len(rows) else []
            first_row += len(values)
    merged = depths.merged(ranges[True]), depths.merged([*ranges[True], *ranges[False]])
    return depths.choose(sources.options.depth, *merged, count=total, total=total)


def _load_in_memory(
    path: pathlib.Path, arrays: Sequence[_LabeledArray], label_names: tuple[str, ...], sources: Sources
) -> Dataset:
    depth, notes = _choose_depth(arrays, label_names, sources)
    converter = _Converter(path, arrays, depth, sources.limits, sources.options.missing == "mean")
    stored = [array.stored.read() for array in arrays]
    offset = _offset(arrays, stored)
    if offset is not None:
        names = Schema.of_array(len(offset)).trained_names
        notes = [*notes, *columns.centered_notes(stored[0], names, offset)]
        stored = [values - offset for values in stored]
    examples = [converter.convert(array.key, values) for array, values in zip(arrays, stored, strict=True)]

    def split(is_evaluation: bool) -> Split:
        masks = [array.evaluation_mask == is_evaluation for array in arrays]
        labels = np.concatenate([array.labels[mask] for array, mask in zip(arrays, masks, strict=True)])
        # The examples of a split are all in one array; if they are the whole array, it is not copied.
        for values, mask in zip(examples, masks, strict=True):
            if mask.any():
                return Split(values if mask.all() else values[mask], labels)
        return Split(examples[0][:0], labels)

    train, evaluation = split(False), split(True)
    return Dataset(
        name="array",
        train=train,
        evaluation=evaluation if len(evaluation.examples) else train,
        label_names=label_names,
        scale=_scale(train.examples.dtype),
        source=str(path),
        notes=tuple(notes),
        depth=depth,
        offset=offset,
        has_missing=any(values.dtype != np.uint8 and bool(np.isnan(values).any()) for values in examples),
    )


def _offset(arrays: Sequence[_LabeledArray], stored: Sequence[np.ndarray]) -> np.ndarray | None:
    """Returns the offset of rows that are not float32 already: [D] float64, or None; see `columns.offset`."""
    train = stored[0][~arrays[0].evaluation_mask]
    has_more_bits = train.ndim == 2 and train.dtype.itemsize > np.dtype(np.float32).itemsize
    if not has_more_bits or (np.abs(train) > np.finfo(np.float32).max).any():  # Such numbers are refused.
        return None
    return columns.offset(train)


def _scale(dtype: np.dtype) -> float:
    return 255.0 if dtype == np.uint8 else 1.0


def _load_cached(
    path: pathlib.Path, arrays: Sequence[_LabeledArray], label_names: tuple[str, ...], sources: Sources
) -> Dataset:
    """Copies the examples of the selected classes into the cache, and memory-maps them."""
    status, options = path.stat(), sources.options
    # The label names of all classes are kept, so that labels keep their numbers.
    kept_labels = filters.class_labels("array", label_names, options.classes)
    is_kept = [np.isin(array.labels, kept_labels) for array in arrays]
    masks = [
        [(array.evaluation_mask == is_evaluation) & kept for array, kept in zip(arrays, is_kept, strict=True)]
        for is_evaluation in (False, True)
    ]
    counts = [sum(int(mask.sum()) for mask in split) for split in masks]
    # Without evaluation examples, the training examples are used for evaluation.
    is_divided = any(array.evaluation_mask.any() for array in arrays)
    filters.check_not_empty("array", options.classes, counts[0], counts[1] if is_divided else counts[0])

    def build(folder: pathlib.Path) -> cache.BuiltDataset:
        depth, notes = _choose_depth(arrays, label_names, sources)
        converter = _Converter(path, arrays, depth, sources.limits, sources.options.missing == "mean")
        _copy(converter, masks, [folder / split for split in cache.SPLITS], sources)
        dtype, shape = array_checks.converted_dtype(arrays[0].stored), arrays[0].stored.shape[1:]
        return cache.BuiltDataset(
            shape=(*shape, 1) if len(shape) == 2 else shape,
            dtype=str(dtype),
            labels=[
                np.concatenate([array.labels[mask] for array, mask in zip(arrays, split, strict=True)])
                for split in masks
            ],
            label_names=label_names,
            scale=_scale(dtype),
            notes=notes,
            depth=depth,
        )

    key = {
        "kind": "array",
        "path": str(path),
        "stamp": [status.st_size, status.st_mtime_ns],
        "eval_fraction": options.eval_fraction,
        # Names, because the order of labels has changed; without a selection, caches of older versions stay valid.
        **({"depth": options.depth} if array_checks.has_16_bits(arrays[0].stored) else {}),
        **({"missing": options.missing} if options.missing != "error" else {}),
        "classes": [label_names[label] for label in kept_labels] if options.classes else kept_labels,
    }
    return cache.get_or_build(sources.cache_dir, key, build, name="array", source=str(path), log=sources.log).data


def _copy(
    converter: _Converter,
    masks: Sequence[Sequence[np.ndarray]],
    targets: Sequence[pathlib.Path],
    sources: Sources,
) -> None:
    """Writes converted examples to files, in one pass over the arrays; each target has a mask of its rows by array."""
    arrays = converter.arrays
    with contextlib.ExitStack() as stack:
        target_files = []
        for target, target_masks in zip(targets, masks, strict=True):
            shape, dtype = arrays[0].stored.shape[1:], array_checks.converted_dtype(arrays[0].stored)
            files.reserve(target, sum(int(mask.sum()) for mask in target_masks) * int(np.prod(shape)) * dtype.itemsize)
            target_files.append(stack.enter_context(open(target, "r+b")))
        total = sum(array.stored.nbytes for array in arrays)
        progress = stack.enter_context(Meter(converter.path.name, total, sources.log, "copying"))
        for index, array in enumerate(arrays):
            first_row = 0
            for values in array.stored.chunks(sources.limits.chunk_bytes):
                examples = converter.convert(array.key, values, first_row)
                for file, target_masks in zip(target_files, masks, strict=True):
                    mask = target_masks[index][first_row : first_row + len(values)]
                    file.write(np.ascontiguousarray(examples[mask]).data)
                first_row += len(values)
                progress.advance(values.nbytes)
