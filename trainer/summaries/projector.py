"""Files of TensorBoard's projector: codes with labels, errors and images. Does not use TensorFlow.

The files are in the plugin's own folder, `<TensorBoard run>/plugins/...`. Since TensorBoard 2.21, the plugin refuses
paths outside of this folder, so it cannot serve other files of the run.
"""

import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from PIL import Image

from trainer.system import files

FOLDER = pathlib.Path("plugins/org_tensorflow_tensorboard_projector")
CONFIG, CODES, METADATA, SPRITE = "projector_config.pbtxt", "codes.tsv", "metadata.tsv", "sprite.png"
MAX_TILE = 64  # pixels; TensorBoard refuses sprites wider than 8,192 pixels, and up to 45 tiles are side by side
MIN_DIMENSIONS = 3  # the projector's default view shows nothing with fewer
MAX_DIMENSIONS = 200  # TensorBoard itself reduces wider codes to this number


@dataclasses.dataclass(frozen=True)
class Sprite:
    """The images of all points in one image: tiles in a square, row by row.

    Attributes:
      png: the image, as a PNG file.
      height, width: size of a tile in pixels.
    """

    png: bytes
    height: int
    width: int

    @classmethod
    def from_images(cls, images: np.ndarray) -> Self:
        """Creates a sprite of [N, H, W, C] images in [0, 1]. Subsamples images larger than `MAX_TILE`."""
        stride = -(-max(images.shape[1:3]) // MAX_TILE)
        tiles = (np.clip(images[:, ::stride, ::stride], 0, 1) * 255).round().astype(np.uint8)
        count, height, width, channels = tiles.shape
        side = int(np.ceil(np.sqrt(count)))
        filled = np.full((side * side, height, width, channels), 255, np.uint8)
        filled[:count] = tiles
        square = filled.reshape(side, side, height, width, channels).swapaxes(1, 2)
        pixels = square.reshape(side * height, side * width, channels)
        image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        buffer = io.BytesIO()
        image.save(buffer, "png", compress_level=1)
        return cls(buffer.getvalue(), height, width)


def has_step(run: pathlib.Path, step: int) -> bool:
    """Returns True if the projector files in a TensorBoard run's folder are those of `step`."""
    path = run / FOLDER / CONFIG
    return path.exists() and f'"{_name(step)}"' in path.read_text(encoding="utf-8", errors="replace")


def write(
    run: pathlib.Path, step: int, codes: np.ndarray, columns: Mapping[str, Sequence[object]], sprite: Sprite | None
) -> None:
    """Replaces the projector files, each atomically; the config, which refers to the others, is written last.

    A running TensorBoard keeps showing the codes that it read first, until it is restarted.

    Args:
      run: folder of a TensorBoard run.
      step: step of the codes.
      codes: [N, K] float, N at most 2,000. If K exceeds 200, the 200 units that vary most are written.
      columns: metadata of the points by name: at least two columns of N values.
      sprite: images of the points; None for tables.

    Raises:
      OSError: a file cannot be written.
    """
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    widest = np.sort(np.argsort(-codes.std(axis=0), kind="stable")[:MAX_DIMENSIONS])
    points = np.pad(codes[:, widest], ((0, 0), (0, max(0, MIN_DIMENSIONS - codes.shape[1]))))
    line = "\t".join(["%.5g"] * points.shape[1])
    files.write(folder / CODES, "".join(line % tuple(row) + "\n" for row in points.tolist()), durably=False)
    rows = ["\t".join(columns), *("\t".join(map(_cell, row)) for row in zip(*columns.values(), strict=True))]
    files.write(folder / METADATA, "\n".join(rows) + "\n", durably=False)
    config = f'tensor_name: "{_name(step)}"\n  tensor_path: "{CODES}"\n  metadata_path: "{METADATA}"'
    config += f"\n  tensor_shape: {points.shape[0]}\n  tensor_shape: {points.shape[1]}"
    if sprite is not None:
        path = folder / SPRITE
        if not path.exists() or path.read_bytes() != sprite.png:  # Unchanged: a mirror copies it only once.
            files.write(path, sprite.png, durably=False)
        size = f"single_image_dim: {sprite.width} single_image_dim: {sprite.height}"
        config += f'\n  sprite {{ image_path: "{SPRITE}" {size} }}'
    files.write(folder / CONFIG, f"embeddings {{\n  {config}\n}}\n", durably=False)


def _name(step: int) -> str:
    return f"codes at step {step}"


def _cell(value: object) -> str:
    """Returns a value as text without tabs and line breaks, which separate cells."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return " ".join(text.split())
