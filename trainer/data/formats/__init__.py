"""Readers of image files and NumPy files.

It imports `data.limits` and `errors`, and no TensorFlow.
"""
