"""Kills a save at each of its file system calls, and makes each of them fail: the last checkpoint must survive.

strace attaches to a saver and counts the calls of one save. Then, one save per trial, it kills the process at the
first, the second, ... call of each name, or makes that call return an error.
"""

import collections
import concurrent.futures
import contextlib
import functools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from claims import Claim, failures
from processes import ForkServer

from storms.saver import DIED, SECONDS_TO_ANSWER, Saver, new_folder
from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests
from trainer.errors import CheckpointError

# Calls that change files or flush them, and openat, which both creates and reads.
CHANGES = """
    creat open openat openat2 write writev pwrite64 pwritev pwritev2 copy_file_range sendfile splice fallocate truncate
    ftruncate rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir fsync
    fdatasync sync_file_range syncfs sync msync
""".split()
ERRORS = ("ENOSPC", "EDQUOT", "EIO")
KILLED = "a save killed at a file call"
FAILED = "a save whose file call fails, once or from then on"

# Groups of problems; each group is a claim.
SAVING, LEFT_AT_ONCE, LEFT_LATER, BEST = "saving", "left at once", "left later", "best"

T = TypeVar("T")
R = TypeVar("R")


class Strace:
    """Traces the system calls of a process; a context manager.

    Args:
      saver: The process; all its threads are traced.
      calls: System calls to trace; those that this machine lacks are ignored.
      inject: Value of strace's option --inject.

    Attributes:
      lines: the trace, with strings in hexadecimal; available after exit.
    """

    def __init__(self, saver: Saver, calls: Sequence[str] = CHANGES, inject: str = "") -> None:
        self._saver, self._inject = saver, [f"--inject={inject}"] if inject else []
        self._calls = ",".join(f"?{call}" for call in calls)
        self.lines: list[str] = []

    def __enter__(self) -> "Strace":
        self._output = tempfile.NamedTemporaryFile("r", encoding="ascii")
        command = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={self._calls}", *self._inject]
        command += ["-o", self._output.name, "-p", str(self._saver.pid)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            self._wait_until_attached()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_attached(self) -> None:
        """Waits for strace's message that every thread is traced."""
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if " attached" in line:
                return
        raise RuntimeError(f"strace: {''.join(lines).strip()}")

    def __exit__(self, *_: object) -> None:
        with self._process, self._output:
            if not self._saver.dead:  # strace may hang if it is interrupted while its process dies; it ends by itself.
                self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(SECONDS_TO_ANSWER)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self.lines = self._output.read().splitlines()


class Call(NamedTuple):
    """A file system call of a save."""

    name: str
    number: int  # position among the calls of this name, from 1
    path: str  # relative to the folder; empty for the folder itself
    reads: bool  # True if it only opens a file for reading

    def __str__(self) -> str:
        return f"{self.name} {self.number} ({self.path or 'the folder'})"


def unhex(text: str) -> str:
    """Decodes a string of strace's."""
    return os.fsdecode(bytes.fromhex(text.replace("\\x", "")))


def paths(line: str) -> list[str]:
    """Returns the absolute paths of descriptors and arguments in a traced line."""
    name, _, arguments = line.split(") = ")[0].partition("(")
    marks = "<" if re.search("write|send", name) else '<"'  # The quoted strings of these calls are content.
    absolute: list[str] = []
    for mark, text in re.findall(rf'([{marks}])((?:\\x[0-9a-f]{{2}})*)[>"]', arguments):
        absolute.append(unhex(text) if mark == "<" or not absolute else os.path.join(absolute[-1], unhex(text)))
    return absolute


def _list_calls(server: ForkServer, prepared: pathlib.Path) -> tuple[list[Call], list[str]]:
    """Returns the file system calls of a save, and those that trials cannot hit: of other threads or other folders."""
    with _copy(prepared) as folder, Saver(server, folder) as saver, Strace(saver) as strace:
        saver.save(3)
    numbers: collections.Counter[str] = collections.Counter()
    calls, missed, threads = [], [], set()
    for thread, name, line in re.findall(r"^(\d+) +(\w+)(\(.*)", "\n".join(strace.lines), re.MULTILINE):
        numbers[name] += 1
        within = [os.path.relpath(path, folder) for path in paths(name + line) if path.startswith(str(folder))]
        threads |= {thread} if within else set()
        if not within or len(threads) > 1:
            missed.append(f"thread {thread}: {name}{line}")
        else:
            path = next((path for path in within if path != "."), "")
            calls.append(Call(name, numbers[name], path, name.startswith("open") and "O_CREAT" not in line))
    return calls, missed


@contextlib.contextmanager
def prepared_folder(server: ForkServer) -> Iterator[pathlib.Path]:
    """Yields a folder with the committed steps 1 and 2, so that the next save deletes step 1."""
    with new_folder() as folder:
        with Saver(server, folder) as saver:
            answers = [saver.save(1), saver.save(2)]
        if answers != ["saved 1", "saved 2"]:
            raise RuntimeError(f"an undisturbed save fails: {answers}")
        yield folder


@contextlib.contextmanager
def _copy(prepared: pathlib.Path) -> Iterator[pathlib.Path]:
    with new_folder() as folder:
        shutil.copytree(prepared, folder)
        yield folder


def leftovers(folder: pathlib.Path) -> list[str]:
    """Returns the files beside committed checkpoints, each of which must verify, and TensorFlow's state files."""
    files = [place / name for place in catalog.folders(folder) for name in _leftovers_in(place)]
    names = [str(path.relative_to(folder)) for path in files]
    return [name for name in names if name not in (catalog.BEST, catalog.KEPT)]


def _leftovers_in(place: pathlib.Path) -> list[str]:
    known = {manifests.STATE_FILE}
    for step in manifests.steps_in(place):
        try:
            known |= {f"{manifests.checkpoint_name(step)}.json", *manifests.read(place, step).files}
        except CheckpointError as error:
            return [" ".join(str(error).split())]
    return sorted({path.name for path in place.iterdir()} - known)


def best_step(folder: pathlib.Path) -> int | None:
    """Returns the step of the best checkpoint that verifies, in any of the folders."""
    entry = catalog.best(folder)
    return entry.step if entry else None


class Problems(collections.defaultdict[str, list[str]]):
    """Problems of a trial, by group."""

    def __init__(self) -> None:
        super().__init__(list)

    def expect(self, group: str, what: str, value: object, *expected: object) -> None:
        """Adds a problem if `value` is none of the expected ones."""
        if value not in expected:
            self[group].append(f"{what}: {value!r}, expected {' or '.join(map(repr, expected))}")

    def save_twice(self, saver: Saver, folder: pathlib.Path, step: int) -> None:
        """Saves two more steps, after which the rotation has deleted all older ones."""
        for number in (step, step + 1):
            self.expect(SAVING, "a later save", saver.save(number), f"saved {number}")
        self.expect(SAVING, "steps after later saves", manifests.steps_in(folder), [step, step + 1])


class Failure(NamedTuple):
    """A call of a save that is made to fail."""

    call: Call
    error: str
    lasting: bool  # True if all later calls of the same name fail too, until the end of the save

    @property
    def inject(self) -> str:
        """The failure as an option of strace."""
        return f"{self.call.name}:error={self.error}:when={self.call.number}{'+' if self.lasting else ''}"

    @property
    def spares_cleanup(self) -> bool:
        """True if the save can still list its folder and delete files."""
        removes = self.call.name.startswith(("unlink", "rmdir"))
        return not removes and not (self.lasting and self.call.name.startswith("open"))

    def __str__(self) -> str:
        return f"{self.error} {'from' if self.lasting else 'at'} {self.call}{' on' if self.lasting else ''}"


def _killed(server: ForkServer, prepared: pathlib.Path, call: Call) -> Problems:
    """Kills a save at a call, then continues in another process."""
    problems, inject = Problems(), f"{call.name}:signal=KILL:when={call.number}"
    with _copy(prepared) as folder:
        with Saver(server, folder) as saver, Strace(saver, [call.name], inject):
            problems.expect(SAVING, "the save", saver.save(3), DIED)
        problems.expect(SAVING, "the exit code", saver.end(), -signal.SIGKILL)
        newest = manifests.steps_in(folder)[-1]
        problems.expect(SAVING, "the newest committed step", newest, 2, 3)
        with Saver(server, folder) as saver:
            problems.expect(SAVING, "restored", saver.restored, newest)
            problems.expect(LEFT_AT_ONCE, "left over after the restart", leftovers(folder), [])
            problems.save_twice(saver, folder, newest + 1)
        problems.expect(LEFT_LATER, "left over at the end", leftovers(folder), [])
        problems.expect(BEST, "the best", best_step(folder), 3)
    return problems


def _failed(server: ForkServer, prepared: pathlib.Path, failure: Failure) -> Problems:
    """Makes a call of a save fail, then continues in the same process, and in another."""
    problems = Problems()
    with _copy(prepared) as folder:
        with Saver(server, folder) as saver:
            with Strace(saver, [failure.call.name], failure.inject) as strace:
                answer = saver.save(3)
            if not any("(INJECTED)" in line for line in strace.lines):
                problems[SAVING].append("nothing failed")
            steps = manifests.steps_in(folder)
            _check_answer(problems, answer.replace(str(folder), "..."), steps, failure.spares_cleanup)
            if answer.startswith("failed"):
                problems.expect(LEFT_AT_ONCE, "left over at once", leftovers(folder), [])
            problems.save_twice(saver, folder, 4)
            problems.expect(LEFT_LATER, "left over after later saves", leftovers(folder), [])
            problems.expect(BEST, "the best", best_step(folder), 3 if 3 in steps else 1)
        with Saver(server, folder) as saver:
            problems.expect(SAVING, "restored", saver.restored, 5)
        problems.expect(SAVING, "left over after a restart", leftovers(folder), [])
    return problems


def _check_answer(problems: Problems, answer: str, steps: list[int], spares_cleanup: bool) -> None:
    """Checks that the answer is true: older checkpoints survive, or the new one has replaced them in the rotation."""
    if answer.startswith("saved 3"):
        problems.expect(SAVING, "saved; steps", steps, [2, 3], [1, 2, 3])
    elif answer.startswith("failed 3"):
        uncommitted = [[1, 2]] if spares_cleanup else [[1, 2], [1, 2, 3]]
        problems.expect(SAVING, "failed; steps", steps, *uncommitted)
    else:
        problems[SAVING].append(f"the save answered: {answer}; steps {steps}")


def evenly_spaced(items: Sequence[T], limit: int | None) -> list[T]:
    """Returns at most `limit` of the items, evenly spread."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def each(trial: Callable[[T], R], cases: Sequence[T]) -> list[R | Exception]:
    """Runs a trial for all cases, one per core at a time. An exception is a failed trial; the others continue."""

    def safely(case: T) -> R | Exception:
        try:
            return trial(case)
        except Exception as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(safely, cases))


def claimed(
    what: str, cases: Sequence[object], results: Sequence[Sequence[str] | Exception], detail: str = ""
) -> Claim:
    """Returns the claim that no case has problems, with the first failure in its detail; prints all failures."""
    failed = []
    for case, result in zip(cases, results, strict=True):
        if isinstance(result, Exception) or result:
            failed.append(f"{case}: {result!r}" if isinstance(result, Exception) else f"{case}: {'; '.join(result)}")
            print(f"fails: {what.split(': ')[-1]}: {failed[-1]}", file=sys.stderr)
    return Claim(what, len(cases) - len(failed), len(cases), f"{detail}{failures(failed, 1)}".removeprefix("; "))


def group(name: str, results: Sequence[Problems | Exception]) -> list[list[str] | Exception]:
    """Returns one group of each trial's problems. A trial that raised counts against every claim."""
    return [result if isinstance(result, Exception) else result[name] for result in results]


def _complete(server: ForkServer, prepared: pathlib.Path, calls: Sequence[Call], missed: list[str]) -> Claim:
    """Checks that every file system call of a save can be hit, and that none follows the last."""
    numbers = collections.Counter(call.name for call in calls)

    def outlives(name: str) -> list[str]:
        problems, inject = Problems(), f"{name}:signal=KILL:when={numbers[name] + 1}"
        with _copy(prepared) as folder, Saver(server, folder) as saver, Strace(saver, [name], inject):
            problems.expect(SAVING, "the save", saver.save(3), "saved 3")
        return [*problems[SAVING], *missed]

    detail = ", ".join(f"{name} {number}" for name, number in numbers.items())
    return claimed("no file call of a save is left out", list(numbers), each(outlives, list(numbers)), detail)


def kills(server: ForkServer, limit: int | None = None) -> list[Claim]:
    """Kills a save at its file system calls, at most `limit` of them."""
    with prepared_folder(server) as prepared:
        calls, missed = _list_calls(server, prepared)
        cases = evenly_spaced(calls, limit)
        results = each(functools.partial(_killed, server, prepared), cases)
        claims = [] if limit is not None else [_complete(server, prepared, calls, missed)]
    groups = {
        SAVING: "the newest committed step is restored, and saving continues",
        LEFT_AT_ONCE: "after the restart nothing is left over",
        LEFT_LATER: "nothing is left over later",
        BEST: "the best checkpoint is kept, even outside the rotation",
    }
    return [*claims, *(claimed(f"{KILLED}: {what}", cases, group(name, results)) for name, what in groups.items())]


def _failures_with(calls: Sequence[Call], error: str) -> list[Failure]:
    """Returns the possible failures with this error, once and lasting. A full disk can still be read."""
    once = [Failure(call, error, False) for call in calls if error == "EIO" or not call.reads]
    lasting = [Failure(call, error, True) for call in calls if error == "EIO" or not call.name.startswith("open")]
    return [*once, *lasting]


def errors(server: ForkServer, limit: int | None = None) -> list[Claim]:
    """Makes file system calls of a save fail, at most `limit` with each error."""
    claims: list[Claim] = []
    cases: list[Failure] = []
    results: list[Problems | Exception] = []
    with prepared_folder(server) as prepared:
        calls, _ = _list_calls(server, prepared)
        for error in ERRORS:
            chosen = evenly_spaced(_failures_with(calls, error), limit)
            new = each(functools.partial(_failed, server, prepared), chosen)
            what = f"{FAILED}, {error}: reported or complete, older ones survive, saving continues, a restart cleans up"
            claims.append(claimed(what, chosen, group(SAVING, new)))
            cases, results = [*cases, *chosen], [*results, *new]
    spared = [index for index, case in enumerate(cases) if case.spares_cleanup]
    at_once = group(LEFT_AT_ONCE, [results[index] for index in spared])
    return [
        *claims,
        claimed(f"{FAILED}, and files can be deleted: nothing is left over", [cases[n] for n in spared], at_once),
        claimed(f"{FAILED}: nothing is left over after later saves", cases, group(LEFT_LATER, results)),
        claimed(f"{FAILED}: the best checkpoint is kept, even outside the rotation", cases, group(BEST, results)),
    ]
