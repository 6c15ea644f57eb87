"""The options of serving TensorBoard."""

import dataclasses

from trainer.system.options import PLACE, Options, declare

TENSORBOARD = "TensorBoard"  # theme


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ServingOptions(Options):
    """Options of the TensorBoard server: on or off, host and port."""

    tensorboard: bool = declare(
        False, PLACE, TENSORBOARD, "Serve TensorBoard during the run, and after it until Ctrl-C", is_common=True
    )
    host: str = declare(
        "localhost",
        PLACE,
        TENSORBOARD,
        "Serve TensorBoard on this address. 0.0.0.0: all addresses, visible from other machines",
    )
    port: int = declare(
        6006, PLACE, TENSORBOARD, "Serve TensorBoard on this port, or on the next free one", low=1, high=65535
    )
