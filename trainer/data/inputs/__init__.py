"""What a person gives a trained network: pictures, arrays, numbers.

It imports `data.formats` and `errors`, and no TensorFlow.
"""
