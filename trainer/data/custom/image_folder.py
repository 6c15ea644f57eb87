"""Folders of images, decoded once into the cache."""

import collections
import dataclasses
import functools
import itertools
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import PIL

from trainer.data import filters, splits
from trainer.data.custom import cache, common, decode_pool, locate
from trainer.data.dataset import NO_LABEL, Dataset
from trainer.data.sources import Sources
from trainer.errors import DataError, error_text, sanitize
from trainer.system import files
from trainer.system.progress import Meter

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
# Usual names of the folders of a data set that is already split.
TRAIN_FOLDERS = ("train", "training")
EVALUATION_FOLDERS = ("eval", "evaluation", "test", "testing", "val", "valid", "validation")
MAX_SUFFIXES_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Listing:
    """The images in a folder and its subfolders.

    Attributes:
      names: paths relative to the folder, with /, ascending.
      stamps: (size in bytes, modification time in nanoseconds) of each image.
      notes: notes on skipped files.
    """

    names: Sequence[str]
    stamps: Sequence[tuple[int, int]]
    notes: Sequence[str]


def load_images(sources: Sources) -> Dataset:
    """Loads the images in the folder `--data_dir` and its subfolders. The names of the subfolders are the labels.

    If the folder has a training folder and an evaluation folder, they are the split; the labels are then the names of
    the folders in them, and images in other folders are skipped. The same holds if the two folders are in the deepest
    folder that contains all images.

    Raises:
      UsageError: --data_dir is missing, or a class does not exist.
      DataError: there are no images; or some cannot be used, and --on_bad_file=error.
    """
    root, options = locate.folder(sources.options.data_dir, "images"), sources.options
    listing = list_images(root)
    if not listing.names:
        raise DataError(
            f"the folder {sanitize(root)} has no images",
            found="; ".join([f"expected files that end in {', '.join(SUFFIXES)}", *listing.notes]),
            remedy="give a folder with images in it, or in its subfolders",
        )
    layout = _FolderLayout(listing.names)
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
            "target": dataclasses.astuple(common.image_target(options)),
            "decoder": f"Pillow {PIL.__version__}",
            "eval_fraction": options.eval_fraction,
            "files": [[listing.names[index], *listing.stamps[index]] for index in indices],
        },
        functools.partial(_build, root=root, names=names, label_names=label_names, layout=layout, sources=sources),
        name="images",
        source=str(root),
        log=sources.log,
    )
    skipped = common.report_unusable(options, "files", cached.bad, cached.num_bad, len(names), root)
    filters.check_splits(cached.data, options.classes, is_divided=layout.has_split or options.eval_fraction > 0)
    notes = (*listing.notes, *layout.notes(listing.names))
    return dataclasses.replace(cached.data, notes=(*cached.data.notes, *notes, *skipped))


class _FolderLayout:
    """The splits and the labels that the paths of images define; `names` are the paths of all images, ascending."""

    def __init__(self, names: Sequence[str]) -> None:
        # The split may be below common parent folders. Names are sorted: the parents of the first and the last suffice.
        first, last = (name.split("/")[:-1] for name in (names[0], names[-1]))
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
        num_parents = len(list(same))
        self._split_depth = next((depth for depth in (0, num_parents) if self._is_split(depth, names)), None)
        self.has_split = self._split_depth is not None

    @staticmethod
    def _is_split(depth: int, names: Sequence[str]) -> bool:
        """Returns True if there are a training folder and an evaluation folder at this depth."""
        folders = {parents[depth].lower() for name in names if len(parents := name.split("/")[:-1]) > depth}
        return bool(folders & set(TRAIN_FOLDERS)) and bool(folders & set(EVALUATION_FOLDERS))

    def _folders(self, name: str) -> list[str]:
        return name.split("/")[self._split_depth or 0 : -1]

    def is_used(self, name: str) -> bool:
        """Returns True if an image is in a split, or if the folders define no split."""
        folders = self._folders(name)
        return not self.has_split or bool(folders and folders[0].lower() in (*TRAIN_FOLDERS, *EVALUATION_FOLDERS))

    def label(self, name: str) -> str:
        """Returns the label of an image."""
        folders = self._folders(name)[self.has_split :]
        return sanitize(folders[0]) if folders else NO_LABEL

    def evaluation_mask(self, names: Sequence[str], fraction: float) -> np.ndarray:
        """Returns the evaluation mask of these images, [N] bool; `fraction` is used if the folders define no split."""
        if self.has_split:
            return np.array([self._folders(name)[0].lower() in EVALUATION_FOLDERS for name in names], bool)
        return splits.by_name(names, fraction)

    def notes(self, names: Sequence[str]) -> list[str]:
        """Returns notes on the split and on skipped images."""
        num_skipped = sum(not self.is_used(name) for name in names)
        notes = ["the split is defined by the training and evaluation folders"] if self.has_split else []
        return notes + ([f"skipped {num_skipped:,} images outside these folders"] if num_skipped else [])


def list_images(root: pathlib.Path) -> Listing:
    """Lists files with the extension of an image in a folder and its subfolders. Links to folders are not followed.

    Raises:
      DataError: a folder cannot be read.
    """
    images: list[tuple[str, tuple[int, int]]] = []
    others: collections.Counter[str] = collections.Counter()
    linked, folders = 0, [""]
    while folders:  # Not recursive: folders may be nested deeper than Python's recursion limit.
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    name = f"{folder}{entry.name}"
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{name}/")
                    elif not entry.name.lower().endswith(SUFFIXES):
                        others[pathlib.PurePath(entry.name).suffix.lower() or "no extension"] += 1
                    elif _is_link_to_folder(entry):
                        linked += 1
                    else:
                        status = _status(entry)
                        images.append((name, (status.st_size, status.st_mtime_ns)))
        except OSError as error:
            raise DataError(
                f"the folder {sanitize(root / folder)} cannot be read",
                found=error_text(error),
                remedy="correct its permissions, or move it to another folder",
            ) from error
    images.sort()
    notes = []
    if others:
        suffixes = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(MAX_SUFFIXES_SHOWN))
        notes.append(f"skipped {others.total():,} files without the extension of an image ({suffixes})")
    if linked:
        notes.append(f"skipped {linked:,} links to folders")
    return Listing([name for name, _ in images], [stamp for _, stamp in images], notes)


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    """Returns the status of a file; for a link, of its target, or of the link itself if it is broken."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def _is_link_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # The link points to itself.
        return False


def _build(
    folder: pathlib.Path,
    *,
    root: pathlib.Path,
    names: Sequence[str],
    label_names: Sequence[str],
    layout: _FolderLayout,
    sources: Sources,
) -> cache.BuiltDataset:
    """Decodes the images into the files of the splits; see `cache.get_or_build`."""
    mask = layout.evaluation_mask(names, sources.options.eval_fraction)
    target = common.image_target(sources.options)
    label_of = {name: label for label, name in enumerate(label_names)}
    labels, bad, sizes, is_temporary = [], [], collections.Counter[str](), False
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
    with Meter(f"{len(names):,} images", len(names), sources.log, "decoding", unit="images") as progress:
        for job, report in decode_pool.run_jobs(jobs, len(names), sources.limits):
            progress.advance(len(job.names))
            sizes += report.sizes
            is_temporary |= report.is_temporary
            for row, reason in report.bad:
                bad_rows[job.path].add(row)
                bad.append((job.names[row - job.first_row], reason))
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
        sources.options, labels=labels, label_names=label_names, sizes=sizes, bad=sorted(bad), is_temporary=is_temporary
    )


def _remove_other_rows(path: pathlib.Path, shape: tuple[int, ...], rows: Sequence[int], count: int) -> None:
    """Keeps only the given rows, ascending, of a file with `count` rows; later rows are moved up."""
    size = int(np.prod(shape))
    if len(rows) < count:
        with open(path, "r+b") as file:
            for index, row in enumerate(rows):
                if index != row:
                    os.pwrite(file.fileno(), os.pread(file.fileno(), size, row * size), index * size)
            file.truncate(len(rows) * size)
