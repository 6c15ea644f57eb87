"""A run from its first start to its result: run directory, checkpoints, training session, export.

May import `config` and everything below it. TensorFlow is imported only after flags and data are checked.
"""
