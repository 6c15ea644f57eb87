"""Built-in data sets, custom data, file formats, and inputs of trained networks.

It imports `system` and `errors`, and no TensorFlow.
"""
