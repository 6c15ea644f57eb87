"""Files, locks, signals, logging, progress, and the declaration of options.

May import `errors`. No TensorFlow.
"""
