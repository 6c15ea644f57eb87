"""Trains an autoencoder while you watch it in TensorBoard: flags in, a run directory out.

    python launch.py --dataset=cifar_horse --hidden=100

`python launch.py --help` lists every flag. The same command, typed again, goes on where it stopped.
"""

import os
import signal
import sys
import traceback

import trainer
from trainer import config as configs
from trainer.errors import BUG, DONE, HourglassError, StorageError, UsageError, as_flag, option, options_shown_as
from trainer.system import logs
from trainer.system.signals import Terminated, handle_sigterm

INTERRUPTED, TERMINATED = 130, 143
ELSEWHERE = """error: Hourglass does not run on this system
found: it needs the file locks of Linux; macOS has them too, and Windows has them in WSL2
remedy: on Windows, install WSL2 and run Hourglass in it"""
# What is printed instead of doing something.
ANSWERS = {
    **dict.fromkeys(("--help", "-help", "-h"), configs.help_text),
    **dict.fromkeys(("--helpshort", "-helpshort"), lambda: configs.help_text(short=True)),
    "--version": lambda: f"Hourglass {trainer.__version__}\n",
}


def main(arguments: list[str]) -> int:
    """Runs Hourglass with command-line arguments, without the program's name; returns the exit code."""
    if os.name != "posix":
        print(ELSEWHERE, file=sys.stderr)
        return UsageError.exit_code
    _open_closed_streams()
    for asked, answer in ANSWERS.items():
        if asked in arguments:
            print(answer(), end="")
            return DONE
    with options_shown_as(as_flag):
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    logs.start_logging()
    handle_sigterm()
    try:
        config, given = configs.parse(arguments)
        debug = config.command.debug
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
            remedy="mend its permissions, move it out of the way, or make room;"
            f" {option('debug', True)} shows where it was needed",
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


def cli() -> int:
    """The console command `hourglass`: the same as `python launch.py`."""
    code = main(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # All is done: how it ended stays true while the interpreter ends.
    return code


if __name__ == "__main__":
    sys.exit(cli())
