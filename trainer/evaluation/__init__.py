"""Evaluation of a network: errors, metrics, statistics, and the baselines.

May import `training` and everything below it. `baselines` and `statistics` do not import TensorFlow.
"""
