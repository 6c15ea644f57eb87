"""What commands write and say of what a network makes: arrays, pictures, numbers."""

import io
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from trainer.errors import StorageError, UsageError, option
from trainer.runs.loading import LoadedRun
from trainer.system import files
from trainer.system.logs import log

COMPARISON = "comparison.png"
MOST_SAID = 10  # examples whose numbers are said, not only written; and numbers of one
MOST_IN_PICTURE = 64
MOST_WRITTEN = 100  # as picture files
MOST_BYTES = 200  # of their names
PICTURES = "pictures"


class Output:
    """Where a command writes what it makes of a run's network: `--output`, or a folder in the run's.

    Raises:
      UsageError: there can be no such folder.
      StorageError: it may not be written to.
    """

    def __init__(self, run: LoadedRun) -> None:
        command = run.config.command
        self._is_runs_own = not command.output
        self.folder = run.directory.output(command.mode, run.entry.step)
        if command.output:
            try:
                self.folder = pathlib.Path(command.output).expanduser().absolute()
            except (OSError, RuntimeError) as error:  # No such person; or the working folder is gone.
                what = option("output", command.output)
                raise UsageError(what, found=str(error), remedy="give an absolute path") from error
        there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        if not there.is_dir():
            what = f"{option('output', command.output)}: {there} is a file"
            raise UsageError(what, remedy="give a folder, there already or not")
        if not os.access(there, os.W_OK):
            remedy = f"give {option('output', 'FOLDER')}, somewhere else"
            raise StorageError(f"{there} may not be written to", remedy=remedy)

    def write(self, name: str, content: str | bytes) -> None:
        """Writes a file, whole, and says where."""
        files.make_folder(self.folder)
        files.write(self.folder / name, content)
        log.info(f"written     {self.folder / name}")

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes an .npz."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    def write_image(self, name: str, picture: np.ndarray) -> None:
        """Writes [H, W, C] uint8 as PNG, C being 1 or 3."""
        self.write(name, _png(picture))

    def write_images(self, names: Sequence[str], pictures: np.ndarray) -> None:
        """Writes the first of [N, H, W, C] pictures in [0, 1] as PNG files, in a folder of their own."""
        folder = self.folder / PICTURES
        if self._is_runs_own:  # In the run's own place nothing is anybody else's.
            shutil.rmtree(folder, ignore_errors=True)
        files.make_folder(folder)
        for name, picture in zip(_file_names(names[:MOST_WRITTEN]), pictures, strict=False):
            files.write(folder / f"{name}.png", _png(_pixels(picture)), durably=False)
        count = f"the first {MOST_WRITTEN} of {len(names):,}" if len(names) > MOST_WRITTEN else f"{len(names):,}"
        log.info(f"written     {folder}: {count} as pictures")


def _file_names(names: Sequence[str]) -> list[str]:
    """Names that are different, and not too long for a file."""
    short = [name.encode()[:MOST_BYTES].decode(errors="ignore") for name in names]
    return [name if short.count(name) == 1 else f"{name}-{number}" for number, name in enumerate(short)]


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(buffer, "png")
    return buffer.getvalue()


def _pixels(picture: np.ndarray) -> np.ndarray:
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def check_finite(values: np.ndarray, given: str) -> None:
    """Raises `UsageError` where what was given makes a network compute numbers that are not finite."""
    if not np.isfinite(values).all():
        raise UsageError(
            f"{given} is beyond what this network can compute with",
            found="it makes numbers of them that are not finite",
            remedy=f"give numbers such as the data have, or codes as {option('mode', 'encode')} finds them",
        )


def numbers(values: np.ndarray) -> str:
    """The first few, for people."""
    shown = ", ".join(f"{value:.4g}" for value in values.reshape(-1)[:MOST_SAID])
    return f"{shown}, ..." if values.size > MOST_SAID else shown
