"""Networks by name, and the layers that they are made of.

It imports `errors`, and TensorFlow everywhere but in `networks`.
"""
