"""Image data sets of TensorFlow Datasets, decoded once into the cache."""

import collections
import concurrent.futures
import dataclasses
import functools
import importlib.util
import io
import multiprocessing
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL

from trainer.data import filters
from trainer.data import splits as splitting
from trainer.data.custom import cache, common
from trainer.data.custom.decode_pool import exit_with_parent
from trainer.data.dataset import NO_LABEL, Dataset
from trainer.data.formats import depth as depths
from trainer.data.formats import image_files
from trainer.data.formats.depth import FULL, Depth
from trainer.data.formats.image_files import BadImage, Target
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.errors import DataError, HourglassError, UsageError, error_text, option, sanitize

NAME = r"[a-z0-9_]+(/[A-Za-z0-9_.+-]+)?(:\d+\.\d+\.\d+)?"
EVALUATION_SPLITS = ("test", "validation")


@dataclasses.dataclass(frozen=True)
class _DecodedSplit:
    """The images that were decoded from one split of a builder.

    Attributes:
      labels: label of each image.
      numbers: index of each image among all examples of the split.
      bad: images that cannot be used: (index, reason).
      ranges: minimum and maximum of each 16-bit image; None for other images.
    """

    labels: Sequence[int]
    numbers: Sequence[int]
    bad: Sequence[tuple[str, str]]
    ranges: Sequence[Depth | None]


def load_images(sources: Sources) -> Dataset:
    """Loads a data set of TensorFlow Datasets with a feature `image` and an optional feature `label`.

    The split `train` is for training, and `test`, or else `validation`, for evaluation; without these,
    `--eval_fraction` applies. `--data_dir` is the data folder of TensorFlow Datasets. The variant is a name in its
    catalog, such as mnist or cats_vs_dogs:4.0.1.

    Raises:
      UsageError: the name is invalid, TensorFlow Datasets is not installed, or a class does not exist.
      DataError: the data set does not exist, cannot be downloaded, or has no images; or some cannot be used.
    """
    name, options = sources.variant, sources.options
    if not re.fullmatch(NAME, name):  # Other names may refer to code outside the library, which it would run.
        raise UsageError(
            f"{option('dataset', f'tfds:{name}')} is not a valid name",
            found="expected NAME, NAME/CONFIG, NAME:1.0.0 or NAME/CONFIG:1.0.0",
            remedy="give a name of this form",
        )
    cached = cache.get_or_build(
        sources.cache_dir,
        {
            "kind": f"tfds:{name}",
            "data_dir": sources.options.own_path,
            **common.target_key(options),
            "decoder": f"Pillow {PIL.__version__}",
            "eval_fraction": options.eval_fraction,
            "classes": options.classes,
        },
        functools.partial(_build, name=name, sources=sources),
        name=f"tfds:{name}",
        source=f"TensorFlow Datasets in {sources.options.data_dir or 'its own cache'}",
        log=sources.log,
    )
    # Counts the split only once if both are the same object.
    splits = {id(split): len(split.examples) for split in (cached.data.train, cached.data.evaluation)}
    total = sum(splits.values()) + cached.num_bad
    skipped = common.report_unusable(options, "images", cached.bad, cached.num_bad, total, pathlib.Path(name))
    filters.check_splits(cached.data, options.classes, is_divided=options.eval_fraction > 0)
    return dataclasses.replace(cached.data, notes=(*cached.data.notes, *skipped))


def _build(folder: pathlib.Path, *, name: str, sources: Sources) -> cache.BuiltDataset:
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise UsageError(
            f"{option('dataset', f'tfds:{name}')} needs TensorFlow Datasets",
            found="it is not installed",
            remedy="run pip install '.[tfds]' in the checkout",
        )
    options, target = sources.options, common.image_target(sources.options)
    sources.log(f"reading {name} with TensorFlow Datasets, which downloads it the first time")
    # In another process: TensorFlow must not start in this process before the run has configured its devices.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context, initializer=exit_with_parent) as pool:
        try:
            label_names, decoded, sizes = pool.submit(_decode, name, str(folder), options).result()
            depth, notes = _choose_depth(options, decoded)
            if depth != FULL:
                label_names, decoded, sizes = pool.submit(_decode, name, str(folder), options, depth).result()
        except HourglassError:
            raise
        except Exception as error:  # The builders of the library raise many kinds of exceptions.
            raise DataError(
                f"TensorFlow Datasets cannot load {name}",
                found=error_text(error)[:300] or type(error).__name__,
                remedy=f"correct the name or {option('data_dir')}, or download the data where there is a network",
            ) from error
    bad = [(f"{split} {number}", reason) for split, images in decoded.items() for number, reason in images.bad]
    labels = [np.array(images.labels, np.int64) for images in decoded.values()]
    if len(labels) == 1:
        mask = _evaluation_mask(options, decoded)
        _divide(folder, mask, target)
        labels = [labels[0][~mask], labels[0][mask]]
    return cache.built_images(
        options, labels=labels, label_names=label_names, sizes=sizes, bad=bad, depth=depth, notes=notes
    )


def _evaluation_mask(options: DataOptions, decoded: Mapping[str, _DecodedSplit]) -> np.ndarray:
    """Returns the evaluation mask of the images in the file `train`, [N] bool."""
    numbers = np.array(decoded["train"].numbers, np.int64)
    if len(decoded) > 1:
        return np.zeros(len(numbers), bool)
    return splitting.by_row_number(numbers, options.eval_fraction)


def _choose_depth(options: DataOptions, decoded: Mapping[str, _DecodedSplit]) -> tuple[Depth, list[str]]:
    """Returns the depth and notes on it; see `depths.choose`."""
    all_ranges = [value_range for images in decoded.values() for value_range in images.ranges]
    mask = _evaluation_mask(options, decoded)
    train_ranges = [pair for pair, flag in zip(decoded["train"].ranges, mask, strict=True) if pair and not flag]
    count = sum(value_range is not None for value_range in all_ranges)
    ranges = depths.merged(train_ranges), depths.merged(filter(None, all_ranges))
    return depths.choose(options.depth, *ranges, count=count, total=len(all_ranges))


def _divide(folder: pathlib.Path, evaluation_mask: np.ndarray, target: Target) -> None:
    """Divides the file `train` into `train` and `eval`."""
    images = cache.memory_map(folder / "train", "uint8", (len(evaluation_mask), *target.shape))
    for name, rows in (("rest", np.flatnonzero(~evaluation_mask)), ("eval", np.flatnonzero(evaluation_mask))):
        with open(folder / name, "wb") as file:
            for chunk in np.array_split(rows, max(1, len(rows) // 1_000)):
                file.write(np.ascontiguousarray(images[chunk]).data)
    del images
    (folder / "rest").replace(folder / "train")


def _decode(
    name: str, folder: str, options: DataOptions, depth: Depth = FULL
) -> tuple[Sequence[str], dict[str, _DecodedSplit], collections.Counter[str]]:
    """Downloads a data set, and decodes its images into the files `train` and, for an evaluation split, `eval`.

    Returns:
      The label names; the decoded splits by file name; and the number of images of each size, such as "640x480".
    """
    import tensorflow_datasets

    builder = tensorflow_datasets.builder(name, data_dir=options.data_dir)
    builder.download_and_prepare()
    features: Any = builder.info.features
    if "image" not in features or "train" not in builder.info.splits:
        raise ValueError(f"it has the features {', '.join(features)} and the splits {', '.join(builder.info.splits)}")
    builder_splits = {"train": "train"}  # by file name
    evaluation = next((split for split in EVALUATION_SPLITS if split in builder.info.splits), None)
    if evaluation is not None:
        builder_splits["eval"] = evaluation
    names = list(getattr(features["label"], "names", None) or []) if "label" in features else []
    label_names = [sanitize(label) for label in names] or [NO_LABEL]
    kept = set(filters.class_labels(f"tfds:{name}", label_names, options.classes))
    sizes, decoded = collections.Counter[str](), {}
    target = dataclasses.replace(common.image_target(options), depth=depth)
    for file_name, split in builder_splits.items():
        # Undecoded, because `image_files` decodes all images in the same way; and always in the same order.
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders={"image": tensorflow_datasets.decode.SkipDecoding()},
            read_config=tensorflow_datasets.ReadConfig(interleave_cycle_length=1),
        )
        labels, numbers, bad, ranges = [], [], [], []
        with open(pathlib.Path(folder) / file_name, "wb") as file:
            for number, example in enumerate(tensorflow_datasets.as_numpy(dataset)):
                label = int(example["label"]) if names else 0
                if options.classes and label not in kept:
                    continue
                size: list[tuple[int, int]] = []
                value_range: list[Depth] = []
                try:
                    pixels, _ = image_files.decode(
                        io.BytesIO(example["image"]), target, on_size=size.append, on_range=value_range.append
                    )
                except BadImage as error:
                    bad.append((str(number), f"{error.problem} ({error.detail})"))
                    continue
                sizes.update(["x".join(map(str, size[0]))])
                file.write(pixels.data)
                labels.append(label)
                numbers.append(number)
                ranges.append(value_range[0] if value_range else None)
        decoded[file_name] = _DecodedSplit(labels, numbers, bad, ranges)
    return label_names, decoded, sizes
