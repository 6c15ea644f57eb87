"""The training step (loss, noise, optimizer), the input pipeline, and the training loop.

May import `models`, `compute`, `data`, everything below them, and TensorFlow.
"""
