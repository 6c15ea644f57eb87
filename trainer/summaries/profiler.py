"""TensorFlow's profiler, over some steps of training."""

import importlib.util
import pathlib

import tensorflow as tf

from trainer.errors import error_text
from trainer.system.logs import log

VIEWER = "xprof"


class Profiler:
    """Traces steps to where TensorBoard's Profile tab finds them; training does not depend on it.

    Args:
      folder: of a TensorBoard run.
      steps: the first and the last to trace; None: none.
    """

    def __init__(self, folder: pathlib.Path, steps: tuple[int, int] | None) -> None:
        self._folder, self._steps = folder, steps
        self._is_running = self._has_run = False

    def at(self, step: int) -> None:
        """To be told the steps done whenever Python comes to itself: begins and ends where that is due."""
        if self._steps is None:
            return
        first, last = self._steps
        if first - 1 <= step < last and not self._is_running:
            self._start()
        elif step >= last:
            self._stop()

    def _start(self) -> None:
        try:
            tf.profiler.experimental.start(str(self._folder))
            self._is_running = self._has_run = True
        except (tf.errors.OpError, OSError) as error:
            log.warning(f"the profiler cannot be started ({error_text(error)}): training goes on")

    def close(self) -> None:
        """Ends the trace, if there is one, and writes it; says so if there was nothing to trace."""
        self._stop()
        if self._steps is not None and not self._has_run:
            log.warning(
                f"profile     nothing was traced: the steps from {self._steps[0]:,} on were not among those done"
            )
            self._has_run = True

    def _stop(self) -> None:
        if not self._is_running:
            return
        self._is_running = False
        try:
            tf.profiler.experimental.stop()
        except (tf.errors.OpError, OSError) as error:
            log.warning(f"the trace cannot be written ({error_text(error)}): training goes on")
            return
        hint = "" if importlib.util.find_spec(VIEWER) else "; to see it: pip install '.[profile]'"
        log.info(f"profile     {self._folder / 'plugins/profile'}: TensorBoard's Profile tab{hint}")
