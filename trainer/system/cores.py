"""The number of CPU cores."""

import os


def available() -> int:
    """Returns the number of cores that this process may use; on macOS, the number of all cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
