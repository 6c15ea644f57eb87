"""Data sets by name, a person's own data, file formats, and inputs of a trained network.

It imports `system` and `errors`, and no TensorFlow.
"""
