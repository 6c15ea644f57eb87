"""A person's own data: folders of pictures, arrays, tables, and the cache of decoded pictures.

It imports the rest of `data`, and no TensorFlow.
"""
