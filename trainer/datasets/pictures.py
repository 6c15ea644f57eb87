"""Folders of pictures: found, decoded once by all cores, and stored as plain pixels."""

import collections
import concurrent.futures
import dataclasses
import functools
import io
import multiprocessing
import os
import pathlib
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import PIL

from trainer import imaging
from trainer.datasets import meter, splitting, store
from trainer.datasets.data import Data
from trainer.datasets.sources import Sources, printable
from trainer.errors import DataError, UsageError, said
from trainer.imaging import BadPicture, Target

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
MAX_FILE_BYTES = 1 << 30
# What other tools call the folders of a data set that has a split of its own.
TRAIN_FOLDERS, EVALUATION_FOLDERS = ("train", "training"), ("eval", "evaluation", "test", "val", "valid", "validation")
NO_LABEL = "all"
FILES_A_JOB, FILES_FOR_ONE = 64, 256  # Fewer are decoded here: other processes take a while to start.
MAX_BAD_KEPT = 1_000
SIZES_SHOWN = 3


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


@dataclasses.dataclass(frozen=True)
class Job:
    """Some files to be decoded into consecutive rows of a file: all that another process has to know."""

    root: str
    names: Sequence[str]
    target: Target
    path: str
    first: int


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of a job: the rows that stayed empty, each with its reason, and how many had which size."""

    bad: Sequence[tuple[int, str]]
    sizes: collections.Counter[str]


def images(sources: Sources) -> Data:
    """Pictures of one's own: `--data_dir` is a folder of them, its sub-folders are their labels.

    Where there are a train folder and one to evaluate on at its top, they are the split, and labels what is in them.

    Raises:
      UsageError: no folder was given, or classes that there are not.
      DataError: no pictures; or bad ones, unless those are to be left out.
    """
    root, wanted = sources.own_folder("images"), sources.wanted
    listing = found_in(root)
    place = _Places(listing.names)
    kept = [number for number, name in enumerate(listing.names) if wanted.keeps(place.label(name))]
    if not kept:
        raise _nothing(root, listing, place, wanted.classes)
    names = [listing.names[number] for number in kept]
    target = Target(*wanted.image_size, 1 if wanted.color == "grey" else 3, wanted.fit)
    found = store.stored(
        sources.cache,
        {
            "kind": "images",
            "target": dataclasses.astuple(target),
            "decoder": f"Pillow {PIL.__version__}",
            "eval_fraction": wanted.eval_fraction,
            "files": [[listing.names[number], *listing.stamps[number]] for number in kept],
        },
        functools.partial(_make, root=root, names=names, target=target, place=place, sources=sources),
        name="images",
        source=str(root),
        say=sources.say,
    )
    skipped = wanted.answer_for_bad("files", found.bad, found.num_bad, len(names), root)
    return dataclasses.replace(found.data, notes=(*found.data.notes, *listing.notes, *skipped))


class _Places:
    """What the folders that pictures are in say of them."""

    def __init__(self, names: Sequence[str]) -> None:
        tops = {name.partition("/")[0] for name in names if "/" in name}
        in_folders = all("/" in name for name in names)
        lower = {top: top.lower() for top in tops}
        self.has_split = (
            in_folders
            and set(lower.values()) <= {*TRAIN_FOLDERS, *EVALUATION_FOLDERS}
            and bool(set(lower.values()) & set(TRAIN_FOLDERS))
            and bool(set(lower.values()) & set(EVALUATION_FOLDERS))
        )

    def label(self, name: str) -> str:
        """The folder that a picture is in."""
        folders = name.split("/")[:-1]
        folders = folders[1:] if self.has_split else folders
        return folders[0] if folders else NO_LABEL

    def evaluates(self, names: Sequence[str], fraction: float) -> np.ndarray:
        """[N] bool: which of them evaluate."""
        if self.has_split:
            return np.array([name.partition("/")[0].lower() in EVALUATION_FOLDERS for name in names], bool)
        return splitting.by_name(names, fraction)


def found_in(root: pathlib.Path) -> Listing:
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
                        status = entry.stat(follow_symlinks=False)
                        pictures.append((name, (status.st_size, status.st_mtime_ns)))
        except OSError as error:
            raise DataError(
                f"the folder {printable(root / folder)} cannot be read",
                found=said(error),
                remedy="mend its permissions, or move it elsewhere",
            ) from error
    pictures.sort()
    notes = []
    if others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in others.most_common(SIZES_SHOWN))
        notes.append(f"left out, not named as pictures: {others.total():,} files ({kinds})")
    if linked:
        notes.append(f"left out, links to folders: {linked:,}")
    return Listing([name for name, _ in pictures], [stamp for _, stamp in pictures], notes)


def _is_linked_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _nothing(root: pathlib.Path, listing: Listing, place: _Places, classes: Sequence[str]) -> Exception:
    if listing.names:
        counts = collections.Counter(map(place.label, listing.names))
        known = ", ".join(f"{printable(name)} {count:,}" for name, count in counts.most_common(20))
        return UsageError(
            f"--classes={','.join(classes)}: no picture in {printable(root)} has such a label",
            found=f"labels: {known}",
            remedy="give some of these",
        )
    return DataError(
        f"the folder {printable(root)} holds no pictures",
        found="; ".join(listing.notes) or "it is empty",
        remedy=f"give a folder with files that end in {', '.join(SUFFIXES)}, in folders by label or not",
    )


def _make(
    folder: pathlib.Path, *, root: pathlib.Path, names: Sequence[str], target: Target, place: _Places, sources: Sources
) -> store.Made:
    """Decodes all into the splits' files."""
    evaluates = place.evaluates(names, sources.wanted.eval_fraction)
    label_names = sorted({place.label(name) for name in names})
    numbers = {name: number for number, name in enumerate(label_names)}
    labels, bad, sizes = [], [], collections.Counter[str]()
    jobs: list[Job] = []
    parts = [[name for name, last in zip(names, evaluates, strict=True) if last == which] for which in (False, True)]
    for split, part in zip(store.SPLITS, parts, strict=True):
        store.reserve(folder / split, len(part) * int(np.prod(target.shape)))
        jobs += [
            Job(str(root), part[start : start + FILES_A_JOB], target, str(folder / split), start)
            for start in range(0, len(part), FILES_A_JOB)
        ]
    empty: dict[str, set[int]] = {str(folder / split): set() for split in store.SPLITS}
    with meter.Meter(f"{len(names):,} pictures", len(names), sources.say, "decoding", unit="pictures") as progress:
        for job, report in _reports(jobs, len(names)):
            progress.advance(len(job.names))
            sizes += report.sizes
            for row, reason in report.bad:
                empty[job.path].add(row)
                bad.append((job.names[row - job.first], reason))
    for split, part in zip(store.SPLITS, parts, strict=True):
        rows = [row for row in range(len(part)) if row not in empty[str(folder / split)]]
        _close_gaps(folder / split, target.shape, rows, len(part))
        labels.append(np.array([numbers[place.label(part[row])] for row in rows], np.int64))
    if not len(labels[0]):
        raise DataError(
            f"none of the {len(names):,} pictures in {printable(root)} can be used",
            found=f"{printable(bad[0][0])} {bad[0][1]}",
            remedy="give other files",
        )
    shown = ", ".join(f"{size} ({count:,})" for size, count in sizes.most_common(SIZES_SHOWN))
    more = f" and {len(sizes) - SIZES_SHOWN:,} other sizes" if len(sizes) > SIZES_SHOWN else ""
    made_into = f"{target.width}x{target.height}, {sources.wanted.color}, {target.fit}"
    return store.Made(
        shape=target.shape,
        dtype="uint8",
        labels=labels,
        label_names=label_names,
        scale=255.0,
        notes=[f"pictures of {shown}{more} were made {made_into}"],
        bad=sorted(bad)[:MAX_BAD_KEPT],
        num_bad=len(bad),
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


def _reports(jobs: Sequence[Job], count: int) -> Iterable[tuple[Job, Report]]:
    """What became of each job, as soon as it is known."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < FILES_FOR_ONE or cores == 1:
        yield from ((job, run(job)) for job in jobs)
        return
    unknown = list(jobs)
    try:
        for job, report in _by_others(jobs, cores):
            unknown.remove(job)
            yield job, report
    except BrokenProcessPool:  # One of the files has ended a process: each of them alone now.
        for job in unknown:
            yield from ((single, _alone(single)) for single in _single(job))


def _by_others(jobs: Sequence[Job], processes: int) -> Iterable[tuple[Job, Report]]:
    # Not forked: this process has threads.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            left = iter(jobs)
            running = {pool.submit(run, job): job for job, _ in zip(left, range(4 * processes), strict=False)}
            while running:
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
                    if (job := next(left, None)) is not None:
                        running[pool.submit(run, job)] = job
        finally:
            pool.shutdown(cancel_futures=True)


def _single(job: Job) -> Iterable[Job]:
    return (dataclasses.replace(job, names=[name], first=job.first + number) for number, name in enumerate(job.names))


def _alone(job: Job) -> Report:
    try:
        return next(iter(_by_others([job], 1)))[1]
    except BrokenProcessPool:
        return Report([(job.first, "ends the process that decodes it")], collections.Counter())


def run(job: Job) -> Report:
    """Does a job; rows of files that cannot be used stay as they are."""
    bad, sizes = [], collections.Counter[str]()
    size = int(np.prod(job.target.shape))
    with open(job.path, "r+b") as file:
        for row, name in enumerate(job.names, start=job.first):
            try:
                pixels, shape = decode(job.root, name, job.target)
            except BadPicture as error:
                bad.append((row, f"{error.what} ({error.found})"))
                continue
            sizes[shape] += 1
            os.pwrite(file.fileno(), pixels.tobytes(), row * size)
    return Report(bad, sizes)


def decode(root: str, name: str, target: Target) -> tuple[np.ndarray, str]:
    """One file's pixels, [H, W, C] uint8, and the size that the picture had, in words.

    Raises:
      BadPicture: it is none; or no plain file in this folder.
    """
    try:
        content = _read(os.path.join(root, name), root)
    except OSError as error:
        raise BadPicture("cannot be read", said(error)) from error
    sizes: list[tuple[int, int]] = []
    pixels, _ = imaging.decode(io.BytesIO(content), target, FORMATS, sizes.append)
    return pixels, "x".join(map(str, sizes[0]))


def _read(path: str, root: str) -> bytes:
    """A file's content, never that of a device, a pipe, or of what a link leads to outside of the folder."""
    if os.path.islink(path):
        path = os.path.realpath(path)
        if os.path.commonpath([path, os.path.realpath(root)]) != os.path.realpath(root):
            raise BadPicture("is a link to outside of the folder", "only what is in it is read")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BadPicture("is no plain file", "a pipe, a socket or a device")
        if found.st_size > MAX_FILE_BYTES:
            raise BadPicture("is too large a file", f"{found.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        if found.st_size == 0:
            raise BadPicture("is empty", "0 bytes")
        return file.read(MAX_FILE_BYTES + 1)
