"""Cuts the power during saves, in thought: whatever POSIX lets a disk forget, an acknowledged checkpoint is recovered.

strace records once in which order saves change files and force them to the disk. From that log come crash states: a
moment, all that had been forced by then, and any part of the rest. Each is laid out in a folder, which is then
recovered as the program does it. `python -m storms.powerloss` prints what held.

The model: what is written to a file counts from the file's next fsync on; a name that comes or goes counts from its
folder's next fsync on; before that, each for itself may be kept or lost, a write also in part. A rename within a folder
is one change, as every journal has it; a rename from folder to folder is two.
"""

import argparse
import collections
import dataclasses
import functools
import logging
import math
import os
import pathlib
import random
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from claims import Claim, table

from storms.saver import Savers, error
from storms.syscalls import CHANGES, Strace, best_step, claimed, each, paths, spread, strangers, unhex
from trainer.checkpoints import catalog, retention
from trainer.checkpoints import manifest as manifests

LAST_STEP = 6
ROOT = 0  # the folder of the checkpoints
ATTEMPTS = 50  # for each state that is wanted; many are drawn twice

# What each path of a crash state holds; None for a folder.
Tree = Mapping[str, bytes | None]


@dataclasses.dataclass(frozen=True)
class Op:
    """A change, a sync, or an acknowledgement.

    Attributes:
      kind: "mkdir" makes the folder `target`; "add", "remove" and "rename" change names in the folder `inode`; "write"
        and "truncate" change the file `inode`; "sync" forces either to the disk; "saved" acknowledges a save.
      inode: what it changes or syncs.
      name: the name that comes, goes, or is changed.
      new: what a name is changed to.
      target: what the name is of.
      number: where a write begins; the length after a truncation; the step that was saved.
      content: what is written.
    """

    kind: str
    inode: int = ROOT
    name: str = ""
    new: str = ""
    target: int = ROOT
    number: int = 0
    content: bytes = b""


class Disk:
    """Files and folders by number, as far as a log has come.

    Attributes:
      folders: what each holds, by name.
      files: contents.
    """

    def __init__(self) -> None:
        self.folders: dict[int, dict[str, int]] = {ROOT: {}}
        self.files: dict[int, bytearray] = collections.defaultdict(bytearray)

    def apply(self, op: Op) -> None:
        """Changes what it can; what presupposes something that was lost is lost with it."""
        names = self.folders.get(op.inode, {})
        if op.kind == "mkdir":
            self.folders.setdefault(op.target, {})
        elif op.kind == "add":
            names[op.name] = op.target
        elif op.kind == "remove":
            names.pop(op.name, None)
        elif op.kind == "rename" and names.get(op.name) == op.target:
            names[op.new] = names.pop(op.name)
        elif op.kind == "write":
            content = self.files[op.inode]
            content.extend(bytes(max(0, op.number - len(content))))
            content[op.number : op.number + len(op.content)] = op.content
        elif op.kind == "truncate":
            del self.files[op.inode][op.number :]

    def tree(self, folder: int = ROOT, prefix: str = "") -> dict[str, bytes | None]:
        """All that has a name."""
        found: dict[str, bytes | None] = {}
        for name, inode in self.folders[folder].items():
            if inode in self.folders:
                found |= {prefix + name: None, **self.tree(inode, f"{prefix}{name}/")}
            else:
                found[prefix + name] = bytes(self.files[inode])
        return found


class Recorder:
    """Makes a log out of strace's lines.

    Attributes:
      ops: the log.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder, self._disk = str(folder), Disk()
        self._next = ROOT + 1
        self._open: dict[int, list[int]] = {}  # descriptor -> file, place
        self.ops: list[Op] = []

    def read(self, lines: Sequence[str]) -> None:
        """Reads all lines. What is not understood and may matter is an error: the log must be whole."""
        for line in _joined(lines):
            match = re.fullmatch(r"\d+ +(\w+)\((.*)\) += (-?\d+)\b.*", line)
            if match is None:
                raise ValueError(f"not understood: {line[:300]}")
            name, arguments, result = match[1], match[2].split(", "), int(match[3])
            within = [path for path in paths(line) if self._is_within(path)]
            if name == "sendto":
                self._acknowledge(unhex(arguments[1].strip('"')))
            elif name == "close":
                self._open.pop(int(arguments[0].split("<")[0]), None)
            elif result >= 0 and within:
                self._change(name, arguments, result, within)

    def _is_within(self, path: str) -> bool:
        return path == self._folder or path.startswith(self._folder + os.sep)

    def _acknowledge(self, answer: str) -> None:
        if match := re.fullmatch(r"saved (\d+)", answer):
            self._do(Op("saved", number=int(match[1])))

    def _change(self, name: str, arguments: list[str], result: int, within: list[str]) -> None:
        kind = re.sub(r"at2?$", "", name)
        if kind in ("open", "creat"):
            self._do_open(" ".join(arguments) + ("O_CREAT|O_TRUNC" if kind == "creat" else ""), result, within[-1])
        elif kind == "mkdir":
            self._do_mkdir(within[-1])
        elif kind in ("unlink", "rmdir"):
            self._do(Op("remove", *self._place(within[-1])))
        elif kind == "rename":
            old, new = within
            self._do_rename(old, new)
        elif kind == "link":
            self._do(Op("add", *self._place(within[-1]), target=self._inode(within[-2])))
        elif kind in ("fsync", "fdatasync"):
            self._do(Op("sync", self._inode(within[0])))
        elif kind == "write":
            self._do_write(int(arguments[0].split("<")[0]), bytes.fromhex(arguments[1].strip('"').replace("\\x", "")))
        else:
            raise ValueError(f"not understood: {name} of {within}")

    def _do(self, op: Op) -> None:
        self.ops.append(op)
        self._disk.apply(op)

    def _do_open(self, flags: str, descriptor: int, path: str) -> None:
        if "O_CREAT" in flags and self._find(path) is None:
            self._do(Op("add", *self._place(path), target=self._new()))
        elif "O_TRUNC" in flags:
            self._do(Op("truncate", self._inode(path)))
        self._open[descriptor] = [self._inode(path), 0]

    def _do_mkdir(self, path: str) -> None:
        made = self._new()
        self._do(Op("mkdir", made, target=made))
        self._do(Op("add", *self._place(path), target=made))

    def _do_rename(self, old: str, new: str) -> None:
        (source, name), (folder, new_name), inode = self._place(old), self._place(new), self._inode(old)
        if source == folder:
            self._do(Op("rename", folder, name, new_name, inode))
        else:
            self._do(Op("add", folder, new_name, target=inode))
            self._do(Op("remove", source, name))

    def _do_write(self, descriptor: int, content: bytes) -> None:
        inode, place = self._open[descriptor]
        self._do(Op("write", inode, number=place, content=content))
        self._open[descriptor][1] += len(content)

    def _new(self) -> int:
        self._next += 1
        return self._next - 1

    def _find(self, path: str) -> int | None:
        inode: int | None = ROOT
        for name in pathlib.PurePath(path).relative_to(self._folder).parts:
            inode = self._disk.folders.get(inode, {}).get(name) if inode is not None else None
        return inode

    def _inode(self, path: str) -> int:
        inode = self._find(path)
        if inode is None:
            raise ValueError(f"{path} was there before the log began")
        return inode

    def _place(self, path: str) -> tuple[int, str]:
        return self._inode(os.path.dirname(path)), os.path.basename(path)


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """The lines of calls, each where it returned: another thread may have come between."""
    begun: dict[str, str] = {}
    for line in lines:
        thread = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>")
        elif " resumed>" in line:
            yield begun.pop(thread) + line.split(" resumed>", 1)[1]
        elif re.match(r"\d+ +\w+\(", line):
            yield line


@dataclasses.dataclass(frozen=True)
class Recording:
    """Saves, as they were done.

    Attributes:
      ops: the log.
      tree: what the folder held when they were done.
    """

    ops: list[Op]
    tree: Tree


def record(savers: Savers, last: int = LAST_STEP) -> Recording:
    """Records the saves of steps 1 to `last` in a new folder."""
    with tempfile.TemporaryDirectory(prefix="storm-") as place:
        folder = pathlib.Path(place).resolve() / "checkpoints"
        with savers.start(folder) as saver:
            with Strace(saver, [*CHANGES, "close", "sendto"]) as strace:
                answers = [saver.ask(f"save {step}") for step in range(1, last + 1)]
            if answers != [f"saved {step}" for step in range(1, last + 1)]:
                raise RuntimeError(f"nothing can be saved even in fair weather: {answers}")
        recorder = Recorder(folder)
        recorder.read(strace.lines)
        return Recording(recorder.ops, tree_of(folder))


def tree_of(folder: pathlib.Path) -> Tree:
    """What a folder holds."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


def replayed(ops: Sequence[Op]) -> Tree:
    """What a log leads to when nothing is lost."""
    disk = Disk()
    for op in ops:
        disk.apply(op)
    return disk.tree()


@dataclasses.dataclass(frozen=True)
class Crash:
    """What a disk may hold when the power comes back.

    Attributes:
      moment: how many ops had been done.
      acknowledged: the last step that was said to be saved; 0 before the first.
      tree: what is there.
    """

    moment: int
    acknowledged: int
    tree: Tree

    def __str__(self) -> str:
        sizes = ", ".join(f"{path} {'/' if content is None else len(content)}" for path, content in self.tree.items())
        return f"power cut after op {self.moment}, step {self.acknowledged} acknowledged, on the disk {sizes}"


def crash(ops: Sequence[Op], moment: int, lose: Callable[[Op], Op | None]) -> Crash:
    """The state when the power goes after so many ops.

    Args:
      ops: the log.
      moment: how many of them were done.
      lose: what becomes of an op that was not yet forced to the disk: itself, a part of it, or None.
    """
    disk, done = Disk(), ops[:moment]
    last_sync = {op.inode: index for index, op in enumerate(done) if op.kind == "sync"}
    for index, op in enumerate(done):
        forced = op.kind == "mkdir" or index < last_sync.get(op.inode, -1)
        if kept := op if forced else lose(op):
            disk.apply(kept)
    return Crash(moment, max((op.number for op in done if op.kind == "saved"), default=0), disk.tree())


def lost_in_part(op: Op, chance: random.Random, share: float) -> Op | None:
    """Whether, and how much of, an op is kept: a write may be cut short, or leave zeros where it should have been."""
    if chance.random() >= share:
        return op
    if op.kind != "write":
        return None
    length = chance.randrange(len(op.content) + 1)
    part = chance.choice([b"", op.content[:length], bytes(len(op.content))])
    return dataclasses.replace(op, content=part)


def crashes(ops: Sequence[Op], count: int, seed: int) -> list[Crash]:
    """Distinct crash states: for each moment that with nothing and that with everything, then random ones."""
    chance = random.Random(seed)
    found: dict[object, Crash] = {}

    def add(state: Crash) -> None:
        found.setdefault((state.acknowledged, frozenset(state.tree.items())), state)

    for moment in range(len(ops) + 1):
        add(crash(ops, moment, lambda op: None))
        add(crash(ops, moment, lambda op: op))
    for _ in range(ATTEMPTS * count):
        if len(found) >= count:
            break
        lose = functools.partial(lost_in_part, chance=chance, share=chance.random())
        add(crash(ops, chance.randrange(len(ops) + 1), lose))
    return list(found.values())


def lay_out(tree: Tree, folder: pathlib.Path) -> None:
    """Makes a folder of a state."""
    folder.mkdir()
    for path, content in tree.items():  # A folder comes before what is in it.
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


def recovered(state: Crash) -> list[str]:
    """What is wrong after the program's own recovery, without TensorFlow."""
    with tempfile.TemporaryDirectory(prefix="storm-") as place:
        folder = pathlib.Path(place) / "checkpoints"
        lay_out(state.tree, folder)
        retention.sweep(folder)
        found = [entry for entry in catalog.entries(folder, rehash=True) if entry.manifest]
        best = best_step(folder)
    newest = found[0].step if found else 0
    wrong = [] if newest >= state.acknowledged else [f"step {newest} is the newest that verifies"]
    due = min(map(error, range(1, state.acknowledged + 1)), default=math.inf)
    return wrong + [f"the best that verifies is {best}"] * (due < (error(best) if best else math.inf))


def restored(savers: Savers, state: Crash) -> list[str]:
    """What is wrong when TensorFlow restores the state, compares its values, and saves on."""
    with tempfile.TemporaryDirectory(prefix="storm-") as place:
        folder = pathlib.Path(place).resolve() / "checkpoints"
        lay_out(state.tree, folder)
        with savers.start(folder) as saver:
            step = saver.restored or 0
            wrong = [] if step >= state.acknowledged else [f"step {step} is restored"]
            answer = saver.ask(f"save {step + 1}")
        wrong += [] if answer == f"saved {step + 1}" else [answer]
        others = [name for name in strangers(folder) if not name.startswith(manifests.DAMAGED)]
        return wrong + [f"left over: {others}"] * bool(others)


def without_syncs(ops: Sequence[Op], of_folders: Collection[bool] = (True, False)) -> list[Op]:
    """A log that lacks the syncs of folders, of files, or both, for controls."""
    folders = {ROOT, *(op.target for op in ops if op.kind == "mkdir")}
    return [op for op in ops if op.kind != "sync" or (op.inode in folders) not in of_folders]


def survive(ops: Sequence[Op], count: int, seed: int) -> tuple[list[Crash], list[list[str] | Exception]]:
    """Crash states, and what was wrong after the recovery from each."""
    states = crashes(ops, count, seed)
    return states, each(recovered, states)


def control(ops: Sequence[Op], what: str, of_folders: Collection[bool], count: int, seed: int) -> Claim:
    """That the model can fail: a log without these syncs must lose acknowledged checkpoints."""
    states, wrong = survive(without_syncs(ops, of_folders), count // 4, seed)
    lost = sum(bool(found) for found in wrong)
    claim = f"control: with {what} never forced to the disk, the same saves do lose checkpoints"
    return Claim(claim, int(lost > 0), 1, f"in {lost:,} of {len(states):,} states")


def power_losses(savers: Savers, count: int = 2_000, restores: int = 20, seed: int = 0) -> list[Claim]:
    """Whatever POSIX lets a disk forget when the power goes, what was acknowledged is recovered.

    Args:
      savers: where processes come from.
      count: of distinct crash states.
      restores: how many of them TensorFlow restores as well.
      seed: of the random states.
    """
    recording = record(savers)
    ops, began = recording.ops, time.monotonic()
    same = replayed(ops) == recording.tree
    kinds = ", ".join(f"{kind} {number}" for kind, number in collections.Counter(op.kind for op in ops).items())
    states, wrong = survive(ops, count, seed)
    seconds = f"{LAST_STEP} saves, {len(ops)} ops, {time.monotonic() - began:.1f} s"
    sample = spread(states, restores)
    lost = "the power lost at any moment: the last checkpoint that was acknowledged, or a later one, "
    return [
        Claim("the log of file operations, replayed in full, is the folder byte for byte", int(same), 1, kinds),
        claimed(f"{lost}verifies, and the best", states, wrong, seconds),
        claimed(f"{lost}is restored by value", sample, each(functools.partial(restored, savers), sample)),
        control(ops, "files and names", (True, False), count, seed),
        control(ops, "names", (True,), count, seed),
        control(ops, "files", (False,), count, seed),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=2_000)
    parser.add_argument("--restores", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    with Savers() as savers:
        print(table(power_losses(savers, arguments.states, arguments.restores, arguments.seed)))


if __name__ == "__main__":
    main()
