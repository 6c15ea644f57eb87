"""Checkpoint options: intervals and retention. No TensorFlow."""

import dataclasses

from trainer.system.options import MAX_INTERVAL, PRESENTATION, Options, declare

CHECKPOINTS = "Checkpoints"  # theme


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CheckpointOptions(Options):
    """Options for saving and keeping checkpoints."""

    checkpoint_every: int | None = declare(
        None,
        PRESENTATION,
        CHECKPOINTS,
        "Save a checkpoint every N steps. 0: only at the start and the end. Default: about 5 per run. A checkpoint is"
        " also saved every 5 minutes",
        low=0,
        high=MAX_INTERVAL,
    )
    keep: int = declare(5, PRESENTATION, CHECKPOINTS, "Keep the newest N checkpoints", low=1, high=10**6)
    keep_every: int = declare(
        0,
        PRESENTATION,
        CHECKPOINTS,
        "Also keep one checkpoint every N steps for good, in checkpoints/kept. 0: none",
        low=0,
        high=MAX_INTERVAL,
    )
