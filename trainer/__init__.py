"""Hourglass trains autoencoders, shows the training in TensorBoard, and resumes every interrupted run."""

__version__ = "0.1.0"
