"""Hourglass: trains autoencoders while you watch them in TensorBoard, and never loses a run."""

__version__ = "0.1.0"
