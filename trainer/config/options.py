"""Options of the run directory and of the modes. No NumPy, no TensorFlow."""

import dataclasses
import os
from typing import Any

from trainer.data.options import names
from trainer.errors import option
from trainer.system.options import MATHEMATICS, PLACE, PRESENTATION, Options, declare

RUN, USING_A_RUN = "Run", "Checkpoints and trained networks"  # themes
LIST, SCORE = "checkpoints", "score"
USING = ("reconstruct", "generate", "encode", "evaluate", SCORE)  # modes of a trained network
SCALARS, EXPORT = "scalars", "export"
WRITING = (*USING, SCALARS)  # modes that write results to a folder
MODES = ("train", "inspect", LIST, "serve", *WRITING, EXPORT)
AT_STEP = (*USING, EXPORT)  # modes that use one checkpoint
_SCORE = f"With {option('mode', SCORE)}"


def absolute(path: Any) -> str:
    """Returns the absolute path, with `~` expanded."""
    return os.path.abspath(os.path.expanduser(path))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RunOptions(Options):
    """Options for the run directory, its first weights and its export."""

    run_dir: str | None = declare(
        None, PLACE, RUN, "Run directory. Default: runs/<dataset>-<model>-<hidden>", is_common=True
    )
    restart: bool = declare(
        False,
        PLACE,
        RUN,
        "Start again at step 0. Existing checkpoints are moved to set_aside/, not deleted",
        is_common=True,
    )
    init_from: str | None = declare(
        None,
        MATHEMATICS,
        RUN,
        "Start a new run with the weights of this run directory or checkpoint (.../ckpt-N)",
        parse=absolute,
    )
    mirror_dir: str | None = declare(
        None,
        PLACE,
        RUN,
        "Copy checkpoints and event files to MIRROR_DIR/<name of the run directory>. If the run directory is lost, the"
        " next start restores it from there",
    )
    export: str = declare(
        "auto",
        PRESENTATION,
        RUN,
        "Export these weights as a SavedModel at the end. best: the checkpoint with the lowest evaluation error. auto:"
        f" last; with {option('early_stopping')}, best",
        choices=("auto", "last", "best", "none"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CommandOptions(Options):
    """Options for the mode: the task of this command."""

    mode: str = declare("train", PLACE, RUN, f"Task to run: {', '.join(MODES)}", is_common=True)
    debug: bool = declare(False, PLACE, RUN, "Show tracebacks of errors")
    verify: bool = declare(
        False, PLACE, USING_A_RUN, f"With {option('mode', LIST)}: read every checkpoint and check its SHA-256 sums"
    )
    rollback: int | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"With {option('mode', LIST)}: make the checkpoint of step N the newest; newer ones are set aside",
        low=0,
    )
    at_step: int | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"With {', '.join(AT_STEP)}: use the checkpoint of step N. Default: the newest",
        low=0,
    )
    input: str | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"With {option('mode', 'reconstruct')}, encode, evaluate and {SCORE}: new data. An image, a folder of images,"
        " an .npy or .npz file, a table (.csv, .tsv, .txt, .data, .gz, .zip, .parquet), or numbers such as 8,4,6,2;"
        f" {SCORE}: also - for standard input. encode and evaluate without it: the data of the run",
        is_common=True,
    )
    code: str | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"With {option('mode', 'generate')}: code to decode, such as 5,5, or several: 5,5;0,1",
    )
    output: str | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"With {', '.join(WRITING)}: folder for the results. Default: <mode>/<step> in the run directory;"
        f" {SCALARS}: {SCALARS}/. encode with {option('input')}: a name that ends in .csv, .npz or .parquet is a file."
        f" {SCORE}: a name that ends in .csv, .tsv, .csv.gz or .tsv.gz is a file, and - is standard output",
    )
    scoring: str = declare(
        "auto",
        PLACE,
        USING_A_RUN,
        f"{_SCORE}: the anomaly score. squared: mean squared error. relative: divided by the variance of the example."
        " auto: relative for images, squared for rows",
        choices=("auto", "squared", "relative"),
    )
    contamination: float = declare(
        0.01,
        PLACE,
        USING_A_RUN,
        f"{_SCORE}: flag rows whose score at most this share of normal rows exceeds, by the held-out rows of the run",
        low=1e-6,
        high=0.5,
    )
    threshold: float | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"{_SCORE}: flag rows with a higher score than this, whatever scores the held-out rows have",
        low=0.0,
    )
    columns: tuple[str, ...] = declare(
        ("all",),
        PLACE,
        USING_A_RUN,
        f"{_SCORE}: columns of the input to write: all, none (only the number of the row), or some, such as id,Time, by"
        " name or number (from 1)",
        parse=names,
    )
    explain: int = declare(
        3, PLACE, USING_A_RUN, f"{_SCORE}: name so many columns with the largest errors", low=0, high=100
    )
    errors: bool = declare(
        False, PLACE, USING_A_RUN, f"{_SCORE}: also write what each column adds to the score, as error_NAME"
    )
    reconstructions: bool = declare(
        False, PLACE, USING_A_RUN, f"{_SCORE}: also write the reconstruction of each column, as expected_NAME"
    )
    only_anomalies: bool = declare(False, PLACE, USING_A_RUN, f"{_SCORE}: write only the rows that are flagged")
    anomaly_label: str | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"{_SCORE}: the label of anomalies in the column of labels; writes AUROC, average precision, precision and"
        " recall",
    )
