"""Downloads published archives: aside, resumed after interruptions, verified, then renamed."""

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
ATTEMPTS_A_MIRROR = 5


def first(mirrors: Sequence[Mirror], folder: pathlib.Path, say: Callable[[str], None]) -> pathlib.Path:
    """The archive from the first mirror that has it.

    Raises:
      DataError: none has it; each with its reason.
    """
    reasons = []
    for number, mirror in enumerate(mirrors, start=1):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return _download(mirror, folder, say)
        except (Unusable, OSError, ValueError, http.client.HTTPException) as error:
            reasons.append(f"{mirror.url}: {error}")
            if number < len(mirrors):
                say(f"cannot download {reasons[-1]}; trying the next mirror")
    wanted = mirrors[-1].archives[0]
    raise DataError(
        f"could not download {wanted.name} to {folder}",
        found="; ".join(reasons),
        remedy=f"put {wanted.name} into a folder and give it as {option('data_dir')},"
        f" or its address as {option('data_url')}",
    )


class Unusable(Exception):
    """What a mirror sent is not the archive."""


def _download(mirror: Mirror, folder: pathlib.Path, say: Callable[[str], None]) -> pathlib.Path:
    """One mirror's archive, under its own name; what had arrived before an interruption is not fetched again."""
    part = folder / f"{mirror.archives[0].name}.part"
    with _removed_if_empty(part), open(part, "ab") as file:
        locks.acquire(file)  # Two runs that start together download once.
        done = next((folder / a.name for a in mirror.archives if (folder / a.name).exists()), None)
        if done is not None:
            return done
        for fresh in (False, True):
            if fresh:
                file.truncate(0)  # What was there may have come from another file: once more from the start.
            resumed = _fill(mirror, file, say)
            archive = _identify(part, mirror.archives)
            if archive is not None:
                os.fsync(file.fileno())
                os.replace(part, folder / archive.name)
                return folder / archive.name
            if not resumed:
                break
        found = files.sha256(part)
        file.truncate(0)
        expected = " or ".join(archive.sha256 for archive in mirror.archives)
        raise Unusable(f"SHA-256 is {found}, expected {expected}")


@contextlib.contextmanager
def _removed_if_empty(part: pathlib.Path) -> Iterator[None]:
    """What has brought nothing leaves nothing."""
    try:
        yield
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()


def _fill(mirror: Mirror, file: BinaryIO, say: Callable[[str], None]) -> bool:
    """Appends to `file` until the server has sent all, going on after broken connections that made progress.

    Returns:
      Whether the file still begins with what it held before.
    """
    resumed = file.seek(0, os.SEEK_END) > 0
    for attempt in range(ATTEMPTS_A_MIRROR):
        before = file.seek(0, os.SEEK_END)
        try:
            start, is_whole = _append(mirror, file, say)
            resumed = resumed and start > 0
            if is_whole:
                return resumed
            say(f"{mirror.url}: the connection broke; going on at {size(file.tell())}")
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            return resumed  # There is nothing after what we have: its hash decides.
        except (OSError, http.client.HTTPException):
            if attempt + 1 == ATTEMPTS_A_MIRROR or file.seek(0, os.SEEK_END) == before:
                raise
    raise Unusable(f"the connection broke {ATTEMPTS_A_MIRROR} times")


def _append(mirror: Mirror, file: BinaryIO, say: Callable[[str], None]) -> tuple[int, bool]:
    """One request for what is missing: the position from which the server sent, and whether all has arrived."""
    start = file.tell()
    request = urllib.request.Request(mirror.url, headers={"User-Agent": "hourglass-trainer"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        begins_anew = start > 0 and getattr(response, "status", None) != http.HTTPStatus.PARTIAL_CONTENT
        start = 0 if begins_anew else start
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        sizes = {archive.size for archive in mirror.archives}
        if total is not None and total not in sizes:
            raise Unusable(f"sends {total:,} bytes, expected {' or '.join(map(str, sorted(sizes)))}")
        if begins_anew:  # Not before the size is known to be right: a login page must not cost what has arrived.
            file.truncate(0)
        with Meter(mirror.url.rsplit("/", 1)[-1], total or max(sizes), say) as progress:
            progress.advance(start)
            while chunk := response.read(CHUNK):
                file.write(chunk)
                progress.advance(len(chunk))
                if file.tell() > max(sizes):
                    raise Unusable(f"sends more than {max(sizes):,} bytes")
        file.flush()
        return start, total is None or file.tell() >= total


def _identify(path: pathlib.Path, archives: Iterable[Archive]) -> Archive | None:
    digest = files.sha256(path)
    return next((archive for archive in archives if archive.sha256 == digest), None)
