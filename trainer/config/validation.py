"""What single options cannot say: which values contradict each other, or do nothing. No NumPy, no TensorFlow."""

from typing import TYPE_CHECKING

from trainer.config.options import LIST, USING
from trainer.data.options import OWN
from trainer.errors import UsageError, option
from trainer.training.options import LIKELIHOODS, SHARES

if TYPE_CHECKING:
    from trainer.config.config import Config

FOR_MODES = {
    "restart": ("train",),
    "verify": (LIST,),
    "rollback": (LIST,),
    "input": ("reconstruct",),
    "code": ("generate",),
    "at_step": USING,
    "output": USING,
}
# What each of these is for, and is idle without.
FOR_DATASETS = {
    **dict.fromkeys(("image_size", "color", "fit"), ("images", "tfds")),
    "label_column": ("table",),
    "standardise": ("table", "array", "iris"),
    "eval_fraction": OWN,
}
SWITCHES = {"noise_level": "noise", "beta": "variational", "pretrain_steps": "pretrain"}


def check(config: "Config") -> None:
    """Refuses values that contradict each other.

    Raises:
      UsageError: some do.
    """
    training = config.training
    if training.learning_rate == 0 or training.epochs == 0:
        name = "learning_rate" if training.learning_rate == 0 else "epochs"
        raise UsageError(f"{option(name, 0)} trains nothing", remedy="give a positive number")
    if training.steps is not None and training.epochs is not None:
        both = f"{option('steps')} and {option('epochs')}"
        raise UsageError(f"{both} both say how long to train", remedy="give one of them")
    for name, modes in FOR_MODES.items():
        if config[name] not in (None, False) and config.command.mode not in modes:
            belongs = f"{option(name)} belongs to {option('mode', ', '.join(modes))}"
            raise UsageError(belongs, remedy="give both, or neither")
    _check_kinds(config)


def _check_kinds(config: "Config") -> None:
    training, output_activation = config.training, config.model.output_activation
    if config.model.variational and training.loss not in LIKELIHOODS:
        raise UsageError(
            f"{option('variational', True)} with {option('loss', training.loss)}",
            found="the KL divergence is in nats, so the reconstruction has to be a likelihood",
            remedy=f"leave {option('loss')} out, or give one of {', '.join(LIKELIHOODS)}",
        )
    if training.noise in SHARES and training.noise_level > 1:
        raise UsageError(
            f"{option('noise', training.noise)} with {option('noise_level', f'{training.noise_level:g}')}",
            found="the level is the share of the pixels that are corrupted, 0 to 1",
            remedy=f"give a share, such as {option('noise_level', 0.25)}",
        )
    if training.loss == "bernoulli" and output_activation not in ("auto", "sigmoid"):
        raise UsageError(
            f"{option('loss', 'bernoulli')} with {option('output_activation', output_activation)}",
            found="a Bernoulli likelihood needs probabilities",
            remedy=f"leave {option('output_activation')} out, or give sigmoid",
        )


def check_idle(config: "Config") -> None:
    """Refuses options that do nothing: they would be guarded for nothing.

    Raises:
      UsageError: there is one.
    """
    default = type(config)()
    for name, kinds in FOR_DATASETS.items():
        if config[name] != default[name] and config.data.loader not in kinds:
            raise UsageError(
                f"{option(name)} does nothing with {option('dataset', config.data.dataset)}",
                found=f"it is for {', '.join(kinds)}",
                remedy="leave it out",
            )
    for name, switch in SWITCHES.items():
        if config[switch] == default[switch] and config[name] != default[name]:
            raise UsageError(f"{option(name)} does nothing without {option(switch)}", remedy="give both, or neither")
