"""Numbers that TensorBoard shows, computed with NumPy."""

import math

import numpy as np


def reconstruction(squared_errors: np.ndarray, num_pixels: int, *, pictures: bool) -> dict[str, float]:
    """Reconstruction error in the usual measures.

    Args:
      squared_errors: [N], each example's squared error summed over its pixels.
      num_pixels: numbers in an example.
      pictures: whether values lie in [0, 1], so that a peak signal-to-noise ratio means something.
    """
    return measures(float(squared_errors.mean(dtype=np.float64)) / num_pixels, num_pixels, pictures=pictures)


def measures(mse: float, num_pixels: int, *, pictures: bool) -> dict[str, float]:
    """The same error as mse (mean over pixels), rmse, sse (sum over pixels, mean over examples), psnr (dB, peak 1)."""
    values = {"mse": mse, "rmse": math.sqrt(mse), "sse": mse * num_pixels}
    if pictures and mse > 0:
        values["psnr"] = -10 * math.log10(mse)
    return {f"reconstruction/{name}": value for name, value in values.items()}
