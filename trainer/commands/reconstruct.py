"""`--mode=reconstruct`: reconstructs images or rows."""

import numpy as np

from trainer.commands.output import COMPARISON, MAX_GRID_IMAGES, MAX_LOGGED, Output, check_finite, format_numbers
from trainer.config import Config
from trainer.data.inputs import reader
from trainer.errors import DONE, UsageError, option
from trainer.runs import report
from trainer.runs.loading import LoadedRun
from trainer.system.logs import log


def reconstruct(config: Config, given: frozenset[str]) -> int:
    """Reconstructs `--input`; writes images, and codes and errors in `reconstructions.npz`. Loads no data set."""
    if config.command.input is None:
        raise UsageError(
            f"{option('input')} is missing",
            found="expected an image, a folder of images, an .npy file, or numbers",
            remedy=f"give an input, such as {option('input', 'photo.png')} or {option('input', '8,4,6,2')}",
        )
    run = LoadedRun(config, given)
    output, depth = Output(run), run.depth()
    with run.network() as trained:
        read = reader.read(config.command.input, trained.shape, run.config.data.fit, depth, trained.offset)
        for note in read.notes:
            log.info(note)
        originals = read.scaled
        codes = trained.encode(originals)["codes"]
        reconstructions = trained.decode(codes)
        shown = trained.originals(reconstructions)
        unit = trained.unit
    check_finite(reconstructions, option("input"))
    differences = originals - reconstructions
    data_errors = _rmse(differences)
    errors = data_errors if unit is None else _rmse(differences / unit)
    unit_text = report.error_unit(is_image=originals.ndim == 4, is_standardized=unit is not None)
    log.info(f"errors      {unit_text}" + (", and in the units of the data" if unit is not None else ""))
    for index in range(min(len(originals), MAX_LOGGED)):
        row = f" -> {format_numbers(shown[index])}" if originals.ndim == 2 else ""
        also = f" ({data_errors[index]:.4g})" if unit is not None else ""
        log.info(f"{read.names[index]}: code {format_numbers(codes[index])}{row}; rmse {errors[index]:.4g}{also}")
    arrays = {
        "names": np.array(read.names),
        "codes": codes,
        "reconstructions": shown,
        "rmse": errors,
        "rmse_data_unit": data_errors,
        "unit": np.array(unit_text),
    }
    output.write_arrays("reconstructions.npz", arrays)
    if originals.ndim == 4:
        from trainer.summaries import images

        output.write_images(read.names, reconstructions)
        first = slice(MAX_GRID_IMAGES)
        output.write_image(COMPARISON, images.reconstruction_grid(originals[first], reconstructions[first]))
    return DONE


def _rmse(differences: np.ndarray) -> np.ndarray:
    """Returns the root mean square of each of [N, ...] differences, [N] float64."""
    return np.sqrt(np.square(differences, dtype=np.float64).reshape(len(differences), -1).mean(axis=1))
