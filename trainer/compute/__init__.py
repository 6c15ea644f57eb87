"""Where it is computed: the device, its settings, and random numbers.

It imports `system`, `errors` and TensorFlow.
"""
