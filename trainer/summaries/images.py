"""Pictures that TensorBoard shows, computed with NumPy."""

import numpy as np

from trainer.evaluation.probes import NUM_EXAMPLES

GAP = 2  # pixels between tiles
MIN_SIDE = 64  # smaller pictures are enlarged, so that a person sees something
MAX_WEIGHTS = 100  # units whose weights are shown
WEIGHTS_SIDE, MANIFOLD_SIDE, SAMPLE_SIDE, TRAVERSAL_SIDE = 32, 28, 32, 32
MANIFOLD = 20  # codes a side
BETWEEN = 8  # codes from one example to another
NUM_SAMPLES = 64
DEVIATIONS = np.linspace(-3, 3, 9, dtype=np.float32)  # of a traversal


def reconstruction_grid(originals: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Three rows of pictures: originals, reconstructions, absolute error (doubled, to be seen).

    Args:
      originals, reconstructions: [N, H, W, C] float in [0, 1], C being 1 or 3; what lies outside is clipped.

    Returns:
      [height, width, C] uint8.
    """
    error = np.abs(originals - reconstructions) * 2
    return grid(np.stack([originals, reconstructions, error]))


def extremes(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[N] errors -> the numbers of the examples with the largest, falling, and with the smallest, rising."""
    order = np.argsort(errors, kind="stable")
    count = min(NUM_EXAMPLES, len(order))
    return order[::-1][:count], order[:count]


def first_layer(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The weights that a dense layer has for a picture, a tile for each of up to 100 units.

    Args:
      kernel: [H * W * C, units].
      shape: (H, W, C).

    Returns:
      [height, width, C] uint8; in each tile 0 is grey, and its largest absolute weight white or black.
    """
    tiles = kernel[:, :MAX_WEIGHTS].T.reshape(-1, *shape)
    largest = np.abs(tiles).max(axis=(1, 2, 3), keepdims=True)
    return grid(_square(tiles / np.maximum(largest, 1e-30) / 2 + 0.5), WEIGHTS_SIDE)


def manifold_codes(codes: np.ndarray) -> np.ndarray:
    """[N, 2] codes -> [400, 2]: a grid over them, row by row as a picture: from top left to bottom right."""
    low, high = np.percentile(codes, (1, 99), axis=0)
    across, up = (np.linspace(low[unit], high[unit], MANIFOLD) for unit in (0, 1))
    return np.stack(np.meshgrid(across, up[::-1]), axis=-1).reshape(-1, 2).astype(np.float32)


def manifold(reconstructions: np.ndarray) -> np.ndarray:
    """What the decoder made of `manifold_codes`, [400, H, W, C] in [0, 1] -> one picture."""
    return grid(reconstructions.reshape(MANIFOLD, MANIFOLD, *reconstructions.shape[1:]), MANIFOLD_SIDE)


def traversal_codes(codes: np.ndarray) -> np.ndarray:
    """[N, K] codes -> [rows * 9, K]: the mean code, with one of the up to 8 most active units varied in each row."""
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    units = np.argsort(-deviation, kind="stable")[:NUM_EXAMPLES]
    varied = np.tile(mean, (len(units), len(DEVIATIONS), 1))
    for row, unit in enumerate(units):
        varied[row, :, unit] += DEVIATIONS * deviation[unit]
    return varied.reshape(-1, codes.shape[1])


def traversal(reconstructions: np.ndarray) -> np.ndarray:
    """What the decoder made of `traversal_codes`, [rows * 9, H, W, C] in [0, 1] -> one picture."""
    return grid(reconstructions.reshape(-1, len(DEVIATIONS), *reconstructions.shape[1:]), TRAVERSAL_SIDE)


def between(codes: np.ndarray) -> np.ndarray:
    """[N, K] codes -> [N * 8, K]: from each to the next, and from the last to the first, in equal steps."""
    share = np.linspace(0, 1, BETWEEN, dtype=np.float32)[:, np.newaxis]
    ways = [first + share * (second - first) for first, second in zip(codes, np.roll(codes, -1, axis=0), strict=True)]
    return np.concatenate(ways)


def interpolation(originals: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """What the decoder made of `between`, with the originals at both ends, as one picture.

    Args:
      originals: [N, H, W, C] in [0, 1]; reconstructions: [N * 8, H, W, C].
    """
    rows = reconstructions.reshape(-1, BETWEEN, *originals.shape[1:])
    ends = originals[:, np.newaxis], np.roll(originals, -1, axis=0)[:, np.newaxis]
    return grid(np.concatenate([ends[0], rows, ends[1]], axis=1), TRAVERSAL_SIDE)


def restored(corrupted: np.ndarray, restorations: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Three rows of pictures, [N, H, W, C] each, in [0, 1]; what lies outside is clipped."""
    return grid(np.stack([corrupted, restorations, originals]))


def samples(reconstructions: np.ndarray) -> np.ndarray:
    """Up to 64 of [N, H, W, C] pictures in [0, 1], as a square."""
    return grid(_square(reconstructions[:NUM_SAMPLES]), SAMPLE_SIDE)


def grid(tiles: np.ndarray, min_side: int = MIN_SIDE) -> np.ndarray:
    """[rows, columns, H, W, C] float in [0, 1] -> [height, width, C] uint8, white between the tiles.

    Tiles smaller than `min_side` are enlarged by a whole number, without smoothing.
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
    """[N, H, W, C] -> [rows, columns, H, W, C], about as many rows as columns; white where there are not enough."""
    columns = int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    filled = np.ones((rows * columns, *tiles.shape[1:]), tiles.dtype)
    filled[: len(tiles)] = tiles
    return filled.reshape(rows, columns, *tiles.shape[1:])
