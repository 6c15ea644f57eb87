"""Loaders of the built-in data sets, and the download and verification of their published files.

It imports the rest of `data`, and no TensorFlow.
"""
