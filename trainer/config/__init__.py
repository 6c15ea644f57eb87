"""Parses, checks, compares and stores the options of all packages, which are combined into one `Config`.

May import the packages' `options`, `models.networks`, `data`, `system`, `errors` and absl. No TensorFlow; only
`fits` imports NumPy.
"""

from trainer.config.config import (
    OPTIONS,
    Config,
    check_unused,
    defaults,
    free_options,
    mathematical_options,
    may_stretch,
    merge,
    network_options,
    option_names,
    to_arguments,
    with_defaults,
)
from trainer.config.flagfile import presets, to_flagfile
from trainer.config.flags import from_flagfile, help_text, parse
from trainer.config.options import WRITING
from trainer.config.table import table_columns, table_row

__all__ = [
    "OPTIONS",
    "WRITING",
    "Config",
    "check_unused",
    "defaults",
    "free_options",
    "from_flagfile",
    "help_text",
    "mathematical_options",
    "may_stretch",
    "merge",
    "network_options",
    "option_names",
    "parse",
    "presets",
    "table_columns",
    "table_row",
    "to_arguments",
    "to_flagfile",
    "with_defaults",
]
