"""Custom arrays: .npy and .npz files."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.data import filters, splits
from trainer.data import labels as label_texts
from trainer.data.custom import array_checks, cache, columns, locate
from trainer.data.dataset import NO_LABEL, Dataset, Split
from trainer.data.formats import depth as depths
from trainer.data.formats import npy
from trainer.data.formats.depth import FULL, Depth
from trainer.data.formats.npy import BadArray, StoredArray
from trainer.data.limits import Limits
from trainer.data.sources import Sources
from trainer.errors import DataError, sanitize
from trainer.system import files
from trainer.system.progress import Meter

TRAIN_KEYS, EVALUATION_KEYS = ("x_train", npy.ONLY_KEY), ("x_test", "x_eval", "x_val")
LABEL_KEYS = {"x_train": "y_train", "data": "labels", "x_test": "y_test", "x_eval": "y_eval", "x_val": "y_val"}
MAX_LABEL_BYTES = 4_096
MAX_CODE_POINT = 0x10FFFF  # of Unicode


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
    [0, 1]. The keys of an .npz file are those of Keras: `x_train` or `data`; for evaluation `x_test`, `x_eval` or
    `x_val`; and the labels `y_train`, `labels`, `y_test`, `y_eval` or `y_val`. A single array may have any key.

    Raises:
      UsageError: --data_dir is missing, or a class does not exist.
      DataError: the file is damaged, or has other contents.
    """
    path = locate.file(sources.options.data_dir, "array", npy.SUFFIXES)
    try:
        all_keys = npy.array_keys(path, sources.limits)
        keys = _example_keys(path, all_keys)
        stored = {key: npy.open_array(path, key, sources.limits) for key in keys}
        array_checks.check(path, stored, sources.limits)
        label_keys = {key: LABEL_KEYS[key] for key in keys if LABEL_KEYS.get(key) in all_keys}
        labels, label_names, label_notes = _read_labels(path, stored, label_keys)
        fraction = sources.options.eval_fraction
        masks = [_evaluation_mask(stored[key].shape[0], index, len(keys), fraction) for index, key in enumerate(keys)]
        arrays = [_LabeledArray(key, stored[key], mask, y) for key, mask, y in zip(keys, masks, labels, strict=True)]
        is_large = sum(_converted_nbytes(array.stored) for array in arrays) > sources.limits.in_memory_bytes
        data = (_load_cached if is_large else _load_in_memory)(path, arrays, label_names, sources)
        unused = [key for key in all_keys if key not in (*keys, *label_keys.values())]
        notes = [f"skipped arrays that are not used: {', '.join(map(sanitize, unused[:10]))}"] if unused else []
        notes += [*label_notes, *_column_notes(data, arrays[0].stored, sources)]
        return dataclasses.replace(data, notes=(*data.notes, *notes))
    except BadArray as error:
        raise DataError(
            f"{sanitize(path)} cannot be read",
            found=str(error),
            remedy="write arrays of numbers with numpy.save or numpy.savez",
        ) from error


def _example_keys(path: pathlib.Path, keys: Sequence[str]) -> list[str]:
    """Returns the key of the training array, and the key of the evaluation array if there is one."""
    train = next((key for key in TRAIN_KEYS if key in keys), None)
    if train is None and len(keys) == 1:
        train = keys[0]
    if train is None:
        raise DataError(
            f"{sanitize(path)} has no array x_train or data",
            found=f"arrays: {', '.join(map(sanitize, keys[:20])) or 'none'}",
            remedy="save it with numpy.savez(path, x_train=..., x_test=...), or data=...",
        )
    return [train, *(key for key in EVALUATION_KEYS if key in keys and key != train)][:2]


def _converted_nbytes(stored: StoredArray) -> int:
    return int(np.prod(stored.shape)) * array_checks.converted_dtype(stored).itemsize


def _read_labels(
    path: pathlib.Path, arrays: Mapping[str, StoredArray], label_keys: Mapping[str, str]
) -> tuple[list[np.ndarray], tuple[str, ...], list[str]]:
    """Returns the labels of each array of examples, [N] int64; the label names: the distinct labels as text; and notes.

    `label_keys` maps the keys of examples to the keys of their labels; arrays without labels are absent. Labels are
    integers, finite floats, booleans or texts; labels of equal value are one label.
    """
    texts = []
    for key, examples in arrays.items():
        count = examples.shape[0]
        if key not in label_keys:
            texts.append(np.full(count, NO_LABEL))
            continue
        stored = npy.open_array(path, label_keys[key])
        is_allowed = stored.shape in ((count,), (count, 1)) and stored.dtype.kind in "uifUSb"
        if not is_allowed or stored.dtype.itemsize > MAX_LABEL_BYTES:
            raise _labels_error(path, label_keys[key], stored, count)
        values = np.ascontiguousarray(stored.read()).reshape(-1)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(
                f"{sanitize(path)}: {label_keys[key]} has labels that are not finite",
                found=f"{int((~np.isfinite(values)).sum()):,} of {count:,} labels are infinite or NaN",
                remedy="correct or remove these examples and their labels",
            )
        texts.append(_as_text(values, label_keys[key]))
    distinct, indices = np.unique(np.concatenate(texts), return_inverse=True)
    displayed = [label_texts.display(sanitize(text)) for text in distinct]  # Different texts may become equal.
    names = sorted(set(displayed), key=label_texts.sort_key)
    label_of = {name: label for label, name in enumerate(names)}
    labels = np.array([label_of[name] for name in displayed], np.int64)[indices]
    note = label_texts.spelling_note(dict(zip(distinct, (label_of[name] for name in displayed), strict=True)), names)
    parts = np.split(labels, np.cumsum([len(part) for part in texts])[:-1])
    return parts, tuple(names), [note] if note else []


def _column_notes(data: Dataset, stored: StoredArray, sources: Sources) -> list[str]:
    if data.is_image:
        return []
    names = [f"column {column + 1}" for column in range(data.shape[0])]
    is_standardized = sources.options.standardise
    result = columns.notes(data.train.examples, names, has_heading=False, is_standardized=is_standardized)
    if data.offset is None:
        exact = next(stored.chunks(sources.limits.chunk_bytes))[: max(1, columns.MAX_EXACT // len(names))]
        result += columns.fine_notes(exact.astype(np.float64), names)
    return result


def _labels_error(path: pathlib.Path, key: str, stored: StoredArray, count: int) -> DataError:
    """Returns the error for labels of another type or shape."""
    is_one_hot = len(stored.shape) == 2 and stored.shape[0] == count and stored.dtype.kind in "uifb"
    return DataError(
        f"{sanitize(path)}: {key} is {stored.dtype} of shape {list(stored.shape)}",
        found=f"expected {count:,} numbers or short texts, one for each example",
        remedy="save .argmax(axis=1) of one-hot labels" if is_one_hot else "correct or remove the labels",
    )


def _as_text(values: np.ndarray, key: str) -> np.ndarray:
    """Converts stored labels to [N] str."""
    if values.dtype.kind != "U":
        return np.char.decode(values, errors="replace") if values.dtype.kind == "S" else values.astype(str)
    texts = values.astype(values.dtype.newbyteorder("="))
    if texts.view(np.uint32).max(initial=0) > MAX_CODE_POINT:  # NumPy does not check this, and Python cannot read it.
        raise BadArray(f"{key} has invalid Unicode characters")
    return texts


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
    """

    path: pathlib.Path
    arrays: Sequence[_LabeledArray]
    depth: Depth
    limits: Limits

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
            invalid = ~((converted >= 0) & (converted <= 1)) if is_image else ~np.isfinite(converted)
        if invalid.any():
            raise array_checks.value_error(self.path, stored, key, shaped, invalid, first_row, self.limits)
        return converted


def _choose_depth(
    arrays: Sequence[_LabeledArray], label_names: Sequence[str], sources: Sources
) -> tuple[Depth, list[str]]:
    """Returns the depth of 16-bit images, from the training examples of the selected classes, and notes on it."""
    if not array_checks.has_16_bits(arrays[0].stored):
        return FULL, []
    kept_labels = filters.class_labels("array", label_names, sources.options.classes)
    ranges, total = [], sum(array.stored.shape[0] for array in arrays)
    for array in arrays if sources.options.depth != "full" else ():
        is_trained_on = ~array.evaluation_mask & np.isin(array.labels, kept_labels)
        first_row = 0
        for values in array.stored.chunks(sources.limits.chunk_bytes):
            rows = values[is_trained_on[first_row : first_row + len(values)]]
            ranges += [(int(rows.min()), int(rows.max()))] if len(rows) else []
            first_row += len(values)
    return depths.choose(sources.options.depth, depths.merged(ranges), count=total, total=total)


def _load_in_memory(
    path: pathlib.Path, arrays: Sequence[_LabeledArray], label_names: tuple[str, ...], sources: Sources
) -> Dataset:
    depth, notes = _choose_depth(arrays, label_names, sources)
    converter = _Converter(path, arrays, depth, sources.limits)
    stored = [array.stored.read() for array in arrays]
    offset = _offset(arrays, stored)
    if offset is not None:
        names = [f"column {column + 1}" for column in range(len(offset))]
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
    )


def _offset(arrays: Sequence[_LabeledArray], stored: Sequence[np.ndarray]) -> np.ndarray | None:
    """Returns the offset of rows that are not float32 already: [D] float64, or None; see `columns.offset`."""
    train = stored[0][~arrays[0].evaluation_mask]
    has_more_bits = train.ndim == 2 and train.dtype.itemsize > np.dtype(np.float32).itemsize
    return columns.offset(train) if has_more_bits and np.isfinite(train).all() else None


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
        converter = _Converter(path, arrays, depth, sources.limits)
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
