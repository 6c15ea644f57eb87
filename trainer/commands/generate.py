"""`--mode=generate`: what a network makes of codes."""

import numpy as np

from trainer.commands.output import COMPARISON, MOST_IN_PICTURE, MOST_SAID, Output, check_finite, numbers
from trainer.config import Config
from trainer.errors import DONE, UsageError, option
from trainer.runs.loading import LoadedRun
from trainer.system.logs import log


def generate(config: Config, given: frozenset[str]) -> int:
    """Decodes codes that a person gives; writes pictures, and `generated.npz`. Needs no data."""
    run = LoadedRun(config, given)
    output = Output(run)
    codes = _codes(config.command.code, run.config.model.hidden[-1])
    with run.network() as trained:
        decoded = trained.decode(codes)
    check_finite(decoded, option("code"))
    for code, row in list(zip(codes, decoded, strict=True))[:MOST_SAID]:
        if row.ndim == 1:
            log.info(f"{numbers(code)} -> {numbers(row)}")
    output.write_arrays("generated.npz", {"codes": codes, "generated": decoded})
    if decoded.ndim == 4:
        from trainer.summaries import images

        output.write_images([str(number) for number in range(len(decoded))], decoded)
        output.write_image(COMPARISON, images.grid(decoded[np.newaxis, :MOST_IN_PICTURE]))
    return DONE


def _codes(text: str | None, size: int) -> np.ndarray:
    """`5,5` or `5,5;0,1` -> [N, K] float32."""
    example = ",".join(["5"] * min(size, 4)) + (",..." if size > 4 else "")
    problem = UsageError(
        option("code", text) if text is not None else f"{option('mode', 'generate')} without {option('code')}",
        found=f"{size:,} finite numbers a code are expected, codes separated by semicolons",
        remedy=f"give them, such as {option('code', example)}",
    )
    try:
        rows = [[float(number) for number in row.split(",")] for row in (text or "").split(";")]
    except ValueError:
        raise problem from None
    if any(len(row) != size for row in rows):
        raise problem
    with np.errstate(over="ignore"):
        codes = np.array(rows, np.float32)
    if not np.isfinite(codes).all():
        raise problem
    return codes
