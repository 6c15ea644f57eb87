"""One run, from its first start to its result: its folder, its objects, its life.

It imports `config` and everything below it; TensorFlow where something is computed.
"""
