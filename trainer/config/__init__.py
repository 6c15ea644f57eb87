"""The frozen `Config` that flags become: parsed, checked, stored, compared. No TensorFlow, no NumPy."""

import dataclasses
import functools
import math
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import flags as absl_flags

from trainer.config import validation
from trainer.config.flags import (
    ACTIVATIONS,
    DEFAULT_STEPS,
    DURATION,
    LIKELIHOODS,
    LOSSES,
    MATHEMATICS,
    NETWORK,
    NOISES,
    NUMERICS,
    OPTIMIZERS,
    PLACE,
    PRECISIONS,
    PRESENTATION,
    SCHEDULES,
    STORED,
    define,
)
from trainer.config.validation import USING
from trainer.errors import UsageError

__all__ = [
    "ACTIVATIONS",
    "ALWAYS_SHOWN",
    "DEFAULT_STEPS",
    "DURATION",
    "LIKELIHOODS",
    "LOSSES",
    "MATHEMATICS",
    "NETWORK",
    "NOISES",
    "NUMERICS",
    "OPTIMIZERS",
    "OWN",
    "OWN_FILES",
    "PLACE",
    "PRECISIONS",
    "PRESENTATION",
    "SCHEDULES",
    "STORED",
    "USING",
    "Config",
    "adopt",
    "arguments",
    "check_switches",
    "columns",
    "completed",
    "defaults",
    "define",
    "from_flagfile",
    "help_text",
    "mathematics",
    "names",
    "network",
    "parse",
    "text_of",
    "to_flagfile",
]


OWN_FILES = ("images", "array", "table")  # data sets that a person gives as --data_dir
OWN = (*OWN_FILES, "tfds")  # those of which nobody else tells what is in them
# What each of these is for, and is idle without.
FOR_DATASETS = {
    **dict.fromkeys(("image_size", "color", "fit"), ("images", "tfds")),
    "label_column": ("table",),
    "standardise": ("table", "array", "iris"),
    "eval_fraction": OWN,
}
SWITCHES = {"noise_level": "noise", "beta": "variational", "pretrain_steps": "pretrain"}
# What tells runs apart in a table of them, whether it differs from the default or not.
ALWAYS_SHOWN = frozenset(
    "dataset classes model hidden activation code_activation output_activation loss optimizer learning_rate schedule"
    " batch_size seed".split()
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """One run, fully described: a field for every flag, of the same name. `define` gives the meanings."""

    # Mathematics
    dataset: str
    classes: tuple[str, ...]
    model: str
    hidden: tuple[int, ...]
    activation: str
    code_activation: str
    output_activation: str
    loss: str
    optimizer: str
    learning_rate: float
    schedule: str
    warmup: int
    batch_size: int
    seed: int
    init_from: str | None
    noise: str
    noise_level: float
    shift: int
    binarise: bool
    variational: bool
    beta: float
    sparsity: float
    tied: bool
    pretrain: str
    pretrain_steps: int
    image_size: tuple[int, int]
    color: str
    fit: str
    label_column: str | None
    standardise: bool
    eval_fraction: float
    # Duration
    epochs: float | None
    steps: int | None
    # Numerics
    precision: str
    tf32: bool
    jit: str
    threads: int
    deterministic: bool
    # Presentation
    log_every: int | None
    eval_every: int | None
    image_every: int | None
    checkpoint_every: int | None
    keep: int
    keep_every: int
    export: str
    on_divergence: str
    on_bad_file: str
    # Place
    mode: str
    verify: bool
    rollback: int | None
    input: str | None
    code: str | None
    at_step: int | None
    output: str | None
    data_dir: str | None
    data_url: str | None
    cache_dir: str | None
    run_dir: str | None
    mirror_dir: str | None
    restart: bool
    device: str
    tensorboard: bool
    host: str
    port: int
    profile: tuple[int, ...]
    debug: bool

    @property
    def stage_ends(self) -> tuple[int, ...]:
        """The steps after which single layers' training ends, one layer after the other; none without pretraining."""
        stages = len(self.hidden) if self.pretrain == "layerwise" else 0
        return tuple(self.pretrain_steps * (stage + 1) for stage in range(stages))

    def total_steps(self, num_train: int) -> int:
        """Steps of the whole run for `num_train` training examples."""
        if self.epochs is not None:
            return math.ceil(self.epochs * num_train / self.batch_size)
        return DEFAULT_STEPS if self.steps is None else self.steps


def parse(arguments: Sequence[str]) -> tuple[Config, frozenset[str]]:
    """Command-line arguments (without the program's name) -> the config and the names of the flags given.

    Raises:
      UsageError: an unknown flag, a value out of bounds, a positional argument, flags that contradict each other.
    """
    flag_values = absl_flags.FlagValues()
    define(flag_values)
    try:
        positional = flag_values(["launch.py", *arguments])[1:]
    except absl_flags.Error as error:
        raise UsageError(str(error), remedy="python launch.py --help lists every flag") from error
    except UnicodeDecodeError as error:
        raise UsageError("the flagfile is not a text file", found=str(error), remedy="give a UTF-8 file") from error
    if positional:
        # `--tensorboard false` would silently mean true.
        raise UsageError(f"unexpected argument {positional[0]!r}", remedy="write flags as --name=value")
    config = _freeze({name: flag_values[name].value for name in flag_values})
    return config, frozenset(name for name in flag_values if flag_values[name].present)


@functools.cache
def defaults() -> Config:
    """What a command line without flags means."""
    return parse([])[0]


def help_text() -> str:
    """Every flag with its meaning, bounds and default."""
    flag_values = absl_flags.FlagValues()
    define(flag_values)
    body = flag_values.module_help(define.__module__)
    return f"python launch.py [--flagfile=FILE] [--name=value ...]\n{body}\n"


def names() -> tuple[str, ...]:
    """Every flag's name."""
    return tuple(field.name for field in dataclasses.fields(Config))


def to_flagfile(config: Config) -> str:
    """The stored flags as an absl flagfile that repeats the run."""
    lines = ["# The flags of this run: python launch.py --flagfile=THIS_FILE repeats it."]
    for name in names():
        value = getattr(config, name)
        if name in STORED and value is not None:
            lines.append(f"--{name}={_serialize(name, value)}")
    return "\n".join(lines) + "\n"


def from_flagfile(text: str) -> Config:
    """The inverse of `to_flagfile`. Flags that it does not name take their defaults."""
    lines = (line.strip() for line in text.splitlines())
    return parse([line for line in lines if line and not line.startswith("#")])[0]


def adopt(stored: Config, given: Config, given_names: Iterable[str], *, guarded: bool = True) -> Config:
    """The stored config of an existing run, with the flags that were given now on top.

    Args:
      stored: the run's; given: as parsed now; given_names: the names of those that were given.
      guarded: mathematical flags may not change.

    Raises:
      UsageError: a mathematical flag was given a different value; all such flags are named.
    """
    given_names = set(given_names)
    changed = [n for n in names() if n in MATHEMATICS & given_names and getattr(given, n) != getattr(stored, n)]
    if changed and guarded:
        table = "; ".join(
            f"--{n}: {_serialize(n, getattr(stored, n))} -> {_serialize(n, getattr(given, n))}" for n in changed
        )
        raise UsageError(
            f"this run was started with other flags: {table} (stored -> given)",
            found="these decide what is computed, so they may not change within a run",
            remedy="leave the flag out to go on, give another --run_dir, or --restart to begin again",
        )
    values = {n: getattr(given if n in given_names or n in PLACE else stored, n) for n in names()}
    # The two say the same thing: the one given now replaces the one stored.
    if "steps" in given_names:
        values["epochs"] = given.epochs
    if "epochs" in given_names:
        values["steps"] = given.steps
    if values["variational"] != stored.variational and "loss" not in given_names:
        # It begins again as another kind, whose default is another one; what was chosen stays, if it can.
        fits = values["loss"] in LIKELIHOODS or not values["variational"]
        values["loss"] = stored.loss if fits and stored.loss != default_loss(stored.variational) else given.loss
    validation.together(values)
    return Config(**values)


def default_loss(variational: bool) -> str:
    """A likelihood, where one is needed."""
    return "gaussian" if variational else "mse"


def mathematics(config: Config) -> dict[str, Any]:
    """The flags that decide what is computed, as JSON has them."""
    values = ((name, getattr(config, name)) for name in names() if name in MATHEMATICS)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values}


def completed(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Mathematical flags as a checkpoint knows them, those that are younger than it being at their defaults."""
    return mathematics(defaults()) | dict(flags)


def network(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Of mathematical flags as a checkpoint knows them: what its weights are for."""
    known = completed(flags)
    found = {name: known[name] for name in NETWORK}
    if found["output_activation"] == "auto":
        found["output_activation"] = "sigmoid" if known["loss"] == "bernoulli" else "linear"
    return found


def check_switches(config: Config) -> None:
    """Refuses flags that do nothing: they would be guarded for nothing.

    Raises:
      UsageError: there is one.
    """
    default = defaults()
    for name, kinds in FOR_DATASETS.items():
        if getattr(config, name) != getattr(default, name) and config.dataset.partition(":")[0] not in kinds:
            raise UsageError(
                f"--{name} does nothing with --dataset={config.dataset}",
                found=f"it is for {', '.join(kinds)}",
                remedy="leave it out",
            )
    for name, switch in SWITCHES.items():
        idle = getattr(config, switch) == getattr(default, switch)
        if idle and getattr(config, name) != getattr(default, name):
            raise UsageError(f"--{name} does nothing without --{switch}", remedy="give both, or neither")


def arguments(config: Config, given: Iterable[str]) -> list[str]:
    """The flags that were given, as they are typed."""
    return [f"--{name}={text_of(config, name)}" for name in names() if name in set(given)]


def columns(config: Config, total_steps: int) -> dict[str, str | float]:
    """The stored flags as a table of runs has them: numbers as numbers, and of most of them what differs.

    Args:
      config: of the run.
      total_steps: what --steps or --epochs amount to.
    """
    default = defaults()
    shown = [
        name
        for name in names()
        if name in ALWAYS_SHOWN or (name in STORED - DURATION and getattr(config, name) != getattr(default, name))
    ]
    values = {name: getattr(config, name) for name in (*shown, "precision")}
    numbers = {name: value for name, value in values.items() if type(value) in (int, float)}
    texts = {name: text_of(config, name) for name in values if name not in numbers and values[name] is not None}
    return {**texts, **numbers, "steps": total_steps}


def text_of(config: Config, name: str) -> str:
    """One flag's value as it is typed; empty where it is left to a default that depends on other things."""
    value = getattr(config, name)
    return "" if value is None else _serialize(name, value)


def _serialize(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return ("x" if name == "image_size" else ",").join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_control(letter: str) -> bool:
    """Whether it does something else than to be seen: control characters, breaks of lines, halves of characters."""
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")


def _freeze(values: Mapping[str, Any]) -> Config:
    """Checks what single flags cannot say, and freezes."""
    values = dict(values)
    values["classes"] = tuple(str(name).strip() for name in values["classes"])
    values["hidden"] = tuple(validation.width(text) for text in values["hidden"])
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name}={value} is not a finite number", remedy="give a number")
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and any(map(_is_control, text)) for text in texts):
            raise UsageError(f"--{name} holds a character that cannot be printed", remedy="give one line of text")
    values["image_size"] = validation.size(values["image_size"])
    values["profile"] = validation.traced(values["profile"])
    if values["loss"] == "auto":
        values["loss"] = default_loss(values["variational"])
    if values["init_from"] is not None:  # Absolute: the same command may be typed elsewhere.
        values["init_from"] = os.path.abspath(os.path.expanduser(values["init_from"]))
    validation.together(values)
    return Config(**values)
