"""Networks by name: each is one function, from `NetworkSpec` to `LayerStack`, and one line of `MODELS`.

The functions are named by their place, not imported, so that a mistyped name is answered without TensorFlow.
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
# Those whose decoder mirrors the encoder layer by layer, so that weights can be tied, and layers trained in pairs.
MIRRORED = ("dense",)
# Those that see neighbours, so that there must be some.
FOR_IMAGES = ("conv",)


def check_name(name: str) -> None:
    """Raises `UsageError` for a network that does not exist."""
    if name not in MODELS:
        raise UsageError(
            f"{option('model', name)} is unknown", found=f"known: {', '.join(MODELS)}", remedy="give one of them"
        )


def check(options: ModelOptions, *, layerwise: bool = False) -> None:
    """Refuses a network that does not exist, or cannot be what is asked of it.

    Args:
      options: of the network.
      layerwise: whether its layers are to be trained in pairs.

    Raises:
      UsageError: it is so.
    """
    name, hidden = options.model, options.hidden
    check_name(name)
    for asked, is_asked in ((option("tied", True), options.tied), (option("pretrain", "layerwise"), layerwise)):
        if is_asked and name not in MIRRORED:
            raise UsageError(
                f"{asked} with {option('model', name)}",
                found="it needs a decoder that mirrors the encoder layer by layer",
                remedy=f"leave {asked} out, or give {option('model', ' or '.join(MIRRORED))}",
            )
    if name in FOR_IMAGES and len(hidden) < 2:
        raise UsageError(
            f"{option('model', name)} with {option('hidden', hidden[0])}",
            found="the filters of at least one convolution and the width of the code are expected",
            remedy=f"give both, such as {option('hidden', '32,64,128')}",
        )


def check_fits(name: str, shape: Sequence[int]) -> None:
    """Refuses a network that cannot see examples of this shape.

    Raises:
      UsageError: it is so.
    """
    if name in FOR_IMAGES and len(shape) != 3:
        raise UsageError(
            f"{option('model', name)} with a table",
            found=f"examples of {'x'.join(map(str, shape))} numbers; pictures are expected",
            remedy=f"give {option('model', 'dense')}",
        )


def build(
    options: ModelOptions, *, mean: np.ndarray, precision: str, seed: int, unit: np.ndarray | None = None
) -> "Autoencoder":
    """Builds a network, its variables made and initialised.

    Args:
      options: of the network, `output_activation` being none but `auto`.
      mean: the training mean, the shape of one example, scaled as the model sees it.
      precision: the Keras dtype policy of the arithmetic.
      seed: of the initial weights.
      unit: as in `Autoencoder`.
    """
    from trainer.models import layers
    from trainer.models.autoencoder import Autoencoder, Decoder, Encoder

    *hidden, size = options.hidden
    code = layers.dense("code", size, options.code_activation, precision, (seed, layers.ENCODER, len(hidden)))
    blueprint = layers.NetworkSpec(
        shape=mean.shape,
        hidden=options.hidden,
        activation=options.activation,
        precision=precision,
        seed=seed,
        tied=options.tied,
        code=code,
    )
    module, function = MODELS[options.model].split(":")
    chain: layers.LayerStack = getattr(importlib.import_module(module), function)(blueprint)
    key = (seed, layers.LOG_VARIANCE, 0)
    log_variance = layers.dense("log_variance", size, None, precision, key) if options.variational else None
    encoder = Encoder(chain.encoder, code, log_variance)
    decoder = Decoder(chain.decoder, chain.pixels, _bias_for(mean, options.output_activation))
    model = Autoencoder(encoder, decoder, options.output_activation, mean, unit)
    model.build((None, *mean.shape))
    return model


def _bias_for(mean: np.ndarray, output_activation: str) -> np.ndarray:
    """The output's bias that reconstructs the training mean: a start that spares the first hundreds of steps.

    Where the activation's range does not allow it, 0.
    """
    if output_activation == "linear":
        return mean
    if output_activation == "sigmoid":
        inside = np.clip(mean, 0.01, 0.99)
        return np.log(inside / (1 - inside))
    return np.zeros_like(mean)
