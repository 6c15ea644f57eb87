"""An item of malicious data, and functions that write it."""

import dataclasses
import pathlib
from collections.abc import Callable

from hostile import payloads

Place = Callable[[pathlib.Path, pathlib.Path], list[str]]
Flags = Callable[[pathlib.Path], list[str]]
GIGABYTES_10 = 10 << 30
# A program that reads an archive without checking its hash, as if a malicious one had been published.
UNVERIFIED = """
import sys
from trainer.data.builtin import cifar
cifar.verify = lambda path, archive: None
import launch
sys.exit(launch.main(sys.argv[1:]))
"""


@dataclasses.dataclass(frozen=True)
class Harm:
    """An item of malicious data.

    Attributes:
      name: description.
      place: writes the data into a folder; its second argument is a folder outside that must not change. Returns the
        flags that read the data.
      is_skipped: True if the item is skipped, and the rest of the data is read; False if all is rejected.
      program: Python code that reads the data; empty for Hourglass itself.
    """

    name: str
    place: Place
    is_skipped: bool = False
    program: str = ""


def made(name: str, make: Callable[[pathlib.Path], object], flags: Flags) -> Place:
    """Makes a path of any kind."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        make(data / name)
        return flags(data / name)

    return place


def as_file(name: str, content: Callable[[], bytes], flags: Flags) -> Place:
    """Writes a file; the content is computed only then."""
    return made(name, lambda path: path.write_bytes(content()), flags)


def hollow(name: str, size: int, flags: Flags, beginning: bytes = b"") -> Place:
    """Writes a sparse file of zeros."""

    def make(path: pathlib.Path) -> None:
        with path.open("wb") as file:
            file.write(beginning)
            file.truncate(size)

    return made(name, make, flags)


def running(name: str, file: str, flags: Flags, wrap: Callable[[bytes], bytes]) -> Place:
    """Writes a file with a pickle that runs code."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        return as_file(file, lambda: wrap(payloads.programs(outside)[name]), flags)(data, outside)

    return place


def as_array(path: pathlib.Path) -> list[str]:
    return ["--dataset=array", f"--data_dir={path}"]


def as_table(path: pathlib.Path) -> list[str]:
    return ["--dataset=table", f"--data_dir={path}"]


def as_images(path: pathlib.Path) -> list[str]:
    return ["--dataset=images", f"--data_dir={path.parent}", "--eval_fraction=0"]


def as_cifar(path: pathlib.Path) -> list[str]:
    return ["--dataset=cifar10", f"--data_dir={path.parent}"]


def as_mnist(path: pathlib.Path) -> list[str]:
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        path.with_name(name).write_bytes(b"")
    return ["--dataset=mnist", f"--data_dir={path.parent}"]
