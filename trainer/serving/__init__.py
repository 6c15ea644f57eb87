"""Runs TensorBoard in a child process.

Imports `trainer.system` and `trainer.errors` only, and does not import TensorFlow.
"""
