"""What goes into TensorBoard's event files, computed with NumPy and written by `writer` when `recorder` says so.

It imports `evaluation` and what is below it.
"""
