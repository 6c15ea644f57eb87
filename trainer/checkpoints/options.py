"""The options of checkpoints: how often they are saved, and which stay. No TensorFlow."""

import dataclasses

from trainer.system.options import MAX_INTERVAL, PRESENTATION, Options, declare

CHECKPOINTS = "Checkpoints"  # theme


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointOptions(Options):
    """How often checkpoints are saved, and which stay."""

    checkpoint_every: int | None = declare(
        None,
        PRESENTATION,
        CHECKPOINTS,
        "steps between checkpoints (default: about 5 a run; besides, every 5 minutes); 0: only at the ends",
        low=0,
        high=MAX_INTERVAL,
    )
    keep: int = declare(5, PRESENTATION, CHECKPOINTS, "checkpoints to keep", low=1, high=10**6)
    keep_every: int = declare(
        0,
        PRESENTATION,
        CHECKPOINTS,
        "steps between checkpoints that are kept for good, in checkpoints/kept; 0: none",
        low=0,
        high=MAX_INTERVAL,
    )
