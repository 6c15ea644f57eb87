"""File formats: picture files and NumPy's files become arrays.

It imports `errors` alone.
"""
