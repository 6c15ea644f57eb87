"""The anomaly score of an example: how much of it the network does not reconstruct. NumPy only.

Higher is worse. The score of rows is the mean over columns of the squared error, in the unit in which the run measures
errors: standard deviations of the training rows if they are standardized. The score of images is the mean squared error
over pixels, divided by the variance of the image's own pixels, because a busy image has larger errors than a plain one,
whatever it shows. Missing numbers do not count; an example without numbers has the score NaN.
"""

import numpy as np

AUTO, SQUARED, RELATIVE = "auto", "squared", "relative"
SCORINGS = (AUTO, SQUARED, RELATIVE)
MIN_VARIANCE = 1e-6  # of images in [0, 1]; keeps the scores of plain images finite


def resolve(scoring: str, *, is_image: bool) -> str:
    """Returns `squared` or `relative`; `auto` is `relative` for images, and `squared` for rows."""
    if scoring != AUTO:
        return scoring
    return RELATIVE if is_image else SQUARED


def parts(
    examples: np.ndarray, reconstructions: np.ndarray, *, scoring: str, unit: np.ndarray | None = None
) -> np.ndarray:
    """Returns what each number adds to the score of its example: [N, D] float32, D numbers per example.

    Missing numbers add 0. All parts are NaN in an example without numbers.

    Args:
      examples: [N, ...] float32, images in [0, 1] or rows; NaN for missing numbers.
      reconstructions: [N, ...] float32, in the same unit.
      scoring: `squared` or `relative`.
      unit: [D] standard deviations of the columns if the run is standardized, otherwise None.
    """
    differences = examples - reconstructions
    if unit is not None:
        differences /= unit
        examples = examples / unit
    differences[np.isnan(examples)] = 0
    with np.errstate(over="ignore", invalid="ignore"):  # Too large for float32: the score is infinite.
        result = np.square(differences, out=differences).reshape(len(examples), -1)
        divisors = num_present(examples)
        if scoring == RELATIVE:
            divisors = divisors * (variances(examples) + np.float32(MIN_VARIANCE))
        result /= divisors[:, np.newaxis]
    return result


def num_present(examples: np.ndarray) -> np.ndarray:
    """Returns how many numbers of each of [N, ...] examples are not missing: [N] float32."""
    return np.count_nonzero(~np.isnan(examples.reshape(len(examples), -1)), axis=1).astype(np.float32)


def variances(examples: np.ndarray) -> np.ndarray:
    """Returns the variance of the numbers of each of [N, ...] examples that are not missing: [N] float32.

    NaN for an example without numbers.
    """
    values = examples.reshape(len(examples), -1).astype(np.float64)
    present = ~np.isnan(values)
    counts = np.count_nonzero(present, axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        means = values.sum(axis=1, where=present) / counts
        values -= means[:, np.newaxis]
        values[~present] = 0
        return (np.einsum("nd,nd->n", values, values) / counts).astype(np.float32)


def total(parts: np.ndarray) -> np.ndarray:
    """Returns the scores, [N] float32, the sums of their parts [N, D]."""
    with np.errstate(over="ignore"):
        return parts.sum(axis=1, dtype=np.float64).astype(np.float32)
