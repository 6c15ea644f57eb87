"""Random command lines: every flag, with valid and invalid values, in every notation."""

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
from storms.saver import make_manifest

from hostile import launched
from hostile.workers import Outcome, Trial
from trainer import commands
from trainer import config as configs
from trainer.checkpoints import manifest as manifests
from trainer.config.flags import define
from trainer.data import datasets
from trainer.data.dataset import Dataset
from trainer.data.sources import Sources

# Values that are invalid for most flags.
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
    "input": ("data/images", "data/images/cat/0.png", "data/a.npy", "1,2,3,4"),
    "code": ("1", "1,2", "5,5;0,1"),
    "output": ("out", "data", "data/a.npy"),
    "data_dir": ("data/images", "data/a.npy", "data/t.csv", "data", "missing"),
    "cache_dir": ("cache", "data/a.npy"),
    "data_url": ("http://localhost/x", "ftp://x", "file:///x"),
    "run_dir": ("run", "other", "data/a.npy", "run/checkpoints", "deep/er"),
    "mirror_dir": ("mirror", "run", "data"),
    "host": ("localhost", "0.0.0.0", "::1"),
    "profile": ("100,20", "1,1"),
}
SPECIAL = ("--help", "--flagfile=run/flags.txt", "--flagfile=missing", "--flagfile=data", "--undefok=x", "--", "extra")


def make() -> Trial:
    """Returns the trial, which runs in a folder of this process with small data sets and a run."""
    launched.forbid()
    for name in ("digits", "iris"):  # Reads them only once.
        loaded = datasets.LOADERS[name](Sources())
        datasets.LOADERS[name] = functools.partial(_constant, loaded)
    root = pathlib.Path(tempfile.mkdtemp(prefix="hourglass-flags-"))
    os.environ.update(HOME=str(root / "home"), KERAS_HOME=str(root / "keras"))
    original = root / "original"
    _fill(original)
    folder = root / "a" / "b" / "c"  # deep enough for paths that lead upwards
    _copy(original, folder)

    def trial(seed: int) -> Outcome:
        os.chdir(folder)
        outcome = launched.outcome(arguments(random.Random(seed)))
        if outcome.kind != "exit 1":  # It may have changed files.
            os.chdir("/")
            shutil.rmtree(root / "a")
            _copy(original, folder)
        return outcome

    return trial


def _constant(data: Dataset, sources: Sources) -> Dataset:
    return data


def _copy(original: pathlib.Path, folder: pathlib.Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(original, folder)


def _fill(folder: pathlib.Path) -> None:
    """Writes small data sets of each kind, and a run with a checkpoint whose contents are never read."""
    images = folder / "data" / "images"
    for label, shade in (("cat", 9), ("dog", 200)):
        (images / label).mkdir(parents=True)
        for name in range(3):
            Image.new("RGB", (8, 6), (shade, name, 0)).save(images / label / f"{name}.png")
    np.save(folder / "data" / "a.npy", np.zeros((20, 4, 4), np.uint8))
    (folder / "data" / "t.csv").write_text("a,b,kind\n" + "1,2,x\n3,4,y\n" * 10)
    checkpoints = folder / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    config, _ = configs.parse(["--dataset=iris", "--hidden=1", "--steps=10"])
    (folder / "run" / "flags.txt").write_text(configs.to_flagfile(config))
    for name in ("index", "data-00000-of-00001"):
        (checkpoints / f"ckpt-10.{name}").write_text(name)
    files = manifests.describe(checkpoints, 10)
    manifests.write(checkpoints, make_manifest(10, flags=configs.mathematical_options(config), files=files))


@functools.cache
def _definitions() -> flags.FlagValues:
    values = flags.FlagValues()
    define(values)
    return values


def arguments(draw: random.Random) -> list[str]:
    """Returns a random command line."""
    defined = _definitions()
    share = draw.choice((0.3, 0.9, 1.0, 1.0))  # of valid parts: most must be valid for an invalid one to be checked
    arguments = []
    for _ in range(min(12, int(draw.expovariate(0.35)))):
        if draw.random() < 0.02:
            arguments.append(draw.choice(SPECIAL))
            continue
        name = draw.choice(configs.option_names())
        value = _fitting(defined[name], draw) if draw.random() < share else draw.choice(ANYTHING)
        arguments += _notation(_misspelled(name, draw) if draw.random() > share else name, value, draw)
    return arguments


def _fitting(flag: flags.Flag, draw: random.Random) -> str:
    if flag.name in FITTING:
        return draw.choice(FITTING[flag.name])
    parser = flag.parser
    if isinstance(parser, flags.EnumParser):
        return draw.choice(parser.enum_values)
    if isinstance(parser, flags.BooleanParser):
        return draw.choice(("true", "false"))
    low, high = getattr(parser, "lower_bound", None) or 0, getattr(parser, "upper_bound", None) or 10
    values = (low, low + 1, 3, 10, high)
    return str(draw.choice((*values, 0.5)) if isinstance(parser, flags.FloatParser) else int(draw.choice(values)))


def _misspelled(name: str, draw: random.Random) -> str:
    start = draw.randrange(len(name))
    return name[:start] + draw.choice(("", "x", "_", "-", " ", "\u00e9")) + name[start + 1 :]


def _notation(name: str, value: str, draw: random.Random) -> Sequence[str]:
    """Writes a flag in one of the valid or invalid notations."""
    ways = ([f"--{name}={value}"],) * 12 + ([f"-{name}={value}"], [f"--{name}", value], [f"--no{name}"], [f"--{name}"])
    return draw.choice(ways)
