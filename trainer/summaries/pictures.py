"""Pictures that TensorBoard shows, computed with NumPy."""

import numpy as np

NUM_EXAMPLES = 8  # more would be too small in TensorBoard's cards
GAP = 2  # pixels between tiles
MIN_SIDE = 64  # smaller pictures are enlarged, so that a person sees something


def fixed_examples(examples: np.ndarray) -> np.ndarray:
    """The examples that every picture of a run shows: spread evenly over [N, ...], the same each time."""
    count = min(NUM_EXAMPLES, len(examples))
    return examples[np.linspace(0, len(examples) - 1, count).round().astype(int)]


def reconstruction_grid(originals: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Three rows of pictures: originals, reconstructions, absolute error (doubled, to be seen).

    Args:
      originals, reconstructions: [N, H, W, C] float in [0, 1], C being 1 or 3; what lies outside is clipped.

    Returns:
      [height, width, C] uint8.
    """
    error = np.abs(originals - reconstructions) * 2
    return grid(np.stack([originals, reconstructions, error]))


def grid(tiles: np.ndarray) -> np.ndarray:
    """[rows, columns, H, W, C] float in [0, 1] -> [height, width, C] uint8, white between the tiles."""
    factor = max(1, -(-MIN_SIDE // min(tiles.shape[2:4])))
    pixels = (np.clip(tiles, 0, 1) * 255).round().astype(np.uint8)
    enlarged = pixels.repeat(factor, axis=2).repeat(factor, axis=3)
    rows, columns, height, width, channels = enlarged.shape
    canvas = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), 255, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
            canvas[top : top + height, left : left + width] = enlarged[row, column]
    return canvas
