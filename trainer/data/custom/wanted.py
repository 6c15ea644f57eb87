"""What is made of a person's own data, and what is said of what cannot be used."""

import collections
import pathlib
from collections.abc import Sequence

from trainer.data.formats.image_files import Target
from trainer.data.options import DataOptions
from trainer.errors import DataError, option, sanitize

SIZES_SHOWN = 3
BAD_SHOWN, BAD_KEPT = 3, 1_000  # of what cannot be used, so many are told, and remembered


def target(options: DataOptions) -> Target:
    """What pictures are made into."""
    return Target(*options.image_size, 1 if options.color == "grey" else 3, options.fit)


def size_note(options: DataOptions, sizes: collections.Counter[str]) -> str:
    """What to say of pictures, by their sizes in words, that were made into what is wanted."""
    shown = ", ".join(f"{size} ({count:,})" for size, count in sizes.most_common(SIZES_SHOWN))
    more = f" and {len(sizes) - SIZES_SHOWN:,} other sizes" if len(sizes) > SIZES_SHOWN else ""
    height, width = options.image_size
    return f"pictures of {shown}{more} were made {width}x{height}, {options.color}, {options.fit}"


def report_unusable(
    options: DataOptions, kind: str, bad: Sequence[tuple[str, str]], count: int, total: int, where: pathlib.Path
) -> tuple[str, ...]:
    """What to say of what cannot be used, if it is to be left out.

    Args:
      options: say whether it is.
      kind: files or rows.
      bad: the first of them, each with its reason.
      count: how many there are.
      total: how many there are with the good ones.
      where: they are.

    Raises:
      DataError: there are some, and they are not to be left out.
    """
    if not count:
        return ()
    shown = "; ".join(f"{sanitize(name)} {reason}" for name, reason in bad[:BAD_SHOWN])
    if options.on_bad_file == "error":
        name, reason = bad[0]
        raise DataError(
            f"{sanitize(name)} in {sanitize(where)} cannot be used",
            found=f"it {reason}; in all {count:,} of {total:,} {kind} cannot be used",
            remedy=f"mend or remove what is wrong, or give {option('on_bad_file', 'skip')} to leave it out",
        )
    return (f"left out {count:,} of {total:,} {kind}: {shown}" + ("; ..." if count > BAD_SHOWN else ""),)
