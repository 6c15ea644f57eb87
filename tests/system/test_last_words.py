"""The line that a process leaves if native code kills it. TensorFlow is not imported."""

import pathlib
import platform
import signal
import sys

import pytest

IS_SUPPORTED = sys.platform == "linux" and platform.machine() == "x86_64"
PROGRAM = """
import ctypes, os, signal, sys, threading
from trainer.system import logs
with logs.redirect_native_stderr("run.log"):
    os.write(2, b"the reason\\n")
    how = sys.argv[1]
    if how == "abort":
        os.abort()
    if how == "thread":  # without the interpreter's lock
        thread = threading.Thread(target=ctypes.CDLL(None).abort)
        thread.start()
        thread.join()
    if how == "memory":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGABRT)
if how == "later":
    os.abort()
"""
LINE = "error: native code has ended this process; its messages are in run.log\n"


@pytest.mark.skipif(not IS_SUPPORTED, reason="needs Linux on x86-64")
@pytest.mark.parametrize(
    ("how", "number"),
    [("abort", signal.SIGABRT), ("thread", signal.SIGABRT), ("memory", signal.SIGSEGV), ("kill", signal.SIGABRT)],
)
def test_a_native_crash_leaves_one_line_that_names_the_log_and_the_exit_code_of_the_signal(python, how, number):
    process = python(PROGRAM, how)
    assert process.stderr == LINE
    assert process.returncode == -number
    assert pathlib.Path("run.log").read_text() == "the reason\n"


@pytest.mark.parametrize(("how", "code"), [("nothing", 0), ("later", -signal.SIGABRT)])
def test_a_process_without_a_native_crash_leaves_no_line(python, how, code):
    process = python(PROGRAM, how)
    assert (process.stderr, process.returncode) == ("", code)
