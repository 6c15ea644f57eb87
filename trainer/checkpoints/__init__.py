"""Checkpoints: which there are (`manifest`, `catalog`), which stay (`retention`), how they are written (`manager`).

It imports `system` and `errors`; TensorFlow in `manager` alone.
"""
