"""Where a data set's files are: the folders to look in, and the downloads when they are in none of them."""

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
    """Where to look for a data set's files, and where to download them to.

    Attributes:
      options: `data_dir` is the person's own folder, or None for Keras's cache (`KERAS_HOME`/datasets,
        ~/.keras/datasets); `data_url` the person's own address instead of the mirrors, which holds the files under
        their own names if it ends in /; `cache_dir` where decoded data are kept, or None for `KERAS_HOME`/hourglass.
      say: told about downloads, a line at a time.
      limits: sizes from which on data are read otherwise.
      variant: what stands after the colon in the data set's name, if anything does.
    """

    options: DataOptions = dataclasses.field(default_factory=DataOptions)
    say: Callable[[str], None] = print
    limits: Limits = dataclasses.field(default_factory=Limits)
    variant: str = ""

    @property
    def cache(self) -> pathlib.Path:
        """Where decoded data are kept."""
        if self.options.cache_dir is not None:
            return pathlib.Path(self.options.cache_dir).expanduser().absolute()
        return _keras_home() / "hourglass"

    @property
    def folder(self) -> pathlib.Path:
        """Where files are looked for and downloaded to.

        Raises:
          DataError: the person's folder does not exist.
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
                remedy="mend the path, make the folder to download into it, or leave the flag out",
            )
        return folder

    def find(self, names: Iterable[str]) -> pathlib.Path | None:
        """The first of `names`, relative to the folder, that exists ("." is the folder itself)."""
        return next((path for name in names if (path := self.folder / name).exists()), None)

    def mirrors(self, usual: Sequence[Mirror]) -> Sequence[Mirror]:
        """The usual mirrors, or the person's own address in their place."""
        if self.options.data_url is None:
            return usual
        archives = tuple(dict.fromkeys(archive for mirror in usual for archive in mirror.archives))
        if self.options.data_url.endswith("/"):
            return [Mirror(self.options.data_url + archive.name, (archive,)) for archive in archives]
        return [Mirror(self.options.data_url, archives)]

    def download(self, usual: Sequence[Mirror]) -> pathlib.Path:
        """Downloads from the first mirror that has a published archive, and verifies it.

        Raises:
          DataError: no mirror had it, each with its reason.
        """
        from trainer.data.builtin import download  # The network's modules: only for those who need them.

        mirrors = self.mirrors(usual)
        for mirror in mirrors:
            if not mirror.url.lower().startswith(("http://", "https://", "file://")):
                raise UsageError(
                    f"{option('data_url', mirror.url)} is not an http, https or file address", remedy="mend it"
                )
        return download.first(mirrors, self.folder, self.say)


def _keras_home() -> pathlib.Path:
    return pathlib.Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"))
