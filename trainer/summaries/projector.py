"""What TensorBoard's projector shows: codes with labels, errors and pictures. Plain files; no TensorFlow.

The files are where the plugin looks for its own (`<TensorBoard run>/plugins/...`), so that nothing else of the run can
be reached through it: since TensorBoard 2.21 it refuses paths that leave its folder.
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
MAX_TILE = 64  # pixels; TensorBoard refuses sprites wider than 8,192, and of these tiles 45 stand side by side
MIN_DIMENSIONS = 3  # fewer, and its default view shows nothing
MAX_DIMENSIONS = 200  # of more, TensorBoard itself makes so many


@dataclasses.dataclass(frozen=True)
class Sprite:
    """One picture of all points' pictures, in a square, row by row.

    Attributes:
      png: the picture.
      height, width: of a point's.
    """

    png: bytes
    height: int
    width: int

    @classmethod
    def of(cls, pictures: np.ndarray) -> Self:
        """[N, H, W, C] in [0, 1]; large ones become smaller."""
        stride = -(-max(pictures.shape[1:3]) // MAX_TILE)
        tiles = (np.clip(pictures[:, ::stride, ::stride], 0, 1) * 255).round().astype(np.uint8)
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


def is_of(run: pathlib.Path, step: int) -> bool:
    """Whether what stands there is of this step."""
    path = run / FOLDER / CONFIG
    return path.exists() and f'"{_name(step)}"' in path.read_text(encoding="utf-8", errors="replace")


def write(
    run: pathlib.Path, step: int, codes: np.ndarray, columns: Mapping[str, Sequence[object]], sprite: Sprite | None
) -> None:
    """Writes everything anew, each file whole or not at all; what names the others comes last.

    A TensorBoard that is open shows the codes that it has read first until it is started again.

    Args:
      run: the folder of the TensorBoard run that it belongs to.
      step: that it is of.
      codes: [N, K] float, N at most 2,000. Of wider ones, the 200 units that vary most are written.
      columns: what is known of each point, by name: at least two.
      sprite: of the points' pictures, if they have any.

    Raises:
      OSError: the disk does not take it.
    """
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    widest = np.sort(np.argsort(-codes.std(axis=0), kind="stable")[:MAX_DIMENSIONS])
    shown = np.pad(codes[:, widest], ((0, 0), (0, max(0, MIN_DIMENSIONS - codes.shape[1]))))
    line = "\t".join(["%.5g"] * shown.shape[1])
    files.write(folder / CODES, "".join(line % tuple(row) + "\n" for row in shown.tolist()), durably=False)
    rows = ["\t".join(columns), *("\t".join(map(_cell, row)) for row in zip(*columns.values(), strict=True))]
    files.write(folder / METADATA, "\n".join(rows) + "\n", durably=False)
    config = f'tensor_name: "{_name(step)}"\n  tensor_path: "{CODES}"\n  metadata_path: "{METADATA}"'
    config += f"\n  tensor_shape: {shown.shape[0]}\n  tensor_shape: {shown.shape[1]}"
    if sprite is not None:
        path = folder / SPRITE
        if not path.exists() or path.read_bytes() != sprite.png:  # It is always the same: a mirror copies it once.
            files.write(path, sprite.png, durably=False)
        size = f"single_image_dim: {sprite.width} single_image_dim: {sprite.height}"
        config += f'\n  sprite {{ image_path: "{SPRITE}" {size} }}'
    files.write(folder / CONFIG, f"embeddings {{\n  {config}\n}}\n", durably=False)


def _name(step: int) -> str:
    return f"codes at step {step}"


def _cell(value: object) -> str:
    """One cell of a table whose cells end at tabs and line ends."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return " ".join(text.split())
