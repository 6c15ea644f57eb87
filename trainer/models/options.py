"""Network options. No NumPy, no TensorFlow."""

import dataclasses
from typing import Any

from trainer.errors import UsageError, option
from trainer.system.options import MATHEMATICS, Options, declare

ACTIVATIONS = ("elu", "gelu", "linear", "relu", "sigmoid", "softplus", "swish", "tanh")
MAX_WIDTH = 1_000_000
NETWORK = "Network"  # theme


def widths(values: Any) -> tuple[int, ...]:
    """Returns the widths of the encoder's layers as integers.

    Raises:
      UsageError: there is no width, or one that is not an integer from 1 to `MAX_WIDTH`.
    """
    if not values:
        raise UsageError(
            f"{option('hidden')} is empty", remedy=f"give at least the width of the code: {option('hidden', 100)}"
        )
    return tuple(map(_width, values))


def _width(text: Any) -> int:
    try:
        width = int(str(text))  # Rejects 2.5.
    except ValueError:
        width = 0
    if not 1 <= width <= MAX_WIDTH:
        raise UsageError(
            f"{option('hidden')} holds {text!r}",
            found=f"a layer's width is a whole number from 1 to {MAX_WIDTH:,}",
            remedy=f"give the encoder's widths, such as {option('hidden', '256,128,32')}",
        )
    return width


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ModelOptions(Options):
    """Options of the network. Weights fit only a network with the same values."""

    model: str = declare(
        "dense",
        MATHEMATICS,
        NETWORK,
        "Network: dense (fully connected) or conv (convolutional, for images)",
        is_common=True,
        is_column=True,
    )
    hidden: tuple[int, ...] = declare(
        (32,),
        MATHEMATICS,
        NETWORK,
        "Widths of the encoder's layers; the last is the code size. conv: filters of each stride-2 convolution, then"
        " the"
        " code size. The decoder mirrors them",
        parse=widths,
        is_common=True,
        is_column=True,
    )
    activation: str = declare(
        "swish", MATHEMATICS, NETWORK, "Activation of the hidden layers", choices=ACTIVATIONS, is_column=True
    )
    code_activation: str = declare(
        "linear", MATHEMATICS, NETWORK, "Activation of the code layer", choices=ACTIVATIONS, is_column=True
    )
    output_activation: str = declare(
        "auto",
        MATHEMATICS,
        NETWORK,
        "Activation of the output layer. auto: sigmoid with the bernoulli loss, else linear",
        choices=("auto", *ACTIVATIONS),
        is_column=True,
    )
    variational: bool = declare(
        False,
        MATHEMATICS,
        NETWORK,
        "Train a variational autoencoder: codes are sampled, and a KL divergence pulls them toward a standard normal",
        is_common=True,
        is_column=True,
    )
    tied: bool = declare(
        False, MATHEMATICS, NETWORK, "Use the encoder's transposed weights in the decoder (dense only)"
    )
