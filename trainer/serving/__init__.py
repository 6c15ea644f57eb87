"""Starts TensorBoard in a process of its own.

It imports `system` and `errors`, and no TensorFlow.
"""
