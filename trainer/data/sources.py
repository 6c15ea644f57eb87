"""Locations of a data set's files: the folder that is searched, and the downloads if the files are not in it."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

from trainer.data.builtin.archives import Mirror
from trainer.data.limits import Limits
from trainer.data.options import DataOptions
from trainer.errors import DataError, UsageError, option


@dataclasses.dataclass(frozen=True)
class Sources:
    """The arguments of a loader: options, locations of files, and limits.

    Attributes:
      options: `data_dir` is the folder of the files, or None for Keras's cache (`KERAS_HOME`/datasets,
        ~/.keras/datasets). `data_url` replaces the mirrors; if it ends in /, it is the address of a folder with the
        published files. `cache_dir` is the folder of the cache, or None for `KERAS_HOME`/hourglass.
      log: called with each progress line.
      limits: size limits.
      variant: the part of the data set's name after the colon; empty if there is no colon.
    """

    options: DataOptions = dataclasses.field(default_factory=DataOptions)
    log: Callable[[str], None] = print
    limits: Limits = dataclasses.field(default_factory=Limits)
    variant: str = ""

    @property
    def cache_dir(self) -> pathlib.Path:
        """Folder of the cache."""
        if self.options.cache_dir is not None:
            return pathlib.Path(self.options.cache_dir).expanduser().absolute()
        return _keras_home() / "hourglass"

    @property
    def folder(self) -> pathlib.Path:
        """Folder that is searched for files, and that files are downloaded to.

        Raises:
          DataError: --data_dir does not exist, or is a file.
        """
        if self.options.data_dir is None:
            return _keras_home() / "datasets"
        folder = pathlib.Path(self.options.data_dir).expanduser()
        if folder.is_file():
            raise DataError(
                f"{option('data_dir', self.options.data_dir)} is a file", remedy=f"give its folder: {folder.parent}"
            )
        if not folder.exists():
            raise DataError(
                f"{option('data_dir', self.options.data_dir)} does not exist",
                remedy="correct the path, create the folder to download into it, or remove the option",
            )
        return folder

    def find(self, names: Iterable[str]) -> pathlib.Path | None:
        """Returns the first path that exists; `names` are relative to the folder ("." is the folder itself)."""
        return next((path for name in names if (path := self.folder / name).exists()), None)

    def mirrors(self, default: Sequence[Mirror]) -> Sequence[Mirror]:
        """Returns the default mirrors, or --data_url in their place."""
        if self.options.data_url is None:
            return default
        archives = tuple(dict.fromkeys(archive for mirror in default for archive in mirror.archives))
        if self.options.data_url.endswith("/"):
            return [Mirror(self.options.data_url + archive.name, (archive,)) for archive in archives]
        return [Mirror(self.options.data_url, archives)]

    def download(self, default: Sequence[Mirror]) -> pathlib.Path:
        """Downloads and verifies a published archive from the first mirror that has it.

        Raises:
          UsageError: --data_url is not an http, https or file address.
          DataError: no mirror has it.
        """
        from trainer.data.builtin import download  # Imports the network modules only if they are needed.

        mirrors = self.mirrors(default)
        for mirror in mirrors:
            if not mirror.url.lower().startswith(("http://", "https://", "file://")):
                what = f"{option('data_url', mirror.url)} is not an http, https or file address"
                raise UsageError(what, remedy="correct the address")
        return download.fetch(mirrors, self.folder, self.log)


def _keras_home() -> pathlib.Path:
    return pathlib.Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"))
