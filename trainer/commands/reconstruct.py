"""`--mode=reconstruct`: what a network makes of what a person gives."""

import numpy as np

from trainer.commands.output import COMPARISON, MOST_IN_PICTURE, MOST_SAID, Output, check_finite, numbers
from trainer.config import Config
from trainer.data.inputs import reader
from trainer.errors import DONE, UsageError, option
from trainer.runs.loading import LoadedRun
from trainer.system.logs import log


def reconstruct(config: Config, given: frozenset[str]) -> int:
    """Reconstructs what a person gives; writes pictures, and `reconstructions.npz` with the codes. Needs no data."""
    if config.command.input is None:
        raise UsageError(
            f"{option('mode', 'reconstruct')} without {option('input')}",
            found="a picture, a folder of pictures, an .npy file, or numbers are expected",
            remedy=f"give one, such as {option('input', 'photo.png')} or {option('input', '8,4,6,2')}",
        )
    run = LoadedRun(config, given)
    output = Output(run)
    with run.network() as trained:
        read = reader.read(config.command.input, trained.shape, run.config.data.fit)
        for note in read.notes:
            log.info(note)
        originals = read.images
        codes = trained.encode(originals)["codes"]
        reconstructions = trained.decode(codes)
    check_finite(reconstructions, option("input"))
    errors = np.sqrt(np.square(originals - reconstructions, dtype=np.float64).reshape(len(originals), -1).mean(axis=1))
    for name, code, row, error in list(zip(read.names, codes, reconstructions, errors, strict=True))[:MOST_SAID]:
        shown = f" -> {numbers(row)}" if row.ndim == 1 else ""
        log.info(f"{name}: code {numbers(code)}{shown}; rmse {error:.4g}")
    output.write_arrays(
        "reconstructions.npz",
        {"names": np.array(read.names), "codes": codes, "reconstructions": reconstructions, "rmse": errors},
    )
    if originals.ndim == 4:
        from trainer.summaries import images

        output.write_images(read.names, reconstructions)
        some = slice(MOST_IN_PICTURE)
        output.write_image(COMPARISON, images.reconstruction_grid(originals[some], reconstructions[some]))
    return DONE
