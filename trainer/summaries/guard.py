"""Keeps training alive if something that only TensorBoard shows cannot be written."""

import contextlib
import traceback
from collections.abc import Iterator

from trainer.errors import HourglassError, error_text
from trainer.system.logs import log


class Guard:
    """Logs the first error for each name, and suppresses all errors except `HourglassError`."""

    def __init__(self) -> None:
        self._logged_names = set[str]()

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Guards a `with` block that writes `name`, such as "histograms"."""
        try:
            yield
        except HourglassError:
            raise
        except Exception as error:
            if name not in self._logged_names:
                log.warning(f"TensorBoard: {name} cannot be written ({error_text(error)}): training continues")
                log.debug(traceback.format_exc())
            self._logged_names.add(name)
