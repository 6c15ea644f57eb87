"""How many cores there are to compute on."""

import os


def available() -> int:
    """The cores that this process may use; where the system cannot tell, all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
