"""Functions that the loaders of custom data share."""

import collections
import pathlib
from collections.abc import Sequence
from typing import Any

from trainer.data.formats.image_files import Target
from trainer.data.options import DataOptions
from trainer.errors import DataError, option, sanitize

MAX_SIZES_SHOWN = 3
MAX_BAD_SHOWN, MAX_BAD_STORED = 3, 1_000  # files or rows that cannot be used


def image_target(options: DataOptions) -> Target:
    """Returns the target that images are converted to."""
    return Target(*options.image_size, 1 if options.color == "grey" else 3, options.fit)


def target_key(options: DataOptions) -> dict[str, Any]:
    """Returns what converted images depend on, for the key of the cache. Runs without --depth had only `target`."""
    target = image_target(options)
    return {"target": [*target.shape, target.fit], **({} if options.depth == "full" else {"depth": options.depth})}


def size_note(options: DataOptions, sizes: collections.Counter[str]) -> str:
    """Returns the note on the conversion of images; `sizes` counts the images of each size, such as "640x480"."""
    shown = ", ".join(f"{size} ({count:,})" for size, count in sizes.most_common(MAX_SIZES_SHOWN))
    more = f" and {len(sizes) - MAX_SIZES_SHOWN:,} other sizes" if len(sizes) > MAX_SIZES_SHOWN else ""
    height, width = options.image_size
    if set(sizes) == {f"{width}x{height}"}:
        return f"images of {shown} keep their size; color: {options.color}"
    return f"images of {shown}{more} were converted to {width}x{height}, {options.color}, {options.fit}"


def report_unusable(
    options: DataOptions,
    kind: str,
    bad: Sequence[tuple[str, str]],
    count: int,
    total: int,
    where: pathlib.Path,
    other_remedy: str = "",
) -> tuple[str, ...]:
    """Returns a note on the files or rows that cannot be used; () if all can be used.

    Args:
      options: if `on_bad_file` is `error`, an exception is raised instead.
      kind: "files", "rows" or "images".
      bad: the first bad files or rows: (name, reason).
      count, total: number of bad files or rows, and number of all.
      where: location of the data.
      other_remedy: what can be done instead, or nothing.

    Raises:
      DataError: there are bad files or rows, and `on_bad_file` is `error`.
    """
    if not count:
        return ()
    shown = "; ".join(f"{sanitize(name)} {reason}" for name, reason in bad[:MAX_BAD_SHOWN])
    if options.on_bad_file == "error":
        name, reason = bad[0]
        raise DataError(
            f"{sanitize(name)} in {sanitize(where)} cannot be used",
            found=f"it {reason}; in total, {count:,} of {total:,} {kind} cannot be used",
            remedy=f"correct or remove these {kind}, or give {option('on_bad_file', 'skip')} to skip them"
            + (f", or {other_remedy}" if other_remedy else ""),
        )
    return (f"skipped {count:,} of {total:,} {kind}: {shown}" + ("; ..." if count > MAX_BAD_SHOWN else ""),)
