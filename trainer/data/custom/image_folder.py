"""Folders of images, decoded once into the cache."""

import collections
import dataclasses
import functools
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import PIL

from trainer.data import filters
from trainer.data.custom import cache, common, decode_pool, locate
from trainer.data.custom.folder_layout import FolderLayout
from trainer.data.dataset import Dataset
from trainer.data.formats import depth as depths
from trainer.data.formats.depth import FULL, Depth
from trainer.data.formats.listing import list_images
from trainer.data.sources import Sources
from trainer.errors import DataError, sanitize
from trainer.system import files
from trainer.system.progress import Meter

SUFFIXES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def load_images(sources: Sources) -> Dataset:
    """Loads the images in the folder `--data_dir` and its subfolders, which define labels and split: `FolderLayout`.

    Raises:
      UsageError: --data_dir is missing, or a class does not exist.
      DataError: there are no images; or some cannot be used, and --on_bad_file=error.
    """
    root, options = locate.folder(sources.options.data_dir, "images"), sources.options
    listing = list_images(root, SUFFIXES)
    if not listing.names:
        raise DataError(
            f"the folder {sanitize(root)} has no images",
            found="; ".join([f"expected files that end in {', '.join(SUFFIXES)}", *listing.notes]),
            remedy="give a folder with images in it, or in its subfolders",
        )
    layout = FolderLayout(listing.names)
    label_names = sorted({layout.label(name) for name in listing.names if layout.is_used(name)})
    classes = {label_names[label] for label in filters.class_labels("images", label_names, options.classes)}
    indices = [
        index for index, name in enumerate(listing.names) if layout.is_used(name) and layout.label(name) in classes
    ]
    names = [listing.names[index] for index in indices]
    cached = cache.get_or_build(
        sources.cache_dir,
        {
            "kind": "images",
            "path": str(root),
            **common.target_key(options),
            "decoder": f"Pillow {PIL.__version__}",
            "eval_fraction": options.eval_fraction,
            "files": [[listing.names[index], *listing.stamps[index]] for index in indices],
            **({"layout": layout.REVISION} if layout.is_extended else {}),
        },
        functools.partial(_build, root=root, names=names, label_names=label_names, layout=layout, sources=sources),
        name="images",
        source=str(root),
        log=sources.log,
    )
    skipped = common.report_unusable(options, "files", cached.bad, cached.num_bad, len(names), root)
    filters.check_splits(cached.data, options.classes, is_divided=layout.has_split or options.eval_fraction > 0)
    notes = (*listing.notes, *layout.notes(listing.names, names))
    return dataclasses.replace(cached.data, notes=(*cached.data.notes, *notes, *skipped))


def _build(
    folder: pathlib.Path,
    *,
    root: pathlib.Path,
    names: Sequence[str],
    label_names: Sequence[str],
    layout: FolderLayout,
    sources: Sources,
) -> cache.BuiltDataset:
    """Decodes the images into the files of the splits; see `cache.get_or_build`."""
    mask = layout.evaluation_mask(names, sources.options.eval_fraction)
    target = common.image_target(sources.options)
    label_of = {name: label for label, name in enumerate(label_names)}
    labels, bad = [], []
    jobs: list[decode_pool.Job] = []
    files_per_job = sources.limits.files_per_job
    split_names = [[name for name, flag in zip(names, mask, strict=True) if flag == value] for value in (False, True)]
    for split, part in zip(cache.SPLITS, split_names, strict=True):
        files.reserve(folder / split, len(part) * int(np.prod(target.shape)))
        jobs += [
            decode_pool.Job(str(root), part[start : start + files_per_job], target, str(folder / split), start)
            for start in range(0, len(part), files_per_job)
        ]
    bad_rows: dict[str, set[int]] = {str(folder / split): set() for split in cache.SPLITS}
    results, depth, notes = _decode(jobs, str(folder / cache.SPLITS[0]), sources)
    for job, report in results:
        for row, reason in report.bad:
            bad_rows[job.path].add(row)
            bad.append((job.names[row - job.first_row], reason))
    sizes = sum((report.sizes for _, report in results), collections.Counter[str]())
    assert sizes.total() + len(bad) == len(names), "some images were not decoded"
    for split, part in zip(cache.SPLITS, split_names, strict=True):
        rows = [row for row in range(len(part)) if row not in bad_rows[str(folder / split)]]
        _remove_other_rows(folder / split, target.shape, rows, len(part))
        labels.append(np.array([label_of[layout.label(part[row])] for row in rows], np.int64))
    if bad and not sizes:
        raise DataError(
            f"none of the {len(names):,} images in {sanitize(root)} can be used",
            found=f"{sanitize(bad[0][0])} {bad[0][1]}",
            remedy="give other files",
        )
    return cache.built_images(
        sources.options,
        labels=labels,
        label_names=label_names,
        sizes=sizes,
        bad=sorted(bad),
        is_temporary=any(report.is_temporary for _, report in results),
        depth=depth,
        notes=[*_reduced_note(results), *notes],
    )


def _reduced_note(results: Sequence[tuple[decode_pool.Job, decode_pool.Report]]) -> list[str]:
    count = sum(report.num_reduced for _, report in results)
    return [f"only the first page or frame is read of files that have several: {count:,} files"] if count else []


def _decode(
    jobs: Sequence[decode_pool.Job], train_path: str, sources: Sources
) -> tuple[list[tuple[decode_pool.Job, decode_pool.Report]], Depth, list[str]]:
    """Decodes all images; decodes 16-bit images again if their training images show that they have to be stretched.

    Returns:
      The jobs with their reports, the depth, and notes on it.
    """
    results = _run(jobs, sources, "decoding")
    ranges = [(job.path, report.value_range) for job, report in results if report.value_range]
    depth, notes = depths.choose(
        sources.options.depth,
        depths.merged(value_range for path, value_range in ranges if path == train_path),
        depths.merged(value_range for _, value_range in ranges),
        count=sum(report.num_16_bit for _, report in results),
        total=sum(report.sizes.total() for _, report in results),
    )
    if depth == FULL:
        return results, depth, notes
    again = [
        dataclasses.replace(job, target=dataclasses.replace(job.target, depth=depth))
        for job, report in results
        if report.num_16_bit
    ]
    return [pair for pair in results if not pair[1].num_16_bit] + _run(again, sources, "stretching"), depth, notes


def _run(
    jobs: Sequence[decode_pool.Job], sources: Sources, verb: str
) -> list[tuple[decode_pool.Job, decode_pool.Report]]:
    results = []
    count = sum(len(job.names) for job in jobs)
    with Meter(f"{count:,} images", count, sources.log, verb, unit="images") as progress:
        for job, report in decode_pool.run_jobs(jobs, count, sources.limits):
            progress.advance(len(job.names))
            results.append((job, report))
    return results


def _remove_other_rows(path: pathlib.Path, shape: tuple[int, ...], rows: Sequence[int], count: int) -> None:
    """Keeps only the given rows, ascending, of a file with `count` rows; later rows are moved up."""
    size = int(np.prod(shape))
    if len(rows) < count:
        with open(path, "r+b") as file:
            for index, row in enumerate(rows):
                if index != row:
                    os.pwrite(file.fileno(), os.pread(file.fileno(), size, row * size), index * size)
            file.truncate(len(rows) * size)
