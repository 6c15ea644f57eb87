"""Picture files -> rows of pixels in a file, by all cores."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import IO

import numpy as np

from trainer.data.formats import image_files
from trainer.data.formats.image_files import BadImage, Target
from trainer.data.limits import Limits
from trainer.errors import error_text

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
MAX_FILE_BYTES = 1 << 30
JOBS_A_PROCESS = 4  # that wait for it


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
    """What became of a job.

    Attributes:
      bad: the rows that stayed empty, each with its reason.
      sizes: how many of the others had which size, in words.
      may_pass: some of the reasons may be others another time.
    """

    bad: Sequence[tuple[int, str]]
    sizes: collections.Counter[str]
    may_pass: bool = False


def reports(jobs: Sequence[Job], count: int, limits: Limits) -> Iterator[tuple[Job, Report]]:
    """What became of each job, as soon as it is known; of one that had to be divided, of its parts."""
    processes = limits.decoding_processes
    if count < limits.files_for_one or processes == 1:
        yield from ((job, run(job)) for job in jobs)
        return
    left, running = iter(jobs), dict[concurrent.futures.Future[Report], Job]()
    while True:
        try:
            yield from _decode_in_pool(left, processes, running)
            return
        except BrokenProcessPool:  # A file has ended a process, one of these few jobs'.
            suspects = list(running.values())
            running.clear()
        for job in suspects:
            yield from _decode_suspects(job)


def _decode_in_pool(
    left: Iterator[Job], processes: int, running: dict[concurrent.futures.Future[Report], Job]
) -> Iterator[tuple[Job, Report]]:
    """By processes of their own; `running` holds what they are at, also where they have ended."""
    # Not forked: this process has threads.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context, initializer=end_with_parent) as pool:
        try:
            for job in itertools.islice(left, JOBS_A_PROCESS * processes):
                running[pool.submit(run, job)] = job
            while running:
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    report = future.result()
                    yield running.pop(future), report
                    for job in itertools.islice(left, 1):
                        running[pool.submit(run, job)] = job
        finally:
            pool.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """Has this process end when the one that started it is killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _decode_suspects(job: Job) -> Iterator[tuple[Job, Report]]:
    """A job that may have ended its process, in one for itself; if it does so again, file by file."""
    try:
        yield from list(_decode_in_pool(iter([job]), 1, {}))
        return
    except BrokenProcessPool:
        pass
    if len(job.names) == 1:
        yield job, Report([(job.first, "ends the process that decodes it")], collections.Counter(), may_pass=True)
        return
    for number, name in enumerate(job.names):
        yield from _decode_suspects(dataclasses.replace(job, names=[name], first=job.first + number))


def run(job: Job) -> Report:
    """Does a job; rows of files that cannot be used stay as they are."""
    bad, sizes, may_pass = [], collections.Counter[str](), False
    size = int(np.prod(job.target.shape))
    with open(job.path, "r+b") as file:
        for row, name in enumerate(job.names, start=job.first):
            try:
                pixels, shape = decode(job.root, name, job.target)
            except BadImage as error:
                bad.append((row, f"{error.what} ({error.found})"))
                may_pass |= error.may_pass
                continue
            sizes[shape] += 1
            os.pwrite(file.fileno(), pixels.tobytes(), row * size)
    return Report(bad, sizes, may_pass)


def decode(root: str, name: str, target: Target) -> tuple[np.ndarray, str]:
    """One file's pixels, [H, W, C] uint8, and the size that the picture had, in words.

    Raises:
      BadPicture: it is none; or no plain file in this folder.
    """
    sizes: list[tuple[int, int]] = []
    try:
        with _opened(os.path.join(root, name), root) as file:
            pixels, _ = image_files.decode(file, target, FORMATS, sizes.append)
    except OSError as error:
        raise BadImage("cannot be read", error_text(error), may_pass=True) from error
    return pixels, "x".join(map(str, sizes[0]))


@contextlib.contextmanager
def _opened(path: str, root: str) -> Iterator[IO[bytes]]:
    """A file, never a device, a pipe, or of what a link leads to outside of the folder."""
    if os.path.islink(path):
        path = os.path.realpath(path)
        if os.path.commonpath([path, os.path.realpath(root)]) != os.path.realpath(root):
            raise BadImage("is a link to outside of the folder", "only what is in it is read")
    _check_plain(os.stat(path, follow_symlinks=False))  # To open some devices is to do something with them.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        _check_plain(found)  # It may be another by now.
        if found.st_size > MAX_FILE_BYTES:
            raise BadImage("is too large a file", f"{found.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        if found.st_size == 0:
            raise BadImage("is empty", "0 bytes")
        yield file


def _check_plain(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadImage("is no plain file", "a pipe, a socket or a device")
