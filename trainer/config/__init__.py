"""The options of all packages, composed to one `Config`: parsed from flags, checked, stored, compared.

It imports the packages' `options`, `models.networks`, `data`, `system`, `errors` and absl. Neither TensorFlow nor,
before data are there, NumPy is imported.
"""

from trainer.config.config import (
    OPTIONS,
    Config,
    adopt,
    check_idle,
    columns,
    completed,
    defaults,
    given_again,
    guarded,
    names,
    network,
    row,
)
from trainer.config.flagfile import presets, to_flagfile
from trainer.config.flags import from_flagfile, help_text, parse
from trainer.config.options import USING

__all__ = [
    "OPTIONS",
    "USING",
    "Config",
    "adopt",
    "check_idle",
    "columns",
    "completed",
    "defaults",
    "from_flagfile",
    "given_again",
    "guarded",
    "help_text",
    "names",
    "network",
    "parse",
    "presets",
    "row",
    "to_flagfile",
]
