"""Sizes from which on data are read otherwise, or not at all."""

import dataclasses

from trainer.system import cores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes from which on data are read otherwise, or not at all.

    Attributes:
      in_memory_bytes: larger arrays are copied into the cache, train and eval apart, and mapped from there.
      copied_bytes: of an array that is copied, so much at a time.
      files_for_one: fewer pictures are decoded by this process: others take a while to start.
      files_a_job: pictures that another process decodes at a time.
      processes: that decode; None: as many as there are cores.
      row_characters: a longer row of a table is refused: it would be read into memory.
      bomb_bytes: a larger member of an archive is refused, if it is packed more tightly than pictures are.
      directory_bytes: a longer list of an archive's members is refused: all of it would be read at once.
    """

    in_memory_bytes: int = 1 << 30
    copied_bytes: int = 16 << 20
    files_for_one: int = 256
    files_a_job: int = 64
    processes: int | None = None
    row_characters: int = 6_400_000
    bomb_bytes: int = 256 << 20
    directory_bytes: int = 1 << 20

    @property
    def decoding_processes(self) -> int:
        """How many processes decode."""
        return self.processes or cores.available()
