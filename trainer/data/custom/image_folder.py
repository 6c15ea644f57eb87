"""Folders of images, decoded once into the cache."""

import collections
import dataclasses
import functools
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Sequence

import numpy as np
import PIL

from trainer.data import filters, splits
from trainer.data.custom import cache, common, decode_pool, locate
from trainer.data.dataset import NO_LABEL, Dataset
from trainer.data.formats import depth as depths
from trainer.data.formats.depth import FULL, Depth
from trainer.data.sources import Sources
from trainer.errors import DataError, error_text, sanitize
from trainer.system import files
from trainer.system.progress import Meter

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
IGNORED = "__MACOSX"  # A folder in zip archives of macOS. Its files are named like images, but are none.
TRAIN, EVALUATION = cache.SPLITS
# Usual names of the folders of a split. If two of them are a split, folders with the names below are not used.
PLAIN_NAMES = ("train", "training", "eval", "evaluation", "test", "testing", "val", "valid", "validation")
# Other usual names, in lower case and without separators: `trainingset`, `valimages`, `test2017`.
_ADDED = r"(?:sets?|data|images?|imgs?|pictures?|pics?|photos?|samples?|examples?|files?|folders?|splits?|\d)*"
_NAMES = {
    TRAIN: re.compile(f"{_ADDED}(?:train|training|trainval|trn){_ADDED}"),
    EVALUATION: re.compile(f"{_ADDED}(?:eval|evaluation|test|testing|tst|val|valid|validation|dev|holdout){_ADDED}"),
}
MAX_FOLDERS_SHOWN, MAX_SUFFIXES_SHOWN = 3, 3

Folder = tuple[str, ...]  # the names on the path from --data_dir to a folder


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
    """Loads the images in the folder `--data_dir` and its subfolders, which define labels and split: `_FolderLayout`.

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


class _FolderLayout:
    """The labels and the split that the folders of images define.

    The labels are the names of the folders in the deepest folder that contains all images. If a training folder and an
    evaluation folder are there, they are the split, and the labels are the names of the folders in them. The split may
    also be in each of the labels. Images outside a split are not used.

    Args:
      names: the paths of all images.

    Attributes:
      has_split: True if the folders define a split.
      is_extended: True if the first revision of these rules defined other labels or another split.
    """

    REVISION = 2

    def __init__(self, names: Sequence[str]) -> None:
        self._all = {_folder(name) for name in names}
        shared = _num_shared(self._all)
        parents = next(filter(None, (_splits(self._all, depth) for depth in (shared, shared + 1))), {})
        self.has_split = bool(parents)
        depth = len(next(iter(parents), ()))  # of the folders that have training and evaluation folders
        self._end = depth + 1 if parents else 0  # the depth of the folders in a training or evaluation folder
        self._split_of = {
            folder: split
            for folder in self._all
            if len(folder) > depth and (split := parents.get(folder[:depth], {}).get(folder[depth]))
        }
        if not parents:
            self._label_depth = _label_depth([self._all])
        elif len(parents) > 1:
            self._label_depth = shared
        else:
            self._label_depth = self._end + self._label_depth_in_split()
        is_plain = all(name.lower() in PLAIN_NAMES for children in parents.values() for name in children)
        self.is_extended = not is_plain or depth > shared * self.has_split or self._label_depth > self._end

    def _label_depth_in_split(self) -> int:
        """Returns the depth of the labels in the folders of a split, which may contain a folder of the same name."""
        below = {folder: folder[self._end :] for folder in self._split_of}
        is_doubled = all(path and _role(path[0])[0] == self._split_of[folder] for folder, path in below.items())
        paths = [
            {path[is_doubled:] for folder, path in below.items() if self._split_of[folder] == split}
            for split in cache.SPLITS
        ]
        return is_doubled + _label_depth(paths)

    def is_used(self, name: str) -> bool:
        """Returns True if an image is in a split, or if the folders define no split."""
        return not self.has_split or _folder(name) in self._split_of

    def label(self, name: str) -> str:
        """Returns the label of an image."""
        folder = _folder(name)
        return sanitize(folder[self._label_depth]) if len(folder) > self._label_depth else NO_LABEL

    def evaluation_mask(self, names: Sequence[str], fraction: float) -> np.ndarray:
        """Returns the evaluation mask of these images, [N] bool; `fraction` is used if the folders define no split."""
        if self.has_split:
            return np.array([self._split_of[_folder(name)] == EVALUATION for name in names], bool)
        return splits.by_name(names, fraction)

    def notes(self, names: Sequence[str], used: Sequence[str]) -> list[str]:
        """Returns notes on the split, on skipped images, and on evaluation folders that are used for training.

        Args:
          names: the paths of all images.
          used: the paths of the images of the data set.
        """
        num_skipped = sum(not self.is_used(name) for name in names)
        notes = ["the split is defined by the training and evaluation folders"] if self.has_split else []
        if num_skipped:
            notes.append(f"skipped {num_skipped:,} images outside these folders")
        if unused := self._unused_evaluation_folders(used):
            shown = ", ".join(sanitize(folder) for folder in sorted(unused)[:MAX_FOLDERS_SHOWN])
            more = ", ..." if len(unused) > MAX_FOLDERS_SHOWN else ""
            notes.append(
                f"not an evaluation split, although named like one: {shown}{more};"
                f" the {unused.total():,} images there are used like all others"
            )
        return notes

    def _unused_evaluation_folders(self, used: Sequence[str]) -> collections.Counter[str]:
        """Counts the images for training in folders that are named like an evaluation split, by folder."""
        counts = collections.Counter(map(_folder, used))
        training = {
            (folder[:depth], _role(name)[1])
            for folder in counts
            for depth, name in enumerate(folder)
            if _role(name)[0] == TRAIN
        }
        result = collections.Counter[str]()
        for folder, count in counts.items():
            if self._split_of.get(folder) == EVALUATION:
                continue
            for depth, name in enumerate(folder[self._end :], self._end):
                role, rest = _role(name)
                if role == EVALUATION and (not rest or (folder[:depth], rest) in training):
                    result["/".join(folder[: depth + 1])] += count
                    break
        return result


def _folder(name: str) -> Folder:
    return tuple(name.split("/")[:-1])


def _num_shared(folders: Iterable[Folder]) -> int:
    """Returns the number of folders that are on the paths of all these folders."""
    first, last = min(folders), max(folders)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))))


def _splits(folders: Iterable[Folder], depth: int) -> dict[Folder, dict[str, str]]:
    """Returns the split of each folder at a depth, as `_split` does; {} if there is one without a split."""
    names: dict[Folder, set[str]] = {folder[:depth]: set() for folder in folders if len(folder) >= depth}
    for folder in folders:
        if len(folder) > depth:
            names[folder[:depth]].add(folder[depth])
    result = {parent: _split(children) for parent, children in names.items()}
    return result if all(result.values()) else {}


def _split(names: Iterable[str]) -> dict[str, str]:
    """Returns the split (`train` or `eval`) of each name of a training or evaluation folder; {} if one is missing."""
    by_rest: dict[Folder, dict[str, str]] = {}
    for name in names:
        split, rest = _role(name)
        if split:
            by_rest.setdefault(rest, {})[name] = split
    usual = by_rest.pop((), {})
    plain = {name: split for name, split in usual.items() if name.lower() in PLAIN_NAMES}
    complete = [names for names in (plain, usual) if len(set(names.values())) == len(cache.SPLITS)]
    others = [names for names in by_rest.values() if len(set(names.values())) == len(cache.SPLITS)]
    return complete[0] if complete else others[0] if len(others) == 1 else {}


@functools.lru_cache(4_096)
def _role(name: str) -> tuple[str | None, Folder]:
    """Returns the split that a folder's name stands for, if any, and the other words of the name.

    For example, `Test Images` is (eval, ()), and `seg_train` is (train, (seg,)).
    """
    words = [word for word in re.split(r"[\W_]+", name.lower()) if word]
    for split, pattern in _NAMES.items():
        if pattern.fullmatch("".join(words)):
            return split, ()
    roles = [next((split for split, pattern in _NAMES.items() if pattern.fullmatch(word)), None) for word in words]
    is_split = len(set(roles) - {None}) == 1
    rest = tuple(word for word, role in zip(words, roles, strict=True) if role is None)
    return next(filter(None, roles)) if is_split else None, rest


def _label_depth(splits: Sequence[Iterable[Folder]]) -> int:
    """Returns the depth of the labels in folders of images: below the folders that all images share.

    If splits have no label below them in common, they are the labels. If all images are in one folder, it is the label.
    """
    shared = _num_shared([folder for folders in splits for folder in folders])
    names = [{folder[shared] for folder in folders if len(folder) > shared} for folders in splits]
    if set.intersection(*names):
        return shared
    return max(shared - 1, 0) if not any(names) else 0


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
                    if entry.name.startswith(".") or entry.name == IGNORED:
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
        notes=notes,
    )


def _decode(
    jobs: Sequence[decode_pool.Job], train_path: str, sources: Sources
) -> tuple[list[tuple[decode_pool.Job, decode_pool.Report]], Depth, list[str]]:
    """Decodes all images; decodes 16-bit images again if their training images show that they have to be stretched.

    Returns:
      The jobs with their reports, the depth, and notes on it.
    """
    results = _run(jobs, sources, "decoding")
    trained_on = [report.value_range for job, report in results if job.path == train_path and report.value_range]
    depth, notes = depths.choose(
        sources.options.depth,
        depths.merged(trained_on),
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
