"""What TensorFlow must be told before it is imported, and where its own words go. No TensorFlow."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def noise_to(path: os.PathLike[str]) -> Iterator[None]:
    """What TensorFlow's C++ prints goes to the log; what Python prints to stderr still reaches the terminal."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    sys.stderr.flush()
    terminal = os.dup(2)
    python_stderr = sys.stderr
    with open(path, "ab") as noise, open(terminal, "w", buffering=1, encoding="utf-8", errors="replace") as stderr:
        os.dup2(noise.fileno(), 2)
        sys.stderr = stderr
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(terminal, 2)
