"""Readers of the inputs of trained networks: tables, images, arrays, numbers.

It imports `data.custom`, `data.formats`, `system` and `errors`, and no TensorFlow.
"""
