"""The columns of the table that a network is trained on. New tables are read by it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schema:
    """The columns of a table. Each is given by its index.

    Attributes:
      names: names of all columns, from the heading, or by number.
      has_heading: True if the names are those of a heading.
      trained: [D] the columns that are the numbers of an example, in their order.
      label: the column of labels, or None.
      ignored: the columns that --ignore_columns names.
      delimiter: separates the cells; a space stands for white space. Empty if the table is no text.
    """

    names: tuple[str, ...]
    has_heading: bool
    trained: tuple[int, ...]
    label: int | None = None
    ignored: tuple[int, ...] = ()
    delimiter: str = ""

    @classmethod
    def of_array(cls, num_columns: int) -> Self:
        """Returns the schema of an array [N, D]."""
        columns = range(num_columns)
        return cls(names=tuple(f"column {c + 1}" for c in columns), has_heading=False, trained=tuple(columns))

    @property
    def trained_names(self) -> list[str]:
        """Names of the columns that are trained on, [D]."""
        return [self.names[column] for column in self.trained]

    @property
    def skipped(self) -> list[int]:
        """The columns that are left out because they have no numbers."""
        used = {*self.trained, *self.ignored, self.label}
        return [column for column in range(len(self.names)) if column not in used]

    def to_json(self) -> dict[str, Any]:
        """Returns the content as JSON; `from_json` restores it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Restores what `to_json` returned.

        Raises:
          KeyError, TypeError, ValueError: the content is damaged.
        """
        names, label = tuple(content["names"]), content["label"]
        trained, ignored = (_columns(content[key], len(names)) for key in ("trained", "ignored"))
        if not trained or not all(isinstance(name, str) for name in names):
            raise ValueError("it has no columns")
        label = label if label is None else _columns([label], len(names))[0]
        is_text = isinstance(content["delimiter"], str) and isinstance(content["has_heading"], bool)
        if not is_text:
            raise TypeError("the delimiter or the heading has another type")
        return cls(
            names=names,
            has_heading=content["has_heading"],
            trained=trained,
            label=label,
            ignored=ignored,
            delimiter=content["delimiter"],
        )


def _columns(columns: Sequence[int], width: int) -> tuple[int, ...]:
    if not all(isinstance(column, int) and 0 <= column < width for column in columns):
        raise ValueError("a column is not in the table")
    return tuple(columns)
