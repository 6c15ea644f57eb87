"""Downloads published archives to .part files, which are resumed after interruptions, verified, then renamed."""

import contextlib
import http.client
import os
import pathlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

from trainer.data.builtin.archives import Archive, Mirror
from trainer.errors import DataError, option
from trainer.system import files, locks
from trainer.system.progress import Meter, size

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0
ATTEMPTS_PER_MIRROR = 5


def fetch(mirrors: Sequence[Mirror], folder: pathlib.Path, log: Callable[[str], None]) -> pathlib.Path:
    """Downloads the archive from the first mirror that has it.

    Raises:
      DataError: no mirror has it; the message lists the reason for each mirror.
    """
    reasons = []
    for number, mirror in enumerate(mirrors, start=1):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return _download(mirror, folder, log)
        except (WrongContent, OSError, ValueError, http.client.HTTPException) as error:
            reasons.append(f"{mirror.url}: {error}")
            if number < len(mirrors):
                log(f"cannot download {reasons[-1]}; trying the next mirror")
    archive = mirrors[-1].archives[0]
    raise DataError(
        f"could not download {archive.name} to {folder}",
        found="; ".join(reasons),
        remedy=f"copy {archive.name} into a folder and give the folder as {option('data_dir')},"
        f" or give the address of the file as {option('data_url')}",
    )


class WrongContent(Exception):
    """A mirror sent a file that is not the archive."""


def _download(mirror: Mirror, folder: pathlib.Path, log: Callable[[str], None]) -> pathlib.Path:
    """Downloads the archive from one mirror. A .part file of an interrupted download is resumed."""
    part = folder / f"{mirror.archives[0].name}.part"
    with _removed_if_empty(part), open(part, "ab") as file:
        locks.acquire(file)  # Two runs that start at the same time download once.
        existing = next((folder / a.name for a in mirror.archives if (folder / a.name).exists()), None)
        if existing is not None:
            return existing
        for restart in (False, True):
            if restart:
                file.truncate(0)  # The .part file may be from another file, so download again from the start.
            resumed = _fill(mirror, file, log)
            archive = _identify(part, mirror.archives)
            if archive is not None:
                os.fsync(file.fileno())
                os.replace(part, folder / archive.name)
                return folder / archive.name
            if not resumed:
                break
        digest = files.sha256(part)
        file.truncate(0)
        expected = " or ".join(archive.sha256 for archive in mirror.archives)
        raise WrongContent(f"SHA-256 is {digest}, expected {expected}")


@contextlib.contextmanager
def _removed_if_empty(part: pathlib.Path) -> Iterator[None]:
    """Deletes the .part file at the end if it is empty."""
    try:
        yield
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()


def _fill(mirror: Mirror, file: BinaryIO, log: Callable[[str], None]) -> bool:
    """Appends to `file` until the download is complete. Resumes after broken connections that made progress.

    Returns:
      True if the download resumed the previous contents of the file.
    """
    resumed = file.seek(0, os.SEEK_END) > 0
    for attempt in range(ATTEMPTS_PER_MIRROR):
        before = file.seek(0, os.SEEK_END)
        try:
            start, is_complete = _append(mirror, file, log)
            resumed = resumed and start > 0
            if is_complete:
                return resumed
            log(f"{mirror.url}: the connection broke; resuming at {size(file.tell())}")
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            return resumed  # The server has no more bytes. The hash decides whether the file is complete.
        except (OSError, http.client.HTTPException):
            if attempt + 1 == ATTEMPTS_PER_MIRROR or file.seek(0, os.SEEK_END) == before:
                raise
    raise WrongContent(f"the connection broke {ATTEMPTS_PER_MIRROR} times")


def _append(mirror: Mirror, file: BinaryIO, log: Callable[[str], None]) -> tuple[int, bool]:
    """Requests and appends the missing bytes; returns the offset of the first one, and True if the file is complete."""
    start = file.tell()
    request = urllib.request.Request(mirror.url, headers={"User-Agent": "hourglass-trainer"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        is_restarted = start > 0 and getattr(response, "status", None) != http.HTTPStatus.PARTIAL_CONTENT
        start = 0 if is_restarted else start
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        sizes = {archive.size for archive in mirror.archives}
        if total is not None and total not in sizes:
            raise WrongContent(f"sends {total:,} bytes, expected {' or '.join(map(str, sorted(sizes)))}")
        if is_restarted:  # Only after the check of the size: a login page must not delete the bytes downloaded so far.
            file.truncate(0)
        with Meter(mirror.url.rsplit("/", 1)[-1], total or max(sizes), log) as progress:
            progress.advance(start)
            while chunk := response.read(CHUNK):
                file.write(chunk)
                progress.advance(len(chunk))
                if file.tell() > max(sizes):
                    raise WrongContent(f"sends more than {max(sizes):,} bytes")
        file.flush()
        return start, total is None or file.tell() >= total


def _identify(path: pathlib.Path, archives: Iterable[Archive]) -> Archive | None:
    digest = files.sha256(path)
    return next((archive for archive in archives if archive.sha256 == digest), None)
