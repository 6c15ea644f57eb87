"""Picture data sets of TensorFlow Datasets, read through its own cache, and stored as plain pixels."""

import collections
import concurrent.futures
import dataclasses
import functools
import importlib.util
import io
import multiprocessing
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL

from trainer.data import filters
from trainer.data import splits as splitting
from trainer.data.custom import cache, wanted
from trainer.data.custom.decode_pool import end_with_parent
from trainer.data.dataset import NO_LABEL, Dataset
from trainer.data.formats import image_files
from trainer.data.formats.image_files import BadImage, Target
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.errors import DataError, HourglassError, UsageError, error_text, option, sanitize

NAME = r"[a-z0-9_]+(/[A-Za-z0-9_.+-]+)?(:\d+\.\d+\.\d+)?"
EVALUATION_SPLITS = ("test", "validation")


@dataclasses.dataclass(frozen=True)
class _Read:
    """What was read of one split of theirs.

    Attributes:
      labels: of its examples.
      numbers: of them among all of the split's.
      bad: numbers of those that cannot be used, each with the reason.
    """

    labels: Sequence[int]
    numbers: Sequence[int]
    bad: Sequence[tuple[str, str]]


def images(sources: Sources) -> Dataset:
    """`tfds:NAME`: a data set of TensorFlow Datasets with a feature `image`, and if it has one `label`.

    Its `train` trains and its `test` or `validation` evaluates; without these, `--eval_fraction`. `--data_dir` is where
    TensorFlow Datasets keeps its files. NAME is theirs, such as mnist or cats_vs_dogs:4.0.1.

    Raises:
      UsageError: no such name can be; the library is not installed; or classes that there are not.
      DataError: it has no such data set, it cannot be downloaded, or has no pictures.
    """
    name, options = sources.variant, sources.options
    if not re.fullmatch(NAME, name):  # Theirs can also mean code that somebody else keeps somewhere.
        raise UsageError(
            f"{option('dataset', f'tfds:{name}')} is no data set's name",
            found="NAME, NAME/CONFIG, NAME:1.0.0 and NAME/CONFIG:1.0.0 are expected",
            remedy="give one of these",
        )
    found = cache.get_or_build(
        sources.cache,
        {
            "kind": f"tfds:{name}",
            "data_dir": sources.options.data_dir,
            "target": dataclasses.astuple(wanted.target(options)),
            "decoder": f"Pillow {PIL.__version__}",
            "eval_fraction": options.eval_fraction,
            "classes": options.classes,
        },
        functools.partial(_make, name=name, sources=sources),
        name=f"tfds:{name}",
        source=f"TensorFlow Datasets in {sources.options.data_dir or 'its own cache'}",
        say=sources.say,
    )
    splits = {id(split): len(split.examples) for split in (found.data.train, found.data.evaluation)}  # It may be one.
    total = sum(splits.values()) + found.num_bad
    skipped = wanted.report_unusable(options, "pictures", found.bad, found.num_bad, total, pathlib.Path(name))
    filters.check_divided(found.data, options.classes, is_divided=options.eval_fraction > 0)
    return dataclasses.replace(found.data, notes=(*found.data.notes, *skipped))


def _make(folder: pathlib.Path, *, name: str, sources: Sources) -> cache.BuiltDataset:
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise UsageError(
            f"{option('dataset', f'tfds:{name}')} needs TensorFlow Datasets",
            found="it is not installed",
            remedy="pip install '.[tfds]', in the checkout",
        )
    options, target = sources.options, wanted.target(sources.options)
    sources.say(f"reading {name} through TensorFlow Datasets; the first time it downloads it")
    # In a process of its own: TensorFlow is not to begin here before a run has said what it computes on.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
        try:
            label_names, reads, sizes = pool.submit(
                _read, name, sources.options.data_dir, str(folder), options
            ).result()
        except HourglassError:
            raise
        except Exception as error:  # The library's builders raise whatever they like.
            raise DataError(
                f"TensorFlow Datasets cannot give {name}",
                found=error_text(error)[:300] or type(error).__name__,
                remedy=f"mend the name, or {option('data_dir')}; or download it where there is a network",
            ) from error
    bad = [(f"{split} {number}", reason) for split, read in reads.items() for number, reason in read.bad]
    labels = [np.array(read.labels, np.int64) for read in reads.values()]
    if len(labels) == 1:
        numbers = np.array(reads["train"].numbers, np.int64)
        evaluates = splitting.by_number(numbers, options.eval_fraction)
        _divide(folder, evaluates, target)
        labels = [labels[0][~evaluates], labels[0][evaluates]]
    return cache.built_images(options, labels=labels, label_names=label_names, sizes=sizes, bad=bad)


def _divide(folder: pathlib.Path, evaluates: np.ndarray, target: Target) -> None:
    """One file of all -> one of those that train, and one of those that evaluate."""
    every = cache.memory_map(folder / "train", "uint8", (len(evaluates), *target.shape))
    for name, rows in (("rest", np.flatnonzero(~evaluates)), ("eval", np.flatnonzero(evaluates))):
        with open(folder / name, "wb") as file:
            for chosen in np.array_split(rows, max(1, len(rows) // 1_000)):
                file.write(np.ascontiguousarray(every[chosen]).data)
    del every
    (folder / "rest").replace(folder / "train")


def _read(
    name: str, data_dir: str | None, folder: str, options: DataOptions
) -> tuple[Sequence[str], dict[str, _Read], collections.Counter[str]]:
    """Downloads and reads a data set; writes the pixels of its splits.

    Returns:
      The meanings of labels; what was read of `train` and, if there is a split for it, of `eval`; and the sizes of
      pictures, in words.
    """
    import tensorflow_datasets

    builder = tensorflow_datasets.builder(name, data_dir=data_dir)
    builder.download_and_prepare()
    features: Any = builder.info.features
    if "image" not in features or "train" not in builder.info.splits:
        raise ValueError(f"it has the features {', '.join(features)} and the splits {', '.join(builder.info.splits)}")
    theirs = {"train": "train"}
    other = next((split for split in EVALUATION_SPLITS if split in builder.info.splits), None)
    if other is not None:
        theirs["eval"] = other
    names = list(getattr(features["label"], "names", None) or []) if "label" in features else []
    label_names = [sanitize(label) for label in names] or [NO_LABEL]
    kept = set(filters.numbers(f"tfds:{name}", label_names, options.classes))
    sizes, reads = collections.Counter[str](), {}
    for ours, split in theirs.items():
        # Not decoded: so that the same is done to pictures as everywhere; and in one order.
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders={"image": tensorflow_datasets.decode.SkipDecoding()},
            read_config=tensorflow_datasets.ReadConfig(interleave_cycle_length=1),
        )
        labels, numbers, bad = [], [], []
        with open(pathlib.Path(folder) / ours, "wb") as file:
            for number, example in enumerate(tensorflow_datasets.as_numpy(dataset)):
                label = int(example["label"]) if names else 0
                if options.classes and label not in kept:
                    continue
                size: list[tuple[int, int]] = []
                try:
                    pixels, _ = image_files.decode(
                        io.BytesIO(example["image"]), wanted.target(options), tell=size.append
                    )
                except BadImage as error:
                    bad.append((str(number), f"{error.what} ({error.found})"))
                    continue
                sizes.update(["x".join(map(str, size[0]))])
                file.write(pixels.data)
                labels.append(label)
                numbers.append(number)
        reads[ours] = _Read(labels, numbers, bad)
    return label_names, reads, sizes
