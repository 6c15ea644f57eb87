"""Data options: the data set, its location and its conversion. No NumPy, no TensorFlow."""

import dataclasses
import os
from typing import Any

from trainer.errors import UsageError, option
from trainer.system.options import MATHEMATICS, PLACE, PRESENTATION, Options, declare

MAX_SIDE = 4_096  # pixels
FITS = ("crop", "pad", "resize")
COLORS = ("grey", "rgb")
HEADINGS = ("auto", "yes", "no")
DEPTHS = ("auto", "full", "stretch")
MISSING = ("error", "mean")
DATA, OWN_DATA = "Data", "Custom data"  # themes

OWN_FILES = ("images", "array", "table")  # custom data, given by --data_dir
OWN = (*OWN_FILES, "tfds")
# Options that decide which numbers of the files are read. Versions before `heading` existed read some files in another
# way, so runs of these versions may change them: the fingerprint of the data is compared.
READING = ("classes", "heading")


def names(values: Any) -> tuple[str, ...]:
    """Returns class labels or names without surrounding spaces."""
    return tuple(str(value).strip() for value in values)


def size(value: Any) -> tuple[int, int]:
    """Returns (height, width) in pixels, from one side, `48x64`, or a pair of numbers.

    Raises:
      UsageError: the value has another form, or is out of bounds.
    """
    sides = [str(side) for side in value] if isinstance(value, tuple | list) else str(value).lower().split("x")
    numbers = [int(side) for side in sides if side.strip().isdecimal() and len(side) <= 6]
    if len(sides) > 2 or len(numbers) != len(sides) or not all(1 <= number <= MAX_SIDE for number in numbers):
        raise UsageError(
            option("image_size", "x".join(sides)),
            found=f"expected a side in pixels, or height x width, each from 1 to {MAX_SIDE:,}",
            remedy=f"give one, such as {option('image_size', 32)} or {option('image_size', '48x64')}",
        )
    return numbers[0], numbers[-1]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DataOptions(Options):
    """Options for the data set, its location and its conversion."""

    dataset: str = declare(
        "digits",
        MATHEMATICS,
        DATA,
        "Data set: digits, iris, mnist, fashion_mnist, cifar10, one gray CIFAR-10 class such as cifar_horse, or custom"
        " data:"
        " images, array, table, tfds:NAME",
        is_common=True,
        is_column=True,
    )
    classes: tuple[str, ...] = declare(
        (),
        MATHEMATICS,
        DATA,
        "Keep only these classes, such as 1,5,6: by name, by value if the names are numbers, or by number from 0 if no"
        " name is a number. Default: all",
        parse=names,
        is_common=True,
        is_column=True,
    )
    data_dir: str | None = declare(
        None,
        PLACE,
        DATA,
        "Folder of the data files; downloads go there too. Default: the cache of Keras. Custom data: the folder or"
        " file, which the run stores",
        is_common=True,
    )
    data_url: str | None = declare(
        None, PLACE, DATA, "Download the archive from this URL instead of the default mirrors"
    )
    cache_dir: str | None = declare(
        None, PLACE, DATA, "Folder for decoded custom data. Default: hourglass/ in the cache of Keras"
    )
    image_size: tuple[int, int] = declare(
        (32, 32),
        MATHEMATICS,
        OWN_DATA,
        "Convert images to this size: a side in pixels, or HEIGHTxWIDTH such as 48x64",
        parse=size,
        separator="x",
        is_common=True,
        is_column=True,
    )
    color: str = declare(
        "rgb",
        MATHEMATICS,
        OWN_DATA,
        "Convert images to color or to gray (the mean of red, green and blue)",
        choices=COLORS,
        synonyms={"gray": "grey"},
    )
    fit: str = declare(
        "crop",
        MATHEMATICS,
        OWN_DATA,
        "Fit images of another aspect ratio: crop the center, pad with black, or resize without keeping the ratio",
        choices=FITS,
    )
    depth: str = declare(
        "auto",
        MATHEMATICS,
        OWN_DATA,
        "Convert 16-bit images to 8 bits. full: from 0 to 65,535. stretch: from the minimum to the maximum of all"
        " 16-bit training images. auto: full if their maximum is at least a quarter of 65,535, otherwise stretch",
        choices=DEPTHS,
        before="full",
    )
    label_column: str | None = declare(
        None,
        MATHEMATICS,
        OWN_DATA,
        f"With {option('dataset', 'table')}: column with the class labels, by name or number (from 1). It is not"
        " trained on",
    )
    ignore_columns: tuple[str, ...] = declare(
        (),
        MATHEMATICS,
        OWN_DATA,
        f"With {option('dataset', 'table')}: columns that are not trained on, such as id,Time, by name or number"
        " (from 1)",
        parse=names,
    )
    heading: str = declare(
        "auto",
        MATHEMATICS,
        OWN_DATA,
        f"With {option('dataset', 'table')}: whether the first line is the heading. auto: it is recognized",
        choices=HEADINGS,
    )
    missing: str = declare(
        "error",
        MATHEMATICS,
        OWN_DATA,
        "Missing numbers in rows. error: such rows cannot be used. mean: they are replaced by the column's mean in the"
        " input, and do not count in the loss and in errors",
        choices=MISSING,
    )
    standardise: bool = declare(
        False,
        MATHEMATICS,
        OWN_DATA,
        "Divide each column of a table by its standard deviation, inside the network. Use it when columns have"
        " different"
        " units",
        alias="standardize",
        is_column=True,
    )
    eval_fraction: float = declare(
        0.1,
        MATHEMATICS,
        OWN_DATA,
        "Fraction of custom data held out for evaluation, if the data have no split. 0: train and evaluate on all",
        low=0.0,
        high=0.9,
    )
    eval_file: str | None = declare(
        None,
        PLACE,
        OWN_DATA,
        f"With {option('dataset', 'table')}: a table with the same columns, which is used for evaluation. The run"
        " stores its path",
    )
    on_bad_file: str = declare(
        "error",
        PRESENTATION,
        OWN_DATA,
        "Stop at files and rows that cannot be used, or skip them. keep, the default of"
        f" {option('mode', 'score')}: write such rows without a score",
        choices=("error", "skip", "keep"),
    )

    @property
    def loader(self) -> str:
        """Name of the data set, without the part after a colon."""
        return self.dataset.partition(":")[0]

    @property
    def own_path(self) -> str | None:
        """The absolute path of custom data, which a run stores; None for built-in data, or without --data_dir."""
        if self.data_dir is None or self.loader not in OWN:
            return None
        if self.loader == "tfds" and "://" in self.data_dir:  # TensorFlow Datasets reads buckets.
            return self.data_dir
        return os.path.abspath(os.path.expanduser(self.data_dir))

    @property
    def own_paths(self) -> dict[str, str]:
        """The absolute paths of custom data, by option, which a run stores."""
        paths = {"data_dir": self.own_path} if self.own_path is not None else {}
        if self.eval_file is not None and self.loader == "table":
            paths["eval_file"] = os.path.abspath(os.path.expanduser(self.eval_file))
        return paths
