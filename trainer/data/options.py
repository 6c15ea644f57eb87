"""The options of data: which data set, where it is, and what is to be made of it. No NumPy, no TensorFlow."""

import dataclasses
from typing import Any

from trainer.errors import UsageError, option
from trainer.system.options import MATHEMATICS, PLACE, PRESENTATION, Options, declare

MAX_SIDE = 4_096  # of a picture
FITS = ("crop", "pad", "resize")
COLORS = ("grey", "rgb")
DATA, OWN_DATA = "Data", "Your own data"  # themes

OWN_FILES = ("images", "array", "table")  # data sets that a person gives as --data_dir
OWN = (*OWN_FILES, "tfds")  # those of which nobody else tells what is in them


def names(values: Any) -> tuple[str, ...]:
    """Labels or their names, without space around them."""
    return tuple(str(value).strip() for value in values)


def size(value: Any) -> tuple[int, int]:
    """Height and width in pixels: a side, `48x64`, or both numbers.

    Raises:
      UsageError: something else.
    """
    sides = [str(side) for side in value] if isinstance(value, tuple | list) else str(value).lower().split("x")
    numbers = [int(side) for side in sides if side.strip().isdecimal() and len(side) <= 6]
    if len(sides) > 2 or len(numbers) != len(sides) or not all(1 <= number <= MAX_SIDE for number in numbers):
        raise UsageError(
            option("image_size", "x".join(sides)),
            found=f"a side in pixels is expected, or height x width, each from 1 to {MAX_SIDE:,}",
            remedy=f"give one, such as {option('image_size', 32)} or {option('image_size', '48x64')}",
        )
    return numbers[0], numbers[-1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Which data, where they are, and what is to be made of them."""

    dataset: str = declare(
        "digits",
        MATHEMATICS,
        DATA,
        "what to train on; an unknown name lists the known ones",
        is_common=True,
        is_column=True,
    )
    classes: tuple[str, ...] = declare(
        (),
        MATHEMATICS,
        DATA,
        "labels or names to keep, such as 1,5,6; empty keeps all",
        parse=names,
        is_common=True,
        is_column=True,
    )
    data_dir: str | None = declare(
        None,
        PLACE,
        DATA,
        "where data files are, and go (default: Keras's cache); or one's own folder, or file",
        is_common=True,
    )
    data_url: str | None = declare(None, PLACE, DATA, "download the data set's archive from here, not from the mirrors")
    cache_dir: str | None = declare(
        None, PLACE, DATA, "where decoded data are kept (default: hourglass in the folder of Keras's cache)"
    )
    image_size: tuple[int, int] = declare(
        (32, 32),
        MATHEMATICS,
        OWN_DATA,
        "of pictures of one's own: the side in pixels, or height x width, such as 48x64",
        parse=size,
        separator="x",
        is_common=True,
    )
    color: str = declare(
        "rgb", MATHEMATICS, OWN_DATA, "of the same; grey: the mean of red, green and blue", choices=COLORS
    )
    fit: str = declare(
        "crop",
        MATHEMATICS,
        OWN_DATA,
        "of pictures of other proportions: cropped to their middle, padded with black, or pressed into shape",
        choices=FITS,
    )
    label_column: str | None = declare(
        None,
        MATHEMATICS,
        OWN_DATA,
        f"of {option('dataset', 'table')}: the column that labels the rows: its name, or number",
    )
    standardise: bool = declare(
        False, MATHEMATICS, OWN_DATA, "divide each column of a table by its standard deviation, within the network"
    )
    eval_fraction: float = declare(
        0.1,
        MATHEMATICS,
        OWN_DATA,
        "of one's own data that evaluates, where they have no split; 0: all of them do both",
        low=0.0,
        high=0.9,
    )
    on_bad_file: str = declare(
        "error",
        PRESENTATION,
        OWN_DATA,
        "files and rows of one's own data that cannot be used",
        choices=("error", "skip"),
    )

    @property
    def loader(self) -> str:
        """The data set's name without what follows a colon."""
        return self.dataset.partition(":")[0]
