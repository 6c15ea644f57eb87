"""The modes of `--mode`: functions from (config, names of the passed flags) to an exit code.

May import `runs` and everything below it. TensorFlow is imported only after all flags are checked.
"""

from collections.abc import Callable

from trainer.commands.checkpoints import checkpoints
from trainer.commands.encode import encode
from trainer.commands.evaluate import evaluate
from trainer.commands.export import export
from trainer.commands.generate import generate
from trainer.commands.inspect import inspect
from trainer.commands.reconstruct import reconstruct
from trainer.commands.scalars import scalars
from trainer.commands.score import score
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
    "score": score,
    "scalars": scalars,
    "export": export,
}


def start(config: Config, given: frozenset[str]) -> int:
    """Runs the function of `--mode`.

    Args:
      config: the config of the command line.
      given: the names of the flags that the user passed.

    Returns:
      The exit code.
    """
    mode = config.command.mode
    if mode not in MODES:
        known = ", ".join(MODES)
        raise UsageError(f"unknown mode: {option('mode', mode)}", found=f"modes: {known}", remedy="use one of them")
    return MODES[mode](config, given)
