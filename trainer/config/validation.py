"""What single options cannot say: which values contradict each other, or do nothing. No NumPy, no TensorFlow."""

from collections.abc import Mapping
from typing import Any

from trainer.config.options import LIST, USING
from trainer.data.options import OWN
from trainer.errors import UsageError, option
from trainer.training.options import LIKELIHOODS, SHARES

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


def check(values: Mapping[str, Any]) -> None:
    """Refuses values that contradict each other.

    Args:
      values: of all options, by name.

    Raises:
      UsageError: some do.
    """
    if values["learning_rate"] == 0 or values["epochs"] == 0:
        name = "learning_rate" if values["learning_rate"] == 0 else "epochs"
        raise UsageError(f"{option(name, 0)} trains nothing", remedy="give a positive number")
    if values["steps"] is not None and values["epochs"] is not None:
        both = f"{option('steps')} and {option('epochs')}"
        raise UsageError(f"{both} both say how long to train", remedy="give one of them")
    for name, modes in FOR_MODES.items():
        if values[name] not in (None, False) and values["mode"] not in modes:
            belongs = f"{option(name)} belongs to {option('mode', ', '.join(modes))}"
            raise UsageError(belongs, remedy="give both, or neither")
    _check_kinds(values)


def _check_kinds(values: Mapping[str, Any]) -> None:
    loss, noise, level = values["loss"], values["noise"], values["noise_level"]
    if values["variational"] and loss not in LIKELIHOODS:
        raise UsageError(
            f"{option('variational', True)} with {option('loss', loss)}",
            found="the KL divergence is in nats, so the reconstruction has to be a likelihood",
            remedy=f"leave {option('loss')} out, or give one of {', '.join(LIKELIHOODS)}",
        )
    if noise in SHARES and level > 1:
        raise UsageError(
            f"{option('noise', noise)} with {option('noise_level', f'{level:g}')}",
            found="the level is the share of the pixels that are corrupted, 0 to 1",
            remedy=f"give a share, such as {option('noise_level', 0.25)}",
        )
    if loss == "bernoulli" and values["output_activation"] not in ("auto", "sigmoid"):
        raise UsageError(
            f"{option('loss', 'bernoulli')} with {option('output_activation', values['output_activation'])}",
            found="a Bernoulli likelihood needs probabilities",
            remedy=f"leave {option('output_activation')} out, or give sigmoid",
        )


def check_idle(values: Mapping[str, Any], defaults: Mapping[str, Any], loader: str) -> None:
    """Refuses options that do nothing: they would be guarded for nothing.

    Args:
      values, defaults: of all options, by name.
      loader: the data set's name without what follows a colon.

    Raises:
      UsageError: there is one.
    """
    for name, loaders in FOR_DATASETS.items():
        if values[name] != defaults[name] and loader not in loaders:
            raise UsageError(
                f"{option(name)} does nothing with {option('dataset', values['dataset'])}",
                found=f"it is for {', '.join(loaders)}",
                remedy="leave it out",
            )
    for name, switch in SWITCHES.items():
        if values[switch] == defaults[switch] and values[name] != defaults[name]:
            raise UsageError(f"{option(name)} does nothing without {option(switch)}", remedy="give both, or neither")
