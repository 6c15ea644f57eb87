"""Numbers about a network: errors, metrics, statistics, and the baselines beside them.

It imports `training` and what is below it; `baselines` and `statistics` need no TensorFlow.
"""
