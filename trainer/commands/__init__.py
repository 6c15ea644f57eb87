"""What `--mode` can do: each is one function, from (config, names of the flags given) to an exit code.

It imports `runs` and everything below it, and no TensorFlow before all that can be checked is checked.
"""

from collections.abc import Callable

from trainer.commands.checkpoints import checkpoints
from trainer.commands.encode import encode
from trainer.commands.evaluate import evaluate
from trainer.commands.generate import generate
from trainer.commands.inspect import inspect
from trainer.commands.reconstruct import reconstruct
from trainer.commands.serve import serve
from trainer.commands.train import train
from trainer.config import Config
from trainer.errors import UsageError, option

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
    if config.command.mode not in MODES:
        known = ", ".join(MODES)
        raise UsageError(
            f"{option('mode', config.command.mode)} is unknown", found=f"known: {known}", remedy="give one of them"
        )
    return MODES[config.command.mode](config, given)
