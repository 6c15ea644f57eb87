"""Picture files -> rows of pixels in a file, by all cores."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import IO

import numpy as np

from trainer import imaging
from trainer.errors import said
from trainer.imaging import BadPicture, Target

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
MAX_FILE_BYTES = 1 << 30
JOBS_A_PROCESS = 4  # that wait for it
FILES_A_JOB, FILES_FOR_ONE = 64, 256  # Fewer are decoded here: other processes take a while to start.


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


def reports(jobs: Sequence[Job], count: int) -> Iterable[tuple[Job, Report]]:
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
            running = {pool.submit(run, job): job for job in itertools.islice(left, JOBS_A_PROCESS * processes)}
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
    sizes: list[tuple[int, int]] = []
    try:
        with _opened(os.path.join(root, name), root) as file:
            pixels, _ = imaging.decode(file, target, FORMATS, sizes.append)
    except OSError as error:
        raise BadPicture("cannot be read", said(error)) from error
    return pixels, "x".join(map(str, sizes[0]))


@contextlib.contextmanager
def _opened(path: str, root: str) -> Iterator[IO[bytes]]:
    """A file, never a device, a pipe, or of what a link leads to outside of the folder."""
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
        yield file
