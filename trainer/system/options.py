"""Declares a package's options: name, default, kind, bounds, meaning and theme of each in one place.

No absl, no NumPy and no TensorFlow. A package's options are a frozen dataclass, a subclass of `Options`, whose fields
are made by `declare`. The kind of an option says what becomes of it in an existing run.
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

from trainer.errors import UsageError, is_line, option

MATHEMATICS = "mathematics"  # Decides what is computed. Stored in the run; a different value is refused.
DURATION = "duration"  # How long to train. Stored; may grow.
NUMERICS = "numerics"  # How it is computed: precision, XLA, threads. Stored; a change costs bit-identity.
PRESENTATION = "presentation"  # What is written and kept, and what to do when things go wrong. Stored; may change.
PLACE = "place"  # Where things are, and what to do now. Not stored.
KINDS = (MATHEMATICS, DURATION, NUMERICS, PRESENTATION, PLACE)
MAX_INTERVAL = 10**12  # of steps

_KEY = "option"
_EXPECTED = {bool: "True or False", int: "a whole number", float: "a number", str: "text", tuple: "some values"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """One option.

    Attributes:
      name: of the option, and of its field.
      type: str, int, float, bool, or tuple.
      default: as the dataclass has it.
      kind: one of `KINDS`.
      theme: the heading that it stands under in a list of options.
      meaning: in a sentence.
      choices: the values that it may have; empty: any.
      low, high: the bounds of a number, both allowed.
      is_common: whether most people want to know it.
      is_column: whether it tells runs apart in a table of them, also where it has its default.
      parse: a value as somebody gives it, text too -> the value.
      separator: between the elements of a tuple, as text.
      alias: a second spelling of the name.
      synonyms: other spellings of choices, with the choice of each.
    """

    name: str
    type: type
    default: Any
    kind: str
    theme: str
    meaning: str
    choices: Sequence[str] = ()
    low: float | None = None
    high: float | None = None
    is_common: bool = False
    is_column: bool = False
    parse: Callable[[Any], Any] | None = None
    separator: str = ","
    alias: str | None = None
    synonyms: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_stored(self) -> bool:
        """Whether a run remembers it."""
        return self.kind != PLACE

    def as_text(self, value: Any) -> str:
        """A value as it is typed; empty for None."""
        if value is None:
            return ""
        if isinstance(value, tuple):
            return self.separator.join(map(str, value))
        return str(value).lower() if isinstance(value, bool) else str(value)

    def value_of(self, given: Any) -> Any:
        """What somebody gives, in Python or as text -> the value, of this option's type.

        Raises:
          UsageError: it is of another type, out of bounds, unknown, no number, or no line of text.
        """
        if given is None:
            if self.default is not None:
                raise self._of_another_type(given)
            return None
        if given == "" and (self.default is None or self.kind == PLACE):
            raise UsageError(f"{option(self.name)} is empty", remedy="give a value, or leave it out")
        if isinstance(given, str):
            given = self.synonyms.get(given, given)
        if self.type is tuple:
            value = self.parse(self._elements(given)) if self.parse else self._elements(given)
        else:
            value = self._converted(given)
            value = self.parse(value) if self.parse else value
        self._check(value)
        return value

    def _elements(self, given: Any) -> Any:
        if isinstance(given, str):
            text = given.split(",") if given else []
            return tuple(text) if self.separator == "," else given  # Others are `parse`'s.
        return tuple(given) if isinstance(given, tuple | list) else (given,)

    def _converted(self, given: Any) -> Any:
        is_flag = isinstance(given, bool)
        if self.type is bool and is_flag:
            return given
        if self.type is int and isinstance(given, numbers.Integral) and not is_flag:
            return operator.index(given)
        if self.type is float and isinstance(given, numbers.Real) and not is_flag:
            return float(given)
        if self.type is str and isinstance(given, str | os.PathLike):
            return os.fspath(given)
        raise self._of_another_type(given)

    def _of_another_type(self, given: Any) -> UsageError:
        what = f"{option(self.name)} is {given!r}, of type {type(given).__name__}"
        return UsageError(what, remedy=f"give {_EXPECTED[self.type]}")

    def _check(self, value: Any) -> None:
        for element in value if isinstance(value, tuple) else (value,):
            if isinstance(element, str) and not is_line(element):
                what = f"{option(self.name)} holds a character that cannot be printed"
                raise UsageError(what, remedy="give one line of text")
            if isinstance(element, float) and not math.isfinite(element):
                raise UsageError(f"{option(self.name, element)} is not a finite number", remedy="give a number")
        if self.choices and value not in self.choices:
            found = f"known: {', '.join(self.choices)}"
            raise UsageError(f"{option(self.name, value)} is unknown", found=found, remedy="give one of them")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and not self._low <= value <= self._high:
            found = f"expected a number from {self._low:g} to {self._high:g}"
            raise UsageError(f"{option(self.name, value)} is out of bounds", found=found, remedy="give one of these")

    @property
    def _low(self) -> float:
        return -math.inf if self.low is None else self.low

    @property
    def _high(self) -> float:
        return math.inf if self.high is None else self.high


def declare(default: Any, kind: str, theme: str, meaning: str, **more: Any) -> Any:
    """Returns a dataclass field that is an option; `more` are the other attributes of `Option`."""
    described = {"kind": kind, "theme": theme, "meaning": meaning, **more}
    return dataclasses.field(default=default, metadata={_KEY: described})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of one package. Values are parsed and checked when an object is made.

    Raises:
      UsageError: a value cannot be meant.
    """

    def __post_init__(self) -> None:
        for declared in options_of(type(self)):
            object.__setattr__(self, declared.name, declared.value_of(getattr(self, declared.name)))


def options_of(options: type[Options]) -> tuple[Option, ...]:
    """The options that a class declares, in order."""
    return _options_of(options)  # type: ignore[arg-type]


@functools.cache
def _options_of(options: Hashable) -> tuple[Option, ...]:
    fields = dataclasses.fields(options)  # type: ignore[arg-type]
    return tuple(
        Option(name=field.name, type=_plain(field.type), default=field.default, **field.metadata[_KEY])
        for field in fields
    )


def _plain(annotation: Any) -> type:
    """The type of an annotation, without `| None` and without the types of elements."""
    if isinstance(annotation, types.UnionType):
        annotation = next(one for one in typing.get_args(annotation) if one is not types.NoneType)
    return typing.get_origin(annotation) or annotation
