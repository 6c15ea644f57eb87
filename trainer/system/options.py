"""Base classes for options. Each option is declared once, with its default, kind, theme, description and bounds.

The options of a package are a frozen dataclass, a subclass of `Options`, whose fields are created by `declare`. The
kind of an option decides whether a run stores it and whether it may change. No absl, no NumPy and no TensorFlow.
"""

import dataclasses
import functools
import math
import numbers
import operator
import os
import types
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from trainer.errors import UsageError, is_printable_line, option

MATHEMATICS = "mathematics"  # What is computed. Stored in the run; a different value is rejected.
DURATION = "duration"  # The length of the run. Stored; may grow.
NUMERICS = "numerics"  # How it is computed: precision, XLA, threads. Stored; a change ends bit-identity.
PRESENTATION = "presentation"  # Summaries, checkpoints, error handling. Stored; may change.
PLACE = "place"  # Paths, and the task of this command. Not stored.
KINDS = (MATHEMATICS, DURATION, NUMERICS, PRESENTATION, PLACE)
MAX_INTERVAL = 10**12  # of steps

_KEY = "option"
_EXPECTED = {bool: "True or False", int: "a whole number", float: "a number", str: "text", tuple: "a list of values"}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Option:
    """The declaration of one option.

    Attributes:
      name: the name of the option and of its field.
      type: str, int, float, bool, or tuple.
      default: the default value.
      kind: one of `KINDS`.
      theme: the heading of the option in the help.
      description: one or a few sentences for the help.
      choices: the allowed values; empty if all values are allowed.
      low, high: the inclusive bounds of a number.
      is_common: True if the short help lists the option.
      is_column: True if the option has a column in the HParams table.
      parse: an additional conversion and check of the converted value.
      separator: the separator between the elements of a tuple, as text.
      alias: an alternative spelling of the name.
      synonyms: alternative spellings of choices: spelling to choice.
      before: the value of runs that were started before the option existed, whose `flags.txt` lacks it; None: the
        default. Only for options whose value is never None.
    """

    name: str
    type: type
    default: Any
    kind: str
    theme: str
    description: str
    choices: Sequence[str] = ()
    low: float | None = None
    high: float | None = None
    is_common: bool = False
    is_column: bool = False
    parse: Callable[[Any], Any] | None = None
    separator: str = ","
    alias: str | None = None
    synonyms: Mapping[str, str] = dataclasses.field(default_factory=dict)
    before: Any = None

    @property
    def is_stored(self) -> bool:
        """True if the option is stored in the run."""
        return self.kind != PLACE

    def as_text(self, value: Any) -> str:
        """Returns a value as command-line text; empty for None."""
        if value is None:
            return ""
        if isinstance(value, tuple):
            return self.separator.join(map(str, value))
        return str(value).lower() if isinstance(value, bool) else str(value)

    def convert(self, value: Any) -> Any:
        """Converts a value, passed as text or in Python, to this option's type.

        Raises:
          UsageError: the type is wrong, or the value is out of bounds, not a choice, not finite, or not printable.
        """
        if value is None:
            if self.default is not None:
                raise self._type_error(value)
            return None
        if value == "" and (self.default is None or self.kind == PLACE):
            raise UsageError(f"{option(self.name)} is empty", remedy=f"set a value, or remove {option(self.name)}")
        if isinstance(value, str):
            value = self.synonyms.get(value, value)
        value = self._as_tuple(value) if self.type is tuple else self._as_scalar(value)
        if self.parse:
            value = self.parse(value)
        self._check(value)
        return value

    def _as_tuple(self, value: Any) -> Any:
        if isinstance(value, str):
            elements = value.split(",") if value else []
            return tuple(elements) if self.separator == "," else value  # `parse` splits at other separators.
        return tuple(value) if isinstance(value, tuple | list) else (value,)

    def _as_scalar(self, value: Any) -> Any:
        is_bool = isinstance(value, bool)
        if self.type is bool and is_bool:
            return value
        if self.type is int and isinstance(value, numbers.Integral) and not is_bool:
            return operator.index(value)
        if self.type is float and isinstance(value, numbers.Real) and not is_bool:
            return float(value)
        if self.type is str and isinstance(value, str | os.PathLike):
            return os.fspath(value)
        raise self._type_error(value)

    def _type_error(self, value: Any) -> UsageError:
        what = f"{option(self.name)} is {value!r}, of type {type(value).__name__}"
        return UsageError(what, remedy=f"pass {_EXPECTED[self.type]}")

    def _check(self, value: Any) -> None:
        for element in value if isinstance(value, tuple) else (value,):
            if isinstance(element, str) and not is_printable_line(element):
                what = f"{option(self.name)} contains an unprintable character"
                raise UsageError(what, remedy="pass one line of printable text")
            if isinstance(element, float) and not math.isfinite(element):
                raise UsageError(f"{option(self.name, element)} is not a finite number", remedy="pass a number")
        if self.choices and value not in self.choices:
            found = f"choices: {', '.join(self.choices)}"
            raise UsageError(f"{option(self.name, value)} is not a valid choice", found=found, remedy="use one of them")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and not self._low <= value <= self._high:
            remedy = f"pass a number from {self._low:g} to {self._high:g}"
            raise UsageError(f"{option(self.name, value)} is out of bounds", remedy=remedy)

    @property
    def _low(self) -> float:
        return -math.inf if self.low is None else self.low

    @property
    def _high(self) -> float:
        return math.inf if self.high is None else self.high


def declare(default: Any, kind: str, theme: str, description: str, **attributes: Any) -> Any:
    """Returns a dataclass field that declares an option; `attributes` are the other attributes of `Option`."""
    attributes |= {"kind": kind, "theme": theme, "description": description}
    return dataclasses.field(default=default, metadata={_KEY: attributes})


class Values:
    """Compares and shows frozen dataclasses by their fields.

    Subclasses pass `eq=False, repr=False`: generating these methods for every class would take 5 ms of each start.
    """

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Options(Values):
    """The options of one package. The constructor converts and checks all values.

    Raises:
      UsageError: a value is invalid.
    """

    def __post_init__(self) -> None:
        for declared in options_of(type(self)):
            object.__setattr__(self, declared.name, declared.convert(getattr(self, declared.name)))


def options_of(options: type[Options]) -> tuple[Option, ...]:
    """Returns the options that a class declares, in order."""
    return _options_of(options)  # type: ignore[arg-type]


@functools.cache
def _options_of(options: Hashable) -> tuple[Option, ...]:
    fields = dataclasses.fields(options)  # type: ignore[arg-type]
    return tuple(
        Option(name=field.name, type=_runtime_type(field.type), default=field.default, **field.metadata[_KEY])
        for field in fields
    )


def _runtime_type(annotation: Any) -> type:
    """Returns the type of an annotation, without `| None` and without element types."""
    if isinstance(annotation, types.UnionType):
        annotation = next(member for member in typing.get_args(annotation) if member is not types.NoneType)
    return typing.get_origin(annotation) or annotation
