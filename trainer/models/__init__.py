"""Networks by name: each is one function and one line of `MODELS`.

The functions are named by their place, not imported, so that a mistyped name is answered without TensorFlow.
"""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainer.errors import UsageError

if TYPE_CHECKING:
    from trainer.models.autoencoder import Autoencoder

MODELS = {
    "dense": "trainer.models.dense:autoencoder",
}


def check_name(name: str) -> None:
    """Raises `UsageError` for a network that does not exist."""
    if name not in MODELS:
        raise UsageError(f"--model={name} is unknown", found=f"known: {', '.join(MODELS)}", remedy="give one of them")


def build(
    name: str,
    *,
    mean: np.ndarray,
    hidden: Sequence[int],
    activation: str,
    code_activation: str,
    output_activation: str,
    precision: str,
    seed: int,
) -> "Autoencoder":
    """Builds a network, its variables made and initialised.

    Args:
      name: a key of `MODELS`.
      mean: the training mean, the shape of one example, scaled as the model sees it.
      hidden: widths of the encoder's layers, the last of which is the code; the decoder mirrors them.
      activation: of hidden layers; code_activation: of the code; output_activation: of the reconstruction.
      precision: the Keras dtype policy of the arithmetic.
      seed: of the initial weights.
    """
    module, function = MODELS[name].split(":")
    model: Autoencoder = getattr(importlib.import_module(module), function)(
        mean=mean,
        hidden=tuple(hidden),
        activation=activation,
        code_activation=code_activation,
        output_activation=output_activation,
        precision=precision,
        seed=seed,
    )
    model.build((None, *mean.shape))
    return model
