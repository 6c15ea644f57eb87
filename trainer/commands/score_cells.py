"""Formats blocks of scored rows: the lines of the input, and the cells that are added to them."""

import io
import re
from typing import TYPE_CHECKING

import numpy as np

from trainer.commands.score_format import COLUMNS, FLAG, NOTE, P_VALUE, ROW, SCORE, Format
from trainer.data.custom.table_rows import WHITE_SPACE
from trainer.data.inputs.blocks import InputBlock
from trainer.errors import sanitize
from trainer.evaluation.calibration import Calibration
from trainer.runs.scoring import Scored, Scorer

if TYPE_CHECKING:
    import polars

DIGITS = 6
NUM_SHARES, MAX_TEXTS = 101, 1_000  # from 0 % to 100 %; columns whose texts are kept


class Cells:
    """Formats the rows of blocks.

    Args:
      form: the format of the table.
      scorer: adds the offset to reconstructions.
      threshold: scores above it are anomalies.
      calibration: for p-values; None: they are empty.
    """

    def __init__(self, form: Format, scorer: Scorer, threshold: float, calibration: Calibration | None) -> None:
        import polars  # Takes 0.1 s.

        self._form, self._scorer, self._threshold, self._calibration = form, scorer, threshold, calibration
        self._names = [_name(name) for name in form.trained_names]
        self._texts: polars.Series | None = None
        if len(self._names) <= MAX_TEXTS:
            self._texts = polars.Series([f"{name} {share}%" for name in self._names for share in range(NUM_SHARES)])
        self._quotes_columns = form.delimiter in "; " or any(
            ";" in name or form.quoted(sanitize(name)) != name for name in form.trained_names
        )

    def text(self, block: InputBlock, scored: Scored, first_row: int) -> bytes:
        """Returns the lines of a block with their cells. `first_row` is the number of its first row, from 1."""
        import polars

        form = self._form
        frame = self._added(scored)
        if not block.is_good.all():
            place = np.cumsum(block.is_good) - 1
            index = polars.Series(place, dtype=polars.Int64).scatter(np.flatnonzero(~block.is_good), None)
            frame = frame.select(polars.all().gather(index))
        notes = polars.Series(NOTE, [None], dtype=polars.String).new_from_index(0, len(block.lines))
        if block.bad and form.keeps_bad:
            reasons = [form.quoted(reason) for _, _, reason in block.bad]
            notes = notes.scatter([index for index, _, _ in block.bad], reasons)
        frame = polars.DataFrame([*self._kept(block, first_row), *frame.get_columns(), notes])
        return self._written(frame, block)

    def _added(self, scored: Scored) -> "polars.DataFrame":
        """Returns the cells that are added to the lines of examples, without the note."""
        import polars

        form = self._form
        columns = [
            polars.Series(SCORE, scored.scores.astype(np.float64)).round_sig_figs(DIGITS),
            polars.Series(FLAG, (scored.scores > self._threshold).astype(np.int8)),
            self._p_values(scored.scores),
        ]
        if form.explain:
            columns.append(self.explanations(scored, quote=self._quotes_columns).alias(COLUMNS))
        if form.errors:
            columns += _by_column("error_", scored.parts.astype(np.float64), digits=DIGITS)
        if form.reconstructions:
            columns += _by_column("expected_", self._scorer.originals(scored.reconstructions))
        return polars.DataFrame(columns)

    def _p_values(self, scores: np.ndarray) -> "polars.Series":
        import polars

        if self._calibration is None:
            return polars.Series(P_VALUE, [None], dtype=polars.Float64).new_from_index(0, len(scores))
        return polars.Series(P_VALUE, self._calibration.p_values(scores)).round_sig_figs(DIGITS)

    def explanations(self, scored: Scored, *, quote: bool = False) -> "polars.Series":
        """Returns the columns with the largest parts, and their shares of the score: [n] texts."""
        import polars

        rest = np.array(_comparable(scored.parts).T, order="C")  # [D, n]: the search is three times as fast.
        totals = np.maximum(rest.sum(axis=0, dtype=np.float64), np.finfo(np.float64).tiny)
        rows, texts = np.arange(rest.shape[1]), []
        for _ in range(min(self._form.explain, len(rest))):
            largest = rest.argmax(axis=0)
            shares = np.rint(100 * rest[largest, rows].astype(np.float64) / totals).astype(np.int64)
            rest[largest, rows] = -1
            texts.append(self._with_shares(largest, shares))
        if not texts or not len(rows):
            return polars.Series([""] * len(rows), dtype=polars.String)
        joined = polars.concat_str(texts, separator="; ")
        if quote:
            joined = polars.concat_str([polars.lit('"'), joined, polars.lit('"')])
        return polars.select(joined).to_series()

    def _with_shares(self, names: np.ndarray, shares: np.ndarray) -> "polars.Series":
        """Returns the texts of columns and their shares, [n] indices and [n] percent -> [n]."""
        import polars

        if self._texts is not None:
            return self._texts.gather(names * NUM_SHARES + shares)
        return polars.Series([f"{self._names[name]} {share}%" for name, share in zip(names, shares, strict=True)])

    def _kept(self, block: InputBlock, first_row: int) -> list["polars.Series"]:
        """Returns the columns that come from the input: whole lines, some of their cells, or row numbers."""
        import polars

        form = self._form
        if form.kept is None:
            lines = polars.Series("", block.lines, dtype=polars.String)
            short = [(i, len(form.names) - n) for i, n, _ in block.bad if n < len(form.names)]
            if short and form.delimiter != WHITE_SPACE:  # The cells that are added belong below their names.
                lines = lines.scatter(
                    [i for i, _ in short], [block.lines[i] + form.delimiter * missing for i, missing in short]
                )
            return [lines]
        if not form.kept:
            return [polars.Series(ROW, first_row - 1 + np.cumsum(block.is_row))]
        cells = [_raw_cells(line, form.delimiter) for line in block.lines]
        return [
            polars.Series(str(column), [row[column] if column < len(row) else None for row in cells], polars.String)
            for column in form.kept
        ]

    def _written(self, frame: "polars.DataFrame", block: InputBlock) -> bytes:
        """Returns the lines of the output. Blank lines of the input are copied."""
        form, is_kept = self._form, np.ones(len(block.lines), bool)
        if not form.keeps_bad:
            is_kept[[index for index, _, _ in block.bad]] = False
        if form.only_anomalies:
            is_kept &= (frame[FLAG] == 1).fill_null(False).to_numpy()
        if form.kept is not None:
            is_kept &= block.is_row
        blank = [i for i in np.flatnonzero(~block.is_row & is_kept).tolist() if not block.lines[i].strip()]
        if not blank:
            return self._csv(frame if is_kept.all() else frame.filter(is_kept))
        parts, start = [], 0
        for index in [*blank, len(block.lines)]:
            parts.append(self._csv(frame[start:index].filter(is_kept[start:index])))
            if index < len(block.lines):
                parts.append(f"{block.lines[index]}\n".encode())
            start = index + 1
        return b"".join(parts)

    def _csv(self, frame: "polars.DataFrame") -> bytes:
        delimiter = self._form.delimiter
        empty = '""' if delimiter == WHITE_SPACE else ""  # An empty cell would be lost between spaces.
        file = io.BytesIO()  # Half the time of a text that is then encoded.
        frame.write_csv(file, include_header=False, separator=delimiter, quote_style="never", null_value=empty)
        return file.getvalue()


def _by_column(prefix: str, values: np.ndarray, digits: int | None = None) -> list["polars.Series"]:
    import polars

    columns = [polars.Series(f"{prefix}{column}", values[:, column]) for column in range(values.shape[1])]
    return columns if digits is None else [column.round_sig_figs(digits) for column in columns]


def _comparable(parts: np.ndarray) -> np.ndarray:
    """Returns parts without infinity: in rows that have it, it becomes 1, and other parts become 0."""
    is_infinite = np.isinf(parts)
    if not is_infinite.any():
        return parts
    return np.where(is_infinite.any(axis=1, keepdims=True), is_infinite.astype(np.float32), parts)


def _name(name: str) -> str:
    """Returns a name for a list that is separated by semicolons, within a cell that may be in quotes."""
    name = sanitize(name)
    return '""' + name.replace('"', '""""') + '""' if ";" in name else name.replace('"', '""')


def _raw_cells(line: str, delimiter: str) -> list[str]:
    """Returns the cells of a line with their quotes."""
    if '"' not in line:
        return line.split() if delimiter == WHITE_SPACE else line.split(delimiter)
    quoted = r'"(?:[^"]|"")*"'
    if delimiter == WHITE_SPACE:
        return re.findall(rf"{quoted}|\S+", line)
    end = re.escape(delimiter)
    return re.findall(rf"(?:^|{end})({quoted}|[^{end}]*)", line)
