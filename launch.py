"""Trains an autoencoder while you watch it in TensorBoard: flags in, a run directory out.

    python launch.py --dataset=cifar_horse --hidden=100

`python launch.py --help` lists every flag. The same command, typed again, goes on where it stopped.
"""

import sys
import traceback

from trainer import config as configs
from trainer import console
from trainer.errors import BUG, DONE, HourglassError

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Runs Hourglass with command-line arguments, without the program's name; returns the exit code."""
    if {"--help", "-help", "-h"} & set(arguments):
        print(configs.help_text(), end="")
        return DONE
    debug = "--debug" in arguments
    console.start_logging()
    try:
        config, given = configs.parse(arguments)
        debug = config.debug
        from trainer import modes  # NumPy: a mistyped flag needs none.

        return modes.start(config, given)
    except HourglassError as error:
        console.log_error(f"error: {error}", traceback.format_exc(), debug=debug)
        return error.exit_code
    except KeyboardInterrupt:
        console.log_error("interrupted; nothing was lost", traceback.format_exc(), debug=debug)
        return INTERRUPTED
    except Exception as error:
        said = f"error: {type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"
        remedy = "remedy: this is a bug of Hourglass; --debug shows where, run.log in the run directory has it too"
        console.log_error(f"{said}\n{remedy}", traceback.format_exc(), debug=debug)
        return BUG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
