"""Scatter plots of two-dimensional codes, drawn with Pillow.

Matplotlib is too slow for short runs: importing it takes 1 s, and each plot takes 0.25 s.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE, MARGIN, LEGEND = 560, 64, 130  # pixels: the plot; left of and below it; right of it
RADIUS = 3
MAX_IN_LEGEND = 20
MAX_LETTERS = 14
# The first eight are from Okabe and Ito 2008, for color-blind readers, with a darker yellow.
COLORS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8a800", "#000000", "#8b4513", "#7f7f7f"]


def scatter(codes: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Draws codes as points, colored by class.

    Args:
      codes: [N, 2] float, finite.
      labels: [N] class index of each code.
      classes: [N] class name of each code.

    Returns:
      [height, width, 3] uint8.
    """
    image = Image.new("RGB", (MARGIN + SIDE + LEGEND, SIDE + MARGIN), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    codes = codes.astype(np.float64)
    low, high = codes.min(axis=0), codes.max(axis=0)
    margin = np.maximum((high - low) * 0.04, np.maximum(np.abs(high), 1) * 1e-6)
    low, high = low - margin, high + margin
    draw.rectangle((MARGIN, 0, MARGIN + SIDE - 1, SIDE - 1), outline="#bbbbbb")
    _label_axes(draw, font, low, high)
    across, down = ((codes - low) / (high - low) * (SIDE - 1)).T
    _, first, indices = np.unique(labels, return_index=True, return_inverse=True)
    for x, y, index in zip(across + MARGIN, SIDE - 1 - down, indices, strict=True):
        draw.ellipse((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), fill=_color(index))
    for row, example in enumerate(first[:MAX_IN_LEGEND]):
        left, top = MARGIN + SIDE + 12, 8 + 22 * row
        draw.ellipse((left, top + 3, left + 9, top + 12), fill=_color(row))
        draw.text((left + 16, top), classes[example][:MAX_LETTERS], fill="black", font=font)
    return np.asarray(image)


def _color(index: int) -> str:
    return COLORS[index % len(COLORS)]


def _label_axes(draw: ImageDraw.ImageDraw, font: Any, low: np.ndarray, high: np.ndarray) -> None:
    """Draws the range of each axis, and lines at 0 if 0 is within the range."""
    left, right, bottom = MARGIN, MARGIN + SIDE - 1, SIDE - 1
    draw.text((left, SIDE + 6), f"{low[0]:.3g}", "black", font, "la")
    draw.text((right, SIDE + 6), f"{high[0]:.3g}", "black", font, "ra")
    draw.text((left - 5, bottom), f"{low[1]:.3g}", "black", font, "rd")
    draw.text((left - 5, 0), f"{high[1]:.3g}", "black", font, "ra")
    x, y = -low / (high - low) * (SIDE - 1)
    if 0 < x < SIDE:
        draw.line((left + x, 0, left + x, bottom), fill="#dddddd")
    if 0 < y < SIDE:
        draw.line((left, bottom - y, right, bottom - y), fill="#dddddd")
    draw.text((left + SIDE // 2, SIDE + 26), "unit 1 (upwards: unit 2); grey lines: 0", "black", font, "ma")
