"""How what was given, and what is expected, is said in errors."""

from collections.abc import Sequence

import numpy as np

from trainer.errors import sanitize

ARRAY = ".npy"
MAX_SHOWN = 60  # characters of what was given


def wanted(shape: tuple[int, ...]) -> str:
    """What `--input` may be, for a remedy."""
    paths = f"path/to/rows{ARRAY}" if len(shape) == 1 else f"a path (photo.png, a folder of pictures, digits{ARRAY})"
    return f"{paths}, or {example(shape)}"


def example(shape: tuple[int, ...]) -> str:
    """Numbers on the command line, for a remedy."""
    one = "0.5" if len(shape) == 3 else "1.5"
    row = ",".join([one] * shape[0]) if len(shape) == 1 and shape[0] <= 4 else f"{one},{one},..."
    return f"{meaning(shape)} ('{row}'; further rows after a ; within the quotes)"


def meaning(shape: tuple[int, ...]) -> str:
    """What one example is, in numbers."""
    return numbers_of(shape) + (" from 0 to 1" if len(shape) == 3 else "")


def numbers_of(shape: tuple[int, ...]) -> str:
    """How many numbers a shape has, in words."""
    count = int(np.prod(shape))
    return "1 number" if count == 1 else f"{count:,} numbers"


def shapes_of(shape: tuple[int, ...]) -> str:
    """The shapes that an array may have."""
    return f"{shape_of(shape)} or {shape_of(('N', *shape))}"


def shape_of(sizes: Sequence[int | str]) -> str:
    """A shape, in words."""
    return f"[{', '.join(map(str, sizes))}]"


def joined(words: Sequence[str]) -> str:
    """Words as a list in a sentence."""
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), words[-1]])


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many more."""
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return f"{sanitize(names[0])}{more}"


def brief(text: str) -> str:
    """What was given, cut where it is long."""
    text = sanitize(text)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
