"""The outcome of a call of `train`."""

import dataclasses

from trainer.serving.server import Server


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a call of `train`.

    Attributes:
      signal: number of the signal that stopped training; None if the run is finished.
      server: the TensorBoard server that this call started, if any.
    """

    signal: int | None
    server: Server | None
