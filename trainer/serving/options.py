"""The options of serving TensorBoard."""

import dataclasses

from trainer.system.options import PLACE, Options, declare

TENSORBOARD = "TensorBoard"  # theme


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingOptions(Options):
    """Whether TensorBoard is served, and where."""

    tensorboard: bool = declare(
        False, PLACE, TENSORBOARD, "serve TensorBoard during the run and after it, until Ctrl-C", is_common=True
    )
    host: str = declare(
        "localhost", PLACE, TENSORBOARD, "what TensorBoard listens on; 0.0.0.0: everything, so that others can look"
    )
    port: int = declare(6006, PLACE, TENSORBOARD, "TensorBoard's port; a free one where it is taken", low=1, high=65535)
