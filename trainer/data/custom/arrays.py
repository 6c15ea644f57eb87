"""Arrays of one's own: .npy and .npz files."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.data import filters, splits
from trainer.data.custom import cache, locate
from trainer.data.dataset import NO_LABEL, Dataset, Split
from trainer.data.formats import npy
from trainer.data.formats.npy import BadArray, Member
from trainer.data.sources import Sources
from trainer.errors import DataError, sanitize
from trainer.system import files
from trainer.system.progress import Meter

TRAIN_KEYS, EVALUATION_KEYS = ("x_train", npy.ONLY), ("x_test", "x_eval", "x_val")
LABEL_KEYS = {"x_train": "y_train", "data": "labels", "x_test": "y_test", "x_eval": "y_eval", "x_val": "y_val"}
MAX_LABEL_BYTES = 4_096
MAX_CHARACTER = 0x10FFFF  # of Unicode
EXPECTED = "uint8 or float pictures [N, H, W], [N, H, W, 1], [N, H, W, 3], or numbers [N, D]"


@dataclasses.dataclass(frozen=True)
class _Part:
    """One of a file's arrays, and what its rows are for.

    Attributes:
      key: its name.
      member: it.
      evaluates: [N] bool, of each row.
      labels: [N] int64, of each row.
    """

    key: str
    member: Member
    evaluates: np.ndarray
    labels: np.ndarray


def array(sources: Sources) -> Dataset:
    """An array of one's own: `--data_dir` is an .npy file of it, or an .npz with Keras's names.

    [N, D] are rows in their own units; [N, H, W] and [N, H, W, C] are pictures, uint8 or floats in [0, 1]. In an .npz:
    `x_train` or `data`, and if it is there `x_test`; their labels `y_train`, `y_test` or `labels`; an archive of one
    array may call it as it likes.

    Raises:
      UsageError: no file was given, or classes that there are not.
      DataError: it is damaged, or holds something else.
    """
    path = locate.file(sources.options.data_dir, "array", npy.SUFFIXES)
    try:
        names = npy.names(path, sources.limits)
        keys = _keys(path, names)
        members = {key: npy.member(path, key, sources.limits) for key in keys}
        _check_kinds(path, members)
        of_labels = {key: LABEL_KEYS[key] for key in keys if LABEL_KEYS.get(key) in names}
        labels, label_names = _labels(path, members, of_labels)
        fraction = sources.options.eval_fraction
        parts = [
            _Part(key, members[key], _evaluates(members[key].shape[0], number, len(keys), fraction), some)
            for number, (key, some) in enumerate(zip(keys, labels, strict=True))
        ]
        large = sum(_stored_nbytes(part.member) for part in parts) > sources.limits.in_memory_bytes
        data = (_stored if large else _in_memory)(path, parts, label_names, sources)
        ignored = [name for name in names if name not in (*keys, *of_labels.values())]
        notes = [f"left out, arrays that are not used: {', '.join(map(sanitize, ignored[:10]))}"] if ignored else []
        return dataclasses.replace(data, notes=(*data.notes, *notes))
    except BadArray as error:
        raise DataError(
            f"{sanitize(path)} cannot be read",
            found=str(error),
            remedy="write it with numpy.save or numpy.savez, as numbers",
        ) from error


def _keys(path: pathlib.Path, names: Sequence[str]) -> list[str]:
    """The name of the array that trains, and if there is one, of that which evaluates."""
    train = next((key for key in TRAIN_KEYS if key in names), None)
    if train is None and len(names) == 1:
        train = names[0]
    if train is None:
        raise DataError(
            f"{sanitize(path)} holds no x_train and no data",
            found=f"arrays: {', '.join(map(sanitize, names[:20])) or 'none'}",
            remedy="save it with numpy.savez(path, x_train=..., x_test=...), or data=...",
        )
    return [train, *(key for key in EVALUATION_KEYS if key in names and key != train)][:2]


def _check_kinds(path: pathlib.Path, members: Mapping[str, Member]) -> None:
    """Refuses arrays that are no examples, or are not of one kind."""
    for key, member in members.items():
        _check_kind(path, key, member)
    if len({(member.shape[1:], _stored_dtype(member)) for member in members.values()}) > 1:
        found = ", ".join(f"{key} {member.dtype} {list(member.shape)}" for key, member in members.items())
        raise DataError(
            f"{sanitize(path)}: its arrays do not go together", found=found, remedy="save equal shapes and types"
        )


def _check_kind(path: pathlib.Path, key: str, member: Member) -> None:
    shape, kind = member.shape, member.dtype.kind
    is_picture = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    allowed = (member.dtype == np.uint8 or kind == "f") if is_picture else (len(shape) == 2 and kind in "uif")
    if not allowed or 0 in shape:
        raise DataError(
            f"{sanitize(path)}: {sanitize(key)} is {member.dtype} of shape {list(shape)}",
            found=f"expected {EXPECTED}",
            remedy="convert it, for example with .astype('uint8') or .reshape, and save it again",
        )


def _stored_dtype(member: Member) -> np.dtype:
    """What its numbers become."""
    return np.dtype(np.uint8 if len(member.shape) > 2 and member.dtype == np.uint8 else np.float32)


def _stored_nbytes(member: Member) -> int:
    return int(np.prod(member.shape)) * _stored_dtype(member).itemsize


def _labels(
    path: pathlib.Path, members: Mapping[str, Member], of_labels: Mapping[str, str]
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Of each of the arrays [N] int64, and the meanings: the different labels that there are, as text.

    Args:
      path: the file.
      members: the arrays of examples, by name.
      of_labels: the names of their labels' arrays, of those that have any.
    """
    found = []
    for key, examples in members.items():
        count = examples.shape[0]
        if key not in of_labels:
            found.append(np.full(count, NO_LABEL))
            continue
        member = npy.member(path, of_labels[key])
        fits = member.shape in ((count,), (count, 1)) and member.dtype.kind in "uiUSb"
        if not fits or member.dtype.itemsize > MAX_LABEL_BYTES:
            raise DataError(
                f"{sanitize(path)}: {of_labels[key]} is {member.dtype} of shape {list(member.shape)}",
                found=f"expected {count:,} whole numbers or short texts, one for each example",
                remedy="mend it or leave it out",
            )
        found.append(_texts(np.ascontiguousarray(member.read()).reshape(-1), of_labels[key]))
    texts, labels = np.unique(np.concatenate(found), return_inverse=True)
    shown = [sanitize(text) for text in texts]
    names = sorted(set(shown), key=_by_value)
    places = {name: place for place, name in enumerate(names)}
    numbers = np.array([places[name] for name in shown], np.int64)[labels]
    return np.split(numbers, np.cumsum([len(some) for some in found])[:-1]), tuple(names)


def _texts(values: np.ndarray, key: str) -> np.ndarray:
    """[N] labels as they are stored -> [N] str."""
    if values.dtype.kind != "U":
        return np.char.decode(values, errors="replace") if values.dtype.kind == "S" else values.astype(str)
    texts = values.astype(values.dtype.newbyteorder("="))
    if texts.view(np.uint32).max(initial=0) > MAX_CHARACTER:  # NumPy would hand them to Python, which cannot take them.
        raise BadArray(f"{key} holds what is no text")
    return texts


def _by_value(name: str) -> tuple[int, int, str]:
    """Whole numbers ascending, then texts."""
    return (0, int(name), "") if name.removeprefix("-").isdecimal() and len(name) < 19 else (1, 0, name)


def _evaluates(count: int, number: int, parts: int, fraction: float) -> np.ndarray:
    """[count] bool: the rows that evaluate; of two arrays the second does."""
    return splits.by_index(count, fraction) if parts == 1 else np.full(count, number == 1)


def _in_memory(path: pathlib.Path, parts: Sequence[_Part], label_names: tuple[str, ...], sources: Sources) -> Dataset:
    every = [_converted(path, part.key, part.member.read()) for part in parts]

    def split(evaluation: bool) -> Split:
        rows = [part.evaluates == evaluation for part in parts]
        labels = [part.labels[chosen] for part, chosen in zip(parts, rows, strict=True)]
        of_one = [(some, chosen) for some, chosen in zip(every, rows, strict=True) if chosen.any()]
        some, chosen = of_one[0] if of_one else (every[0][:0], np.zeros(0, bool))
        # Each split is of one array; where that is all of it, nothing is copied.
        return Split(some if chosen.all() else some[chosen], np.concatenate(labels))

    train, evaluation = split(False), split(True)
    return Dataset(
        name="array",
        train=train,
        evaluation=evaluation if len(evaluation.examples) else train,
        label_names=label_names,
        scale=_scale(train.examples.dtype),
        source=str(path),
    )


def _scale(dtype: np.dtype) -> float:
    return 255.0 if dtype == np.uint8 else 1.0


def _stored(path: pathlib.Path, parts: Sequence[_Part], label_names: tuple[str, ...], sources: Sources) -> Dataset:
    """Through the cache."""
    found, options = path.stat(), sources.options
    # Only the wanted ones are copied; the label names stay all of them, and so do the numbers.
    kept = filters.numbers("array", label_names, options.classes)
    rows = [
        [(part.evaluates == evaluation) & np.isin(part.labels, kept) for part in parts] for evaluation in (False, True)
    ]
    counts = [sum(int(chosen.sum()) for chosen in some) for some in rows]
    both = not any(part.evaluates.any() for part in parts)  # All of them train, and evaluate.
    filters.check_not_empty("array", options.classes, counts[0], counts[0] if both else counts[1])

    def make(folder: pathlib.Path) -> cache.BuiltDataset:
        _copy(path, parts, rows, [folder / split for split in cache.SPLITS], sources)
        dtype, shape = _stored_dtype(parts[0].member), parts[0].member.shape[1:]
        return cache.BuiltDataset(
            shape=(*shape, 1) if len(shape) == 2 else shape,
            dtype=str(dtype),
            labels=[
                np.concatenate([part.labels[chosen] for part, chosen in zip(parts, some, strict=True)]) for some in rows
            ],
            label_names=label_names,
            scale=_scale(dtype),
        )

    made_from = {
        "kind": "array",
        "path": str(path),
        "stamp": [found.st_size, found.st_mtime_ns],
        "eval_fraction": options.eval_fraction,
        "classes": kept,
    }
    return cache.get_or_build(sources.cache, made_from, make, name="array", source=str(path), say=sources.say).data


def _copy(
    path: pathlib.Path,
    parts: Sequence[_Part],
    rows: Sequence[Sequence[np.ndarray]],
    targets: Sequence[pathlib.Path],
    sources: Sources,
) -> None:
    """Writes each target's rows of each part, in one pass over the file."""
    with contextlib.ExitStack() as stack:
        opened = []
        for target, chosen in zip(targets, rows, strict=True):
            shape, dtype = parts[0].member.shape[1:], _stored_dtype(parts[0].member)
            files.reserve(target, sum(int(some.sum()) for some in chosen) * int(np.prod(shape)) * dtype.itemsize)
            opened.append(stack.enter_context(open(target, "r+b")))
        total = sum(part.member.nbytes for part in parts)
        progress = stack.enter_context(Meter(path.name, total, sources.say, "copying"))
        for number, part in enumerate(parts):
            first = 0
            for values in part.member.chunks(sources.limits.copied_bytes):
                examples = _converted(path, part.key, values, first)
                for file, chosen in zip(opened, rows, strict=True):
                    file.write(np.ascontiguousarray(examples[chosen[number][first : first + len(values)]]).data)
                first += len(values)
                progress.advance(values.nbytes)


def _converted(path: pathlib.Path, key: str, values: np.ndarray, first: int = 0) -> np.ndarray:
    """[N, ...] as stored in the file -> as `Split.examples`; checked.

    Args:
      path, key: where they are.
      values: rows of it.
      first: the number of the first of them there.
    """
    is_picture = values.ndim > 2
    shaped = values[..., np.newaxis] if values.ndim == 3 else values
    if is_picture and values.dtype == np.uint8:
        return np.ascontiguousarray(shaped)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.ascontiguousarray(shaped, np.float32)
        wrong = ~((numbers >= 0) & (numbers <= 1)) if is_picture else ~np.isfinite(numbers)
    if wrong.any():
        row, *place = map(int, np.unravel_index(int(wrong.argmax()), wrong.shape))
        expected = "from 0 to 1" if is_picture else "finite, of 32 bits"
        remedy = "divide by the largest they can be, or save uint8" if is_picture else "mend or leave out these rows"
        raise DataError(
            f"{sanitize(path)}: {sanitize(key)}[{', '.join(map(str, (first + row, *place)))}] is"
            f" {shaped[(row, *place)]}",
            found=f"{int(wrong.sum()):,} such values in these {len(values):,} examples; expected numbers {expected}",
            remedy=remedy,
        )
    return numbers
