"""Folders of pictures: found, decoded once by all cores, and stored as plain pixels."""

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
from trainer.data.custom import cache, decode_pool, locate, wanted
from trainer.data.dataset import NO_LABEL, Dataset
from trainer.data.sources import Sources
from trainer.errors import DataError, error_text, sanitize
from trainer.system import files
from trainer.system.progress import Meter

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
# What other tools call the folders of a data set that has a split of its own.
TRAIN_FOLDERS = ("train", "training")
EVALUATION_FOLDERS = ("eval", "evaluation", "test", "testing", "val", "valid", "validation")
ENDINGS_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
      names: of the pictures, relative to the folder, with /, ascending.
      stamps: of each its size in bytes and the time of its last change in nanoseconds.
      notes: what was left out.
    """

    names: Sequence[str]
    stamps: Sequence[tuple[int, int]]
    notes: Sequence[str]


def images(sources: Sources) -> Dataset:
    """Pictures of one's own: `--data_dir` is a folder of them, its sub-folders are their labels.

    Where there are a train folder and one to evaluate on at its top, or below the folders that all are in, they are the
    split, labels are what is in them, and whatever is beside them is left out.

    Raises:
      UsageError: no folder was given, or classes that there are not.
      DataError: no pictures; or bad ones, unless those are to be left out.
    """
    root, options = locate.folder(sources.options.data_dir, "images"), sources.options
    listing = list_images(root)
    if not listing.names:
        raise DataError(
            f"the folder {sanitize(root)} holds no pictures",
            found=f"pictures end in {', '.join(SUFFIXES)}" + ("; " + "; ".join(listing.notes) if listing.notes else ""),
            remedy="give a folder with pictures in it, or in folders below it",
        )
    place = _FolderLayout(listing.names)
    label_names = sorted({place.label(name) for name in listing.names if place.counts(name)})
    wanted_names = {label_names[number] for number in filters.numbers("images", label_names, options.classes)}
    kept = [
        number for number, name in enumerate(listing.names) if place.counts(name) and place.label(name) in wanted_names
    ]
    names = [listing.names[number] for number in kept]
    found = cache.get_or_build(
        sources.cache,
        {
            "kind": "images",
            "path": str(root),
            "target": dataclasses.astuple(wanted.target(options)),
            "decoder": f"Pillow {PIL.__version__}",
            "eval_fraction": options.eval_fraction,
            "files": [[listing.names[number], *listing.stamps[number]] for number in kept],
        },
        functools.partial(_make, root=root, names=names, label_names=label_names, place=place, sources=sources),
        name="images",
        source=str(root),
        say=sources.say,
    )
    skipped = wanted.report_unusable(options, "files", found.bad, found.num_bad, len(names), root)
    filters.check_divided(found.data, options.classes, is_divided=place.has_split or options.eval_fraction > 0)
    notes = (*listing.notes, *place.notes(listing.names))
    return dataclasses.replace(found.data, notes=(*found.data.notes, *notes, *skipped))


class _FolderLayout:
    """What the folders that pictures are in say of them."""

    def __init__(self, names: Sequence[str]) -> None:
        # The split may be below one folder or several that all of them are in: names ascend, so the ends tell.
        first, last = (name.split("/")[:-1] for name in (names[0], names[-1]))
        common = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
        self._above = next((above for above in (0, common) if self._divides(above, names)), None)
        self.has_split = self._above is not None

    @staticmethod
    def _divides(above: int, names: Sequence[str]) -> bool:
        """Whether the folders that are so deep are a split."""
        tops = {folders[above].lower() for name in names if len(folders := name.split("/")[:-1]) > above}
        return bool(tops & set(TRAIN_FOLDERS)) and bool(tops & set(EVALUATION_FOLDERS))

    def _folders(self, name: str) -> list[str]:
        return name.split("/")[self._above or 0 : -1]

    def counts(self, name: str) -> bool:
        """Whether a picture is in one of the splits, where there are some."""
        folders = self._folders(name)
        return not self.has_split or bool(folders and folders[0].lower() in (*TRAIN_FOLDERS, *EVALUATION_FOLDERS))

    def label(self, name: str) -> str:
        """The folder that a picture is in."""
        folders = self._folders(name)[self.has_split :]
        return sanitize(folders[0]) if folders else NO_LABEL

    def evaluates(self, names: Sequence[str], fraction: float) -> np.ndarray:
        """[N] bool: which of them evaluate."""
        if self.has_split:
            return np.array([self._folders(name)[0].lower() in EVALUATION_FOLDERS for name in names], bool)
        return splits.by_name(names, fraction)

    def notes(self, names: Sequence[str]) -> list[str]:
        """What a person should know of that."""
        beside = sum(not self.counts(name) for name in names)
        found = ["the folders to train and to evaluate on are the split"] if self.has_split else []
        return found + ([f"left out, beside those folders: {beside:,} pictures"] if beside else [])


def list_images(root: pathlib.Path) -> Listing:
    """All pictures in a folder and those below it, by their names' endings; links to folders are not followed.

    Raises:
      DataError: a folder cannot be read.
    """
    pictures: list[tuple[str, tuple[int, int]]] = []
    others: collections.Counter[str] = collections.Counter()
    linked, folders = 0, [""]
    while folders:  # A stack of our own: folders may be nested deeper than Python calls.
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
                        others[pathlib.PurePath(entry.name).suffix.lower() or "no ending"] += 1
                    elif _is_linked_folder(entry):
                        linked += 1
                    else:
                        status = _status(entry)
                        pictures.append((name, (status.st_size, status.st_mtime_ns)))
        except OSError as error:
            raise DataError(
                f"the folder {sanitize(root / folder)} cannot be read",
                found=error_text(error),
                remedy="mend its permissions, or move it elsewhere",
            ) from error
    pictures.sort()
    notes = []
    if others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in others.most_common(ENDINGS_SHOWN))
        notes.append(f"left out, not named as pictures: {others.total():,} files ({kinds})")
    if linked:
        notes.append(f"left out, links to folders: {linked:,}")
    return Listing([name for name, _ in pictures], [stamp for _, stamp in pictures], notes)


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    """Of what a link leads to, for that is what is read; of one that leads nowhere, its own."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def _is_linked_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _make(
    folder: pathlib.Path,
    *,
    root: pathlib.Path,
    names: Sequence[str],
    label_names: Sequence[str],
    place: _FolderLayout,
    sources: Sources,
) -> cache.BuiltDataset:
    """Decodes all into the splits' files."""
    evaluates = place.evaluates(names, sources.options.eval_fraction)
    target = wanted.target(sources.options)
    numbers = {name: number for number, name in enumerate(label_names)}
    labels, bad, sizes, may_pass = [], [], collections.Counter[str](), False
    jobs: list[decode_pool.Job] = []
    files_a_job = sources.limits.files_a_job
    parts = [[name for name, last in zip(names, evaluates, strict=True) if last == which] for which in (False, True)]
    for split, part in zip(cache.SPLITS, parts, strict=True):
        files.reserve(folder / split, len(part) * int(np.prod(target.shape)))
        jobs += [
            decode_pool.Job(str(root), part[start : start + files_a_job], target, str(folder / split), start)
            for start in range(0, len(part), files_a_job)
        ]
    empty: dict[str, set[int]] = {str(folder / split): set() for split in cache.SPLITS}
    with Meter(f"{len(names):,} pictures", len(names), sources.say, "decoding", unit="pictures") as progress:
        for job, report in decode_pool.reports(jobs, len(names), sources.limits):
            progress.advance(len(job.names))
            sizes += report.sizes
            may_pass |= report.may_pass
            for row, reason in report.bad:
                empty[job.path].add(row)
                bad.append((job.names[row - job.first], reason))
    assert sizes.total() + len(bad) == len(names), "some pictures were not looked at"
    for split, part in zip(cache.SPLITS, parts, strict=True):
        rows = [row for row in range(len(part)) if row not in empty[str(folder / split)]]
        _close_gaps(folder / split, target.shape, rows, len(part))
        labels.append(np.array([numbers[place.label(part[row])] for row in rows], np.int64))
    if bad and not sizes:
        raise DataError(
            f"none of the {len(names):,} pictures in {sanitize(root)} can be used",
            found=f"{sanitize(bad[0][0])} {bad[0][1]}",
            remedy="give other files",
        )
    return cache.built_images(
        sources.options, labels=labels, label_names=label_names, sizes=sizes, bad=sorted(bad), may_pass=may_pass
    )


def _close_gaps(path: pathlib.Path, shape: tuple[int, ...], rows: Sequence[int], count: int) -> None:
    """Moves the rows that are there together, and cuts the file behind them."""
    size = int(np.prod(shape))
    if len(rows) < count:
        with open(path, "r+b") as file:
            for place, row in enumerate(rows):
                if place != row:
                    os.pwrite(file.fileno(), os.pread(file.fileno(), size, row * size), place * size)
            file.truncate(len(rows) * size)
