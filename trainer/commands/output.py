"""Writes the output of a trained model: arrays, images and numbers."""

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
MAX_LOGGED = 10  # examples that are logged, and numbers of an example
MAX_GRID_IMAGES = 64
MAX_IMAGE_FILES = 100
MAX_NAME_BYTES = 200
IMAGE_FOLDER = "pictures"


class Output:
    """The output folder of a command: `--output`, or a folder in the run directory.

    Raises:
      UsageError: the folder cannot exist.
      StorageError: the folder is not writable.
    """

    def __init__(self, run: LoadedRun) -> None:
        command = run.config.command
        self._is_in_run_directory = not command.output
        self.folder = run.directory.output(command.mode, run.entry.step)
        if command.output:
            try:
                self.folder = pathlib.Path(command.output).expanduser().absolute()
            except (OSError, RuntimeError) as error:  # Unknown user in ~user; or the working directory was deleted.
                what = option("output", command.output)
                raise UsageError(what, found=str(error), remedy="give an absolute path") from error
        existing = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        if not existing.is_dir():
            what = f"{option('output', command.output)}: {existing} is a file"
            raise UsageError(what, remedy="give a new or existing folder")
        if not os.access(existing, os.W_OK):
            remedy = f"give a writable {option('output', 'FOLDER')}"
            raise StorageError(f"{existing} is not writable", remedy=remedy)

    def write(self, name: str, content: str | bytes) -> None:
        """Writes a file atomically, and logs its path."""
        files.make_folder(self.folder)
        files.write(self.folder / name, content)
        log.info(f"written     {self.folder / name}")

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes arrays to an .npz file."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    def write_image(self, name: str, pixels: np.ndarray) -> None:
        """Writes [H, W, C] uint8 pixels to a PNG file; C is 1 or 3."""
        self.write(name, _png(pixels))

    def write_images(self, names: Sequence[str], images: np.ndarray) -> None:
        """Writes the first `MAX_IMAGE_FILES` of [N, H, W, C] images in [0, 1] to PNG files in a subfolder."""
        folder = self.folder / IMAGE_FOLDER
        if self._is_in_run_directory:  # A folder of --output may contain other files of the user.
            shutil.rmtree(folder, ignore_errors=True)
        files.make_folder(folder)
        for name, image in zip(_file_names(names[:MAX_IMAGE_FILES]), images, strict=False):
            files.write(folder / f"{name}.png", _png(_to_uint8(image)), durably=False)
        count = f"the first {MAX_IMAGE_FILES} of {len(names):,}" if len(names) > MAX_IMAGE_FILES else f"{len(names):,}"
        log.info(f"written     {folder}: {count} images")


def _file_names(names: Sequence[str]) -> list[str]:
    """Truncates names to `MAX_NAME_BYTES`, and appends an index to equal names."""
    short = [name.encode()[:MAX_NAME_BYTES].decode(errors="ignore") for name in names]
    return [name if short.count(name) == 1 else f"{name}-{index}" for index, name in enumerate(short)]


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()


def _to_uint8(image: np.ndarray) -> np.ndarray:
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


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
