"""Kills a save at each of its file calls, and lets each of them fail: the last checkpoint stands, nothing is left over.

strace attaches to a saver, counts the calls of one save, and then, save by save, kills the process at the first, the
second, ... call of each name, or makes that call return an error. `python -m storms.syscalls` prints what held.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from claims import Claim, table

from storms.saver import PATIENCE, Saver, Savers
from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests
from trainer.errors import CheckpointError

# Calls that change files or force them to the disk, and openat, which both creates and reads.
CHANGES = """
    creat open openat openat2 write writev pwrite64 pwritev pwritev2 copy_file_range sendfile splice fallocate truncate
    ftruncate rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir fsync
    fdatasync sync_file_range syncfs sync msync
""".split()
ERRORS = ("ENOSPC", "EDQUOT", "EIO")
WORKERS = os.cpu_count() or 1
KILLED = "a save killed at a file call"
FAILED = "a save whose file call fails, once or from then on"

T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger("storms")


class Strace:
    """strace on a process, attached while the `with` lasts.

    Args:
      saver: the process; all its threads are traced.
      calls: what to trace; those that this machine does not have are ignored.
      inject: what to do at which call, as strace's option of this name takes it.

    Attributes:
      lines: what was traced, texts in hexadecimal; after the `with`.
    """

    def __init__(self, saver: Saver, calls: Sequence[str] = CHANGES, inject: str = "") -> None:
        self._saver, self._inject = saver, [f"--inject={inject}"] if inject else []
        self._calls = ",".join(f"?{call}" for call in calls)
        self.lines: list[str] = []

    def __enter__(self) -> "Strace":
        self._output = tempfile.NamedTemporaryFile("r", encoding="ascii")
        command = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={self._calls}", *self._inject]
        command += ["-o", self._output.name, "-p", str(self._saver.pid)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._wait_until_attached()
        except BaseException:
            self._detach()
            raise
        return self

    def _wait_until_attached(self) -> None:
        """Strace says so once every thread is seized: none of them can make another call unseen."""
        said = self._process.stderr
        assert said is not None
        heard, deadline = b"", time.monotonic() + PATIENCE
        while b" attached" not in heard:
            if not select.select([said], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("strace does not attach")
            chunk = os.read(said.fileno(), 4096)
            if not chunk:
                raise RuntimeError(f"strace: {heard.decode(errors='replace').strip()}")
            heard += chunk

    def __exit__(self, *_: object) -> None:
        self._detach()

    def _detach(self) -> None:
        with self._process, self._output:
            if not self._saver.dead:  # Interrupted while its process dies, strace may hang; it ends by itself.
                self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self.lines = self._output.read().splitlines()


@dataclasses.dataclass(frozen=True)
class Call:
    """A file call of a save.

    Attributes:
      name: of the system call.
      number: the how-manieth of this name, from 1.
      path: what it is about, within the folder; empty for the folder itself.
      reads: whether it only reads.
    """

    name: str
    number: int
    path: str = ""
    reads: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.number} ({self.path or 'the folder'})"


def unhex(text: str) -> str:
    """The text in strace's hexadecimal."""
    return os.fsdecode(bytes.fromhex(text.replace("\\x", "")))


def paths(line: str) -> list[str]:
    """The paths in a traced line, of descriptors and of arguments; the relative ones made whole."""
    name, _, arguments = line.split(") = ")[0].partition("(")
    marks = "<" if re.search("write|send", name) else '<"'  # What these have in quotes is content.
    whole: list[str] = []
    for mark, text in re.findall(rf'([{marks}])((?:\\x[0-9a-f]{{2}})*)[>"]', arguments):
        whole.append(unhex(text) if mark == "<" or not whole else os.path.join(whole[-1], unhex(text)))
    return whole


@dataclasses.dataclass(frozen=True)
class Census:
    """The file calls of one save.

    Attributes:
      calls: in order.
      threads: how many made them.
      elsewhere: lines of calls that are not about the folder.
    """

    calls: list[Call]
    threads: int
    elsewhere: list[str]


def census(savers: Savers, prepared: pathlib.Path) -> Census:
    """Counts the file calls that a save makes."""
    with copied(prepared) as folder, savers.start(folder) as saver:
        with Strace(saver) as strace:
            saver.ask("save 3")
        return _counted(strace.lines, folder)


def _counted(lines: Sequence[str], folder: pathlib.Path) -> Census:
    numbers: collections.Counter[str] = collections.Counter()
    calls, elsewhere, threads = [], [], set()
    for thread, name, line in re.findall(r"^(\d+) +(\w+)(\(.*)", "\n".join(lines), re.MULTILINE):
        numbers[name] += 1
        within = [os.path.relpath(path, folder) for path in paths(name + line) if path.startswith(str(folder))]
        if within:
            threads.add(thread)
            about = next((path for path in within if path != "."), "")
            calls.append(Call(name, numbers[name], about, name.startswith("open") and "O_CREAT" not in line))
        else:
            elsewhere.append(name + line)
    return Census(calls, len(threads), elsewhere)


@contextlib.contextmanager
def prepared_folder(savers: Savers) -> Iterator[pathlib.Path]:
    """A folder with the committed steps 1 and 2: one more, and the first is to go."""
    with tempfile.TemporaryDirectory(prefix="storm-") as place:
        folder = pathlib.Path(place).resolve() / "checkpoints"
        with savers.start(folder) as saver:
            answers = [saver.ask("save 1"), saver.ask("save 2")]
        if answers != ["saved 1", "saved 2"]:
            raise RuntimeError(f"nothing can be saved even in fair weather: {answers}")
        yield folder


@contextlib.contextmanager
def copied(prepared: pathlib.Path) -> Iterator[pathlib.Path]:
    """A copy of a folder, to ruin."""
    with tempfile.TemporaryDirectory(prefix="storm-") as place:
        folder = pathlib.Path(place).resolve() / prepared.name
        shutil.copytree(prepared, folder)
        yield folder


def strangers(folder: pathlib.Path) -> list[str]:
    """What is in a folder beside committed checkpoints, each of which must verify, and TensorFlow's lists of them."""
    found = [place / name for place in catalog.places(folder) for name in _strangers_in(place)]
    names = [str(path.relative_to(folder)) for path in found]
    return [name for name in names if name not in (catalog.BEST, catalog.KEPT)]


def _strangers_in(place: pathlib.Path) -> list[str]:
    known = {manifests.STATE_FILE}
    for step in manifests.steps_in(place):
        try:
            known |= {f"{manifests.name_of(step)}.json", *manifests.read(place, step).files}
        except CheckpointError as error:
            return [" ".join(str(error).split())]
    return sorted({path.name for path in place.iterdir()} - known)


def best_step(folder: pathlib.Path) -> int | None:
    """The best checkpoint that verifies, wherever it is."""
    entry = catalog.best(folder)
    return entry.step if entry else None


class Findings(list[str]):
    """What was not as it should be."""

    def expect(self, what: str, found: object, *expected: object) -> None:
        """Notes what is none of the expected."""
        if found not in expected:
            self.append(f"{what}: {found!r}, expected {' or '.join(map(repr, expected))}")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was wrong after a kill or a failure, by claim.

    Attributes:
      wrong: with what the save answered, with what was committed then and restored, and with later saves.
      left_at_once: of the save, when it had failed, or when the next process had begun.
      left_by_next: of it, after later saves.
      lost_best: whether the best checkpoint is another than it should be, when the rotation has dropped it.
    """

    wrong: Findings = dataclasses.field(default_factory=Findings)
    left_at_once: Findings = dataclasses.field(default_factory=Findings)
    left_by_next: Findings = dataclasses.field(default_factory=Findings)
    lost_best: Findings = dataclasses.field(default_factory=Findings)


def attempt(saver: Saver, command: str) -> str:
    """Its answer, or `died`."""
    try:
        return saver.ask(command)
    except EOFError:
        return "died"


def _save_on(findings: Findings, saver: Saver, folder: pathlib.Path, step: int) -> None:
    """Two saves more: then the rotation holds nothing of before."""
    for number in (step, step + 1):
        findings.expect("a later save", attempt(saver, f"save {number}"), f"saved {number}")
    findings.expect("then there are", manifests.steps_in(folder), [step, step + 1])


@dataclasses.dataclass(frozen=True)
class Failure:
    """A call of a save that is to fail.

    Attributes:
      call: which.
      error: with what.
      lasting: whether all later ones of its name fail too, until the save is over.
    """

    call: Call
    error: str
    lasting: bool

    @property
    def inject(self) -> str:
        """It as strace takes it."""
        return f"{self.call.name}:error={self.error}:when={self.call.number}{'+' if self.lasting else ''}"

    @property
    def spares_cleanup(self) -> bool:
        """Whether the save can still see its folder and remove what is in it."""
        removes = self.call.name.startswith(("unlink", "rmdir"))
        return not removes and not (self.lasting and self.call.name.startswith("open"))

    def __str__(self) -> str:
        return f"{self.error} {'from' if self.lasting else 'at'} {self.call}{' on' if self.lasting else ''}"


def killed(savers: Savers, prepared: pathlib.Path, call: Call) -> Outcome:
    """Kills a save at a call, then goes on in another process."""
    outcome = Outcome()
    wrong, inject = outcome.wrong, f"{call.name}:signal=KILL:when={call.number}"
    with copied(prepared) as folder:
        with savers.start(folder) as saver, Strace(saver, [call.name], inject):
            wrong.expect("the save", attempt(saver, "save 3"), "died")
        wrong.expect("the process ended with", saver.end(), -signal.SIGKILL)
        newest = manifests.steps_in(folder)[-1]
        wrong.expect("the newest committed step", newest, 2, 3)
        with savers.start(folder) as saver:
            wrong.expect("restored", saver.restored, newest)
            outcome.left_at_once.expect("left over after the restart", strangers(folder), [])
            _save_on(wrong, saver, folder, newest + 1)
        outcome.left_by_next.expect("left over at last", strangers(folder), [])
        outcome.lost_best.expect("the best", best_step(folder), 3)
    return outcome


def failed(savers: Savers, prepared: pathlib.Path, failure: Failure) -> Outcome:
    """Lets a call of a save fail, then goes on in the same process, and in another."""
    outcome = Outcome()
    with copied(prepared) as folder:
        with savers.start(folder) as saver:
            with Strace(saver, [failure.call.name], failure.inject) as strace:
                answer = attempt(saver, "save 3")
            if not any("(INJECTED)" in line for line in strace.lines):
                outcome.wrong.append("nothing failed")
            uncommitted = [[1, 2]] if failure.spares_cleanup else [[1, 2], [1, 2, 3]]
            steps = manifests.steps_in(folder)
            _check_answer(outcome.wrong, answer.replace(str(folder), "..."), steps, uncommitted)
            if answer.startswith("failed"):
                outcome.left_at_once.expect("left over at once", strangers(folder), [])
            _save_on(outcome.wrong, saver, folder, 4)
            outcome.left_by_next.expect("left over after later saves", strangers(folder), [])
            outcome.lost_best.expect("the best", best_step(folder), 3 if 3 in steps else 1)
        with savers.start(folder) as saver:
            outcome.wrong.expect("restored", saver.restored, 5)
        outcome.wrong.expect("left over after a restart", strangers(folder), [])
    return outcome


def _check_answer(wrong: Findings, answer: str, steps: list[int], uncommitted: list[list[int]]) -> None:
    """It says saved or failed, and what it says is so; older checkpoints stand, or were rotated out by the new one."""
    if answer.startswith("saved 3"):
        wrong.expect("saved; there are", steps, [2, 3], [1, 2, 3])
    elif answer.startswith("failed 3"):
        wrong.expect("failed; there are", steps, *uncommitted)
    else:
        wrong.append(f"the save answered: {answer}; there are {steps}")


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` of the items, evenly."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def each(trial: Callable[[T], R], cases: Sequence[T]) -> list[R | Exception]:
    """Tries all cases, some at a time. One that cannot be finished has failed; the others go on."""

    def safely(case: T) -> R | Exception:
        try:
            return trial(case)
        except Exception as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(safely, cases))


def claimed(
    what: str, cases: Sequence[object], findings: Sequence[Sequence[str] | Exception], detail: str = ""
) -> Claim:
    """The claim that there are no findings. Every failure is logged; the detail has the first."""
    failures = []
    for case, found in zip(cases, findings, strict=True):
        if isinstance(found, Exception) or found:
            failures.append(f"{case}: {found!r}" if isinstance(found, Exception) else f"{case}: {'; '.join(found)}")
            log.warning(f"fails: {what.split(': ')[-1]}: {failures[-1]}")
    if failures:
        detail = f"{detail}; first: {failures[0]}".removeprefix("; ")
    return Claim(what, passed=len(cases) - len(failures), tried=len(cases), detail=detail)


def complete(savers: Savers, prepared: pathlib.Path, counted: Census) -> Claim:
    """Every file call of a save is one that can be hit: they come from one thread, and there is none after the last."""
    numbers = collections.Counter(call.name for call in counted.calls)

    def outlives(name: str) -> Findings:
        findings = Findings()
        inject = f"{name}:signal=KILL:when={numbers[name] + 1}"
        with copied(prepared) as folder, savers.start(folder) as saver, Strace(saver, [name], inject):
            findings.expect("the save", attempt(saver, "save 3"), "saved 3")
        findings.expect("threads that make file calls", counted.threads, 1)
        findings.expect("calls outside the folder", counted.elsewhere, [])
        return findings

    detail = ", ".join(f"{name} {number}" for name, number in numbers.items())
    return claimed("no file call of a save is left out", list(numbers), each(outlives, list(numbers)), detail)


def kills(savers: Savers, limit: int | None = None) -> list[Claim]:
    """A save that is killed at any of its file calls costs nothing but itself.

    Args:
      savers: where processes come from.
      limit: of the kills.
    """
    with prepared_folder(savers) as prepared:
        counted, began = census(savers, prepared), time.monotonic()
        cases = spread(counted.calls, limit)
        outcomes = each(functools.partial(killed, savers, prepared), cases)
        seconds = f"{time.monotonic() - began:.0f} s"
        whole = [] if limit is not None else [complete(savers, prepared, counted)]
    return [
        *whole,
        claimed(
            f"{KILLED}: the newest committed step is restored, and saving goes on",
            cases,
            part("wrong", outcomes),
            seconds,
        ),
        claimed(f"{KILLED}: after the restart nothing of it is left over", cases, part("left_at_once", outcomes)),
        claimed(f"{KILLED}: nothing is left over later", cases, part("left_by_next", outcomes)),
        claimed(
            f"{KILLED}: the best checkpoint is kept, even when the rotation drops it",
            cases,
            part("lost_best", outcomes),
        ),
    ]


def part(name: str, outcomes: Sequence[Outcome | Exception]) -> list[Findings | Exception]:
    """One attribute of each outcome. A trial that could not be finished speaks against every claim."""
    return [outcome if isinstance(outcome, Exception) else getattr(outcome, name) for outcome in outcomes]


def failures_of(calls: Sequence[Call], code: str) -> list[Failure]:
    """What can fail with this error, once and lastingly: a full disk can still be read."""
    once = [Failure(call, code, False) for call in calls if code == "EIO" or not call.reads]
    lasting = [Failure(call, code, True) for call in calls if code == "EIO" or not call.name.startswith("open")]
    return [*once, *lasting]


def errors(savers: Savers, codes: Sequence[str] = ERRORS, limit: int | None = None) -> list[Claim]:
    """A save that cannot write says so, and costs nothing but itself.

    Args:
      savers: where processes come from.
      codes: the errors.
      limit: of the failures with each error.
    """
    claims: list[Claim] = []
    tried: list[Failure] = []
    outcomes: list[Outcome | Exception] = []
    with prepared_folder(savers) as prepared:
        calls = census(savers, prepared).calls
        for code in codes:
            began, cases = time.monotonic(), spread(failures_of(calls, code), limit)
            found = each(functools.partial(failed, savers, prepared), cases)
            what = f"{FAILED}, {code}: it says so or is whole, older ones stand, saving goes on, a restart cleans up"
            claims.append(claimed(what, cases, part("wrong", found), f"{time.monotonic() - began:.0f} s"))
            tried, outcomes = [*tried, *cases], [*outcomes, *found]
    spared = [index for index, case in enumerate(tried) if case.spares_cleanup]
    at_once = part("left_at_once", [outcomes[index] for index in spared])
    return [
        *claims,
        claimed(f"{FAILED}, and it can still remove files: nothing is left over", [tried[n] for n in spared], at_once),
        claimed(f"{FAILED}: whatever is left over is gone after later saves", tried, part("left_by_next", outcomes)),
        claimed(
            f"{FAILED}: the best checkpoint is kept, even when the rotation drops it",
            tried,
            part("lost_best", outcomes),
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="trials for each claim; all without it")
    limit = parser.parse_args().limit
    logging.basicConfig(format="%(message)s")
    with Savers() as savers:
        print(table([*kills(savers, limit), *errors(savers, limit=limit)]))


if __name__ == "__main__":
    main()
