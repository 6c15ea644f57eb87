"""Metrics computed from arrays with NumPy."""

import math
from collections.abc import Mapping

import numpy as np

from trainer.data.rows import evenly_spaced
from trainer.evaluation.blas import one_thread

NOISE_MULTIPLES = ("0.5", "1", "2")  # of the noise level of training, for denoising metrics
ACTIVE_SHARE = 0.01  # of the largest standard deviation of a unit
ACTIVE_VARIANCE = 0.01  # of the mean of a variational unit
MAX_UNITS, MAX_RANK_EXAMPLES = 256, 500
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03


def reconstruction_metrics(squared_errors: np.ndarray, num_pixels: int, *, is_image: bool) -> dict[str, float]:
    """Returns reconstruction errors by tag, see `error_metrics`.

    Args:
      squared_errors: [N], squared error of each example, summed over pixels.
      num_pixels: numbers per example.
      is_image: True if the examples are images in [0, 1].
    """
    return error_metrics(float(squared_errors.mean(dtype=np.float64)) / num_pixels, num_pixels, is_image=is_image)


def error_metrics(mse: float, num_pixels: int, *, is_image: bool) -> dict[str, float]:
    """Returns mse, rmse, sse (summed over pixels) and, for images with an mse above 0, psnr (dB, peak 1) by tag."""
    values = {"mse": mse, "rmse": math.sqrt(mse), "sse": mse * num_pixels}
    if is_image and mse > 0:
        values["psnr"] = -10 * math.log10(mse)
    return {f"reconstruction/{name}": value for name, value in values.items()}


def example_errors(squared_errors: np.ndarray, num_pixels: int) -> np.ndarray:
    """Returns root mean squared errors of [N] examples, from squared errors summed over pixels."""
    return np.sqrt(squared_errors / np.float32(num_pixels))


def error_percentiles(errors: np.ndarray) -> dict[str, float]:
    """Returns the 10th, 50th and 90th percentiles of [N] errors, by tag."""
    values = np.percentile(errors, (10, 50, 90))
    return {f"error/p{percent}": float(value) for percent, value in zip((10, 50, 90), values, strict=True)}


def active_units(codes: np.ndarray, *, is_variational: bool) -> int:
    """Returns the number of units of [N, K] codes that differ between the examples, as `code_metrics` counts them.

    The units of a variational network are counted as in `elbo_metrics`; `codes` are the means then.
    """
    deviations = _deviations(codes - codes.mean(axis=0, dtype=np.float64))
    if is_variational:
        return int((deviations**2 > ACTIVE_VARIANCE).sum())
    return int((deviations > ACTIVE_SHARE * deviations.max()).sum())


def _deviations(centered: np.ndarray) -> np.ndarray:
    """Returns the standard deviations [K] of centered codes [N, K]."""
    return np.sqrt(np.einsum("nk,nk->k", centered, centered) / len(centered))


@one_thread
def code_metrics(codes: np.ndarray) -> dict[str, float]:
    """Returns the number of active units, the effective rank, and the mean absolute correlation, by tag.

    All are 0 if all codes are equal. Codes of one number have no correlation.

    Args:
      codes: [N, K] float32. If K exceeds 256, the rank is that of at most 500 codes, and the correlation is that of the
        256 units that vary most. All of them would take minutes.
    """
    centered = codes - codes.mean(axis=0, dtype=np.float64)
    deviations = _deviations(centered)
    active = np.flatnonzero(deviations > ACTIVE_SHARE * deviations.max())
    values = {"active_units": float(len(active)), "effective_rank": _effective_rank(centered)}
    if codes.shape[1] > 1:
        widest = active[np.argsort(-deviations[active], kind="stable")[:MAX_UNITS]]
        values["mean_correlation"] = _mean_correlation(centered[:, widest] / deviations[widest])
    return {f"latent/{name}": value for name, value in values.items()}


def elbo_metrics(loss_terms: Mapping[str, float], means: np.ndarray) -> dict[str, float]:
    """Returns the evidence lower bound and the number of active units of a variational network, by tag.

    Args:
      loss_terms: `elbo/reconstruction` and `elbo/kl`, in nats per example.
      means: [N, K] means of the codes' distributions.
    """
    active = int((means.var(axis=0, dtype=np.float64) > ACTIVE_VARIANCE).sum())
    elbo = loss_terms["elbo/reconstruction"] - loss_terms["elbo/kl"]
    return {"elbo/elbo": elbo, "elbo/active_units": float(active)}


def _effective_rank(centered: np.ndarray) -> float:
    """Returns the effective rank of centered codes (Roy and Vetterli, The effective rank, EUSIPCO 2007, def. 1)."""
    if centered.shape[1] > MAX_UNITS:
        centered = centered[evenly_spaced(len(centered), MAX_RANK_EXAMPLES)]
    # Uses the smaller Gram matrix; both have the same nonzero eigenvalues.
    gram = centered.T @ centered if len(centered) > centered.shape[1] else centered @ centered.T
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    if not singular.any():
        return 0.0
    share = singular[singular > 0] / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _mean_correlation(scaled: np.ndarray) -> float:
    """Returns the mean absolute correlation of pairs of units, from standardized codes, [N, K]."""
    count = scaled.shape[1]
    if count < 2:
        return 0.0
    correlation = np.abs(scaled.T @ scaled / len(scaled))
    return float((correlation.sum() - np.trace(correlation)) / (count * (count - 1)))


@one_thread
def ssim(originals: np.ndarray, reconstructions: np.ndarray) -> float:
    """Returns the structural similarity, mean over images, channels and window positions.

    Wang, Bovik, Sheikh and Simoncelli 2004, eq. 13, with their Gaussian window of 11 pixels and sigma 1.5. For smaller
    images, the window has the largest odd size that fits.

    Args:
      originals, reconstructions: [N, H, W, C] float32, the originals in [0, 1]; dynamic range 1.
    """
    x, y = (np.ascontiguousarray(np.moveaxis(values, 3, 1)) for values in (originals, reconstructions))
    size = min(SSIM_WINDOW, (min(x.shape[2:]) - 1) // 2 * 2 + 1)
    rows, columns = _window_matrix(x.shape[2], size), _window_matrix(x.shape[3], size)

    def smooth(values: np.ndarray) -> np.ndarray:
        return rows.T @ (values @ columns)  # The window is separable: two matrix products.

    mean_x, mean_y = smooth(x), smooth(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = smooth(x * y) - product, smooth(x * x + y * y) - squares
    luminance = (2 * product + SSIM_K1**2) / (squares + SSIM_K1**2)
    structure = (2 * covariance + SSIM_K2**2) / (variances + SSIM_K2**2)
    return float((luminance * structure).mean(dtype=np.float64))


def _window_matrix(length: int, size: int) -> np.ndarray:
    """Returns [length, length - size + 1] float32: column j has a Gaussian window of `size` that begins at row j."""
    window = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * SSIM_SIGMA**2))
    matrix = np.zeros((length, length - size + 1), np.float32)
    for column in range(matrix.shape[1]):
        matrix[column : column + size, column] = window / window.sum()
    return matrix
