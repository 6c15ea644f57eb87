"""Flagfiles: the stored options of a run, and the presets that are part of Hourglass."""

import pathlib
from collections.abc import Sequence

import trainer
from trainer.config.config import OPTIONS, Config
from trainer.errors import UsageError, option

SUFFIX = ".flags"


def to_flagfile(config: Config) -> str:
    """Returns the stored options as the text of an absl flagfile."""
    lines = ["# The flags of this run: python launch.py --flagfile=THIS_FILE repeats it."]
    for name, declared in OPTIONS.items():
        if declared.is_stored and config[name] is not None:
            lines.append(f"--{name}={config.text(name)}")
    return "\n".join(lines) + "\n"


def presets() -> dict[str, pathlib.Path]:
    """Returns the presets by name: files in `flags/` in a checkout, in `trainer/presets/` in an installed package."""
    package = pathlib.Path(trainer.__file__).resolve().parent
    folder = next((path for path in (package / "presets", package.parent / "flags") if path.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))} if folder else {}


def expand_presets(arguments: Sequence[str]) -> list[str]:
    """Replaces each `--preset=NAME` or `--preset NAME` by the `--flagfile` argument of that preset.

    Raises:
      UsageError: a preset does not exist.
    """
    remaining, expanded = list(arguments), []
    while remaining:
        argument = remaining.pop(0)
        flag, _, name = argument.partition("=")
        if flag in ("--preset", "-preset"):
            expanded.append(_flagfile(name if name or not remaining else remaining.pop(0)))
        else:
            expanded.append(argument)
    return expanded


def _flagfile(name: str) -> str:
    known = presets()
    if name not in known:
        raise UsageError(
            f"{option('preset', name)} does not exist", found=f"presets: {', '.join(known)}", remedy="use one of them"
        )
    return f"--flagfile={known[name]}"
