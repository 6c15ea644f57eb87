"""Flipped bits, cut, emptied, deleted and swapped files: each is noticed, and an older checkpoint is taken.

A damage counts as noticed if the checkpoint that it struck does not verify, and as recovered if the one before does
and is found. A sample is recovered from by training on: the result must be the one of a run that nothing happened to.
"""

import contextlib
import functools
import os
import pathlib
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator

from claims import Claim, table

from storms import digests
from storms.nursery import Nursery
from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests

SECTOR = 512
SECONDS_TO_FINISH = 300.0
SMALL = ("--dataset=digits", "--hidden=4", "--steps=30", "--checkpoint_every=10", "--jit=off", "--export=none")
REAL = ("--dataset=digits", "--hidden=800,64", "--steps=30", "--checkpoint_every=10", "--jit=off", "--export=none")

# What it is, what does it, which files it strikes, and whether it strikes the checkpoint before too.
Case = tuple[str, Callable[[], object], list[pathlib.Path], bool]


class Victim:
    """A run whose newest checkpoint is damaged again and again, and mended in between.

    Args:
      run: finished, with three checkpoints or more.
    """

    def __init__(self, run: pathlib.Path) -> None:
        self.run, self.folder = run, run / "checkpoints"
        shutil.rmtree(self.folder / catalog.BEST, ignore_errors=True)  # Its links would be struck too, or help out.
        self.oldest, self.older, self.newest = manifests.steps_in(self.folder)[-3:]
        name = manifests.name_of(self.newest)
        self.paths = [*manifests.files_of(self.folder, self.newest), self.folder / f"{name}.json"]
        self.bytes = sum(path.stat().st_size for path in self.paths)

    def survives(self, *, struck_both: bool = False) -> bool:
        """Whether the damage is noticed, and the checkpoint before is found; or the one before that."""
        found = manifests.newest(self.folder)
        return found is not None and found.step == (self.oldest if struck_both else self.older)

    def counterpart(self, path: pathlib.Path) -> pathlib.Path:
        """The file of the checkpoint before."""
        return path.with_name(path.name.replace(str(self.newest), str(self.older), 1))

    @contextlib.contextmanager
    def kept(self, *paths: pathlib.Path) -> Iterator[None]:
        """Brings the files back as they were."""
        contents = {path: path.read_bytes() for path in paths}
        try:
            yield
        finally:
            for path, content in contents.items():
                path.write_bytes(content)


def every_bit(victim: Victim) -> Claim:
    """Every single bit of a checkpoint, its manifest included."""
    passed = 0
    for path in victim.paths:
        for position in range(path.stat().st_size * 8):
            with flipped(path, position):
                passed += victim.survives()
    size = f"{victim.bytes / 1000:,.1f} kB, manifest included"
    return Claim(
        "every single-bit flip of a small checkpoint is noticed and passed over", passed, victim.bytes * 8, size
    )


def random_bits(victim: Victim, count: int, seed: int = 0) -> Claim:
    """Random bits of a checkpoint of a real size."""
    draw = random.Random(seed)
    sizes = [path.stat().st_size for path in victim.paths]
    passed = 0
    for path in draw.choices(victim.paths, sizes, k=count):
        with flipped(path, draw.randrange(path.stat().st_size * 8)):
            passed += victim.survives()
    what = "random single-bit flips of a real checkpoint are noticed and passed over"
    return Claim(what, passed, count, f"{victim.bytes / 1e6:,.2f} MB", random=True)


@contextlib.contextmanager
def flipped(path: pathlib.Path, position: int) -> Iterator[None]:
    """One bit of a file, the other way round."""
    with open(path, "r+b", buffering=0) as file:
        byte = os.pread(file.fileno(), 1, position // 8)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1 << position % 8]), position // 8)
        try:
            yield
        finally:
            os.pwrite(file.fileno(), byte, position // 8)


def truncations(victim: Victim) -> Claim:
    """Each file of a checkpoint, cut at every sector."""
    passed = tried = 0
    for path in victim.paths:
        with victim.kept(path):
            last = (path.stat().st_size - 1) // SECTOR * SECTOR
            for size in range(last, -1, -SECTOR):
                os.truncate(path, size)
                passed += victim.survives()
                tried += 1
    return Claim(f"each file cut short, at every {SECTOR} bytes: noticed and passed over", passed, tried)


def deletions_and_swaps(victim: Victim) -> Claim:
    """Every set of files deleted, each file zeroed, each exchanged with its counterpart, and all of them."""
    cases = [*_deletions(victim), *_zeros(victim), *_swaps(victim)]
    passed = 0
    for name, damage, paths, struck_both in cases:
        with victim.kept(*paths):
            damage()
            found = victim.survives(struck_both=struck_both)
        passed += found
        if not found:
            print(f"not noticed: {name}", file=sys.stderr)
    return Claim("files deleted, zeroed, swapped: noticed and passed over", passed, len(cases))


def _deletions(victim: Victim) -> Iterator[Case]:
    for chosen in range(1, 1 << len(victim.paths)):
        paths = [path for number, path in enumerate(victim.paths) if chosen >> number & 1]
        yield f"deleted {[path.name for path in paths]}", functools.partial(_delete, paths), paths, False


def _zeros(victim: Victim) -> Iterator[Case]:
    for path in victim.paths:
        yield f"zeroed {path.name}", functools.partial(path.write_bytes, bytes(path.stat().st_size)), [path], False


def _swaps(victim: Victim) -> Iterator[Case]:
    for paths in ([path] for path in victim.paths):
        others = [victim.counterpart(path) for path in paths]
        yield f"swapped {paths[0].name}", functools.partial(_swap, paths, others), paths + others, True
    others = [victim.counterpart(path) for path in victim.paths]
    yield "swapped as a whole", functools.partial(_swap, victim.paths, others), victim.paths + others, True


def _delete(paths: list[pathlib.Path]) -> None:
    for path in paths:
        path.unlink()


def _swap(paths: list[pathlib.Path], others: list[pathlib.Path]) -> None:
    for path, other in zip(paths, others, strict=True):
        ours, theirs = path.read_bytes(), other.read_bytes()
        path.write_bytes(theirs)
        other.write_bytes(ours)


def trained_on(victim: Victim, arguments: tuple[str, ...], count: int, nursery: Nursery, seed: int = 0) -> Claim:
    """A sample of damaged runs, trained on to the end."""
    draw, passed, expected = random.Random(seed), 0, digests.read(victim.run)
    for number in range(count):
        run = victim.run.with_name(f"damaged-{number}")
        shutil.copytree(victim.run, run)
        (run / "result.json").unlink()
        path = draw.choice([run / "checkpoints" / path.name for path in victim.paths])
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        child = nursery.start([*arguments, f"--run_dir={run}"], run.with_suffix(".txt"), folder=run.parent)
        ended = nursery.wait(child, SECONDS_TO_FINISH)
        told = "set aside as damaged-" in child.said()
        passed += ended == 0 and told and not digests.differences(digests.read(run), expected)
    return Claim("damaged runs trained on: told, and the result is the same to the bit", passed, count, random=True)


def storm(folder: pathlib.Path, *, flips: int = 10_000, trained: int = 10, exhaustive: bool = True) -> list[Claim]:
    """All of it, on a small checkpoint and on one of a real size."""
    with Nursery() as nursery:
        small, real = (_victim(nursery, folder / name, flags) for name, flags in (("small", SMALL), ("real", REAL)))
        claims = [every_bit(small)] if exhaustive else []
        claims += [random_bits(real, flips), truncations(real), deletions_and_swaps(real)]
        return [*claims, trained_on(small, SMALL, trained, nursery)]


def _victim(nursery: Nursery, run: pathlib.Path, arguments: tuple[str, ...]) -> Victim:
    child = nursery.start([*arguments, f"--run_dir={run}"], run.with_suffix(".txt"), folder=run.parent)
    if nursery.wait(child, SECONDS_TO_FINISH) != 0:
        raise RuntimeError(child.said())
    return Victim(run)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(table(storm(pathlib.Path(temporary))))
