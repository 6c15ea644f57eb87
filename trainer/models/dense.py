"""Fully connected encoder and decoder, as in Hinton and Salakhutdinov, Science 313, 2006."""

import math

from trainer.models.layers import DECODER, ENCODER, LayerStack, NetworkSpec


def dense(blueprint: NetworkSpec) -> LayerStack:
    """Layers of the widths `hidden`, the last of which is the code, and the decoder that mirrors them."""
    widths = blueprint.hidden[:-1]
    encoder = [blueprint.dense(ENCODER, position, width) for position, width in enumerate(widths)]
    sources = [blueprint.code, *encoder[::-1]]  # which layer of the encoder each of the decoder mirrors
    decoder = [
        blueprint.dense(DECODER, position, width, source=sources[position])
        for position, width in enumerate(widths[::-1])
    ]
    pixels = blueprint.pixels(len(widths), math.prod(blueprint.shape), source=sources[-1])
    return LayerStack(encoder=encoder, decoder=decoder, pixels=pixels)
