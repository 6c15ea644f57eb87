"""A person's own data: what is to be made of them, and what becomes of what cannot be used."""

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

from trainer.data.formats.image_files import Target
from trainer.errors import DataError, printable

SIZES_SHOWN = 3


BAD_SHOWN, BAD_KEPT = 3, 1_000  # of what cannot be used, so many are told, and remembered


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be made of data.

    Attributes:
      classes: labels or their names to keep; none: all.
      image_size: height and width of a person's own pictures.
      color: of them: grey or rgb.
      fit: of those of other proportions, as in `imaging.Target`.
      label_column: of a table: its name, or its number from 1 on; None: there is none.
      standardise: divide each column of rows by its standard deviation.
      eval_fraction: of the examples that evaluate, where the data have no split of their own.
      on_bad_file: error, or skip.
    """

    classes: tuple[str, ...] = ()
    image_size: tuple[int, int] = (32, 32)
    color: str = "rgb"
    fit: str = "crop"
    label_column: str | None = None
    standardise: bool = False
    eval_fraction: float = 0.1
    on_bad_file: str = "error"

    @property
    def target(self) -> Target:
        """What pictures are made into."""
        return Target(*self.image_size, 1 if self.color == "grey" else 3, self.fit)

    def note_of_sizes(self, sizes: collections.Counter[str]) -> str:
        """What to say of pictures, by their sizes in words, that were made into what is wanted."""
        shown = ", ".join(f"{size} ({count:,})" for size, count in sizes.most_common(SIZES_SHOWN))
        more = f" and {len(sizes) - SIZES_SHOWN:,} other sizes" if len(sizes) > SIZES_SHOWN else ""
        height, width = self.image_size
        return f"pictures of {shown}{more} were made {width}x{height}, {self.color}, {self.fit}"

    def answer_for_bad(
        self, kind: str, bad: Sequence[tuple[str, str]], count: int, total: int, where: pathlib.Path
    ) -> tuple[str, ...]:
        """What to say of what cannot be used, if it is to be left out.

        Args:
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
        shown = "; ".join(f"{printable(name)} {reason}" for name, reason in bad[:BAD_SHOWN])
        if self.on_bad_file == "error":
            name, reason = bad[0]
            raise DataError(
                f"{printable(name)} in {printable(where)} cannot be used",
                found=f"it {reason}; in all {count:,} of {total:,} {kind} cannot be used",
                remedy="mend or remove what is wrong, or give --on_bad_file=skip to leave it out",
            )
        return (f"left out {count:,} of {total:,} {kind}: {shown}" + ("; ..." if count > BAD_SHOWN else ""),)
