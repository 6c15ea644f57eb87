"""How a run ended."""

import dataclasses

from trainer.serving.server import Server


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      signal: that stopped it, or None when it is finished.
      server: TensorBoard, if it was asked for and this run has started it.
    """

    signal: int | None
    server: Server | None
