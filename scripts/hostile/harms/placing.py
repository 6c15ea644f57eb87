"""Data made to do harm: what each is, and how it is put in the reader's way."""

import dataclasses
import pathlib
from collections.abc import Callable

from hostile import payloads

Place = Callable[[pathlib.Path, pathlib.Path], list[str]]
GIGABYTES_10 = 10 << 30
# What would be read past an archive's hash, if somebody had published such a one.
UNVERIFIED = """
import sys
from trainer.datasets import cifar
cifar.verify = lambda path, archive: None
import launch
sys.exit(launch.main(sys.argv[1:]))
"""


@dataclasses.dataclass(frozen=True)
class Harm:
    """One of them.

    Attributes:
      name: what it is.
      place: puts it into a folder, given the folder outside that it must not touch; gives the flags that read it.
      is_left_out: it is not refused but left out, the rest being sound.
      program: Python code that reads it; empty: the program as it is.
    """

    name: str
    place: Place
    is_left_out: bool = False
    program: str = ""


def as_file(name: str, content: Callable[[], bytes], flags: Callable[[pathlib.Path], list[str]]) -> Place:
    """Puts a file into the folder; what is large is made when it is its turn."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        (data / name).write_bytes(content())
        return flags(data / name)

    return place


def hollow(name: str, size: int, flags: Callable[[pathlib.Path], list[str]], beginning: bytes = b"") -> Place:
    """Puts a file of zeros into the folder, which take no room."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        with open(data / name, "wb") as file:
            file.write(beginning)
            file.truncate(size)
        return flags(data / name)

    return place


def made(name: str, make: Callable[[pathlib.Path], object], flags: Callable[[pathlib.Path], list[str]]) -> Place:
    """Puts what is no file into the folder."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        make(data / name)
        return flags(data / name)

    return place


def as_array(path: pathlib.Path) -> list[str]:
    return ["--dataset=array", f"--data_dir={path}"]


def as_table(path: pathlib.Path) -> list[str]:
    return ["--dataset=table", f"--data_dir={path}"]


def as_pictures(path: pathlib.Path) -> list[str]:
    return ["--dataset=images", f"--data_dir={path.parent}", "--eval_fraction=0"]


def as_cifar(path: pathlib.Path) -> list[str]:
    return ["--dataset=cifar10", f"--data_dir={path.parent}"]


def as_mnist(path: pathlib.Path) -> list[str]:
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        path.with_name(name).write_bytes(b"")
    return ["--dataset=mnist", f"--data_dir={path.parent}"]


def running(name: str, file: str, flags: Callable[[pathlib.Path], list[str]], wrap: Callable[[bytes], bytes]) -> Place:
    """Puts a pickle that runs something into the folder."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        return as_file(file, lambda: wrap(payloads.programs(outside)[name]), flags)(data, outside)

    return place
