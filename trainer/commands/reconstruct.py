"""`--mode=reconstruct`: reconstructs images or rows."""

import numpy as np

from trainer.commands.output import COMPARISON, MAX_GRID_IMAGES, MAX_LOGGED, Output, check_finite, format_numbers
from trainer.config import Config
from trainer.data.inputs import reader
from trainer.errors import DONE, UsageError, option
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
        read = reader.read(config.command.input, trained.shape, run.config.data.fit, depth)
        for note in read.notes:
            log.info(note)
        originals = read.scaled
        codes = trained.encode(originals)["codes"]
        reconstructions = trained.decode(codes)
    check_finite(reconstructions, option("input"))
    errors = np.sqrt(np.square(originals - reconstructions, dtype=np.float64).reshape(len(originals), -1).mean(axis=1))
    for name, code, row, error in list(zip(read.names, codes, reconstructions, errors, strict=True))[:MAX_LOGGED]:
        shown = f" -> {format_numbers(row)}" if row.ndim == 1 else ""
        log.info(f"{name}: code {format_numbers(code)}{shown}; rmse {error:.4g}")
    output.write_arrays(
        "reconstructions.npz",
        {"names": np.array(read.names), "codes": codes, "reconstructions": reconstructions, "rmse": errors},
    )
    if originals.ndim == 4:
        from trainer.summaries import images

        output.write_images(read.names, reconstructions)
        first = slice(MAX_GRID_IMAGES)
        output.write_image(COMPARISON, images.reconstruction_grid(originals[first], reconstructions[first]))
    return DONE
