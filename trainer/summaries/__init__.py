"""TensorBoard summaries: `recorder` decides when to write them, and `writer` writes the event files.

May import `evaluation` and everything below it.
"""
