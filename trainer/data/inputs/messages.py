"""Texts for error messages and notes about inputs."""

from collections.abc import Sequence

import numpy as np

from trainer.errors import sanitize

ARRAY_SUFFIX = ".npy"
MAX_SHOWN = 60  # characters of an input


def accepted_inputs(shape: tuple[int, ...]) -> str:
    """Returns examples of valid values of `--input`."""
    images = f"a path (photo.png, a folder of images, digits{ARRAY_SUFFIX})"
    paths = f"a path (rows.csv, rows{ARRAY_SUFFIX})" if len(shape) == 1 else images
    return f"{paths}, or {accepted_numbers(shape)}"


def accepted_numbers(shape: tuple[int, ...]) -> str:
    """Returns the count and the range of the numbers of one example, and an example of them on the command line."""
    number = "0.5" if len(shape) == 3 else "1.5"
    row = ",".join([number] * shape[0]) if len(shape) == 1 and shape[0] <= 4 else f"{number},{number},..."
    return f"{count_and_range(shape)} ('{row}'; separate rows by ; inside the quotes)"


def count_and_range(shape: tuple[int, ...]) -> str:
    """Returns the count and the range of the numbers of one example."""
    return number_count(shape) + (" from 0 to 1" if len(shape) == 3 else "")


def number_count(shape: tuple[int, ...]) -> str:
    """Returns the count of numbers in a shape: "4 numbers"."""
    count = int(np.prod(shape))
    return "1 number" if count == 1 else f"{count:,} numbers"


def accepted_shapes(shape: tuple[int, ...]) -> str:
    """Returns the shapes of one and of several examples: "[4] or [N, 4]"."""
    return f"{shape_text(shape)} or {shape_text(('N', *shape))}"


def shape_text(sizes: Sequence[int | str]) -> str:
    """Returns a shape in brackets: "[N, 4]"."""
    return f"[{', '.join(map(str, sizes))}]"


def join(words: Sequence[str]) -> str:
    """Joins words with commas and "and"."""
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), words[-1]])


def shorten(text: str) -> str:
    """Returns the first characters of a long input."""
    text = sanitize(text)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
