"""Readers of the inputs of trained networks: images, arrays, numbers.

It imports `data.custom`, `data.formats`, `system` and `errors`, and no TensorFlow.
"""
