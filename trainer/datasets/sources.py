"""Where a data set's files are: the folders to look in, and the downloads when they are in none of them."""

import dataclasses
import fcntl
import http.client
import os
import pathlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

from trainer import files
from trainer.datasets import meter
from trainer.errors import DataError, UsageError

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0
ATTEMPTS_A_MIRROR = 5


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file as it was published: its name, its SHA-256 in hex, its size in bytes."""

    name: str
    sha256: str
    size: int


@dataclasses.dataclass(frozen=True)
class Mirror:
    """An address, and the archives that it may hold: the hash of what arrives tells which."""

    url: str
    archives: tuple[Archive, ...]


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where to look for a data set's files, and where to download them to.

    Attributes:
      data_dir: the person's own folder, or None for Keras's cache (`KERAS_HOME`/datasets, ~/.keras/datasets).
      url: the person's own address instead of the mirrors; one that ends in / holds the files under their own names.
      say: told about downloads, a line at a time.
    """

    data_dir: str | None = None
    url: str | None = None
    say: Callable[[str], None] = print

    @property
    def folder(self) -> pathlib.Path:
        """Where files are looked for and downloaded to.

        Raises:
          DataError: the person's folder does not exist.
        """
        if self.data_dir is None:
            home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
            return pathlib.Path(home) / "datasets"
        folder = pathlib.Path(self.data_dir).expanduser()
        if not folder.exists():
            raise DataError(
                f"--data_dir={self.data_dir} does not exist",
                remedy="mend the path, make the folder to download into it, or leave the flag out",
            )
        return folder

    def find(self, names: Iterable[str]) -> pathlib.Path | None:
        """The first of `names`, relative to the folder, that exists ("." is the folder itself)."""
        return next((path for name in names if (path := self.folder / name).exists()), None)

    def mirrors(self, usual: Sequence[Mirror]) -> Sequence[Mirror]:
        """The usual mirrors, or the person's own address in their place."""
        if self.url is None:
            return usual
        archives = tuple(dict.fromkeys(archive for mirror in usual for archive in mirror.archives))
        if self.url.endswith("/"):
            return [Mirror(self.url + archive.name, (archive,)) for archive in archives]
        return [Mirror(self.url, archives)]

    def download(self, usual: Sequence[Mirror]) -> pathlib.Path:
        """Downloads from the first mirror that has a published archive, and verifies it.

        Raises:
          DataError: no mirror had it, each with its reason.
        """
        folder = self.folder
        mirrors = self.mirrors(usual)
        reasons = []
        for mirror in mirrors:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                return _download(mirror, folder, self.say)
            except (_Unusable, OSError, http.client.HTTPException) as error:
                reasons.append(f"{mirror.url}: {error}")
                self.say(f"cannot download {reasons[-1]}")
        wanted = mirrors[-1].archives[0]
        raise DataError(
            f"could not download {wanted.name} to {folder}",
            found="; ".join(reasons),
            remedy=f"put {wanted.name} into a folder and give it as --data_dir, or its address as --data_url",
        )


class _Unusable(Exception):
    """What a mirror sent is not the archive."""


def _download(mirror: Mirror, folder: pathlib.Path, say: Callable[[str], None]) -> pathlib.Path:
    """One mirror's archive, under its own name; what had arrived before an interruption is not fetched again."""
    if not mirror.url.lower().startswith(("http://", "https://", "file://")):
        raise UsageError(f"--data_url={mirror.url}", found="not an http, https or file address", remedy="mend it")
    part = folder / f"{mirror.archives[0].name}.part"
    with open(part, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # Two runs that start together download once.
        done = next((folder / a.name for a in mirror.archives if (folder / a.name).exists()), None)
        if done is not None:
            return done
        for fresh in (False, True):
            if fresh:
                file.truncate(0)  # What was there may have come from another file: once more from the start.
            resumed = file.seek(0, os.SEEK_END) > 0
            _fill(mirror, file, say)
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
        raise _Unusable(f"SHA-256 is {found}, expected {expected}")


def _fill(mirror: Mirror, file: BinaryIO, say: Callable[[str], None]) -> None:
    """Appends to `file` until the server has sent all, going on after broken connections that made progress."""
    for attempt in range(ATTEMPTS_A_MIRROR):
        before = file.seek(0, os.SEEK_END)
        try:
            if _append(mirror, file, say):
                return
            say(f"{mirror.url}: the connection broke; going on at {meter.size(file.tell())}")
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            return  # There is nothing after what we have: its hash decides.
        except (OSError, http.client.HTTPException):
            if attempt + 1 == ATTEMPTS_A_MIRROR or file.seek(0, os.SEEK_END) == before:
                raise
    raise _Unusable(f"the connection broke {ATTEMPTS_A_MIRROR} times")


def _append(mirror: Mirror, file: BinaryIO, say: Callable[[str], None]) -> bool:
    """One request for what is missing; True when it arrived whole."""
    start = file.tell()
    request = urllib.request.Request(mirror.url, headers={"User-Agent": "hourglass-trainer"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        if start and getattr(response, "status", None) != http.HTTPStatus.PARTIAL_CONTENT:
            file.truncate(0)
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        sizes = {archive.size for archive in mirror.archives}
        if total is not None and total not in sizes:
            raise _Unusable(f"sends {total:,} bytes, expected {' or '.join(f'{size:,}' for size in sorted(sizes))}")
        with meter.Meter(mirror.url.rsplit("/", 1)[-1], total or max(sizes), say) as progress:
            progress.advance(start)
            while chunk := response.read(CHUNK):
                file.write(chunk)
                progress.advance(len(chunk))
                if file.tell() > max(sizes):
                    raise _Unusable(f"sends more than {max(sizes):,} bytes")
        file.flush()
        return total is None or file.tell() >= total


def _identify(path: pathlib.Path, archives: Iterable[Archive]) -> Archive | None:
    digest = files.sha256(path)
    return next((archive for archive in archives if archive.sha256 == digest), None)


def verify(path: pathlib.Path, archive: Archive) -> None:
    """Raises `DataError` unless the file is the published archive."""
    found = files.sha256(path)
    if found != archive.sha256:
        raise DataError(
            f"{path} is damaged, or not {archive.name}",
            found=f"{path.stat().st_size:,} bytes with SHA-256 {found}; expected {archive.size:,} with {archive.sha256}",
            remedy="delete it, so that it is downloaded again, or put the published file there",
        )
