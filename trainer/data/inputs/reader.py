"""Reads the inputs of a trained network: images, arrays, tables, numbers. No TensorFlow."""

import os
import pathlib

import numpy as np

from trainer.data.formats.depth import FULL, Depth
from trainer.data.inputs import archive, messages, table_file
from trainer.data.inputs.arrays import from_array, from_numbers
from trainer.data.inputs.images import from_folder, from_images
from trainer.data.inputs.messages import ARRAY_SUFFIX, accepted_numbers, accepted_shapes, shorten
from trainer.data.inputs.table_file import TableSource
from trainer.data.inputs.types import Inputs
from trainer.errors import UsageError, option

__all__ = ["Inputs", "TableSource", "read"]


def read(
    text: str,
    shape: tuple[int, ...],
    fit: str = "crop",
    depth: Depth = FULL,
    offset: np.ndarray | None = None,
    *,
    can_be_missing: bool = False,
    table: TableSource | None = None,
    keeps_bad: bool = False,
) -> Inputs:
    """Reads the value of `--input`: the file or folder of that name if it exists, otherwise numbers.

    Images are converted to the size and the channels of `shape`; see `formats.image_files.decode`. Arrays and numbers
    are not resized.

    Args:
      text: path of an image, of a folder with images at any depth, of an .npy or .npz file with one example or [N, ...]
        examples (gray images may be [H, W] or [N, H, W]), or of a table; or numbers such as `8,4,6,2;5,3,1,0`: rows of
        a table in their own units, or pixels in [0, 1], row by row with channels last.
      shape: shape of one example of the run: (H, W, C) for images, C being 1 or 3, or (D,) for rows.
      fit: conversion of images with another aspect ratio; see `image_files.Target`.
      depth: the values of 16-bit images that become 0 and 255, as in the run's training images.
      offset: [D] float64, subtracted from rows, as in the run's training set; None: nothing is subtracted.
      can_be_missing: True if numbers of rows may be NaN.
      table: options and columns for tables; None: tables cannot be read.
      keeps_bad: image files that cannot be read are in `Inputs.bad`, and are no error.

    Raises:
      UsageError: `text` is neither a path nor valid numbers for one or more examples; images are given for a run on
        tables, or a table for a run on images; a folder has more than 10,000 images.
      DataError: the file cannot be read, is damaged or too large, has another shape, or has numbers that are not
        finite, or not in [0, 1] for images.
    """
    path = _path(text)
    if path is None:
        return from_numbers(text, shape, offset, can_be_missing=can_be_missing)
    if path.suffix.lower() == ARRAY_SUFFIX and path.is_file():
        return from_array(path, shape, depth, offset, can_be_missing=can_be_missing)
    if path.suffix.lower() == archive.SUFFIX and path.is_file():
        return archive.from_archive(path, shape, depth, offset, can_be_missing=can_be_missing)
    if table is not None and table_file.is_table(path) and path.is_file():
        if len(shape) == 3:
            raise _table_for_images(text, shape)
        return table_file.from_table(path, shape[0], table, offset)
    if len(shape) == 1:
        raise UsageError(
            f"{option('input', shorten(text))} is neither a table nor an array,"
            f" and the examples of this run are rows of {messages.number_count(shape)}",
            found="images can only be given for runs that were trained on images",
            remedy=f"give a table (rows.csv), an {ARRAY_SUFFIX} file of shape {accepted_shapes(shape)},"
            f" or {accepted_numbers(shape)}",
        )
    if path.is_dir():
        return from_folder(path, shape, fit, depth, keeps_bad=keeps_bad)
    if not path.is_file():
        raise _irregular(text, messages.accepted_inputs(shape))
    return from_images([path.name], shape, fit, depth, root=path.parent, keeps_bad=keeps_bad)


def _table_for_images(text: str, shape: tuple[int, ...]) -> UsageError:
    return UsageError(
        f"{option('input', shorten(text))} cannot be read as images",
        found="files with such a name are tables, for runs that were trained on rows of numbers",
        remedy=f"give {messages.accepted_inputs(shape)}",
    )


def _path(text: str) -> pathlib.Path | None:
    """Returns the path of that name; None if it does not exist."""
    path = os.path.expanduser(text)
    return pathlib.Path(path) if text and os.path.exists(path) else None  # Path.exists fails for very long names.


def _irregular(text: str, accepted: str) -> UsageError:
    return UsageError(f"{option('input', shorten(text))} is neither a file nor a folder", remedy=f"give {accepted}")
