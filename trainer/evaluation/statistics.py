"""Numbers that TensorBoard shows, computed with NumPy."""

import math
from collections.abc import Mapping

import numpy as np
from threadpoolctl import ThreadpoolController

from trainer.data.rows import evenly_spaced

NOISE_MULTIPLES = ("0.5", "1", "2")  # of the training level, at which denoising is measured; 0 is `reconstruction`
ACTIVE_SHARE = 0.01  # of the widest unit's standard deviation
ACTIVE_VARIANCE = 0.01  # of the means of a variational code's unit
MAX_HEALTH_UNITS, MAX_HEALTH_EXAMPLES = 256, 500
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03


# The threads of NumPy's BLAS go on spinning for a while after each product, on the cores that training needs next:
# on two cores that cost more than the products.
_one_thread = ThreadpoolController().wrap(limits=1, user_api="blas")


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


def example_errors(squared_errors: np.ndarray, num_pixels: int) -> np.ndarray:
    """[N] squared errors summed over pixels -> [N] root mean squared errors."""
    return np.sqrt(squared_errors / np.float32(num_pixels))


def margins(errors: np.ndarray) -> dict[str, float]:
    """The 10th, 50th and 90th percentile of [N] errors."""
    found = np.percentile(errors, (10, 50, 90))
    return {f"error/p{percent}": float(value) for percent, value in zip((10, 50, 90), found, strict=True)}


@_one_thread
def latent_health(codes: np.ndarray) -> dict[str, float]:
    """Whether the code's units are in use: active units, effective rank, mean absolute correlation.

    Args:
      codes: [N, K] float32. Of codes wider than 256, the rank is that of 500 of them at most, and the correlation that
        of the 256 units that vary most: both would take minutes otherwise.

    Returns:
      By tag. A code of one number has no correlation; where nothing varies, all are 0.
    """
    centered = codes - codes.mean(axis=0, dtype=np.float64)
    deviations = np.sqrt(np.einsum("nk,nk->k", centered, centered) / len(centered))
    active = np.flatnonzero(deviations > ACTIVE_SHARE * deviations.max())
    values = {"active_units": float(len(active)), "effective_rank": _effective_rank(centered)}
    if codes.shape[1] > 1:
        widest = active[np.argsort(-deviations[active], kind="stable")[:MAX_HEALTH_UNITS]]
        values["mean_correlation"] = _mean_correlation(centered[:, widest] / deviations[widest])
    return {f"latent/{name}": value for name, value in values.items()}


def evidence(parts: Mapping[str, float], means: np.ndarray) -> dict[str, float]:
    """Of a variational network: the evidence lower bound, and how many units are in use.

    Args:
      parts: `elbo/reconstruction` and `elbo/kl`, in nats an example.
      means: [N, K] of the codes' distributions.
    """
    active = int((means.var(axis=0, dtype=np.float64) > ACTIVE_VARIANCE).sum())
    return {"elbo/elbo": parts["elbo/reconstruction"] - parts["elbo/kl"], "elbo/active_units": float(active)}


def _effective_rank(centered: np.ndarray) -> float:
    """Roy and Vetterli, The effective rank, EUSIPCO 2007, definition 1; of the matrix of centred codes."""
    if centered.shape[1] > MAX_HEALTH_UNITS:
        centered = centered[evenly_spaced(len(centered), MAX_HEALTH_EXAMPLES)]
    # Of the two products, which have the same eigenvalues, the smaller.
    gram = centered.T @ centered if len(centered) > centered.shape[1] else centered @ centered.T
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    if not singular.any():
        return 0.0
    share = singular[singular > 0] / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _mean_correlation(scaled: np.ndarray) -> float:
    """Of [N, K] centred codes, each unit divided by its standard deviation."""
    count = scaled.shape[1]
    if count < 2:
        return 0.0
    correlation = np.abs(scaled.T @ scaled / len(scaled))
    return float((correlation.sum() - np.trace(correlation)) / (count * (count - 1)))


@_one_thread
def ssim(originals: np.ndarray, reconstructions: np.ndarray) -> float:
    """Mean structural similarity of pictures, over pixels, channels and pictures.

    Wang, Bovik, Sheikh and Simoncelli 2004, eq. 13, with their Gaussian window of 11 pixels and sigma 1.5; in pictures
    smaller than that, the largest odd window that fits.

    Args:
      originals, reconstructions: [N, H, W, C] float32, the originals in [0, 1]; dynamic range 1.
    """
    x, y = (np.ascontiguousarray(np.moveaxis(values, 3, 1)) for values in (originals, reconstructions))
    size = min(SSIM_WINDOW, (min(x.shape[2:]) - 1) // 2 * 2 + 1)
    rows, columns = _window_matrix(x.shape[2], size), _window_matrix(x.shape[3], size)

    def smooth(values: np.ndarray) -> np.ndarray:
        return rows.T @ (values @ columns)  # The window is separable, so it is two products of matrices.

    mean_x, mean_y = smooth(x), smooth(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = smooth(x * y) - product, smooth(x * x + y * y) - squares
    luminance = (2 * product + SSIM_K1**2) / (squares + SSIM_K1**2)
    structure = (2 * covariance + SSIM_K2**2) / (variances + SSIM_K2**2)
    return float((luminance * structure).mean(dtype=np.float64))


def _window_matrix(length: int, size: int) -> np.ndarray:
    """[length, length - size + 1] float32: column j holds a Gaussian window of `size` that begins at row j."""
    window = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * SSIM_SIGMA**2))
    matrix = np.zeros((length, length - size + 1), np.float32)
    for column in range(matrix.shape[1]):
        matrix[column : column + size, column] = window / window.sum()
    return matrix
