"""Starts TensorBoard in a child process.

May import `system` and `errors`. No TensorFlow.
"""
