"""What TensorBoard shows: plain NumPy functions that compute it, and one module that speaks TensorBoard."""
