"""Flagfiles: the stored options of a run, and the presets that are part of Hourglass."""

import pathlib
from collections.abc import Sequence

import trainer
from trainer.config.config import OPTIONS, Config
from trainer.errors import UsageError, option

SUFFIX = ".flags"
LENGTHS = ("steps", "epochs")  # options that set the length of a run
PATHS = ("data_dir", "eval_file")  # options that a run stores, although they are places


def to_flagfile(config: Config) -> str:
    """Returns the stored options, and the absolute paths of custom data, as the text of an absl flagfile."""
    lines = ["# The flags of this run: python launch.py --flagfile=THIS_FILE repeats it."]
    for name, declared in OPTIONS.items():
        if declared.is_stored and config[name] is not None:
            lines.append(f"--{name}={config.text(name)}")
    lines += [f"--{name}={path}" for name, path in config.data.own_paths.items()]
    return "\n".join(lines) + "\n"


def presets() -> dict[str, pathlib.Path]:
    """Returns the presets by name: files in `flags/` in a checkout, in `trainer/presets/` in an installed package."""
    package = pathlib.Path(trainer.__file__).resolve().parent
    folder = next((path for path in (package / "presets", package.parent / "flags") if path.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))} if folder else {}


def expand_presets(arguments: Sequence[str]) -> list[str]:
    """Replaces each `--preset=NAME` or `--preset NAME` by the flags of that preset.

    If the arguments have `--steps` or `--epochs`, the `--steps` or `--epochs` of the preset is left out.

    Raises:
      UsageError: a preset does not exist.
    """
    for name in PATHS:
        arguments = _with_last(name, arguments)
    has_length = any(_name(argument) in LENGTHS for argument in arguments)
    remaining, expanded = list(arguments), []
    while remaining:
        argument = remaining.pop(0)
        if _name(argument) == "preset":
            _, has_value, value = argument.partition("=")
            flags = _flags(value if has_value or not remaining else remaining.pop(0))
            expanded += [flag for flag in flags if not (has_length and _name(flag) in LENGTHS)]
        else:
            expanded.append(argument)
    return expanded


def _with_last(name: str, arguments: Sequence[str]) -> list[str]:
    """Moves a flag to the end, so that it replaces that in a flagfile of a run, wherever the flagfile is."""
    remaining, others, moved = list(arguments), [], []
    while remaining and remaining[0] != "--":
        argument = remaining.pop(0)
        if _name(argument) == name:
            moved = [argument] if "=" in argument else [argument, *remaining[:1]]
            del remaining[: len(moved) - 1]
        else:
            others.append(argument)
    return [*others, *moved, *remaining]


def _name(argument: str) -> str:
    """Returns the name of a flag; an empty text for other arguments."""
    return argument.partition("=")[0].removeprefix("-").removeprefix("-") if argument.startswith("-") else ""


def _flags(preset: str) -> list[str]:
    known = presets()
    if preset not in known:
        raise UsageError(
            f"{option('preset', preset)} does not exist", found=f"presets: {', '.join(known)}", remedy="use one of them"
        )
    return [line for line in known[preset].read_text().splitlines() if line.startswith("-")]
