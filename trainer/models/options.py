"""The options of a network. No NumPy, no TensorFlow."""

import dataclasses
from typing import Any

from trainer.errors import UsageError, option
from trainer.system.options import MATHEMATICS, Options, declare

ACTIVATIONS = ("elu", "gelu", "linear", "relu", "sigmoid", "softplus", "swish", "tanh")
MAX_WIDTH = 1_000_000
NETWORK = "Network"  # theme


def widths(values: Any) -> tuple[int, ...]:
    """The widths of the encoder's layers, at least one.

    Raises:
      UsageError: there is none, or one that is no whole number from 1 to `MAX_WIDTH`.
    """
    if not values:
        raise UsageError(
            f"{option('hidden')} is empty", remedy=f"give at least the width of the code: {option('hidden', 100)}"
        )
    return tuple(map(_width, values))


def _width(text: Any) -> int:
    try:
        width = int(str(text))  # 2.5 is no width.
    except ValueError:
        width = 0
    if not 1 <= width <= MAX_WIDTH:
        raise UsageError(
            f"{option('hidden')} holds {text!r}",
            found=f"a layer's width is a whole number from 1 to {MAX_WIDTH:,}",
            remedy=f"give the encoder's widths, such as {option('hidden', '256,128,32')}",
        )
    return width


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """What network it is. All of these are what weights are for."""

    model: str = declare(
        "dense",
        MATHEMATICS,
        NETWORK,
        "the network; an unknown name lists the known ones",
        is_common=True,
        is_column=True,
    )
    hidden: tuple[int, ...] = declare(
        (32,),
        MATHEMATICS,
        NETWORK,
        "widths of the encoder's layers, the last is the code; conv: filters of each convolution, then the code",
        parse=widths,
        is_common=True,
        is_column=True,
    )
    activation: str = declare(
        "swish", MATHEMATICS, NETWORK, "of the hidden layers", choices=ACTIVATIONS, is_column=True
    )
    code_activation: str = declare("linear", MATHEMATICS, NETWORK, "of the code", choices=ACTIVATIONS, is_column=True)
    output_activation: str = declare(
        "auto",
        MATHEMATICS,
        NETWORK,
        "of the reconstruction; auto: sigmoid with the bernoulli loss, else linear",
        choices=("auto", *ACTIVATIONS),
        is_column=True,
    )
    variational: bool = declare(
        False,
        MATHEMATICS,
        NETWORK,
        "codes are drawn, and their distribution is kept near a normal one",
        is_common=True,
    )
    tied: bool = declare(
        False, MATHEMATICS, NETWORK, "the decoder's weights are the encoder's, transposed (dense only)"
    )
