"""Checkpoints: manifests (`manifest`), lookup (`catalog`), rotation (`retention`), save and restore (`manager`).

May import `system` and `errors`. Only `manager` imports TensorFlow.
"""
