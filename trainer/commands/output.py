"""Writes the output of a trained model: arrays, images and numbers."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Self

import numpy as np

from trainer.commands.array_file import ArrayFile
from trainer.commands.image_output import MAX_IMAGE_FILES, ImageFiles, png
from trainer.config.options import SCORE, CommandOptions
from trainer.errors import StorageError, UsageError, option
from trainer.runs.loading import LoadedRun
from trainer.system import files
from trainer.system.logs import log

COMPARISON = "comparison.png"
STANDARD_OUTPUT = "-"
MAX_LOGGED = 10  # examples that are logged, and numbers of an example
MAX_GRID_IMAGES = 64
IMAGE_FOLDER, ERROR_FOLDER = "pictures", "error_maps"


class Output:
    """The output folder of a command: `--output`, or a folder in the run directory.

    Args:
      command: options of the command.
      default: the folder without `--output`, in the run directory.
      endings: `--output` is a file if its name ends in one of these, unless there is a folder of that name.

    Attributes:
      folder: the folder, or that of the file.
      file_name: the name of the file; empty if `--output` is a folder.

    Raises:
      UsageError: the folder cannot exist.
      StorageError: the folder is not writable.
    """

    def __init__(self, command: CommandOptions, default: pathlib.Path, endings: Sequence[str] = ()) -> None:
        self._is_in_run_directory = not command.output
        self.folder, self.file_name = default, ""
        self._input = command.input
        if command.output == STANDARD_OUTPUT:
            raise UsageError(
                f"{option('output', command.output)} is only for {option('mode', SCORE)}",
                remedy=f"give a folder: {option('output', 'FOLDER')}",
            )
        if command.output:
            try:
                self.folder = pathlib.Path(command.output).expanduser().absolute()
            except (OSError, RuntimeError) as error:  # Unknown user in ~user; or the working directory was deleted.
                what = option("output", command.output)
                raise UsageError(what, found=str(error), remedy="give an absolute path") from error
            if self.folder.suffix.lower() in endings and not self.folder.is_dir():
                self.folder, self.file_name = self.folder.parent, self.folder.name
        self.check(self.folder, command.output)
        if self.file_name:
            self._target(self.file_name)

    @staticmethod
    def check(folder: pathlib.Path, given: str | None) -> None:
        """Raises an error, as the constructor, if files cannot be written to a folder; `given`: --output."""
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            what = f"{option('output', given)}: {existing} is a file"
            raise UsageError(what, remedy="give a new or existing folder")
        if not os.access(existing, os.W_OK):
            remedy = f"give a writable {option('output', 'FOLDER')}"
            raise StorageError(f"{existing} is not writable", remedy=remedy)

    @classmethod
    def of(cls, run: LoadedRun, endings: Sequence[str] = ()) -> Self:
        """Returns the output folder of a mode that uses a checkpoint."""
        command = run.config.command
        return cls(command, run.directory.output(command.mode, run.entry.step), endings)

    def write(self, name: str, content: str | bytes) -> None:
        """Writes a file atomically, and logs its path."""
        files.make_folder(self.folder)
        files.write(self._target(name), content)
        log.info(f"written     {self.folder / name}")

    def _target(self, name: str) -> pathlib.Path:
        """Returns the path of a file that is written; raises `UsageError` if it is the input."""
        check_is_no_input(self.folder / name, self._input)
        return self.folder / name

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes arrays to an .npz file."""
        with self.array_file(name) as file:
            for key, array in arrays.items():
                file.write(key, array)

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """Yields a file, which is written atomically; its path is logged then."""
        files.make_folder(self.folder)
        with files.replacing(self._target(name), concurrent=True) as file:
            yield file
        log.info(f"written     {self.folder / name}")

    @contextlib.contextmanager
    def array_file(self, name: str) -> Iterator[ArrayFile]:
        """Yields an .npz file, which is written as `file`."""
        with self.file(name) as file, ArrayFile(file) as arrays:
            yield arrays

    def write_image(self, name: str, pixels: np.ndarray) -> None:
        """Writes [H, W, C] uint8 pixels to a PNG file; C is 1 or 3."""
        self.write(name, png(pixels))

    def image_files(
        self, names: Sequence[str], *, limit: int | None = MAX_IMAGE_FILES, subfolder: str = IMAGE_FOLDER
    ) -> ImageFiles:
        """Returns files for images with these names, in a subfolder; at most `limit`.

        The subfolder is emptied if it is in the run directory: a folder of --output may have other files of the user.
        """
        folder = self.folder / subfolder
        if self._is_in_run_directory:
            shutil.rmtree(folder, ignore_errors=True)
        files.make_folder(folder)
        return ImageFiles(folder, names, limit)

    def write_images(self, names: Sequence[str], images: np.ndarray) -> None:
        """Writes the first `MAX_IMAGE_FILES` of [N, H, W, C] images in [0, 1] to PNG files in a subfolder."""
        image_files = self.image_files(names)
        image_files.write(0, images)
        image_files.log()


def check_is_no_input(target: pathlib.Path, text: str | None) -> None:
    """Raises `UsageError` if a file that would be written is the file `--input`; `text`: the value of that option."""
    source = os.path.expanduser(text or "")
    if target.exists() and os.path.exists(source) and target.samefile(source):
        raise UsageError(
            f"{target} is the input, which would be replaced",
            remedy=f"give another {option('output')}",
        )


def check_finite(outputs: np.ndarray, flag: str) -> None:
    """Raises `UsageError` if outputs of the model are not finite. `flag` names the option of the input."""
    if not np.isfinite(outputs).all():
        raise UsageError(
            f"{flag} is too large for this network",
            found="the output is not finite",
            remedy=f"give numbers in the range of the training data, or codes from {option('mode', 'encode')}",
        )


def format_numbers(values: np.ndarray) -> str:
    """Formats the first `MAX_LOGGED` numbers."""
    shown = ", ".join(f"{value:.4g}" for value in values.reshape(-1)[:MAX_LOGGED])
    return f"{shown}, ..." if values.size > MAX_LOGGED else shown
