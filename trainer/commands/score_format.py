"""The columns of the table of scores, and its heading."""

import dataclasses
import re
from collections.abc import Sequence

from trainer.data.custom import table_layout
from trainer.data.custom.table_rows import WHITE_SPACE
from trainer.errors import UsageError, option, sanitize

SCORE, FLAG, P_VALUE, COLUMNS, NOTE = "anomaly_score", "is_anomaly", "anomaly_p", "anomaly_columns", "anomaly_note"
ROW = "row"
ALL, NONE = ("all",), ("none",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """The format of a table of scores.

    Attributes:
      delimiter: separates the cells; a space stands for white space.
      names: names of the columns of the input.
      trained_names: [D] names of the columns that are scored; empty for images.
      kept: indices of the input columns in the output; None: whole lines; (): the number of the row instead.
      explain: number of columns in `anomaly_columns`.
      errors, reconstructions: add a column of errors, and of reconstructions, for each scored column.
      only_anomalies: leave out all other rows.
      keeps_bad: keep rows that cannot be scored.
    """

    delimiter: str
    names: Sequence[str]
    trained_names: Sequence[str]
    kept: Sequence[int] | None
    explain: int
    errors: bool
    reconstructions: bool
    only_anomalies: bool
    keeps_bad: bool

    @property
    def added(self) -> list[str]:
        """Names of the columns that are added."""
        return [
            *(SCORE, FLAG, P_VALUE),
            *([COLUMNS] if self.explain else []),
            *([f"error_{name}" for name in self.trained_names] if self.errors else []),
            *([f"expected_{name}" for name in self.trained_names] if self.reconstructions else []),
            NOTE,
        ]

    def heading(self, lines: Sequence[str]) -> str:
        """Returns the heading of the output, given the lines of that of the input; empty without one.

        Raises:
          UsageError: the input has a column of the same name.
        """
        if not lines and self.kept != ():
            return ""
        kept = self.names if self.kept is None else [self.names[column] for column in self.kept]
        double = [name for name in self.added if name in kept]
        if double and self.kept != ():
            raise UsageError(
                f"the input already has the column {sanitize(double[0])}",
                found=f"columns: {table_layout.names_text(self.names)}",
                remedy=f"give {option('columns', 'none')}, or {option('columns', 'NAME,NAME')} with other columns",
            )
        added = [self.quoted(name) for name in self.added]
        if self.kept is None:
            return "\n".join([*lines[:-1], self.delimiter.join([lines[-1], *added])])
        names = [self.quoted(name) for name in kept] if self.kept else [ROW]
        return self.delimiter.join([*names, *added])

    def quoted(self, text: str) -> str:
        """Returns a text as a cell."""
        is_spaced = self.delimiter == WHITE_SPACE
        special = r'["\s]' if is_spaced else r'["\r\n]'
        if text and self.delimiter not in text and not re.search(special, text):
            return text
        return '"' + text.replace('"', '""') + '"' if text or is_spaced else ""
