"""What a person gives a trained network: pictures, arrays, numbers. No TensorFlow."""

import os
import pathlib

from trainer.data.inputs.arrays import from_array, from_numbers
from trainer.data.inputs.images import from_folder, from_images
from trainer.data.inputs.messages import ARRAY, brief, example, numbers_of, shapes_of, wanted
from trainer.data.inputs.types import Inputs
from trainer.errors import UsageError, option

__all__ = ["Inputs", "read"]


def read(text: str, shape: tuple[int, ...], fit: str = "crop") -> Inputs:
    """Reads what a person gave as `--input`: whatever exists under that name, otherwise numbers.

    A picture of another size is cropped around its middle and resized, or as `fit` says; `formats.image_files.decode`
    tells what becomes of all kinds of them. Arrays and numbers must fit as they are.

    Args:
      text: a picture's file, a folder of pictures, an .npy file (one example, or [N, ...] of them; of grey pictures
        [H, W] or [N, H, W] too), or numbers such as `8,4,6,2;5,3,1,0`: rows of a table in their own units, or pictures
        in [0, 1], row by row with channels last.
      shape: of one example of the run: (H, W, C) of a picture, C being 1 or 3, or (D,) of a row.
      fit: of pictures of other proportions, as in `image_files.Target`.

    Raises:
      UsageError: neither a path nor as many numbers as an example has, in range; pictures for a table; a folder of
        more than 10,000.
      DataError: what is there cannot be read, is damaged or too large, has another shape, or holds numbers that are
        not finite or, for pictures, not in [0, 1].
    """
    path = pathlib.Path(os.path.expanduser(text))
    if not text or not os.path.exists(path):  # Unlike Path.exists, it takes names of any length.
        return from_numbers(text, shape)
    if path.suffix.lower() == ARRAY and path.is_file():
        return from_array(path, shape)
    if len(shape) == 1:
        raise UsageError(
            f"{option('input', brief(text))} is no {ARRAY} file,"
            f" and this run's examples are rows of {numbers_of(shape)}",
            found="pictures are for runs whose data are pictures",
            remedy=f"give an {ARRAY} file of shape {shapes_of(shape)}, or {example(shape)}",
        )
    if path.is_dir():
        return from_folder(path, shape, fit)
    if not path.is_file():
        raise UsageError(
            f"{option('input', brief(text))} is neither a file nor a folder", remedy=f"give {wanted(shape)}"
        )
    return from_images([path], shape, fit)
