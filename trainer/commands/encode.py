"""`--mode=encode`: writes the codes of a data set, or of new data."""

import pathlib
from collections.abc import Mapping

import numpy as np

from trainer.commands import new_data, table_output
from trainer.commands.output import Output, check_finite
from trainer.config import Config
from trainer.data.inputs.reader import Inputs
from trainer.errors import DONE, UsageError, option
from trainer.runs.loading import LoadedRun
from trainer.system.logs import log

CODES = "codes.npz"
ARRAYS = ".npz"
ENDINGS = (".csv", ARRAYS, ".parquet")  # of `--output` if it is a file


def encode(config: Config, given: frozenset[str]) -> int:
    """Encodes the data set of a run, or `--input`, and writes the codes and labels."""
    run = LoadedRun(config, given)
    if config.command.input is not None:
        _encode_new_data(run, config.command.input)
    else:
        _encode_data_set(run)
    return DONE


def _encode_data_set(run: LoadedRun) -> None:
    """Writes the codes and labels of both splits to `codes.npz`."""
    output = Output.of(run, ENDINGS)
    if output.file_name:
        raise UsageError(
            f"{option('output', output.file_name)} is the name of a file",
            found=f"without {option('input')}, the codes of the run's data are written to {CODES} in a folder",
            remedy=f"give a folder, or {option('input')}",
        )
    data = run.data()
    arrays = {"label_names": np.array(data.label_names)}
    with run.network() as trained:
        for name, split in (("train", data.train), ("eval", data.evaluation)):
            # The network itself divides by the scale of a standardized table, which is an array.
            codes = trained.encode(split.examples, data.scale if isinstance(data.scale, float) else 1.0)
            arrays |= {f"{name}_{kind}": values for kind, values in codes.items()} | {f"{name}_labels": split.labels}
    _log(arrays)
    output.write_arrays(CODES, arrays)


def _encode_new_data(run: LoadedRun, text: str) -> None:
    """Writes the codes of `--input` to `codes.npz`, or to the file `--output`. Loads no data set."""
    output = Output.of(run, ENDINGS)
    read = new_data.read_input(run, text)
    with run.model(len(read.names)) as model:
        parts = [model.encode(examples) for _, examples in read.batches()]
    arrays = {kind: np.concatenate([part[kind] for part in parts]) for kind in parts[0]}
    check_finite(arrays["codes"], option("input"))
    if read.labels is not None:
        arrays["labels"] = read.labels
    _log(arrays)
    name = output.file_name or CODES
    ending = pathlib.PurePath(name).suffix.lower()
    if ending == ARRAYS:
        output.write_arrays(name, {"names": np.array(read.names), **arrays})
        return
    with output.file(name) as file:
        table_output.write(file, ending, _columns(read, arrays["codes"]))


def _columns(read: Inputs, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the columns of a table: the names or row numbers, the labels if there are any, and the codes."""
    columns = {"name": np.array(read.names)} if read.numbers is None else {"row": read.numbers}
    if read.labels is not None:
        columns["label"] = read.labels
    return columns | {f"code_{index + 1}": column for index, column in enumerate(codes.T)}


def _log(arrays: Mapping[str, np.ndarray]) -> None:
    for name, values in arrays.items():
        log.info(f"{name:20}{' x '.join(map(str, values.shape))} {values.dtype}")
