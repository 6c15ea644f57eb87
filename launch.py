"""The command line: parses flags, runs a command, and returns an exit code.

    python launch.py --dataset=cifar_horse --hidden=100

`python launch.py --help` lists all flags. The same command resumes an interrupted run.
"""

import os
import signal
import sys
import traceback

import trainer
from trainer import config as configs
from trainer.errors import (
    BUG,
    DONE,
    HourglassError,
    StorageError,
    UsageError,
    as_flag,
    is_out_of_memory,
    option,
    option_style,
    out_of_memory,
)
from trainer.system import logs
from trainer.system.signals import Terminated, handle_sigterm

INTERRUPTED, TERMINATED = 130, 143
UNSUPPORTED_SYSTEM = """error: Hourglass does not run on this system
found: it needs POSIX file locks, which Linux, macOS and WSL2 have
remedy: on Windows, install WSL2 and run Hourglass in it"""
# Flags that only print a text.
TEXTS = {
    **dict.fromkeys(("--help", "-help", "-h"), configs.help_text),
    **dict.fromkeys(("--helpshort", "-helpshort"), lambda: configs.help_text(short=True)),
    "--version": lambda: f"Hourglass {trainer.__version__}\n",
}


def main(arguments: list[str]) -> int:
    """Runs Hourglass with command-line arguments (without the program name), and returns the exit code."""
    if os.name != "posix":
        print(UNSUPPORTED_SYSTEM, file=sys.stderr)
        return UsageError.exit_code
    _open_closed_streams()
    for flag, text in TEXTS.items():
        if flag in arguments:
            print(text(), end="")
            return DONE
    with option_style(as_flag):
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    logs.start_logging()
    handle_sigterm()
    try:
        config, given = configs.parse(arguments)
        debug = config.command.debug
        from trainer import commands  # Imports NumPy; errors in flags are reported before that.

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
    except Exception as error:
        return _report(error, debug=debug)


def _report(error: Exception, *, debug: bool) -> int:
    """Logs an exception that is no `HourglassError`, and returns the exit code."""
    trace = traceback.format_exc()
    if is_out_of_memory(error):
        memory_error = out_of_memory(error)
        logs.log_error(f"error: {memory_error}", trace, debug=debug)
        return memory_error.exit_code
    if isinstance(error, OSError):
        storage_error = StorageError(
            f"{error.filename or 'a file'} cannot be read or written",
            found=error.strerror or str(error),
            remedy="correct its permissions, move it away, or free disk space;"
            f" {option('debug', True)} shows where the error occurred",
        )
        logs.log_error(f"error: {storage_error}", trace, debug=debug)
        return storage_error.exit_code
    what = f"error: {type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"
    remedy = "remedy: report this bug of Hourglass; the traceback is in run.log, and --debug prints it"
    logs.log_error(f"{what}\n{remedy}", trace, debug=debug)
    return BUG


def _open_closed_streams() -> None:
    """Opens standard streams that are closed, as in a daemon; other files would otherwise get their descriptors."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # Returns the lowest free descriptor, which is this one.
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def cli() -> int:
    """Runs the console command `hourglass`, which is the same as `python launch.py`."""
    code = main(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # A signal during the interpreter's exit must not change the code.
    return code


if __name__ == "__main__":
    sys.exit(cli())
