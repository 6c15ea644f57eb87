"""Networks by name: each is one function, from `Blueprint` to `Chain`, and one line of `MODELS`.

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
    "dense": "trainer.models.dense:dense",
    "conv": "trainer.models.conv:conv",
}
# Those whose decoder mirrors the encoder layer by layer, so that weights can be tied, and layers trained in pairs.
MIRRORED = ("dense",)
# Those that see neighbours, so that there must be some.
FOR_PICTURES = ("conv",)


def check(name: str, *, hidden: Sequence[int] = (1, 1), tied: bool = False, layerwise: bool = False) -> None:
    """Refuses a network that does not exist, or cannot be what is asked of it.

    Raises:
      UsageError: it is so.
    """
    if name not in MODELS:
        raise UsageError(f"--model={name} is unknown", found=f"known: {', '.join(MODELS)}", remedy="give one of them")
    for flag, wanted in (("--tied", tied), ("--pretrain=layerwise", layerwise)):
        if wanted and name not in MIRRORED:
            raise UsageError(
                f"{flag} with --model={name}",
                found="it needs a decoder that mirrors the encoder layer by layer",
                remedy=f"leave {flag} out, or give --model={' or '.join(MIRRORED)}",
            )
    if name in FOR_PICTURES and len(hidden) < 2:
        raise UsageError(
            f"--model={name} with --hidden={hidden[0]}",
            found="the filters of at least one convolution and the width of the code are expected",
            remedy="give both, such as --hidden=32,64,128",
        )


def check_fits(name: str, shape: Sequence[int]) -> None:
    """Refuses a network that cannot see examples of this shape.

    Raises:
      UsageError: it is so.
    """
    if name in FOR_PICTURES and len(shape) != 3:
        raise UsageError(
            f"--model={name} with a table",
            found=f"examples of {'x'.join(map(str, shape))} numbers; pictures are expected",
            remedy="give --model=dense",
        )


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
    tied: bool = False,
    variational: bool = False,
    unit: np.ndarray | None = None,
) -> "Autoencoder":
    """Builds a network, its variables made and initialised.

    Args:
      name: a key of `MODELS`.
      mean: the training mean, the shape of one example, scaled as the model sees it.
      hidden: what the encoder's layers have (widths, or filters), the last is the width of the code.
      activation: of hidden layers; code_activation: of the code; output_activation: of the reconstruction.
      precision: the Keras dtype policy of the arithmetic.
      seed: of the initial weights.
      tied: the decoder uses the encoder's weights.
      variational: the encoder gives a distribution of codes.
      unit: as in `Autoencoder`.
    """
    from trainer.models import layers as blueprints
    from trainer.models.autoencoder import Autoencoder, Decoder, Encoder

    *layers, size = hidden
    code = blueprints.dense("code", size, code_activation, precision, (seed, blueprints.ENCODER, len(layers)))
    blueprint = blueprints.Blueprint(
        shape=mean.shape,
        hidden=tuple(hidden),
        activation=activation,
        precision=precision,
        seed=seed,
        tied=tied,
        code=code,
    )
    module, function = MODELS[name].split(":")
    chain: blueprints.Chain = getattr(importlib.import_module(module), function)(blueprint)
    key = (seed, blueprints.LOG_VARIANCE, 0)
    log_variance = blueprints.dense("log_variance", size, None, precision, key) if variational else None
    encoder = Encoder(chain.encoder, code, log_variance)
    decoder = Decoder(chain.decoder, chain.pixels, _bias_for(mean, output_activation))
    model = Autoencoder(encoder, decoder, output_activation, mean, unit)
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
