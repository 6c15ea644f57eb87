"""`--mode=generate`: decodes codes."""

import numpy as np

from trainer.commands.output import COMPARISON, MAX_GRID_IMAGES, MAX_LOGGED, Output, check_finite, format_numbers
from trainer.config import Config
from trainer.errors import DONE, UsageError, option
from trainer.runs.loading import LoadedRun
from trainer.system.logs import log


def generate(config: Config, given: frozenset[str]) -> int:
    """Decodes the codes of `--code`, and writes images and `generated.npz`. Does not load the data set."""
    run = LoadedRun(config, given)
    output = Output.of(run)
    codes = _codes(config.command.code, run.config.model.hidden[-1])
    with run.model(len(codes)) as trained:
        decoded = trained.originals(trained.decode(codes))
    check_finite(decoded, option("code"))
    for code, row in list(zip(codes, decoded, strict=True))[:MAX_LOGGED]:
        if row.ndim == 1:
            log.info(f"{format_numbers(code)} -> {format_numbers(row)}")
    output.write_arrays("generated.npz", {"codes": codes, "generated": decoded})
    if decoded.ndim == 4:
        from trainer.summaries import images

        output.write_images([str(index) for index in range(len(decoded))], decoded)
        output.write_image(COMPARISON, images.grid(decoded[np.newaxis, :MAX_GRID_IMAGES]))
    return DONE


def _codes(text: str | None, size: int) -> np.ndarray:
    """Parses codes of `size` numbers, such as `5,5` or `5,5;0,1`, to [N, size] float32."""
    example = ",".join(["5"] * min(size, 4)) + (",..." if size > 4 else "")
    problem = UsageError(
        f"{option('code', text)} is not valid" if text is not None else f"{option('code')} is missing",
        found=f"expected {size:,} finite numbers per code, and semicolons between codes",
        remedy=f"give codes such as {option('code', example)}",
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
