"""Flips bits, and cuts, zeroes, deletes and swaps files: the damage is detected, and an older checkpoint is restored.

A trial passes if the damaged checkpoint does not verify and the one before it does. A sample of damaged runs is trained
to the end: the result must be that of an undamaged run.
"""

import contextlib
import itertools
import os
import pathlib
import random
import shutil
import sys
from collections.abc import Callable, Iterator

from claims import Claim
from processes import ForkServer

from storms import digests
from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests

SECTOR = 512
SECONDS_TO_FINISH = 300.0
FLAGS = ("--dataset=digits", "--steps=30", "--checkpoint_every=10", "--jit=off", "--export=none")
SMALL = (*FLAGS, "--hidden=4")
REAL = (*FLAGS, "--hidden=800,64")


class Victim:
    """A run whose newest checkpoint is damaged and repaired again and again.

    Args:
      run: Finished run with at least three checkpoints.
    """

    def __init__(self, run: pathlib.Path) -> None:
        self.run, self.folder = run, run / "checkpoints"
        shutil.rmtree(self.folder / catalog.BEST, ignore_errors=True)  # Its hard links would be damaged as well.
        self.oldest, self.older, self.newest = manifests.steps_in(self.folder)[-3:]
        name = manifests.checkpoint_name(self.newest)
        self.paths = [*manifests.files_of(self.folder, self.newest), self.folder / f"{name}.json"]
        self.bytes = sum(path.stat().st_size for path in self.paths)

    def survives(self, expected: int | None = None) -> bool:
        """Returns True if the newest checkpoint that verifies is `expected`, by default the one before the newest."""
        newest = manifests.newest(self.folder)
        return newest is not None and newest.step == (self.older if expected is None else expected)

    def counterpart(self, path: pathlib.Path) -> pathlib.Path:
        """Returns the same file of the checkpoint before the newest."""
        return path.with_name(path.name.replace(str(self.newest), str(self.older), 1))


@contextlib.contextmanager
def _restored(*paths: pathlib.Path) -> Iterator[None]:
    """Restores the contents of files on exit."""
    contents = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in contents.items():
            path.write_bytes(content)


def _survives_flip(victim: Victim, path: pathlib.Path, bit: int) -> bool:
    """Inverts one bit of a file and restores it."""
    with open(path, "r+b", buffering=0) as file:
        byte = os.pread(file.fileno(), 1, bit // 8)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1 << bit % 8]), bit // 8)
        try:
            return victim.survives()
        finally:
            os.pwrite(file.fileno(), byte, bit // 8)


def every_bit(victim: Victim) -> Claim:
    """Flips every single bit of a checkpoint, manifest included."""
    passed = sum(_survives_flip(victim, path, bit) for path in victim.paths for bit in range(path.stat().st_size * 8))
    size = f"{victim.bytes / 1000:,.1f} kB, manifest included"
    claim = "every single-bit flip of a small checkpoint is detected, and the one before is used"
    return Claim(claim, passed, victim.bytes * 8, size)


def random_bits(victim: Victim, count: int, seed: int = 0) -> Claim:
    """Flips `count` random bits of a checkpoint, one at a time."""
    draw, sizes = random.Random(seed), [path.stat().st_size for path in victim.paths]
    paths = draw.choices(victim.paths, sizes, k=count)
    passed = sum(_survives_flip(victim, path, draw.randrange(path.stat().st_size * 8)) for path in paths)
    claim = "random single-bit flips of a checkpoint of usual size are detected, and the one before is used"
    return Claim(claim, passed, count, f"{victim.bytes / 1e6:,.2f} MB", random=True)


def truncations(victim: Victim) -> Claim:
    """Cuts each file of a checkpoint at every sector."""
    passed = tried = 0
    for path in victim.paths:
        with _restored(path):
            last = (path.stat().st_size - 1) // SECTOR * SECTOR
            for size in range(last, -1, -SECTOR):
                os.truncate(path, size)
                passed += victim.survives()
                tried += 1
    return Claim(f"each file cut at every {SECTOR} bytes: detected, and the one before is used", passed, tried)


def deletions_and_swaps(victim: Victim) -> Claim:
    """Deletes every set of files, zeroes each file, and swaps each file, and all, with the older checkpoint's."""
    passed = tried = 0

    def attempt(name: str, damage: Callable[[], object], paths: list[pathlib.Path], expected: int) -> None:
        nonlocal passed, tried
        with _restored(*paths):
            damage()
            survived = victim.survives(expected)
        passed, tried = passed + survived, tried + 1
        if not survived:
            print(f"not detected: {name} {[path.name for path in paths]}", file=sys.stderr)

    for count in range(1, len(victim.paths) + 1):
        for paths in map(list, itertools.combinations(victim.paths, count)):
            attempt("deleted", lambda: [path.unlink() for path in paths], paths, victim.older)  # noqa: B023
    for path in victim.paths:
        attempt("zeroed", lambda: path.write_bytes(bytes(path.stat().st_size)), [path], victim.older)  # noqa: B023
    for paths in (*([path] for path in victim.paths), victim.paths):
        others = [victim.counterpart(path) for path in paths]
        # Both checkpoints are damaged.
        attempt("swapped", lambda: _swap(paths, others), paths + others, victim.oldest)  # noqa: B023
    return Claim("files deleted, zeroed, swapped: detected, and an older checkpoint is used", passed, tried)


def _swap(paths: list[pathlib.Path], others: list[pathlib.Path]) -> None:
    for path, other in zip(paths, others, strict=True):
        content = path.read_bytes()
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)


def resumed(victim: Victim, flags: tuple[str, ...], count: int, server: ForkServer, seed: int = 0) -> Claim:
    """Flips a bit in copies of a run and trains each to the end."""
    draw, passed, expected = random.Random(seed), 0, digests.read(victim.run)
    for number in range(count):
        run = victim.run.with_name(f"damaged-{number}")
        shutil.copytree(victim.run, run)
        (run / "result.json").unlink()
        path = draw.choice([run / "checkpoints" / path.name for path in victim.paths])
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        child = server.start([*flags, f"--run_dir={run}"], run.with_suffix(".txt"))
        ended = child.wait(SECONDS_TO_FINISH) == 0
        reported = "set aside as damaged-" in child.printed()
        passed += ended and reported and not digests.differences(digests.read(run), expected)
    claim = "damaged runs that are resumed report the damage and end with the bits of an undamaged one"
    return Claim(claim, passed, count, random=True)


def run_trials(folder: pathlib.Path, *, flips: int = 10_000, runs: int = 10, exhaustive: bool = True) -> list[Claim]:
    """Damages a small checkpoint and one of usual size."""
    with ForkServer() as server:
        small, real = (_victim(server, folder / name, flags) for name, flags in (("small", SMALL), ("real", REAL)))
        claims = [every_bit(small)] if exhaustive else []
        claims += [random_bits(real, flips), truncations(real), deletions_and_swaps(real)]
        return [*claims, resumed(small, SMALL, runs, server)]


def _victim(server: ForkServer, run: pathlib.Path, flags: tuple[str, ...]) -> Victim:
    child = server.start([*flags, f"--run_dir={run}"], run.with_suffix(".txt"))
    if child.wait(SECONDS_TO_FINISH) != 0:
        raise RuntimeError(child.printed())
    return Victim(run)
