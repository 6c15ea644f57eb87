"""The row of a run in TensorBoard's HParams tab. No NumPy, no TensorFlow."""

from trainer.config import validation
from trainer.config.config import DECLARED, OPTIONS, Config, defaults, to_arguments

OTHER = "other_flags"
# Columns that rows of older versions lack. TensorBoard shows the columns of one of the runs, which may be an older one,
# so `other_flags` keeps these options.
ADDED = ("beta", "image_size", "noise", "noise_level", "sparsity", "standardise", "variational")

Cell = str | float | bool


def table_columns() -> dict[str, type]:
    """Returns the columns: the options that declare one, and `other_flags`; name to type: float, bool or str."""
    types = {int: float, float: float, bool: bool}
    return {**{option.name: types.get(option.type, str) for option in DECLARED if option.is_column}, OTHER: str}


def table_row(config: Config, total_steps: int) -> dict[str, Cell]:
    """Returns the value of each column. `total_steps` is the length of the run."""
    cells = {option.name: _cell(config, option.name) for option in DECLARED if option.is_column}
    return {**cells, "steps": total_steps, OTHER: " ".join(to_arguments(config, _others(config)))}


def _cell(config: Config, name: str) -> Cell:
    """Returns a value; 0, false or an empty text if it has no effect: the noise level of a run without noise is 0."""
    value = config[name]
    if isinstance(value, bool | int | float):
        return value if _has_effect(config, name) else type(value)()
    return config.text(name) if _has_effect(config, name) else ""


def _has_effect(config: Config, name: str) -> bool:
    switch = validation.SWITCHES.get(name)
    is_on = switch is None or config[switch] != defaults()[switch]
    return is_on and validation.is_used(name, config.data.loader)


def _others(config: Config) -> list[str]:
    """Returns the stored options that are not at their defaults, without those that rows of all versions have."""
    return [
        name
        for name, option in OPTIONS.items()
        if option.is_stored
        and (not option.is_column or name in ADDED)
        and name not in ("steps", "epochs")
        and config[name] != defaults()[name]
    ]
