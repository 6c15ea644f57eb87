"""Loaders of custom data: folders of images, arrays, tables, TensorFlow Datasets; and the cache of converted data.

It imports the rest of `data`, and no TensorFlow.
"""
