"""Class labels as text: how they are shown, ordered and compared. Labels that are numbers are compared by value."""

import dataclasses
import decimal
import math
from collections.abc import Mapping, Sequence

from trainer.data.dataset import NO_LABEL
from trainer.errors import sanitize

MAX_WRITTEN_OUT = 1e21  # Larger integers keep their exponent.
MISSING = frozenset(["", "?", "-", ".", "na", "n/a", "nan", "null", "none", NO_LABEL])  # in lower case


@dataclasses.dataclass(frozen=True)
class Kinds:
    """The kinds of label names: if there are numbers among them, and texts that are not numbers."""

    numbers: bool
    texts: bool


def number(text: str) -> float | None:
    """Returns the finite number that the text spells, or None."""
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def display(text: str) -> str:
    """Returns a label as people write it.

    A number with a point, an exponent or a plus sign gets its shortest spelling: 1.0000000e+00 -> 1, 0.50 -> 0.5.
    Other texts do not change: 007, -1, cat.
    """
    value = number(text)
    if value is None or not (set(text) & set(".eE") or text.startswith("+")):
        return text
    return str(int(value)) if value.is_integer() and abs(value) < MAX_WRITTEN_OUT else repr(value)


def sort_key(name: str) -> tuple[bool, decimal.Decimal, str]:
    """Sorts numbers by value, before other texts."""
    value = _value(name)
    return value is None, decimal.Decimal(0) if value is None else value, name


def spelling_note(label_of_text: Mapping[str, int], names: Sequence[str]) -> str:
    """Returns a note if numbers that are written differently are one label, otherwise nothing.

    Args:
      label_of_text: the label of each text in the data.
      names: name of each label.
    """
    spellings: dict[int, list[str]] = {}
    for text, label in label_of_text.items():
        spellings.setdefault(label, []).append(" ".join(text.split()))
    for label, texts in spellings.items():
        different = list(dict.fromkeys(texts))
        if len(different) > 1:
            return f"labels of equal value are one class: {sanitize(', '.join(different[:4]))} are {names[label]}"
    return ""


def kinds(label_names: Sequence[str]) -> Kinds:
    """Returns the kinds of the names. Names of missing labels, such as NA, count as neither beside numbers."""
    numbers = any(number(name) is not None for name in label_names)
    return Kinds(numbers, any(number(name) is None and name.lower() not in MISSING for name in label_names))


def find(label_names: Sequence[str], text: str) -> list[int]:
    """Returns the labels whose name is this text; if there are none, the labels whose name has the same value."""
    exact = [label for label, name in enumerate(label_names) if name == text]
    value = _value(text)
    if exact or value is None:
        return exact
    return [label for label, name in enumerate(label_names) if _value(name) == value]


def _value(text: str) -> decimal.Decimal | None:
    """Returns the value of a number, or None. Integers are exact, so that long ids stay different."""
    return None if number(text) is None else decimal.Decimal(display(text))
