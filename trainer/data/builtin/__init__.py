"""The published data sets: where their files are, and how they are downloaded, verified and read.

It imports the rest of `data`, and no TensorFlow.
"""
