"""`--mode=encode`: writes the codes of a data set."""

import numpy as np

from trainer.commands.output import Output
from trainer.config import Config
from trainer.errors import DONE
from trainer.runs.loading import LoadedRun
from trainer.system.logs import log


def encode(config: Config, given: frozenset[str]) -> int:
    """Encodes the data set of a run, and writes the codes and labels of both splits to `codes.npz`."""
    run = LoadedRun(config, given)
    output = Output.of(run)
    data = run.data()
    arrays = {"label_names": np.array(data.label_names)}
    with run.network() as trained:
        for name, split in (("train", data.train), ("eval", data.evaluation)):
            # The network itself divides by the scale of a standardized table, which is an array.
            codes = trained.encode(split.examples, data.scale if isinstance(data.scale, float) else 1.0)
            arrays |= {f"{name}_{kind}": values for kind, values in codes.items()} | {f"{name}_labels": split.labels}
    for name, values in arrays.items():
        log.info(f"{name:20}{' x '.join(map(str, values.shape))} {values.dtype}")
    output.write_arrays("codes.npz", arrays)
    return DONE
