"""Simulates a loss of power during saves: an acknowledged checkpoint survives everything that POSIX lets a disk forget.

strace records once how saves change and flush files. Crash states are computed from that log: a moment, every change
that was flushed by then, and any part of the others. Each state is written to a folder and recovered by Hourglass.

The model: a write to a file is durable from the next fsync of the file. A new or deleted name is durable from the next
fsync of its folder. Before that, each change may be kept or lost independently, and a write also in part. A rename
within a folder is one change, as in every journal; a rename between folders is two.
"""

import collections
import dataclasses
import functools
import math
import os
import pathlib
import random
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from claims import Claim
from processes import ForkServer

from storms.saver import Saver, error, new_folder
from storms.syscalls import CHANGES, Strace, best_step, claimed, each, evenly_spaced, leftovers, paths, unhex
from trainer.checkpoints import catalog, retention
from trainer.checkpoints import manifest as manifests

LAST_STEP = 6
ROOT = 0  # the folder of the checkpoints
ATTEMPTS = 50  # per state; many states are drawn twice

# The content of each path of a crash state; None for a folder.
Tree = Mapping[str, bytes | None]


@dataclasses.dataclass(frozen=True)
class Op:
    """A change, a flush, or the acknowledgement of a save.

    Attributes:
      kind: "mkdir" makes the folder `target`; "add", "remove" and "rename" change names in the folder `inode`; "write"
        and "truncate" change the file `inode`; "sync" flushes a file or a folder; "saved" acknowledges a save.
      inode: the file or folder that is changed or flushed.
      name: the name that is added, removed or changed.
      new: the new name of a rename.
      target: the file or folder that has the name.
      number: the offset of a write; the length after a truncation; the step that was saved.
      content: the written bytes.
    """

    kind: str
    inode: int = ROOT
    name: str = ""
    new: str = ""
    target: int = ROOT
    number: int = 0
    content: bytes = b""


class Disk:
    """Files and folders by number.

    Attributes:
      folders: number of the folder -> name -> number of the file or folder.
      files: number of the file -> content.
    """

    def __init__(self) -> None:
        self.folders: dict[int, dict[str, int]] = {ROOT: {}}
        self.files: dict[int, bytearray] = collections.defaultdict(bytearray)

    def apply(self, op: Op) -> None:
        """Applies a change; a change that depends on a lost one is lost too."""
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
        """Returns the content of every path."""
        contents: dict[str, bytes | None] = {}
        for name, inode in self.folders[folder].items():
            if inode in self.folders:
                contents |= {prefix + name: None, **self.tree(inode, f"{prefix}{name}/")}
            else:
                contents[prefix + name] = bytes(self.files[inode])
        return contents


class Recorder:
    """Converts strace's lines to a log.

    Attributes:
      ops: the log.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder, self._disk = str(folder), Disk()
        self._next = ROOT + 1
        self._open: dict[int, list[int]] = {}  # descriptor -> file, offset
        self.ops: list[Op] = []

    def read(self, lines: Sequence[str]) -> None:
        """Reads all lines; raises if one that may matter is not understood, because the log must be complete."""
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
            self._do(Op("remove", *self._parent(within[-1])))
        elif kind == "rename":
            old, new = within
            self._do_rename(old, new)
        elif kind == "link":
            self._do(Op("add", *self._parent(within[-1]), target=self._inode(within[-2])))
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
            self._do(Op("add", *self._parent(path), target=self._new()))
        elif "O_TRUNC" in flags:
            self._do(Op("truncate", self._inode(path)))
        self._open[descriptor] = [self._inode(path), 0]

    def _do_mkdir(self, path: str) -> None:
        inode = self._new()
        self._do(Op("mkdir", inode, target=inode))
        self._do(Op("add", *self._parent(path), target=inode))

    def _do_rename(self, old: str, new: str) -> None:
        (source, name), (folder, new_name), inode = self._parent(old), self._parent(new), self._inode(old)
        if source == folder:
            self._do(Op("rename", folder, name, new_name, inode))
        else:
            self._do(Op("add", folder, new_name, target=inode))
            self._do(Op("remove", source, name))

    def _do_write(self, descriptor: int, content: bytes) -> None:
        inode, offset = self._open[descriptor]
        self._do(Op("write", inode, number=offset, content=content))
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
            raise ValueError(f"{path} existed before the log began")
        return inode

    def _parent(self, path: str) -> tuple[int, str]:
        return self._inode(os.path.dirname(path)), os.path.basename(path)


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """Yields the lines of calls; joins a call that another thread interrupted, at the place where it returned."""
    begun: dict[str, str] = {}
    for line in lines:
        thread = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>")
        elif " resumed>" in line:
            yield begun.pop(thread) + line.split(" resumed>", 1)[1]
        elif re.match(r"\d+ +\w+\(", line):
            yield line


def record(server: ForkServer, last: int = LAST_STEP) -> tuple[list[Op], Tree]:
    """Saves the steps 1 to `last` in a new folder; returns the log and the content of the folder."""
    with new_folder() as folder:
        with Saver(server, folder) as saver:
            with Strace(saver, [*CHANGES, "close", "sendto"]) as strace:
                answers = [saver.save(step) for step in range(1, last + 1)]
            if answers != [f"saved {step}" for step in range(1, last + 1)]:
                raise RuntimeError(f"an undisturbed save fails: {answers}")
        recorder = Recorder(folder)
        recorder.read(strace.lines)
        tree = {str(p.relative_to(folder)): None if p.is_dir() else p.read_bytes() for p in folder.rglob("*")}
        return recorder.ops, tree


def replayed(ops: Sequence[Op]) -> Tree:
    """Returns the content of the folder if nothing is lost."""
    disk = Disk()
    for op in ops:
        disk.apply(op)
    return disk.tree()


@dataclasses.dataclass(frozen=True)
class Crash:
    """A possible content of the disk after a loss of power.

    Attributes:
      moment: number of operations before the loss.
      acknowledged: last step whose save was acknowledged; 0 before the first.
      tree: the content.
    """

    moment: int
    acknowledged: int
    tree: Tree

    def __str__(self) -> str:
        sizes = ", ".join(f"{path} {'/' if content is None else len(content)}" for path, content in self.tree.items())
        return f"power cut after op {self.moment}, step {self.acknowledged} acknowledged, on the disk {sizes}"


def crash(ops: Sequence[Op], moment: int, lose: Callable[[Op], Op | None]) -> Crash:
    """Returns the state after the first `moment` operations.

    Args:
      ops: The log.
      moment: Number of operations before the loss of power.
      lose: Returns the part of an unflushed operation that survives, or None.
    """
    disk, done = Disk(), ops[:moment]
    last_sync = {op.inode: index for index, op in enumerate(done) if op.kind == "sync"}
    for index, op in enumerate(done):
        flushed = op.kind == "mkdir" or index < last_sync.get(op.inode, -1)
        if surviving := op if flushed else lose(op):
            disk.apply(surviving)
    return Crash(moment, max((op.number for op in done if op.kind == "saved"), default=0), disk.tree())


def lost_in_part(op: Op, draw: random.Random, share: float) -> Op | None:
    """Loses an operation with probability `share`; a write may also be cut short or replaced by zeros."""
    if draw.random() >= share:
        return op
    if op.kind != "write":
        return None
    length = draw.randrange(len(op.content) + 1)
    part = draw.choice([b"", op.content[:length], bytes(len(op.content))])
    return dataclasses.replace(op, content=part)


def crashes(ops: Sequence[Op], count: int, seed: int) -> list[Crash]:
    """Returns distinct states: for each moment those without and with all unflushed changes, then random ones."""
    draw = random.Random(seed)
    states: dict[object, Crash] = {}

    def add(state: Crash) -> None:
        states.setdefault((state.acknowledged, frozenset(state.tree.items())), state)

    for moment in range(len(ops) + 1):
        add(crash(ops, moment, lambda op: None))
        add(crash(ops, moment, lambda op: op))
    for _ in range(ATTEMPTS * count):
        if len(states) >= count:
            break
        lose = functools.partial(lost_in_part, draw=draw, share=draw.random())
        add(crash(ops, draw.randrange(len(ops) + 1), lose))
    return list(states.values())


def lay_out(tree: Tree, folder: pathlib.Path) -> None:
    """Writes a state to a new folder."""
    folder.mkdir()
    for path, content in tree.items():  # A folder comes before its contents.
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


def recovered(state: Crash) -> list[str]:
    """Returns what is wrong after Hourglass's recovery, without TensorFlow."""
    with new_folder() as folder:
        lay_out(state.tree, folder)
        retention.remove_leftovers(folder)
        steps = [entry.step for entry in catalog.entries(folder, rehash=True) if entry.manifest]
        best = best_step(folder)
    newest = steps[0] if steps else 0
    wrong = [] if newest >= state.acknowledged else [f"step {newest} is the newest that verifies"]
    due = min(map(error, range(1, state.acknowledged + 1)), default=math.inf)
    return wrong + [f"the best that verifies is {best}"] * (due < (error(best) if best else math.inf))


def restored(server: ForkServer, state: Crash) -> list[str]:
    """Returns what is wrong when TensorFlow restores the state, compares its values, and saves the next step."""
    with new_folder() as folder:
        lay_out(state.tree, folder)
        with Saver(server, folder) as saver:
            step = saver.restored or 0
            wrong = [] if step >= state.acknowledged else [f"step {step} is restored"]
            answer = saver.save(step + 1)
        wrong += [] if answer == f"saved {step + 1}" else [answer]
        others = [name for name in leftovers(folder) if not name.startswith(manifests.DAMAGED)]
        return wrong + [f"left over: {others}"] * bool(others)


def without_syncs(ops: Sequence[Op], of_folders: Collection[bool]) -> list[Op]:
    """Returns the log without the flushes of folders (True), of files (False), or of both."""
    folders = {ROOT, *(op.target for op in ops if op.kind == "mkdir")}
    return [op for op in ops if op.kind != "sync" or (op.inode in folders) not in of_folders]


def _control(ops: Sequence[Op], what: str, of_folders: Collection[bool], count: int, seed: int) -> Claim:
    """Checks that the model can fail: without these flushes, acknowledged checkpoints must be lost."""
    states = crashes(without_syncs(ops, of_folders), count // 4, seed)
    lost = sum(bool(wrong) for wrong in each(recovered, states))
    claim = f"control: if {what} are never flushed, the same saves lose checkpoints"
    return Claim(claim, int(lost > 0), 1, f"in {lost:,} of {len(states):,} states")


def run_trials(server: ForkServer, count: int = 2_000, restores: int = 20, seed: int = 0) -> list[Claim]:
    """Recovers from `count` distinct crash states, `restores` of them with TensorFlow as well."""
    ops, tree = record(server)
    started, states = time.monotonic(), crashes(ops, count, seed)
    wrong = each(recovered, states)
    seconds = f"{LAST_STEP} saves, {len(ops)} operations, {time.monotonic() - started:.1f} s"
    kinds = ", ".join(f"{kind} {number}" for kind, number in collections.Counter(op.kind for op in ops).items())
    sample = evenly_spaced(states, restores)
    lost = "power lost at any moment: the last acknowledged checkpoint, or a later one, "
    return [
        Claim("the log of file operations, replayed, gives the folder byte for byte", replayed(ops) == tree, 1, kinds),
        claimed(f"{lost}verifies, and the best", states, wrong, seconds),
        claimed(f"{lost}is restored by value", sample, each(functools.partial(restored, server), sample)),
        _control(ops, "files and names", (True, False), count, seed),
        _control(ops, "names", (True,), count, seed),
        _control(ops, "files", (False,), count, seed),
    ]
