"""The options of all packages, composed to one `Config`: parsed from flags, checked, stored, compared.

It imports the packages' `options`, `data` and `errors`, absl, and neither TensorFlow nor NumPy before data are there.
"""

from trainer.config.config import (
    OPTIONS,
    Config,
    adopt,
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
from trainer.config.validation import check_idle

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
