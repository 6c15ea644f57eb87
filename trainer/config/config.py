"""The frozen `Config`: the options of every package, composed; and what becomes of them in an existing run."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

from trainer.checkpoints.options import CheckpointOptions
from trainer.compute.options import ComputeOptions
from trainer.config import validation
from trainer.config.options import CommandOptions, RunOptions
from trainer.data.options import DataOptions
from trainer.errors import UsageError, option
from trainer.models.options import ModelOptions
from trainer.serving.options import ServingOptions
from trainer.summaries.options import SummaryOptions
from trainer.system.options import DURATION, KINDS, MATHEMATICS, PLACE, Option, Options, options_of
from trainer.training.options import DEFAULT_STEPS, LIKELIHOODS, TrainingOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """One run, fully described: a field for the options of each package.

    Raises:
      UsageError: options that contradict each other.
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
        """From values by option; those that are not given have their defaults.

        Raises:
          UsageError: a value that cannot be meant, or values that contradict each other.
        """
        given = {
            group: {name: values[name] for name in values if GROUPS[name] == group}
            for group in dict.fromkeys(GROUPS[name] for name in values)
        }
        packages: dict[str, Any] = {group: PACKAGES[group](**some) for group, some in given.items()}
        return cls(**packages)

    def __getitem__(self, name: str) -> Any:
        return getattr(getattr(self, GROUPS[name]), name)

    def values(self) -> dict[str, Any]:
        """Every value by option."""
        return {name: self[name] for name in OPTIONS}

    def text(self, name: str) -> str:
        """One value as it is typed; empty where it is left to a default that depends on other things."""
        return OPTIONS[name].as_text(self[name])

    @property
    def stage_ends(self) -> tuple[int, ...]:
        """The steps after which single layers' training ends, one layer after the other; none without pretraining."""
        stages = len(self.model.hidden) if self.training.pretrain == "layerwise" else 0
        return tuple(self.training.pretrain_steps * (stage + 1) for stage in range(stages))

    @property
    def output_activation(self) -> str:
        """That of the reconstruction, `auto` being resolved."""
        return network(guarded(self))["output_activation"]

    def total_steps(self, num_train: int) -> int:
        """Steps of the whole run for `num_train` training examples."""
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
# As they are declared; and by kind, as they are stored and shown: first what decides what is computed.
DECLARED = [declared for package in PACKAGES.values() for declared in options_of(package)]
OPTIONS: dict[str, Option] = {
    declared.name: declared for declared in sorted(DECLARED, key=lambda declared: KINDS.index(declared.kind))
}


def names(*kinds: str) -> tuple[str, ...]:
    """The names of the options of these kinds; of all, where none is given."""
    return tuple(name for name, declared in OPTIONS.items() if not kinds or declared.kind in kinds)


@functools.cache
def defaults() -> Config:
    """What a command line without flags means."""
    return Config()


def check_idle(config: Config) -> None:
    """Refuses options that do nothing; see `validation.check_idle`."""
    validation.check_idle(config.values(), defaults().values(), config.data.loader)


def default_loss(*, variational: bool) -> str:
    """A likelihood, where one is needed."""
    return "gaussian" if variational else "mse"


# What becomes of options in an existing run.


def adopt(stored: Config, given: Config, given_names: Iterable[str], *, guard: bool = True) -> Config:
    """The stored config of an existing run, with the options that were given now on top.

    Args:
      stored: the run's; given: as given now; given_names: the names of those that were given.
      guard: refuse other mathematical options.

    Raises:
      UsageError: a mathematical option was given a different value; all such options are named.
    """
    given_names = set(given_names)
    changed = [name for name in names(MATHEMATICS) if name in given_names and given[name] != stored[name]]
    if changed and guard:
        table = "; ".join(f"{option(name)}: {stored.text(name)} -> {given.text(name)}" for name in changed)
        raise UsageError(
            f"this run was started with other flags: {table} (stored -> given)",
            found="these decide what is computed, so they may not change within a run",
            remedy=f"leave it out to go on, give another {option('run_dir')}, or {option('restart', True)}"
            " to begin again",
        )
    taken = given_names | set(names(PLACE))
    values = {name: (given if name in taken else stored)[name] for name in OPTIONS}
    # The two say the same thing: the one given now replaces the one stored.
    for one, other in (("steps", "epochs"), ("epochs", "steps")):
        if one in given_names:
            values[other] = given[other]
    if values["variational"] != stored.model.variational and "loss" not in given_names:
        # It begins again as another kind, whose default is another one; what was chosen stays, if it can.
        loss = stored.training.loss
        fits = loss in LIKELIHOODS or not values["variational"]
        was_chosen = loss != default_loss(variational=stored.model.variational)
        values["loss"] = loss if fits and was_chosen else given.training.loss
    return Config.of(values)


def guarded(config: Config) -> dict[str, Any]:
    """The options that decide what is computed, as JSON has them."""
    values = ((name, config[name]) for name in names(MATHEMATICS))
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values}


def completed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Guarded options as a checkpoint knows them, those that are younger than it being at their defaults."""
    return guarded(defaults()) | dict(options)


def network(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of guarded options as a checkpoint knows them: what its weights are for."""
    known = completed(options)
    found = {declared.name: known[declared.name] for declared in options_of(ModelOptions)}
    if found["output_activation"] == "auto":
        found["output_activation"] = "sigmoid" if known["loss"] == "bernoulli" else "linear"
    return found


def given_again(config: Config, given: Iterable[str]) -> list[str]:
    """The options that were given, as flags."""
    return [f"--{name}={config.text(name)}" for name in OPTIONS if name in set(given)]


# A table of runs.


def columns() -> dict[str, type]:
    """The options that are a column of their own in a table of runs, with their types: str, or float for numbers."""
    return {
        declared.name: float if declared.type in (int, float) else str for declared in DECLARED if declared.is_column
    }


def row(config: Config, total_steps: int) -> dict[str, str | float]:
    """A run in a table of runs: numbers as numbers; of the options without a column those that differ from defaults.

    Args:
      config: of the run.
      total_steps: what its length amounts to.
    """
    default = defaults()
    kept = [
        name
        for name, declared in OPTIONS.items()
        if declared.is_stored and declared.kind != DURATION and (declared.is_column or config[name] != default[name])
    ]
    values = {name: config[name] for name in kept}
    numbers = {name: value for name, value in values.items() if type(value) in (int, float)}
    texts = {name: config.text(name) for name in values if name not in numbers and values[name] is not None}
    return {**texts, **numbers, "steps": total_steps}
