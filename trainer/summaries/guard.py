"""Errors in writing what only TensorBoard shows never stop training."""

import contextlib
import traceback
from collections.abc import Iterator

from trainer.errors import HourglassError, error_text
from trainer.system.logs import log


class Guard:
    """Logs an error once for each thing that cannot be written, and goes on."""

    def __init__(self) -> None:
        self._translate_errors = set[str]()

    @contextlib.contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        """Whatever is raised within is logged, but for errors that a person should see."""
        try:
            yield
        except HourglassError:
            raise
        except Exception as error:
            if what not in self._translate_errors:
                log.warning(f"TensorBoard: {what} cannot be written ({error_text(error)}): training goes on")
                log.debug(traceback.format_exc())
            self._translate_errors.add(what)
