"""`--mode=reconstruct`: reconstructs images or rows."""

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.commands.image_output import MAX_IMAGE_FILES, ImageFiles
from trainer.commands.output import COMPARISON, MAX_GRID_IMAGES, MAX_LOGGED, Output, check_finite, format_numbers
from trainer.config import Config
from trainer.data.inputs import reader
from trainer.data.inputs.reader import Inputs
from trainer.errors import DONE, UsageError, option
from trainer.runs import report
from trainer.runs.loading import LoadedRun
from trainer.runs.model import Model
from trainer.system.logs import log

ARRAYS, ERRORS = "reconstructions.npz", "errors.csv"


def reconstruct(config: Config, given: frozenset[str]) -> int:
    """Reconstructs `--input`; writes images, errors, and codes. Loads no data set."""
    text = config.command.input
    if text is None:
        raise UsageError(
            f"{option('input')} is missing",
            found="expected an image, a folder of images, an .npy file, or numbers",
            remedy=f"give an input, such as {option('input', 'photo.png')} or {option('input', '8,4,6,2')}",
        )
    run = LoadedRun(config, given)
    output, depth = Output.of(run), run.depth()
    mean, _, offset = run.statistics
    data = run.config.data
    can_be_missing = data.missing == "mean"
    read = reader.read(text, mean.shape, data.fit, depth, offset, can_be_missing=can_be_missing)
    with run.model(len(read.names)) as trained:
        for note in read.notes:
            log.info(note)
        _write(output, read, trained)
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


def _write(output: Output, read: Inputs, trained: Model) -> None:
    """Reconstructs all inputs, and writes what belongs to them."""
    results, is_image = _Results(), len(trained.shape) == 3
    is_standardized = trained.unit is not None
    unit = report.error_unit(is_image=is_image, is_standardized=is_standardized)
    log.info(f"errors      {unit}" + (", and in the units of the data" if is_standardized else ""))
    images = output.image_files(read.names, limit=None if read.are_files else MAX_IMAGE_FILES) if is_image else None
    with output.array_file(ARRAYS) as file:
        parts = _reconstructions(read, trained, results, images)
        file.write_parts("reconstructions", (len(read.names), *trained.shape), parts)
        errors = np.concatenate(results.errors)
        file.write("names", np.array(read.names))
        file.write("codes", np.concatenate(results.codes))
        file.write("rmse", errors)
        file.write("rmse_data_unit", np.concatenate(results.data_errors))
        file.write("unit", np.array(unit))
    output.write(ERRORS, _table(read.names, errors))
    if images is not None:
        from trainer.summaries import images as grids

        images.log()
        pairs = (np.concatenate(arrays) for arrays in (results.originals, results.reconstructions))
        output.write_image(COMPARISON, grids.reconstruction_grid(*pairs))


def _reconstructions(
    read: Inputs, trained: Model, results: _Results, images: ImageFiles | None
) -> Iterator[np.ndarray]:
    """Yields the reconstructions in the units of the data, batch by batch: [n, ...].

    Writes the images, logs the first examples, and adds everything else to the results.
    """
    for place, originals in read.batches():
        codes = trained.encode(originals)["codes"]
        reconstructions = trained.decode(codes)
        check_finite(reconstructions, option("input"))
        differences = originals - reconstructions
        data_errors = _rmse(differences)
        errors = data_errors if trained.unit is None else _rmse(differences / trained.unit)
        shown = trained.originals(reconstructions)
        if place.start == 0:
            _log(read.names, codes, shown, errors, data_errors if trained.unit is not None else None)
        results.codes.append(codes)
        results.errors.append(errors)
        results.data_errors.append(data_errors)
        if images is not None:
            images.write(place.start, reconstructions)
            first = slice(max(0, MAX_GRID_IMAGES - place.start))
            results.originals.append(originals[first].copy())
            results.reconstructions.append(reconstructions[first].copy())
        yield shown


def _log(
    names: Sequence[str], codes: np.ndarray, shown: np.ndarray, errors: np.ndarray, data_errors: np.ndarray | None
) -> None:
    """Logs the first examples."""
    for index in range(min(len(codes), MAX_LOGGED)):
        row = f" -> {format_numbers(shown[index])}" if shown.ndim == 2 else ""
        also = f" ({data_errors[index]:.4g})" if data_errors is not None else ""
        log.info(f"{names[index]}: code {format_numbers(codes[index])}{row}; rmse {errors[index]:.4g}{also}")


def _table(names: Sequence[str], errors: np.ndarray) -> str:
    """Returns CSV with a row for each example: its name and its error."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "rmse"))
    writer.writerows((name, f"{error:.9g}") for name, error in zip(names, errors, strict=True))
    return text.getvalue()


def _rmse(differences: np.ndarray) -> np.ndarray:
    """Returns the root mean square of each of [N, ...] differences without NaN, which is missing: [N] float64."""
    squares = np.square(differences, dtype=np.float64).reshape(len(differences), -1)
    return np.sqrt(np.nanmean(squares, axis=1))
