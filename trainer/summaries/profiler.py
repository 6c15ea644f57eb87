"""TensorFlow's profiler, for selected training steps."""

import importlib.util
import pathlib

import tensorflow as tf

from trainer.errors import error_text
from trainer.system.logs import log

VIEWER = "xprof"


class Profiler:
    """Writes a trace of selected steps for TensorBoard's Profile tab. Its errors do not stop training.

    Args:
      folder: folder of a TensorBoard run.
      steps: first and last step to trace; None: no profile.
    """

    def __init__(self, folder: pathlib.Path, steps: tuple[int, int] | None) -> None:
        self._folder, self._steps = folder, steps
        self._is_running = self._has_run = False

    def update(self, step: int) -> None:
        """Starts or stops the trace if that is due after `step` completed steps. Called between calls of the block."""
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
            log.warning(f"the profiler cannot be started ({error_text(error)}): training continues")

    def close(self) -> None:
        """Stops and writes a running trace; logs a warning if nothing was traced."""
        self._stop()
        if self._steps is not None and not self._has_run:
            first, last = self._steps
            log.warning(f"profile     nothing was traced: steps {first:,} to {last:,} were not trained in this session")
            self._has_run = True

    def _stop(self) -> None:
        if not self._is_running:
            return
        self._is_running = False
        try:
            tf.profiler.experimental.stop()
        except (tf.errors.OpError, OSError) as error:
            log.warning(f"the trace cannot be written ({error_text(error)}): training continues")
            return
        hint = "" if importlib.util.find_spec(VIEWER) else "; to view it: pip install '.[profile]'"
        log.info(f"profile     {self._folder / 'plugins/profile'}: TensorBoard's Profile tab{hint}")
