"""Fully connected encoder and decoder, as in Hinton and Salakhutdinov, Science 313, 2006."""

import math

from trainer.models.layers import DECODER, ENCODER, LayerStack, NetworkSpec


def dense(spec: NetworkSpec) -> LayerStack:
    """Returns hidden layers of the widths `hidden[:-1]`, and a decoder that mirrors the encoder."""
    widths = spec.hidden[:-1]
    encoder = [spec.dense(ENCODER, position, width) for position, width in enumerate(widths)]
    sources = [spec.code, *encoder[::-1]]  # the encoder layer that each decoder layer mirrors
    decoder = [
        spec.dense(DECODER, position, width, source=sources[position]) for position, width in enumerate(widths[::-1])
    ]
    pixels = spec.pixels(len(widths), math.prod(spec.shape), source=sources[-1])
    return LayerStack(encoder=encoder, decoder=decoder, pixels=pixels)
