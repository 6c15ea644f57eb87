"""Decodes image files on all cores, into rows of a file."""

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
from typing import IO, NamedTuple

import numpy as np

from trainer.data.formats import depth, image_files
from trainer.data.formats.depth import Depth
from trainer.data.formats.image_files import FIRST_FRAME, FIRST_PAGE, BadImage, Target
from trainer.data.limits import Limits
from trainer.errors import error_text

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
MAX_FILE_BYTES = 1 << 30
QUEUED_JOBS_PER_PROCESS = 4


@dataclasses.dataclass(frozen=True)
class Job:
    """Images in the folder `root`, to be decoded to `target` into consecutive rows of the file `path`."""

    root: str
    names: Sequence[str]
    target: Target
    path: str
    first_row: int


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of a job.

    Attributes:
      bad: rows that were not written, because the image cannot be used: (index, reason).
      sizes: number of decoded images of each size, such as "640x480".
      num_16_bit: number of 16-bit images.
      value_range: minimum and maximum of the 16-bit images; None if there are none.
      num_reduced: number of images with several frames or pages, of which the first was decoded.
      is_temporary: see `BadImage`; True if it is true for one of the bad images.
    """

    bad: Sequence[tuple[int, str]]
    sizes: collections.Counter[str]
    num_16_bit: int = 0
    value_range: Depth | None = None
    num_reduced: int = 0
    is_temporary: bool = False


def run_jobs(jobs: Sequence[Job], count: int, limits: Limits) -> Iterator[tuple[Job, Report]]:
    """Runs all jobs with `count` images, and yields each with its report when it is done, in any order.

    Jobs that were running when a worker process crashed are run again, alone. If one of them crashes its process again,
    it is divided, and its parts are yielded instead.
    """
    processes = limits.decoding_processes
    if count < limits.min_parallel_files or processes == 1:
        yield from ((job, run(job)) for job in jobs)
        return
    waiting, running = iter(jobs), dict[concurrent.futures.Future[Report], Job]()
    while True:
        try:
            yield from _run_in_pool(waiting, processes, running)
            return
        except BrokenProcessPool:  # A file of one of the running jobs crashed its process.
            suspects = list(running.values())
            running.clear()
        for job in suspects:
            yield from _run_alone(job)


def _run_in_pool(
    waiting: Iterator[Job], processes: int, running: dict[concurrent.futures.Future[Report], Job]
) -> Iterator[tuple[Job, Report]]:
    """Runs jobs in worker processes. After a crash, `running` has the jobs that were not finished."""
    # This process has threads, so that forking it is not safe.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context, initializer=exit_with_parent) as pool:
        try:
            for job in itertools.islice(waiting, QUEUED_JOBS_PER_PROCESS * processes):
                running[pool.submit(run, job)] = job
            while running:
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    report = future.result()
                    yield running.pop(future), report
                    for job in itertools.islice(waiting, 1):
                        running[pool.submit(run, job)] = job
        finally:
            pool.shutdown(cancel_futures=True)


def exit_with_parent() -> None:
    """Exits this worker when its parent dies; otherwise it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_alone(job: Job) -> Iterator[tuple[Job, Report]]:
    """Runs a job that may have crashed its process in a process of its own; if that crashes too, file by file."""
    try:
        yield from list(_run_in_pool(iter([job]), 1, {}))
        return
    except BrokenProcessPool:
        pass
    if len(job.names) == 1:
        yield job, Report([(job.first_row, "crashes the image decoder")], collections.Counter(), is_temporary=True)
        return
    for index, name in enumerate(job.names):
        yield from _run_alone(dataclasses.replace(job, names=[name], first_row=job.first_row + index))


def run(job: Job) -> Report:
    """Runs a job. The rows of images that cannot be used are not written."""
    bad, sizes, ranges, num_reduced, is_temporary = [], collections.Counter[str](), list[Depth](), 0, False
    row_bytes = int(np.prod(job.target.shape))
    with open(job.path, "r+b") as file:
        for row, name in enumerate(job.names, start=job.first_row):
            try:
                image = decode(job.root, name, job.target)
            except BadImage as error:
                bad.append((row, f"{error.problem} ({error.detail})"))
                is_temporary |= error.is_temporary
                continue
            sizes[image.size] += 1
            num_reduced += image.is_reduced
            ranges += image.value_range
            os.pwrite(file.fileno(), image.pixels.tobytes(), row * row_bytes)
    return Report(bad, sizes, len(ranges), depth.merged(ranges), num_reduced, is_temporary)


class Decoded(NamedTuple):
    """A decoded image.

    Attributes:
      pixels: [H, W, C] uint8.
      size: the original size, such as "640x480".
      value_range: the minimum and the maximum of a 16-bit image; empty for other images.
      is_reduced: True if the file has other frames or pages.
    """

    pixels: np.ndarray
    size: str
    value_range: Sequence[Depth]
    is_reduced: bool


def decode(root: str, name: str, target: Target) -> Decoded:
    """Decodes an image.

    Raises:
      BadImage: the file is not an image that can be used, or not a regular file in the folder `root`.
    """
    sizes: list[tuple[int, int]] = []
    ranges: list[Depth] = []
    try:
        with _open_regular(os.path.join(root, name), root) as file:
            pixels, conversions = image_files.decode(file, target, FORMATS, sizes.append, ranges.append)
    except OSError as error:
        raise BadImage("cannot be read", error_text(error), is_temporary=True) from error
    is_reduced = not {FIRST_FRAME, FIRST_PAGE}.isdisjoint(conversions)
    return Decoded(pixels, "x".join(map(str, sizes[0])), ranges, is_reduced)


@contextlib.contextmanager
def _open_regular(path: str, root: str) -> Iterator[IO[bytes]]:
    """Opens a regular file. Devices, pipes, and links to files outside the folder `root` are rejected."""
    if os.path.islink(path):
        path = os.path.realpath(path)
        if os.path.commonpath([path, os.path.realpath(root)]) != os.path.realpath(root):
            raise BadImage("is a link to a file outside the folder", "only files in the folder are read")
    _check_regular(os.stat(path, follow_symlinks=False))  # Opening a device may have side effects.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _check_regular(status)  # The path may have been replaced since the first check.
        if status.st_size > MAX_FILE_BYTES:
            raise BadImage("is too large", f"{status.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are allowed")
        if status.st_size == 0:
            raise BadImage("is empty", "0 bytes")
        yield file


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadImage("is not a regular file", "it is a pipe, a socket or a device")
