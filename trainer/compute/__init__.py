"""The compute device, its settings, and random numbers.

May import `system` and `errors`. `devices` and `randomness` import TensorFlow.
"""
