"""Reads data made to do harm, each in a fresh process, and looks at all that it does, touches and takes."""

import dataclasses
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from claims import Claim

from hostile import payloads
from hostile.crafted import saved
from hostile.harms import Harm, everything

CHECKOUT = pathlib.Path(__file__).parent.parent.parent
SECONDS, BYTES = 1.0, 1_500_000_000
SECONDS_TO_HANG = 30.0


@dataclasses.dataclass(frozen=True)
class Done:
    """What became of it: `wrong` in so many words, or nothing."""

    executed: bool
    touched: str
    wrong: str
    seconds: float
    memory: int


def storm(limit: int | None = None) -> list[Claim]:
    """Does all, or every so-manieth, so that there are `limit` of them."""
    harms = everything()
    if limit is not None:
        harms = harms[:: max(1, len(harms) // limit)]
    found = {harm.name: suffer(harm) for harm in harms}
    seconds = [done.seconds for done in found.values()]
    memory = [done.memory for done in found.values()]
    count = len(found)

    def claim(what: str, bad: Mapping[str, str], detail: str = "") -> Claim:
        first = "; ".join(f"{name}: {words}" for name, words in list(bad.items())[:5])
        return Claim(what, count - len(bad), count, first or detail)

    return [
        claim("malicious data: nothing executed", {n: "executed" for n, d in found.items() if d.executed}),
        claim("nothing written outside", {n: d.touched for n, d in found.items() if d.touched}),
        claim("refused by exit 2 in three lines, or left out", {n: d.wrong for n, d in found.items() if d.wrong}),
        claim(
            "memory under 1.5 GB",
            {n: f"{d.memory / 1e9:.2f} GB" for n, d in found.items() if d.memory > BYTES},
            f"at most {max(memory) / 1e6:,.0f} MB",
        ),
        claim(
            "within 1 s, start of Python included",
            {n: f"{d.seconds:.2f} s" for n, d in found.items() if d.seconds > SECONDS},
            f"median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
        ),
        _control(limit),
    ]


def _control(limit: int | None) -> Claim:
    """Whether the pickles do what they are said to, where nothing keeps them from it."""
    ran = []
    with tempfile.TemporaryDirectory() as root:
        outside = pathlib.Path(root) / "outside"
        for name in list(_made(outside))[:limit]:
            program = _made(outside)[name]
            before = _contents(outside)
            command = [sys.executable, "-c", "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"]
            subprocess.run(command, input=program, capture_output=True, check=False)
            ran.append(_contents(outside) != before)
    return Claim("control: pickle.loads runs those pickles", sum(ran), len(ran), control=True)


def _made(outside: pathlib.Path) -> dict[str, bytes]:
    """A fresh folder outside, and the pickles that act on it."""
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir(parents=True)
    (outside / "sentinel").write_text("as it was")
    (outside / "secret.png").write_bytes(saved("PNG"))
    return payloads.programs(outside)


def suffer(harm: Harm) -> Done:
    """Has it read by a process of its own."""
    with tempfile.TemporaryDirectory(prefix="hourglass-malice-") as name:
        root = pathlib.Path(name)
        for folder in ("data", "work", "home"):
            (root / folder).mkdir()
        _made(root / "outside")
        flags = harm.place(root / "data", root / "outside")
        before = _contents(root / "outside")
        code, told, said, seconds, memory = _launched(root, harm.program, flags)
        after = _contents(root / "outside")
        touched = sorted(set(before.items()) ^ set(after.items()))
        new = [path.name for path in (root / "work").iterdir()]
        shutil.rmtree(root / "data", onerror=lambda remove, path, error: None)
    return Done(
        executed=payloads.MARK in after,
        touched=f"{touched[0][0]} differs" if touched else f"{new[0]} is new" if new else "",
        wrong=_wrong(harm, code, told, said),
        seconds=seconds,
        memory=memory,
    )


def _wrong(harm: Harm, code: int, told: str, said: str) -> str:
    if "\x1b" in told + said:
        return f"escapes: {(told + said)[-300:]!r}"
    lines = said.splitlines()
    if harm.is_left_out:
        return f"exit {code}: {said[-300:]}" if code or lines else ""
    fits = code == 2 and 2 <= len(lines) <= 3 and lines[0].startswith("error: ") and "remedy: " in lines[-1]
    return "" if fits else f"exit {code}: {said[-300:]}"


def _launched(root: pathlib.Path, program: str, flags: list[str]) -> tuple[int, str, str, float, int]:
    """Exit code, what was said to stdout and to stderr, seconds, and the most memory in bytes."""
    command = [sys.executable, *(["-c", program] if program else ["-m", "launch"]), "--mode=inspect", *flags]
    environment = {
        **os.environ,
        "HOME": str(root / "home"),
        "KERAS_HOME": str(root / "home"),
        "PYTHONPATH": str(CHECKOUT),
    }
    watched = [sys.executable, "-S", str(pathlib.Path(__file__).with_name("apart.py")), f"{SECONDS_TO_HANG}", *command]
    done = subprocess.run(watched, cwd=root / "work", env=environment, capture_output=True, text=True, errors="replace")
    *out, last = done.stdout.splitlines()
    code, seconds, kilobytes = last.split()
    return int(code), "\n".join(out), done.stderr, float(seconds), int(kilobytes) * 1024


def _contents(folder: pathlib.Path) -> dict[str, str]:
    """What is in it: names, kinds and contents."""
    if not folder.exists():
        return {}
    return {
        str(path.relative_to(folder)): f"{path.lstat().st_mode} {path.read_bytes() if path.is_file() else ''}"
        for path in folder.rglob("*")
    }
