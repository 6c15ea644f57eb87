"""Flags drawn at random: every name, values that fit and values that do not, in every way they can be written."""

import functools
import os
import pathlib
import random
import shutil
import tempfile
from collections.abc import Sequence

import numpy as np
from absl import flags
from PIL import Image

from hostile import launched
from hostile.workers import Outcome, Trial
from trainer import commands
from trainer import config as configs
from trainer.checkpoints import manifest as manifests
from trainer.config.flags import define
from trainer.data import datasets
from trainer.data.dataset import Data
from trainer.data.sources import Sources

# What numbers, lists, paths and texts may be, and what nothing may be.
ANYTHING = (
    *("", " ", "0", "-0", "-1", "1", "2", "3.5", "nan", "inf", "-inf", "1e999", "1e-400", "9" * 30, "9" * 5_000),
    *("0x10", "1_000", "\u0661\u0662", "\uff11", "true", "None", "a,b", ",", ",,,", "1,"),
    *("\x00", "\n", "\r", "\x1b[2J", "\u202e", "\u2028", "%s%n%d", "{0}", "{}", "..", ".", "~", "~nosuchperson/x"),
    *("\u00e9", "\ud800", "\U0001f4a5" * 50),
    *("/dev/null", "/dev/null/x", "/proc/self/nothing", "a" * 300, "a/" * 3_000, "run[1]*?", "--help", "-h", "--", "-"),
    *("'", '"', "`id`", "$(id)", ";", "\\", "\t", "1;2;3", "5,5;0", "32x32", "x", "1x1x1", "100,20", "0,0", "a:b:c"),
)
FITTING = {
    "dataset": ("digits", "iris", "images", "array", "table", "mnist", "cifar_horse", "cifar10", "tfds:mnist", "tfds"),
    "classes": ("", "1,5", "setosa", "cat", "0"),
    "model": ("dense", "conv"),
    "hidden": ("1", "8", "32,8", "256,128,32", "1000000"),
    "init_from": ("run", "run/checkpoints/ckpt-10", "missing"),
    "image_size": ("8", "32", "6x8"),
    "label_column": ("kind", "1", "3"),
    "mode": tuple(commands.MODES),
    "input": ("data/pictures", "data/pictures/cat/0.png", "data/a.npy", "1,2,3,4"),
    "code": ("1", "1,2", "5,5;0,1"),
    "output": ("out", "data", "data/a.npy"),
    "data_dir": ("data/pictures", "data/a.npy", "data/t.csv", "data", "missing"),
    "cache_dir": ("cache", "data/a.npy"),
    "data_url": ("http://localhost/x", "ftp://x", "file:///x"),
    "run_dir": ("run", "other", "data/a.npy", "run/checkpoints", "deep/er"),
    "mirror_dir": ("mirror", "run", "data"),
    "host": ("localhost", "0.0.0.0", "::1"),
    "profile": ("100,20", "1,1"),
}
SPECIAL = ("--help", "--flagfile=run/flags.txt", "--flagfile=missing", "--flagfile=data", "--undefok=x", "--", "extra")


def make(number: int) -> Trial:
    """Trials in a folder of this process's own, which holds small data and a run."""
    launched.forbid()
    for name in ("digits", "iris"):  # Read once: it is about flags.
        loaded = datasets.LOADERS[name](Sources())
        datasets.LOADERS[name] = functools.partial(_given, loaded)
    root = pathlib.Path(tempfile.mkdtemp(prefix="hourglass-flags-"))
    os.environ.update(HOME=str(root / "home"), KERAS_HOME=str(root / "keras"))
    original = root / "original"
    _furnish(original)
    # Deep enough for the paths that lead upwards.
    place = root / "a" / "b" / "c"
    _copied(original, place)

    def trial(seed: int) -> Outcome:
        os.chdir(place)
        found = launched.outcome(draw(random.Random(seed)))
        if found.kind != "exit 1":  # It may have changed something.
            os.chdir("/")
            shutil.rmtree(root / "a")
            _copied(original, place)
        return found

    return trial


def _given(data: Data, sources: Sources) -> Data:
    return data


def _copied(original: pathlib.Path, place: pathlib.Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(original, place)


def _furnish(folder: pathlib.Path) -> None:
    """Small data of each kind, and a run with a checkpoint, whose contents nobody gets to see."""
    pictures = folder / "data" / "pictures"
    for label, shade in (("cat", 9), ("dog", 200)):
        (pictures / label).mkdir(parents=True)
        for name in range(3):
            Image.new("RGB", (8, 6), (shade, name, 0)).save(pictures / label / f"{name}.png")
    np.save(folder / "data" / "a.npy", np.zeros((20, 4, 4), np.uint8))
    (folder / "data" / "t.csv").write_text("a,b,kind\n" + "1,2,x\n3,4,y\n" * 10)
    checkpoints = folder / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    config, _ = configs.parse(["--dataset=iris", "--hidden=1", "--steps=10"])
    (folder / "run" / "flags.txt").write_text(configs.to_flagfile(config))
    for name in ("index", "data-00000-of-00001"):
        (checkpoints / f"ckpt-10.{name}").write_text(name)
    manifests.write(
        checkpoints,
        manifests.Manifest(
            run_id="r",
            step=10,
            flags=configs.guarded(config),
            data="d",
            numerics={},
            metrics={manifests.ERROR: 0.5},
            changes=[],
            pending=(0.0, 0),
            seconds=0.5,
            files=manifests.describe(checkpoints, 10),
            evaluated=10,
        ),
    )


@functools.cache
def _definitions() -> flags.FlagValues:
    defined = flags.FlagValues()
    define(defined)
    return defined


def draw(chance: random.Random) -> list[str]:
    """The arguments of one command line."""
    defined = _definitions()
    fits = chance.choice((0.3, 0.9, 1.0, 1.0))  # Most of a command line has to be right for the rest to matter.
    arguments = []
    for _ in range(min(12, int(chance.expovariate(0.35)))):
        if chance.random() < 0.02:
            arguments.append(chance.choice(SPECIAL))
            continue
        name = chance.choice(configs.names())
        value = _fitting(defined[name], chance) if chance.random() < fits else chance.choice(ANYTHING)
        arguments += _written(_misspelt(name, chance) if chance.random() > fits else name, value, chance)
    return arguments


def _fitting(flag: flags.Flag, chance: random.Random) -> str:
    if flag.name in FITTING:
        return chance.choice(FITTING[flag.name])
    parser = flag.parser
    if isinstance(parser, flags.EnumParser):
        return chance.choice(parser.enum_values)
    if isinstance(parser, flags.BooleanParser):
        return chance.choice(("true", "false"))
    low, high = getattr(parser, "lower_bound", None) or 0, getattr(parser, "upper_bound", None) or 10
    values = (low, low + 1, 3, 10, high)
    return str(chance.choice((*values, 0.5)) if isinstance(parser, flags.FloatParser) else int(chance.choice(values)))


def _misspelt(name: str, chance: random.Random) -> str:
    place = chance.randrange(len(name))
    return name[:place] + chance.choice(("", "x", "_", "-", " ", "\u00e9")) + name[place + 1 :]


def _written(name: str, value: str, chance: random.Random) -> Sequence[str]:
    """In one of the ways in which flags are written."""
    ways = ([f"--{name}={value}"],) * 12 + ([f"-{name}={value}"], [f"--{name}", value], [f"--no{name}"], [f"--{name}"])
    return chance.choice(ways)
