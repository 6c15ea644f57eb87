"""Limits NumPy's matrix products to one thread."""

import contextlib
import functools
import threading
from typing import Any

from threadpoolctl import ThreadpoolController


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # takes 10 ms


class _OneThread(contextlib.ContextDecorator):
    """Limits BLAS to one thread as long as any thread of the process is inside.

    BLAS threads spin after each product on cores that training needs; on two cores this costs more than the products.
    The limit holds for the whole process, and the number of threads changes the last bits of products. So the first to
    enter sets the limit, and the last to leave removes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limiter: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._take_control()
                self._limiter = _controller().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._take_control()
                self._limiter.restore_original_limits()

    def _take_control(self) -> None:
        """Lets this thread change the limit. From threadpoolctl 3.8 on, only the first thread that changed it may."""
        for library in _controller().lib_controllers:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)


one_thread = _OneThread()
