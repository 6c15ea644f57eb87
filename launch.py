"""Trains an autoencoder while you watch it in TensorBoard: flags in, a run directory out.

    python launch.py --dataset=cifar_horse --hidden=100

`python launch.py --help` lists every flag. The same command, typed again, goes on where it stopped.
"""

import os
import signal
import sys
import traceback

from trainer import config as configs
from trainer.errors import BUG, DONE, HourglassError, StorageError
from trainer.system import logs
from trainer.system.signals import Terminated, hear_sigterm

INTERRUPTED, TERMINATED = 130, 143


def main(arguments: list[str]) -> int:
    """Runs Hourglass with command-line arguments, without the program's name; returns the exit code."""
    _open_closed_streams()
    if {"--help", "-help", "-h"} & set(arguments):
        print(configs.help_text(), end="")
        return DONE
    debug = "--debug" in arguments
    logs.start_logging()
    hear_sigterm()
    try:
        config, given = configs.parse(arguments)
        debug = config.debug
        from trainer import commands  # NumPy: a mistyped flag needs none.

        return commands.start(config, given)
    except HourglassError as error:
        logs.log_error(f"error: {error}", traceback.format_exc(), debug=debug)
        return error.exit_code
    except KeyboardInterrupt:
        logs.log_error("interrupted; nothing was lost", traceback.format_exc(), debug=debug)
        return INTERRUPTED
    except Terminated:
        logs.log_error("terminated; nothing was lost", traceback.format_exc(), debug=debug)
        return TERMINATED
    except OSError as error:
        refused = StorageError(
            f"{error.filename or 'a file'} cannot be used",
            found=error.strerror or str(error),
            remedy="mend its permissions, move it out of the way, or make room; --debug shows where it was needed",
        )
        logs.log_error(f"error: {refused}", traceback.format_exc(), debug=debug)
        return refused.exit_code
    except Exception as error:
        said = f"error: {type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"
        remedy = "remedy: this is a bug of Hourglass; --debug shows where, run.log in the run directory has it too"
        logs.log_error(f"{said}\n{remedy}", traceback.format_exc(), debug=debug)
        return BUG


def _open_closed_streams() -> None:
    """Where a daemon has closed the standard streams, the next files opened would take their places."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # Takes the lowest that is free: this one.
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # All is done: how it ended stays true while the interpreter ends.
    sys.exit(code)
