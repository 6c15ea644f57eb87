"""Files, locks, signals, logs and progress.

It imports `errors` alone of Hourglass, and no TensorFlow.
"""
