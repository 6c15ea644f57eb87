"""Notes on the columns of rows of numbers that make training go wrong."""

import collections
import itertools
import re
from collections.abc import Sequence

import numpy as np

from trainer.data.custom.table_layout import reference
from trainer.data.dataset import Dataset, chunk_slices, column_ranges, mean_and_deviations
from trainer.data.rows import RowSubset, evenly_spaced
from trainer.data.schema import Schema
from trainer.errors import option, sanitize

MAX_ROWS = 10_000  # A note does not need more.
MIN_ROWS = 10
MAX_RATIO = 100  # of standard deviations; the squared errors of two such columns differ by 10,000
MAX_SHOWN = 5
# Steps between neighboring float32 numbers in a standard deviation. With fewer, rounding costs 2 % of it, or 0.03 %.
MIN_STEPS, MIN_STEPS_UNCENTERED = 16, 1024
FINE = "float32 cannot tell the values of these columns apart"
CENTERED = "centered before the conversion to float32, which would round their differences"
MAX_EXACT = 1 << 20  # numbers in float64 that `fine_notes` needs at most
MAX_NUMBERS = 1 << 25  # that `notes` needs at most
CONSTANT = "constant columns"
SCALES = "columns differ by orders of magnitude"
# Names of columns that hold an id or an index: id, user_id, PassengerId, customerID, Unnamed: 0, and no name.
ID_NAME = r"(?i:(.*[\W_])?(id|ids|uuid|idx|index)|unnamed: \d+|column \d+)|.*[a-z](Id|ID)"


def notes(data: Dataset, *, is_standardized: bool, ignored: Sequence[str]) -> list[str]:
    """Returns notes on training columns: equal names, constant columns, ids or indices, and very different sizes.

    The notes may refer to options; see `errors.render`.

    Args:
      data: the data set, before it is standardized. Without a schema there are no notes.
      is_standardized: True with --standardise.
      ignored: the value of --ignore_columns.
    """
    schema, rows = data.schema, data.train.examples
    if schema is None:
        return []
    names = schema.trained_names
    doubled = [name for name, count in collections.Counter(names).items() if count > 1]
    result = [f"columns of the same name are trained on: {_quoted(doubled)}"] if doubled else []
    result += _constant_notes(data, names)
    if len(rows) < MIN_ROWS or rows.shape[1] < 2:
        return result
    max_rows = max(MIN_ROWS, min(MAX_ROWS, MAX_NUMBERS // rows.shape[1]))
    is_id = _is_id(data.originals(rows[:max_rows]), names if schema.has_heading else [""] * len(names))
    if is_id.any():
        ids = np.flatnonzero(is_id).tolist()
        result.append(
            f"columns that look like ids or indices are trained on: {_quoted([names[column] for column in ids])};"
            f" {_id_remedy(data.name, schema, ids, ignored)}, unless they are measurements"
        )
    if not is_standardized and not is_id.all():
        result += _scale_notes(rows[evenly_spaced(len(rows), max_rows)], names, ~is_id)
    return result


def _id_remedy(name: str, schema: Schema, ids: Sequence[int], ignored: Sequence[str]) -> str:
    """Returns how to leave out these columns of an example."""
    if name != "table":
        return "remove them from the file"
    references = [reference(schema.trained[column], schema.names) for column in ids]
    return f"give {option('ignore_columns', ','.join([*ignored, *references]))}"


def _constant_notes(data: Dataset, names: Sequence[str]) -> list[str]:
    """Returns notes on the columns that are constant in the training rows."""
    train, evaluation = data.train.examples, data.evaluation.examples
    constant = _constant([train], np.arange(train.shape[1]))
    if not len(constant):
        return []
    result = [f"{CONSTANT}: {len(constant):,}: {_quoted([names[column] for column in constant])}"]
    varying = np.setdiff1d(constant, _constant([train, evaluation], constant))
    if len(varying):
        shown = _quoted([names[column] for column in varying])
        result.append(f"columns that are constant in the training rows, but not in the evaluation rows: {shown}")
    return result


def _constant(splits: Sequence[np.ndarray], columns: np.ndarray) -> np.ndarray:
    """Returns those of the columns whose numbers are all equal, or missing, in all splits, [N, D] each."""
    low, high = np.full(len(columns), np.nan), np.full(len(columns), np.nan)
    first = (rows[:MIN_ROWS] for rows in splits)  # Usually, these show that there is none.
    for chunk in itertools.chain(first, (rows[chunk] for rows in splits for chunk in chunk_slices(rows))):
        if not len(columns):
            break
        chunk_low, chunk_high = column_ranges(chunk[:, columns])
        low, high = np.fmin(low, chunk_low), np.fmax(high, chunk_high)
        is_kept = ~(low < high)
        columns, low, high = columns[is_kept], low[is_kept], high[is_kept]
    return columns


def _quoted(names: Sequence[str]) -> str:
    """Returns the first names in quotes."""
    shown = ", ".join(f"'{sanitize(name)}'" for name in names[:MAX_SHOWN])
    return f"{shown}, ..." if len(names) > MAX_SHOWN else shown


def offset(rows: np.ndarray | RowSubset) -> np.ndarray | None:
    """Returns what to subtract from rows so that float32 keeps their differences: [D] float64.

    This is the mean of columns whose values are large beside their differences, such as times in seconds since 1970,
    and 0 for the other columns; None if there are no such columns.

    Args:
      rows: [N, D] float64, the training rows; NaN for missing numbers.
    """
    low, high = ranges(rows)
    # The least deviation with this range: of one number at each end, and all others in the middle.
    if not _is_fine(low, high, 0.99 * (high - low) / np.sqrt(2 * len(rows)), MIN_STEPS_UNCENTERED).any():
        return None
    means, deviations = mean_and_deviations(rows)  # type: ignore[arg-type]
    result = np.where(_is_fine(low, high, deviations, MIN_STEPS_UNCENTERED), means, 0.0)
    return result if result.any() else None


def ranges(rows: np.ndarray | RowSubset) -> tuple[np.ndarray, np.ndarray]:
    """Returns the columns' minima and maxima, [N, D] -> [D] each; NaN for columns without numbers."""
    ends = [column_ranges(rows[chunk]) for chunk in chunk_slices(rows)]  # type: ignore[arg-type]
    return np.fmin.reduce([low for low, _ in ends]), np.fmax.reduce([high for _, high in ends])


def to_float32(rows: np.ndarray, offset: np.ndarray | None) -> np.ndarray:
    """Subtracts the offset from [N, D] float64 rows, and converts them to float32 in chunks, to save memory."""
    result = np.empty(rows.shape, np.float32)
    for chunk in chunk_slices(rows):
        result[chunk] = rows[chunk] if offset is None else rows[chunk] - offset
    return result


def centered_notes(rows: np.ndarray, names: Sequence[str], offset: np.ndarray | None) -> list[str]:
    """Returns a note on the columns of [N, D] rows from which an offset is subtracted."""
    if offset is None:
        return []
    return [f"{CENTERED}: {_ranges_text(rows, names, np.flatnonzero(offset))}"]


def fine_notes(rows: np.ndarray, names: Sequence[str]) -> list[str]:
    """Returns a note on the columns whose values are so large beside their differences that float32 loses these.

    Args:
      rows: [N, D] float64, the first rows of the file, before they are converted to float32.
      names: [D] names of the columns.
    """
    rows = rows[: max(1, MAX_EXACT // rows.shape[1])]
    fine = np.flatnonzero(_is_fine(*ranges(rows), mean_and_deviations(rows)[1], MIN_STEPS))
    if not len(fine):
        return []
    return [
        f"{FINE}: {_ranges_text(rows, names, fine)}; subtract a constant, such as the smallest value, from each of them"
    ]


def _is_fine(low: np.ndarray, high: np.ndarray, deviations: np.ndarray, min_steps: int) -> np.ndarray:
    """Returns a mask of the columns that vary by less than `min_steps` steps of float32 in a standard deviation."""
    steps = np.spacing(np.maximum(np.abs(low), np.abs(high)).astype(np.float32))
    # Equal numbers can have a tiny deviation, because their mean is rounded.
    return (high > low) & (deviations < min_steps * steps)


def _ranges_text(rows: np.ndarray, names: Sequence[str], selected: np.ndarray) -> str:
    """Returns the names and ranges of the first selected columns."""
    shown = [
        f"'{sanitize(names[c])}' ({np.nanmin(rows[:, c]):.10g} to {np.nanmax(rows[:, c]):.10g})"
        for c in selected[:MAX_SHOWN]
    ]
    return ", ".join(shown) + (f" and {len(selected) - MAX_SHOWN:,} more" if len(selected) > MAX_SHOWN else "")


def _is_id(rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Returns a mask of the columns that count the rows, or have the name and the distinct integers of an id: [D]."""
    result = np.zeros(rows.shape[1], bool)
    integers = np.flatnonzero((rows == np.floor(rows)).all(axis=0))
    steps = np.diff(rows[:, integers].astype(np.float64), axis=0)
    result[integers] = (steps > 0).all(axis=0) & (steps.sum(axis=0) < 2 * len(rows))
    for column in integers[~result[integers]].tolist():
        if re.fullmatch(ID_NAME, names[column].strip()):
            result[column] = len(np.unique(rows[:, column])) >= 0.99 * len(rows)
    return result


def _scale_notes(rows: np.ndarray, names: Sequence[str], mask: np.ndarray) -> list[str]:
    """Returns a note if at least half of the columns that vary are small beside the largest; `mask` selects columns."""
    deviations = np.where(mask, mean_and_deviations(rows)[1], 0)
    varying = np.flatnonzero(deviations > 0)
    if len(varying) < 2:
        return []
    largest = int(deviations.argmax())
    is_small = deviations[varying] * MAX_RATIO < deviations[largest]
    if 2 * is_small.sum() < len(varying):
        return []
    smallest = int(varying[deviations[varying].argmin()])
    return [
        f"{SCALES}: the standard deviation of '{sanitize(names[largest])}' is"
        f" {deviations[largest]:.3g}, that of '{sanitize(names[smallest])}' {deviations[smallest]:.3g}; training fits"
        f" only the large columns, unless {option('standardise')} is given"
    ]
