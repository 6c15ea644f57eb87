"""Flagfiles: a run's stored options, and the presets that come with Hourglass."""

import pathlib
from collections.abc import Sequence

import trainer
from trainer.config.config import OPTIONS, Config
from trainer.errors import UsageError, option

SUFFIX = ".flags"


def to_flagfile(config: Config) -> str:
    """The stored options as an absl flagfile that repeats the run."""
    lines = ["# The flags of this run: python launch.py --flagfile=THIS_FILE repeats it."]
    for name, declared in OPTIONS.items():
        if declared.is_stored and config[name] is not None:
            lines.append(f"--{name}={config.text(name)}")
    return "\n".join(lines) + "\n"


def presets() -> dict[str, pathlib.Path]:
    """The flagfiles that come with Hourglass, by name: in a checkout in `flags/`, in an installed package inside it."""
    package = pathlib.Path(trainer.__file__).resolve().parent
    folder = next((place for place in (package / "presets", package.parent / "flags") if place.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))} if folder else {}


def with_presets(arguments: Sequence[str]) -> list[str]:
    """Arguments with each `--preset=NAME` or `--preset NAME` replaced by the flagfile of that name.

    Raises:
      UsageError: there is no such preset.
    """
    left, replaced = list(arguments), []
    while left:
        argument = left.pop(0)
        dashed, _, name = argument.partition("=")
        if dashed in ("--preset", "-preset"):
            replaced.append(_flagfile(name if name or not left else left.pop(0)))
        else:
            replaced.append(argument)
    return replaced


def _flagfile(name: str) -> str:
    known = presets()
    if name not in known:
        raise UsageError(
            f"{option('preset', name)} is unknown", found=f"known: {', '.join(known)}", remedy="give one of them"
        )
    return f"--flagfile={known[name]}"
