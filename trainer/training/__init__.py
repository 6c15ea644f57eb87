"""The mathematics of a training step, and the loop around it.

It imports `models`, `compute`, `data`, what is below them, and TensorFlow.
"""
