"""Notes on the columns of rows of numbers that make training go wrong."""

import re
from collections.abc import Sequence

import numpy as np

from trainer.data.rows import evenly_spaced
from trainer.errors import option, render, sanitize

MAX_ROWS = 10_000  # A note does not need more.
MIN_ROWS = 10
MAX_RATIO = 100  # of standard deviations; the squared errors of two such columns differ by 10,000
MAX_SHOWN = 5
MIN_STEPS = 16  # between neighboring float32 numbers, in a standard deviation; rounding then costs 2 % of it
FINE = "float32 cannot tell the values of these columns apart"
MAX_EXACT = 1 << 20  # numbers in float64 that `fine_notes` needs at most
# Names of columns that hold an id or an index: id, user_id, PassengerId, customerID, Unnamed: 0, and no name.
ID_NAME = r"(?i:(.*[\W_])?(id|ids|uuid|idx|index)|unnamed: \d+|column \d+)|.*[a-z](Id|ID)"


def notes(rows: np.ndarray, names: Sequence[str], *, has_heading: bool, is_standardized: bool) -> list[str]:
    """Returns notes on columns that look like an id or an index, and on columns of very different sizes.

    Args:
      rows: [N, D] numbers, in the order of the file.
      names: [D] names of the columns.
      has_heading: True if the names are those of a heading.
      is_standardized: True with --standardise.
    """
    if len(rows) < MIN_ROWS or rows.shape[1] < 2:
        return []
    ids = _is_id(rows[:MAX_ROWS], names if has_heading else [""] * len(names))
    result = []
    if ids.any():
        shown = [f"'{sanitize(names[column])}'" for column in np.flatnonzero(ids).tolist()]
        more = ", ..." if len(shown) > MAX_SHOWN else ""
        result.append(
            f"columns that look like ids or indices are trained on: {', '.join(shown[:MAX_SHOWN])}{more}; remove them"
            " from the file, unless they are measurements"
        )
    if not is_standardized and not ids.all():
        result += _scale_notes(rows[evenly_spaced(len(rows), MAX_ROWS)], names, ~ids)
    return result


def fine_notes(rows: np.ndarray, names: Sequence[str]) -> list[str]:
    """Returns a note on the columns whose values are so large beside their differences that float32 loses these.

    Args:
      rows: [N, D] float64, the first rows of the file, before they are converted to float32.
      names: [D] names of the columns.
    """
    rows = rows[: max(1, MAX_EXACT // rows.shape[1])]
    steps = np.spacing(np.abs(rows).max(axis=0).astype(np.float32))
    deviations = rows.std(axis=0)
    # Equal numbers can have a tiny deviation, because their mean is rounded.
    fine = np.flatnonzero((np.ptp(rows, axis=0) > 0) & (deviations < MIN_STEPS * steps))
    if not len(fine):
        return []
    shown = [f"'{sanitize(names[c])}' ({rows[:, c].min():.10g} to {rows[:, c].max():.10g})" for c in fine[:MAX_SHOWN]]
    more = f" and {len(fine) - MAX_SHOWN:,} more" if len(fine) > MAX_SHOWN else ""
    return [f"{FINE}: {', '.join(shown)}{more}; subtract a constant, such as the smallest value, from each of them"]


def _is_id(rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Returns a mask of the columns that count the rows, or have the name and the distinct integers of an id: [D]."""
    integers = (rows == np.floor(rows)).all(axis=0)
    steps = np.diff(rows.astype(np.float64), axis=0)
    counts = integers & (steps > 0).all(axis=0) & (steps.sum(axis=0) < 2 * len(rows))
    for column in np.flatnonzero(integers & ~counts).tolist():
        if re.fullmatch(ID_NAME, names[column].strip()):
            counts[column] = len(np.unique(rows[:, column])) >= 0.99 * len(rows)
    return counts


def _scale_notes(rows: np.ndarray, names: Sequence[str], mask: np.ndarray) -> list[str]:
    """Returns a note if at least half of the columns that vary are small beside the largest; `mask` selects columns."""
    deviations = np.where(mask, rows.std(axis=0, dtype=np.float64), 0)
    varying = np.flatnonzero(deviations > 0)
    if len(varying) < 2:
        return []
    largest = int(deviations.argmax())
    is_small = deviations[varying] * MAX_RATIO < deviations[largest]
    if 2 * is_small.sum() < len(varying):
        return []
    smallest = int(varying[deviations[varying].argmin()])
    return [
        f"columns differ by orders of magnitude: the standard deviation of '{sanitize(names[largest])}' is"
        f" {deviations[largest]:.3g}, that of '{sanitize(names[smallest])}' {deviations[smallest]:.3g}; training fits"
        f" only the large columns, unless {render(option('standardise'))} is given"
    ]
