"""Where a data set's files are: the folders to look in, and the downloads when they are in none of them."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

from trainer import files
from trainer.errors import DataError, UsageError

BAD_SHOWN = 3


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be made of a person's own data.

    Attributes:
      image_size: height and width of pictures.
      color: grey or rgb.
      fit: of pictures of other proportions, as in `imaging.Target`.
      label_column: of a table: its name, or its number from 1 on; None: there is none.
      standardise: divide each column of rows by its standard deviation.
      eval_fraction: of the examples that evaluate, where the data have no split of their own.
      on_bad_file: error, or skip.
      classes: labels to keep; none: all.
    """

    image_size: tuple[int, int] = (32, 32)
    color: str = "rgb"
    fit: str = "crop"
    label_column: str | None = None
    eval_fraction: float = 0.1
    standardise: bool = False
    on_bad_file: str = "error"
    classes: tuple[str, ...] = ()

    def keeps(self, label: str) -> bool:
        """Whether examples of this label are wanted."""
        return not self.classes or label in self.classes

    def answer_for_bad(
        self, kind: str, bad: Sequence[tuple[str, str]], count: int, total: int, where: pathlib.Path
    ) -> tuple[str, ...]:
        """What to say of what cannot be used, if it is to be left out.

        Args:
          kind: files or rows.
          bad: the first of them, each with its reason.
          count: how many there are.
          total: how many there are with the good ones.
          where: they are.

        Raises:
          DataError: there are some, and they are not to be left out.
        """
        if not count:
            return ()
        shown = "; ".join(f"{printable(name)} {reason}" for name, reason in bad[:BAD_SHOWN])
        if self.on_bad_file == "error":
            name, reason = bad[0]
            raise DataError(
                f"{printable(name)} in {printable(where)} cannot be used",
                found=f"it {reason}; in all {count:,} of {total:,} {kind} cannot be used",
                remedy="mend or remove what is wrong, or give --on_bad_file=skip to leave it out",
            )
        return (f"left out {count:,} of {total:,} {kind}: {shown}" + ("; ..." if count > BAD_SHOWN else ""),)


def printable(name: object) -> str:
    """A name in one line, with ? for bytes that are no text."""
    return " ".join(str(name).encode(errors="replace").decode().split())


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where to look for a data set's files, and where to download them to.

    Attributes:
      data_dir: the person's own folder, or None for Keras's cache (`KERAS_HOME`/datasets, ~/.keras/datasets).
      url: the person's own address instead of the mirrors; one that ends in / holds the files under their own names.
      say: told about downloads, a line at a time.
      wanted: what is to be made of a person's own data.
      cache_dir: where decoded data are kept, or None for `KERAS_HOME`/hourglass.
    """

    data_dir: str | None = None
    url: str | None = None
    say: Callable[[str], None] = print
    wanted: Wanted = Wanted()
    cache_dir: str | None = None

    @property
    def cache(self) -> pathlib.Path:
        """Where decoded data are kept."""
        if self.cache_dir is not None:
            return pathlib.Path(self.cache_dir).expanduser().absolute()
        return _keras_home() / "hourglass"

    def own_folder(self, name: str) -> pathlib.Path:
        """The folder of a person's own data.

        Args:
          name: of the data set.

        Raises:
          UsageError: none was given.
          DataError: it is no folder.
        """
        path = self._own(name, "a folder with pictures in it")
        if not path.is_dir():
            raise DataError(f"--data_dir={self.data_dir} is a file", remedy=f"give its folder: {path.parent}")
        return path

    def own_file(self, name: str, suffixes: Sequence[str]) -> pathlib.Path:
        """The file of a person's own data; as `own_folder`.

        Args:
          name: of the data set.
          suffixes: that it may have.
        """
        expected = f"a file that ends in {' or '.join(suffixes)}"
        path = self._own(name, expected)
        if not path.is_file() or path.suffix.lower() not in suffixes:
            what = "is no plain file" if not path.is_file() else f"ends in {path.suffix or 'nothing'}"
            raise DataError(
                f"--data_dir={self.data_dir} {what}",
                found=f"--dataset={name} reads {expected}",
                remedy="give the file itself",
            )
        return path

    def _own(self, name: str, expected: str) -> pathlib.Path:
        if self.data_dir is None:
            raise UsageError(
                f"--dataset={name} without --data_dir",
                found=f"{expected} is expected",
                remedy="give it, such as --data_dir=path/to/it",
            )
        path = pathlib.Path(os.path.expanduser(self.data_dir)).absolute()
        if not os.path.exists(path):
            raise DataError(
                f"--data_dir={self.data_dir} does not exist", found=f"{expected} is expected", remedy="mend the path"
            )
        return path

    @property
    def folder(self) -> pathlib.Path:
        """Where files are looked for and downloaded to.

        Raises:
          DataError: the person's folder does not exist.
        """
        if self.data_dir is None:
            return _keras_home() / "datasets"
        folder = pathlib.Path(self.data_dir).expanduser()
        if folder.is_file():
            raise DataError(f"--data_dir={self.data_dir} is a file", remedy=f"give its folder: {folder.parent}")
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
        from trainer.datasets import download  # The network's modules: only for those who need them.

        mirrors = self.mirrors(usual)
        for mirror in mirrors:
            if not mirror.url.lower().startswith(("http://", "https://", "file://")):
                raise UsageError(f"--data_url={mirror.url} is not an http, https or file address", remedy="mend it")
        return download.first(mirrors, self.folder, self.say)


def _keras_home() -> pathlib.Path:
    return pathlib.Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"))


def verify(path: pathlib.Path, archive: Archive) -> None:
    """Raises `DataError` unless the file is the published archive."""
    found = files.sha256(path)
    if found != archive.sha256:
        raise DataError(
            f"{path} is damaged, or not {archive.name}",
            found=f"{path.stat().st_size:,} bytes, SHA-256 {found}; expected {archive.size:,}, {archive.sha256}",
            remedy="delete it, so that it is downloaded again, or put the published file there",
        )
