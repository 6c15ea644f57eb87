"""Networks by name, and their layers.

May import `system` and `errors`. `networks` and `options` do not import TensorFlow.
"""
