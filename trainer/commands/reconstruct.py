"""`--mode=reconstruct`: reconstructs images or rows."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np

from trainer.commands import new_data, table_output
from trainer.commands.image_output import MAX_IMAGE_FILES, ImageFiles
from trainer.commands.new_data import Part
from trainer.commands.output import COMPARISON, ERROR_FOLDER, MAX_GRID_IMAGES, MAX_LOGGED, Output, format_numbers
from trainer.config import Config
from trainer.data.inputs.reader import Inputs
from trainer.errors import DONE, UsageError, option
from trainer.runs import report
from trainer.runs.loading import LoadedRun
from trainer.runs.model import Model
from trainer.system.logs import log

ARRAYS, TABLE = "reconstructions.npz", "reconstructions.csv"


def reconstruct(config: Config, given: frozenset[str]) -> int:
    """Reconstructs `--input`; writes images or rows, errors, and codes. Loads no data set."""
    text = config.command.input
    if text is None:
        raise UsageError(
            f"{option('input')} is missing",
            found="expected an image, a folder of images, an array, a table, or numbers",
            remedy=f"give an input, such as {option('input', 'photo.png')} or {option('input', '8,4,6,2')}",
        )
    run = LoadedRun(config, given)
    output = Output.of(run)
    read = new_data.read_input(run, text)
    with run.model(len(read.names)) as model:
        _write(output, read, model)
    return DONE


@dataclasses.dataclass(frozen=True)
class _Results:
    """The results of the batches so far.

    Attributes:
      codes: [n, K] float32 of each batch.
      errors, data_errors: [n] float64 of each batch, in the unit of errors and in that of the data.
      originals, reconstructions: [n, H, W, C] float32, the first images.
    """

    codes: list[np.ndarray] = dataclasses.field(default_factory=list)
    errors: list[np.ndarray] = dataclasses.field(default_factory=list)
    data_errors: list[np.ndarray] = dataclasses.field(default_factory=list)
    originals: list[np.ndarray] = dataclasses.field(default_factory=list)
    reconstructions: list[np.ndarray] = dataclasses.field(default_factory=list)

    def add(self, part: Part, *, keeps_images: bool) -> None:
        """Adds the results of a batch; `keeps_images`: with the first images."""
        self.codes.append(part.codes)
        self.errors.append(part.errors)
        self.data_errors.append(part.data_errors)
        if keeps_images:
            first = slice(max(0, MAX_GRID_IMAGES - part.start))
            self.originals.append(part.originals[first].copy())
            self.reconstructions.append(part.reconstructions[first].copy())


@dataclasses.dataclass(frozen=True)
class _Pictures:
    """The files of the reconstructions, and of their errors."""

    reconstructions: ImageFiles
    errors: ImageFiles

    @classmethod
    def of(cls, output: Output, read: Inputs) -> "_Pictures":
        limit = None if read.are_files else MAX_IMAGE_FILES
        reconstructions = output.image_files(read.names, limit=limit)
        return cls(reconstructions, output.image_files(read.names, limit=limit, subfolder=ERROR_FOLDER))

    def write(self, part: Part) -> None:
        from trainer.summaries import images

        self.reconstructions.write(part.start, part.reconstructions)
        self.errors.write(part.start, images.error_maps(part.originals, part.reconstructions))

    def log(self) -> None:
        from trainer.summaries import images

        self.reconstructions.log()
        self.errors.log(f" of the absolute error; white: {1 / images.ERROR_SCALE:g} or more")


def _write(output: Output, read: Inputs, model: Model) -> None:
    """Reconstructs all inputs, and writes what belongs to them."""
    results, is_image = _Results(), len(model.shape) == 3
    is_standardized = model.unit is not None
    unit = report.error_unit(is_image=is_image, is_standardized=is_standardized)
    log.info(f"errors      {unit}" + (", and in the units of the data" if is_standardized else ""))
    pictures = _Pictures.of(output, read) if is_image else None
    with contextlib.ExitStack() as stack:
        table = _opened_table(output, read, stack)
        file = stack.enter_context(output.array_file(ARRAYS))
        parts = _reconstructions(read, model, results, pictures, table)
        file.write_parts("reconstructions", (len(read.names), *model.shape), parts)
        errors = np.concatenate(results.errors)
        file.write("names", np.array(read.names))
        file.write("codes", np.concatenate(results.codes))
        file.write("rmse", errors)
        file.write("rmse_data_unit", np.concatenate(results.data_errors))
        file.write("unit", np.array(unit))
    output.write(new_data.ERRORS, new_data.errors_table(read.names, errors))
    if pictures is not None:
        from trainer.summaries import images

        pictures.log()
        pairs = (np.concatenate(arrays) for arrays in (results.originals, results.reconstructions))
        output.write_image(COMPARISON, images.reconstruction_grid(*pairs))


def _opened_table(output: Output, read: Inputs, stack: contextlib.ExitStack) -> IO[bytes] | None:
    """Opens the table of reconstructions, and writes its heading; None if the input is no table."""
    if not read.columns:
        return None
    file = stack.enter_context(output.file(TABLE))
    file.write(table_output.heading(["row", *read.columns]))
    return file


def _reconstructions(
    read: Inputs, model: Model, results: _Results, pictures: _Pictures | None, table: IO[bytes] | None
) -> Iterator[np.ndarray]:
    """Yields the reconstructions in the units of the data, batch by batch: [n, ...].

    Writes the images or the rows of the table, logs the first examples, and adds everything else to the results.
    """
    for part in new_data.reconstructed(read, model):
        shown = model.originals(part.reconstructions)
        if part.start == 0:
            _log(read.names, part, shown, is_standardized=model.unit is not None)
        results.add(part, keeps_images=pictures is not None)
        if pictures is not None:
            pictures.write(part)
        if table is not None and read.numbers is not None:
            table.write(table_output.rows(read.numbers[part.start : part.start + len(shown)], shown))
        yield shown


def _log(names: Sequence[str], part: Part, shown: np.ndarray, *, is_standardized: bool) -> None:
    """Logs the first examples."""
    for index in range(min(len(shown), MAX_LOGGED)):
        row = f" -> {format_numbers(shown[index])}" if shown.ndim == 2 else ""
        also = f" ({part.data_errors[index]:.4g})" if is_standardized else ""
        log.info(f"{names[index]}: code {format_numbers(part.codes[index])}{row}; rmse {part.errors[index]:.4g}{also}")
