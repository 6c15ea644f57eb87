"""Size limits for reading data."""

import dataclasses

from trainer.system import cores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes above which data are read in another way, or rejected.

    Attributes:
      in_memory_bytes: larger arrays are copied into the cache, one file for each split, and memory-mapped from there.
      chunk_bytes: size of the chunks in which these arrays are copied.
      min_parallel_files: fewer images are decoded in this process, because worker processes take time to start.
      files_per_job: number of images that a worker process decodes in one job.
      processes: number of worker processes; None: the number of cores.
      uncached_table_bytes: smaller tables are read at every start, in about 0.2 s; larger ones are read once, into the
        cache.
      table_block_bytes: size of the blocks in which tables are parsed.
      min_parsed_bytes: shorter tables are read by Python, because importing the parser takes longer.
      row_characters: a longer row of a table is rejected, because it would be read into memory.
      bomb_bytes: a larger member of an archive is rejected if its compression ratio is that of a decompression bomb.
      directory_bytes: an archive with a larger directory is rejected, because all of it would be read at once.
    """

    in_memory_bytes: int = 1 << 30
    chunk_bytes: int = 16 << 20
    min_parallel_files: int = 256
    files_per_job: int = 64
    processes: int | None = None
    uncached_table_bytes: int = 8 << 20
    table_block_bytes: int = 4 << 20
    min_parsed_bytes: int = 1 << 20
    row_characters: int = 6_400_000
    bomb_bytes: int = 256 << 20
    directory_bytes: int = 1 << 20

    @property
    def decoding_processes(self) -> int:
        """Number of processes that decode images."""
        return self.processes or cores.available()
