"""Networks by name. Each network is a function from `NetworkSpec` to `LayerStack`.

`MODELS` names the functions as module:function, so that names can be checked without importing TensorFlow.
"""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainer.errors import UsageError, option
from trainer.models.options import ModelOptions

if TYPE_CHECKING:
    from trainer.models.autoencoder import Autoencoder

MODELS = {
    "dense": "trainer.models.dense:dense",
    "conv": "trainer.models.conv:conv",
}
# Networks whose decoder mirrors the encoder layer by layer, for tied weights and layerwise pretraining.
MIRRORED = ("dense",)
# Convolutional networks: they need images, not table rows.
FOR_IMAGES = ("conv",)


def check_name(name: str) -> None:
    """Raises `UsageError` for an unknown network."""
    if name not in MODELS:
        raise UsageError(
            f"{option('model', name)} is unknown", found=f"known: {', '.join(MODELS)}", remedy="use one of these names"
        )


def check(options: ModelOptions, *, layerwise: bool = False) -> None:
    """Rejects an unknown network, and options that the network does not support.

    Args:
      options: the network options.
      layerwise: True if layerwise pretraining is requested.

    Raises:
      UsageError: the network is unknown, or does not support an option.
    """
    name, hidden = options.model, options.hidden
    check_name(name)
    for flag, is_set in ((option("tied", True), options.tied), (option("pretrain", "layerwise"), layerwise)):
        if is_set and name not in MIRRORED:
            raise UsageError(
                f"{option('model', name)} does not support {flag}",
                found=f"{flag} needs a decoder that mirrors the encoder layer by layer",
                remedy=f"remove {flag}, or use {option('model', ' or '.join(MIRRORED))}",
            )
    if name in FOR_IMAGES and len(hidden) < 2:
        raise UsageError(
            f"{option('model', name)} needs at least two numbers in {option('hidden')}",
            found=f"{option('hidden', hidden[0])} has the code size, but no filters of a convolution",
            remedy=f"add the filters before the code size, for example {option('hidden', '32,64,128')}",
        )


def check_fits(name: str, shape: Sequence[int]) -> None:
    """Rejects a network that does not support examples of this shape.

    Raises:
      UsageError: the network needs images.
    """
    if name in FOR_IMAGES and len(shape) != 3:
        raise UsageError(
            f"{option('model', name)} needs images",
            found=f"the data set is a table: its examples are rows of {'x'.join(map(str, shape))} numbers",
            remedy=f"use {option('model', 'dense')}",
        )


def build(
    options: ModelOptions,
    *,
    mean: np.ndarray,
    precision: str,
    seed: int,
    unit: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    fills_missing: bool = False,
) -> "Autoencoder":
    """Builds a network, and creates and initializes its variables.

    Args:
      options: the network options; `output_activation` must not be `auto`.
      mean: the training mean, in the shape of one example and in the network's units.
      precision: Keras dtype policy of the layers.
      seed: seed of the initial weights.
      unit, offset, fills_missing: see `Autoencoder`.
    """
    from trainer.models import layers
    from trainer.models.autoencoder import Autoencoder, Decoder, Encoder

    *hidden, code_size = options.hidden
    code = layers.dense("code", code_size, options.code_activation, precision, (seed, layers.ENCODER, len(hidden)))
    spec = layers.NetworkSpec(
        shape=mean.shape,
        hidden=options.hidden,
        activation=options.activation,
        precision=precision,
        seed=seed,
        tied=options.tied,
        code=code,
    )
    module, function = MODELS[options.model].split(":")
    stack: layers.LayerStack = getattr(importlib.import_module(module), function)(spec)
    key = (seed, layers.LOG_VARIANCE, 0)
    log_variance = layers.dense("log_variance", code_size, None, precision, key) if options.variational else None
    encoder = Encoder(stack.encoder, code, log_variance)
    decoder = Decoder(stack.decoder, stack.pixels, _output_bias(mean, options.output_activation))
    model = Autoencoder(encoder, decoder, options.output_activation, mean, unit, offset, fills_missing=fills_missing)
    model.build((None, *mean.shape))
    return model


def _output_bias(mean: np.ndarray, output_activation: str) -> np.ndarray:
    """Returns the output bias with which the initial network reconstructs the training mean.

    This saves the first hundreds of steps. Activations other than linear and sigmoid have no bias that fits: 0.
    """
    if output_activation == "linear":
        return mean
    if output_activation == "sigmoid":
        clipped = np.clip(mean, 0.01, 0.99)
        return np.log(clipped / (1 - clipped))
    return np.zeros_like(mean)
