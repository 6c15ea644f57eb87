"""Images for TensorBoard, computed with NumPy."""

import numpy as np

from trainer.evaluation.probes import NUM_EXAMPLES

ERROR_SCALE = 2  # Absolute differences are multiplied by it, so that an error of 0.5 is white.
GAP = 2  # pixels between tiles
MIN_SIDE = 64  # pixels; smaller images are enlarged
MAX_WEIGHTS = 100  # units whose weights are shown
WEIGHTS_SIDE, MANIFOLD_SIDE, SAMPLE_SIDE, TRAVERSAL_SIDE = 32, 28, 32, 32
MANIFOLD_STEPS = 20  # codes per side
INTERPOLATION_STEPS = 8  # codes from one example to the next
NUM_SAMPLES = 64
DEVIATIONS = np.linspace(-3, 3, 9, dtype=np.float32)  # of a traversal, in standard deviations


def reconstruction_grid(originals: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Returns three rows of images: originals, reconstructions, and their absolute difference times 2.

    Args:
      originals, reconstructions: [N, H, W, C] float, C 1 or 3; values are clipped to [0, 1].

    Returns:
      [height, width, C] uint8.
    """
    difference = np.abs(originals - reconstructions) * ERROR_SCALE
    return grid(np.stack([originals, reconstructions, difference]))


def error_maps(originals: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Returns gray images of the absolute difference, mean over channels, times 2: [N, H, W, C] -> [N, H, W, 1]."""
    return np.abs(originals - reconstructions).mean(axis=3, keepdims=True) * ERROR_SCALE


def extremes(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices of the up to 8 largest of [N] errors, descending, and of the smallest, ascending."""
    order = np.argsort(errors, kind="stable")
    count = min(NUM_EXAMPLES, len(order))
    return order[::-1][:count], order[:count]


def first_layer(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the weights of the first layer as one image, with a tile for each of up to 100 units.

    Args:
      kernel: [H * W * C, units].
      shape: (H, W, C).

    Returns:
      [height, width, C] uint8; in each tile, 0 is gray and the largest absolute weight is white or black.
    """
    tiles = kernel[:, :MAX_WEIGHTS].T.reshape(-1, *shape)
    largest = np.abs(tiles).max(axis=(1, 2, 3), keepdims=True)
    return grid(_square(tiles / np.maximum(largest, 1e-30) / 2 + 0.5), WEIGHTS_SIDE)


def manifold_codes(codes: np.ndarray) -> np.ndarray:
    """Returns a 20 x 20 grid over most of [N, 2] codes, [400, 2]: row by row, from top left to bottom right."""
    low, high = np.percentile(codes, (1, 99), axis=0)
    across, up = (np.linspace(low[unit], high[unit], MANIFOLD_STEPS) for unit in (0, 1))
    return np.stack(np.meshgrid(across, up[::-1]), axis=-1).reshape(-1, 2).astype(np.float32)


def manifold(reconstructions: np.ndarray) -> np.ndarray:
    """Returns the images decoded from `manifold_codes`, [400, H, W, C] in [0, 1], as one image."""
    return grid(reconstructions.reshape(MANIFOLD_STEPS, -1, *reconstructions.shape[1:]), MANIFOLD_SIDE)


def traversal_codes(codes: np.ndarray) -> np.ndarray:
    """Returns [rows * 9, K]: the mean of [N, K] codes, with one of the up to 8 most active units varied in each row."""
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    units = np.argsort(-deviation, kind="stable")[:NUM_EXAMPLES]
    varied = np.tile(mean, (len(units), len(DEVIATIONS), 1))
    for row, unit in enumerate(units):
        varied[row, :, unit] += DEVIATIONS * deviation[unit]
    return varied.reshape(-1, codes.shape[1])


def traversal(reconstructions: np.ndarray) -> np.ndarray:
    """Returns the images decoded from `traversal_codes`, [rows * 9, H, W, C] in [0, 1], as one image."""
    return grid(reconstructions.reshape(-1, len(DEVIATIONS), *reconstructions.shape[1:]), TRAVERSAL_SIDE)


def interpolation_codes(codes: np.ndarray) -> np.ndarray:
    """Returns evenly spaced codes from each code to the next, and from the last to the first: [N, K] -> [N * 8, K]."""
    share = np.linspace(0, 1, INTERPOLATION_STEPS, dtype=np.float32)[:, np.newaxis]
    pairs = zip(codes, np.roll(codes, -1, axis=0), strict=True)
    return np.concatenate([first + share * (second - first) for first, second in pairs])


def interpolation(originals: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Returns the images decoded from `interpolation_codes` as one image, with an original at both ends of each row.

    Args:
      originals: [N, H, W, C] in [0, 1].
      reconstructions: [N * 8, H, W, C].
    """
    rows = reconstructions.reshape(-1, INTERPOLATION_STEPS, *originals.shape[1:])
    ends = originals[:, np.newaxis], np.roll(originals, -1, axis=0)[:, np.newaxis]
    return grid(np.concatenate([ends[0], rows, ends[1]], axis=1), TRAVERSAL_SIDE)


def denoising_grid(corrupted: np.ndarray, denoised: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Returns three rows of images, from [N, H, W, C] each; values are clipped to [0, 1]."""
    return grid(np.stack([corrupted, denoised, originals]))


def samples(reconstructions: np.ndarray) -> np.ndarray:
    """Returns the first 64 of [N, H, W, C] images in [0, 1], in a square."""
    return grid(_square(reconstructions[:NUM_SAMPLES]), SAMPLE_SIDE)


def grid(tiles: np.ndarray, min_side: int = MIN_SIDE) -> np.ndarray:
    """Arranges tiles with white gaps: [rows, columns, H, W, C] float in [0, 1] -> [height, width, C] uint8.

    Tiles smaller than `min_side` pixels are enlarged by an integer factor, without smoothing.
    """
    factor = max(1, -(-min_side // min(tiles.shape[2:4])))
    pixels = (np.clip(tiles, 0, 1) * 255).round().astype(np.uint8)
    enlarged = pixels.repeat(factor, axis=2).repeat(factor, axis=3)
    rows, columns, height, width, channels = enlarged.shape
    canvas = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), 255, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
            canvas[top : top + height, left : left + width] = enlarged[row, column]
    return canvas


def _square(tiles: np.ndarray) -> np.ndarray:
    """Arranges [N, H, W, C] tiles in a square, [rows, columns, H, W, C], and fills the last row with white tiles."""
    columns = int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    filled = np.ones((rows * columns, *tiles.shape[1:]), tiles.dtype)
    filled[: len(tiles)] = tiles
    return filled.reshape(rows, columns, *tiles.shape[1:])
