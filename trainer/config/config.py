"""The frozen `Config`: the options of all packages; and functions that compare and merge configs."""

import dataclasses
import functools
import math
import shlex
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Self

from trainer.checkpoints.options import CheckpointOptions
from trainer.compute.options import ComputeOptions
from trainer.config import validation
from trainer.config.options import CommandOptions, RunOptions
from trainer.data.options import OWN, READING, DataOptions
from trainer.errors import UsageError, option
from trainer.models.options import ModelOptions
from trainer.serving.options import ServingOptions
from trainer.summaries.options import SummaryOptions
from trainer.system.options import KINDS, MATHEMATICS, PLACE, Option, Options, Values, options_of
from trainer.training.options import DEFAULT_STEPS, LIKELIHOODS, TrainingOptions


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Config(Values):
    """All options of a run, with one field for the options of each package.

    Raises:
      UsageError: options contradict each other.
    """

    data: DataOptions = dataclasses.field(default_factory=DataOptions)
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    training: TrainingOptions = dataclasses.field(default_factory=TrainingOptions)
    compute: ComputeOptions = dataclasses.field(default_factory=ComputeOptions)
    summaries: SummaryOptions = dataclasses.field(default_factory=SummaryOptions)
    checkpoints: CheckpointOptions = dataclasses.field(default_factory=CheckpointOptions)
    run: RunOptions = dataclasses.field(default_factory=RunOptions)
    command: CommandOptions = dataclasses.field(default_factory=CommandOptions)
    serving: ServingOptions = dataclasses.field(default_factory=ServingOptions)

    def __post_init__(self) -> None:
        if self.training.loss == "auto":
            loss = default_loss(variational=self.model.variational)
            object.__setattr__(self, "training", dataclasses.replace(self.training, loss=loss))
        validation.check(self.values())

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Returns the config with these values by option name, and defaults for the other options.

        Raises:
          UsageError: a value is invalid, or values contradict each other.
        """
        values_by_group = {
            group: {name: values[name] for name in values if GROUPS[name] == group}
            for group in dict.fromkeys(GROUPS[name] for name in values)
        }
        packages: dict[str, Any] = {group: PACKAGES[group](**options) for group, options in values_by_group.items()}
        return cls(**packages)

    def __getitem__(self, name: str) -> Any:
        return getattr(getattr(self, GROUPS[name]), name)

    def values(self) -> dict[str, Any]:
        """Returns all values by option name."""
        return {name: self[name] for name in OPTIONS}

    def text(self, name: str) -> str:
        """Returns an option's value as command-line text; empty for None."""
        return OPTIONS[name].as_text(self[name])

    @property
    def stage_ends(self) -> tuple[int, ...]:
        """The last step of each layer's pretraining stage; empty without pretraining."""
        stages = len(self.model.hidden) if self.training.pretrain == "layerwise" else 0
        return tuple(self.training.pretrain_steps * (stage + 1) for stage in range(stages))

    @property
    def output_activation(self) -> str:
        """The activation of the output layer, with `auto` resolved."""
        return network_options(mathematical_options(self))["output_activation"]

    @property
    def export(self) -> str:
        """The weights that are exported, with `auto` resolved: last, best or none."""
        automatic = "best" if self.training.early_stopping else "last"
        return automatic if self.run.export == "auto" else self.run.export

    def total_steps(self, num_train: int) -> int:
        """Returns the number of steps of the whole run with `num_train` training examples."""
        if self.training.epochs is not None:
            return math.ceil(self.training.epochs * num_train / self.training.batch_size)
        return DEFAULT_STEPS if self.training.steps is None else self.training.steps


PACKAGES: dict[str, type[Options]] = {
    field.name: field.default_factory  # type: ignore[misc]
    for field in dataclasses.fields(Config)
}
GROUPS: dict[str, str] = {
    declared.name: group for group, package in PACKAGES.items() for declared in options_of(package)
}
# In the order of declaration; OPTIONS is sorted by kind.
DECLARED = [declared for package in PACKAGES.values() for declared in options_of(package)]
OPTIONS: dict[str, Option] = {
    declared.name: declared for declared in sorted(DECLARED, key=lambda declared: KINDS.index(declared.kind))
}


def option_names(*kinds: str) -> tuple[str, ...]:
    """Returns the names of the options of these kinds, or of all options if no kind is passed."""
    return tuple(name for name, declared in OPTIONS.items() if not kinds or declared.kind in kinds)


@functools.cache
def defaults() -> Config:
    """Returns the config of a command line without flags."""
    return Config()


def check_unused(config: Config) -> None:
    """Rejects options that have no effect; see `validation.check_unused`."""
    validation.check_unused(config.values(), defaults().values(), config.data.loader)


def may_stretch(config: Config) -> bool:
    """Returns True if --depth may stretch the 16-bit images of the data set."""
    return config.data.depth != "full" and validation.is_used("depth", config.data.loader)


def default_loss(*, variational: bool) -> str:
    """Returns the default loss; variational networks need a likelihood."""
    return "gaussian" if variational else "mse"


def merge(
    stored: Config,
    given: Config,
    given_names: Iterable[str],
    *,
    guard: bool = True,
    free: Sequence[str] = (),
    run: str = "RUN",
) -> Config:
    """Returns the stored config of an existing run, updated with the options that the user passed now.

    The value of --learning_rate_from_now becomes that of --learning_rate.

    Args:
      stored: the config of the run.
      given: the config of the current command.
      given_names: the names of the options that the user passed.
      guard: reject changes of mathematical options.
      free: mathematical options that may change nevertheless.
      run: the run directory, for messages.

    Raises:
      UsageError: mathematical options differ from the stored ones; the message lists all of them.
    """
    given_names = set(given_names)
    new_rate = given.training.learning_rate_from_now
    if new_rate is not None:
        given = Config.of({**given.values(), "learning_rate": new_rate})
        given_names, free = {*given_names, "learning_rate"}, (*free, "learning_rate")
    changed = [
        name
        for name in option_names(MATHEMATICS)
        if name in given_names and name not in free and given[name] != stored[name]
    ]
    if changed and guard:
        raise _changed_error(stored, given, changed, run)
    updated = given_names | set(option_names(PLACE))
    values = {name: (given if name in updated else stored)[name] for name in OPTIONS}
    if values["dataset"].partition(":")[0] == stored.data.loader:
        values |= {name: path for name, path in stored.data.own_paths.items() if name not in given_names}
    # `steps` and `epochs` both set the length of the run, so a new value of one clears the stored value of the other.
    for name, alternative in (("steps", "epochs"), ("epochs", "steps")):
        if name in given_names:
            values[alternative] = given[alternative]
    if values["variational"] != stored.model.variational and "loss" not in given_names:
        # The default loss depends on `variational`. A stored loss that is not the default stays, if it is allowed.
        loss = stored.training.loss
        is_allowed = loss in LIKELIHOODS or not values["variational"]
        is_default = loss == default_loss(variational=stored.model.variational)
        values["loss"] = loss if is_allowed and not is_default else given.training.loss
    return Config.of(values)


def free_options(stored_names: Container[str], loader: str) -> Sequence[str]:
    """Returns the mathematical options that a run may change, because the fingerprint of its data decides.

    These are the options that decide how custom data are read, in runs of versions that did not have `heading`.

    Args:
      stored_names: the names of the options that the run stores.
      loader: the data set's name, without the part after a colon.
    """
    return READING if loader in OWN and "heading" not in stored_names else ()


def _changed_error(stored: Config, given: Config, changed: Sequence[str], run: str) -> UsageError:
    """Returns the error for changed mathematical options; it names --init_from if the weights fit the new options."""
    table = "; ".join(f"{option(name)}: {stored.text(name)} -> {given.text(name)}" for name in changed)
    remedy = "remove them to resume the run,"
    if changed == ["learning_rate"]:
        options = {"run_dir": shlex.quote(run), "learning_rate_from_now": given.text("learning_rate")}
        flags = " ".join(option(name, value) for name, value in options.items())
        remedy += f" continue it with the new learning rate with {flags},"
    remedy += f" pass another {option('run_dir')} for a new run,"
    fits = all(GROUPS[name] == "training" for name in changed)
    if fits and _network_with(stored, given, changed) == _network_with(stored, given, ()):
        options = {"flagfile": shlex.quote(f"{run}/flags.txt"), "init_from": shlex.quote(run), "run_dir": "NEW"}
        options |= {name: given.text(name) for name in changed}
        flags = " ".join(option(name, value) for name, value in options.items())
        remedy += f" start a new run from the weights of this one with {flags},"
    return UsageError(
        f"this run was started with other flags: {table} (stored -> given)",
        found="these flags change the mathematics of training, so they are fixed for the whole run",
        remedy=f"{remedy} or pass {option('restart', True)} to start again at step 0",
    )


def _network_with(stored: Config, given: Config, names: Container[str]) -> dict[str, Any]:
    """Returns the network options of the stored config, with the given values of the options in `names`."""
    changed = {name: value for name, value in mathematical_options(given).items() if name in names}
    return network_options(mathematical_options(stored) | changed)


def mathematical_options(config: Config) -> dict[str, Any]:
    """Returns the mathematical options by name, as JSON values: tuples become lists."""
    values = ((name, config[name]) for name in option_names(MATHEMATICS))
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values}


def values_before(loader: str) -> dict[str, Any]:
    """Returns the values by name that runs on a data set have for options that were added after their start.

    Only options whose value is not the default, and that the data set uses.

    Args:
      loader: the data set's name, without the part after a colon.
    """
    return {
        declared.name: declared.before
        for declared in DECLARED
        if declared.before is not None and validation.is_used(declared.name, loader)
    }


def with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the mathematical options of a checkpoint, and the values of options that were added after it."""
    default = mathematical_options(defaults())
    loader = str(options.get("dataset", default["dataset"])).partition(":")[0]
    before = {name: value for name, value in values_before(loader).items() if name in default}
    return default | before | dict(options)


def network_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that define the network, given the mathematical options of a checkpoint."""
    values = with_defaults(options)
    result = {declared.name: values[declared.name] for declared in options_of(ModelOptions)}
    if result["output_activation"] == "auto":
        result["output_activation"] = "sigmoid" if values["loss"] == "bernoulli" else "linear"
    return result


def to_arguments(config: Config, given: Iterable[str]) -> list[str]:
    """Returns the options named in `given` as command-line arguments."""
    return [f"--{name}={config.text(name)}" for name in OPTIONS if name in set(given)]
