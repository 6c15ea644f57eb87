"""What `--mode` can do: each is one function, from (config, names of the flags given) to an exit code."""

from collections.abc import Callable

from trainer.config import Config
from trainer.errors import UsageError
from trainer.modes.inspecting import inspect
from trainer.modes.listing import checkpoints
from trainer.modes.serving import serve
from trainer.modes.training import train
from trainer.modes.using import encode, evaluate, generate, reconstruct

__all__ = ["MODES", "start"]

MODES: dict[str, Callable[[Config, frozenset[str]], int]] = {
    "train": train,
    "checkpoints": checkpoints,
    "serve": serve,
    "inspect": inspect,
    "evaluate": evaluate,
    "encode": encode,
    "reconstruct": reconstruct,
    "generate": generate,
}


def start(config: Config, given: frozenset[str]) -> int:
    """Does what `--mode` says.

    Args:
      config: as given on the command line.
      given: the names of the flags that were given.

    Returns:
      The exit code.
    """
    if config.mode not in MODES:
        known = ", ".join(MODES)
        raise UsageError(f"--mode={config.mode} is unknown", found=f"known: {known}", remedy="give one of them")
    return MODES[config.mode](config, given)
