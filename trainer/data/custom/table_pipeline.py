"""Parses blocks of lines in threads, while the blocks before are used."""

import collections
import concurrent.futures
from collections.abc import Iterator

from trainer.data.custom.table_layout import Layout
from trainer.data.custom.table_rows import Lines
from trainer.data.custom.table_validation import Block
from trainer.data.limits import Limits
from trainer.system import cores

MAX_THREADS = 4


def parsed_blocks(lines: Lines, layout: Layout, delimiter: str, limits: Limits) -> Iterator[tuple[bytes, Block | None]]:
    """Yields blocks of lines with their rows, and parses the next blocks in threads meanwhile.

    If a block has no rows, `lines` goes on at its beginning: its rows have to be read one by one.
    """
    first = lines.take(limits.table_block_bytes)
    lines.put_back([first])
    if len(first) < limits.min_parsed_bytes:  # Python reads these in less time than it imports Polars.
        while block := lines.take(limits.table_block_bytes):  # Several, if a line is long.
            lines.put_back([block])
            yield block, None
        return
    from trainer.data.custom import table_blocks  # Imports Polars, which takes 0.1 s.

    def parse(block: bytes) -> Block | None:
        if len(block) >= limits.row_characters and max(map(len, block.split(b"\n"))) >= limits.row_characters:
            return None
        return table_blocks.parse(block, layout, delimiter)

    num_threads = min(MAX_THREADS, cores.available())
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        taken: collections.deque[tuple[bytes, concurrent.futures.Future[Block | None]]] = collections.deque()
        while True:
            while len(taken) <= num_threads and (block := lines.take(limits.table_block_bytes)):
                taken.append((block, pool.submit(parse, block)))
            if not taken:
                return
            parsed = taken[0][1].result()
            if parsed is None:
                lines.put_back([block for block, _ in taken])
            yield taken.popleft()[0], parsed
            if parsed is None:
                taken.clear()
