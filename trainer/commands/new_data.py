"""The data of `--input`: reads them, and reconstructs them batch by batch."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from trainer.commands.output import check_finite
from trainer.data.inputs import reader
from trainer.data.inputs.reader import Inputs, TableSource
from trainer.data.sources import Sources
from trainer.errors import option
from trainer.runs.loading import LoadedRun
from trainer.runs.model import Model
from trainer.system.logs import log

ERRORS = "errors.csv"


class Part(NamedTuple):
    """Some consecutive examples and their reconstructions.

    Attributes:
      start: index of the first.
      originals, reconstructions: [n, ...] float32, images in [0, 1], or rows in their own units without the offset.
      codes: [n, K] float32.
      errors, data_errors: [n] float64, root mean squared errors in the unit of the run, and in that of the data.
    """

    start: int
    originals: np.ndarray
    reconstructions: np.ndarray
    codes: np.ndarray
    errors: np.ndarray
    data_errors: np.ndarray


def read_input(run: LoadedRun, text: str) -> Inputs:
    """Reads the examples of `--input`, and logs how. Imports no TensorFlow.

    Raises:
      UsageError, DataError: see `reader.read`.
    """
    mean, _, offset = run.statistics
    data = run.config.data
    read = reader.read(
        text,
        mean.shape,
        data.fit,
        run.depth(),
        offset,
        can_be_missing=data.missing == "mean",
        table=TableSource(Sources(data, log.info), run.schema),
    )
    for note in read.notes:
        log.info(note)
    return read


def reconstructed(read: Inputs, model: Model) -> Iterator[Part]:
    """Yields all examples with their reconstructions and errors.

    Raises:
      UsageError: a reconstruction is not finite.
    """
    for place, originals in read.batches():
        codes = model.encode(originals)["codes"]
        reconstructions = model.decode(codes)
        check_finite(reconstructions, option("input"))
        differences = originals - reconstructions
        data_errors = rmse(differences)
        errors = data_errors if model.unit is None else rmse(differences / model.unit)
        yield Part(place.start, originals, reconstructions, codes, errors, data_errors)


def rmse(differences: np.ndarray) -> np.ndarray:
    """Returns the root mean square of each of [N, ...] differences without NaN, which is missing: [N] float64."""
    squares = np.square(differences, dtype=np.float64).reshape(len(differences), -1)
    return np.sqrt(np.nanmean(squares, axis=1))


def errors_table(names: Sequence[str], errors: np.ndarray) -> str:
    """Returns CSV with a row for each example: its name and its error."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "rmse"))
    writer.writerows((name, f"{error:.9g}") for name, error in zip(names, errors, strict=True))
    return text.getvalue()
