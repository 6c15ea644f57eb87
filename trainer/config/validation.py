"""Checks for options that contradict each other or have no effect. No NumPy, no TensorFlow."""

from collections.abc import Mapping
from typing import Any

from trainer.config.options import AT_STEP, LIST, SCORE, WRITING, CommandOptions
from trainer.data.options import OWN, DataOptions
from trainer.errors import UsageError, option
from trainer.training.options import LIKELIHOODS, SHARES

OF_SCORES = (
    *("scoring", "contamination", "threshold", "columns", "explain", "errors", "reconstructions", "only_anomalies"),
    "anomaly_label",
)
# Options, and the modes that use them.
FOR_MODES = {
    "restart": ("train",),
    "learning_rate_from_now": ("train",),
    "verify": (LIST,),
    "rollback": (LIST,),
    "input": ("reconstruct", "encode", "evaluate", SCORE),
    "code": ("generate",),
    "at_step": AT_STEP,
    "output": WRITING,
    **dict.fromkeys(OF_SCORES, (SCORE,)),
}
# Options, and the data sets that use them.
FOR_DATASETS = {
    **dict.fromkeys(("image_size", "color", "fit"), ("images", "tfds")),
    "label_column": ("table",),
    "ignore_columns": ("table",),
    "eval_file": ("table",),
    "heading": ("table",),
    "standardise": ("table", "array", "iris"),
    "missing": ("table", "array"),
    "eval_fraction": OWN,
    "depth": ("images", "array", "tfds"),
}
# Options, and the options that turn them on.
SWITCHES = {"noise_level": "noise", "beta": "variational", "pretrain_steps": "pretrain"}


def check(values: Mapping[str, Any]) -> None:
    """Rejects values that contradict each other.

    Args:
      values: the values of all options by name.

    Raises:
      UsageError: values contradict each other.
    """
    if values["learning_rate"] == 0 or values["epochs"] == 0:
        name = "learning_rate" if values["learning_rate"] == 0 else "epochs"
        raise UsageError(f"{option(name, 0)} would train nothing", remedy="use a positive number")
    if values["steps"] is not None and values["epochs"] is not None:
        both = f"{option('steps')} and {option('epochs')}"
        raise UsageError(f"{both} both set the length of the run", remedy="use only one of them")
    for name, modes in FOR_MODES.items():
        if values[name] not in (None, False, getattr(CommandOptions, name, None)) and values["mode"] not in modes:
            needed = option("mode", " or ".join(modes))
            raise UsageError(f"{option(name)} needs {needed}", remedy=f"set the mode, or remove {option(name)}")
    _check_scores(values)
    _check_training(values)
    _check_course(values)
    _check_missing(values)
    _check_evaluation_file(values)


def _check_scores(values: Mapping[str, Any]) -> None:
    if values["on_bad_file"] == "keep" and values["mode"] != SCORE:
        raise UsageError(
            f"{option('on_bad_file', 'keep')} needs {option('mode', SCORE)}",
            found="files and rows that cannot be used cannot be trained on",
            remedy=f"give {option('on_bad_file', 'skip')} to skip them",
        )
    if values["threshold"] is not None and values["contamination"] != CommandOptions.contamination:
        both = f"{option('threshold')} and {option('contamination')}"
        raise UsageError(f"{both} both say which rows are flagged", remedy="use only one of them")


def _check_training(values: Mapping[str, Any]) -> None:
    loss, noise, level = values["loss"], values["noise"], values["noise_level"]
    if values["variational"] and loss not in LIKELIHOODS:
        raise UsageError(
            f"{option('variational', True)} cannot be used with {option('loss', loss)}",
            found="the KL divergence is in nats, so the reconstruction loss must be a negative log-likelihood",
            remedy=f"remove {option('loss')}, or use one of {', '.join(LIKELIHOODS)}",
        )
    if noise in SHARES and level > 1:
        raise UsageError(
            f"{option('noise_level', f'{level:g}')} is too high for {option('noise', noise)}",
            found="the noise level is the fraction of corrupted pixels, from 0 to 1",
            remedy=f"use a fraction, such as {option('noise_level', 0.25)}",
        )
    if loss == "bernoulli" and values["output_activation"] not in ("auto", "sigmoid"):
        raise UsageError(
            f"{option('loss', loss)} cannot be used with {option('output_activation', values['output_activation'])}",
            found="a Bernoulli likelihood needs outputs between 0 and 1",
            remedy=f"remove {option('output_activation')}, or set it to sigmoid",
        )


def _check_course(values: Mapping[str, Any]) -> None:
    if values["early_stopping"] and values["eval_every"] == 0:
        raise UsageError(
            f"{option('early_stopping', values['early_stopping'])} cannot be used with {option('eval_every', 0)}",
            found="early stopping compares the evaluations of a run",
            remedy=f"remove {option('eval_every')}, or use another interval",
        )
    if values["learning_rate_from_now"] is not None and values["restart"]:
        raise UsageError(
            f"{option('learning_rate_from_now')} cannot be used with {option('restart', True)}",
            found="it changes the learning rate of an existing run from its newest checkpoint on",
            remedy=f"use {option('learning_rate', values['learning_rate_from_now'])}",
        )


def _check_missing(values: Mapping[str, Any]) -> None:
    if values["missing"] == "mean" and values["loss"] == "bernoulli":
        raise UsageError(
            f"{option('missing', 'mean')} cannot be used with {option('loss', 'bernoulli')}",
            found="missing numbers have no probability",
            remedy=f"use another {option('loss')}, such as {option('loss', 'mse')}",
        )


def _check_evaluation_file(values: Mapping[str, Any]) -> None:
    if values["eval_file"] is not None and values["eval_fraction"] != DataOptions.eval_fraction:
        raise UsageError(
            f"{option('eval_fraction', values['eval_fraction'])} has no effect with {option('eval_file')}",
            found="all rows of that file are used for evaluation, and all rows of the other for training",
            remedy=f"remove {option('eval_fraction')}, or {option('eval_file')}",
        )


def is_used(name: str, loader: str) -> bool:
    """Returns True if the data set of this name, without the part after a colon, uses an option."""
    return name not in FOR_DATASETS or loader in FOR_DATASETS[name]


def check_unused(values: Mapping[str, Any], defaults: Mapping[str, Any], loader: str) -> None:
    """Rejects options that have no effect, since they would still be stored and fixed for the whole run.

    Args:
      values, defaults: the values and the defaults of all options by name.
      loader: the data set's name, without the part after a colon.

    Raises:
      UsageError: an option has no effect.
    """
    for name, loaders in FOR_DATASETS.items():
        if values[name] != defaults[name] and not is_used(name, loader):
            raise UsageError(
                f"{option(name)} has no effect with {option('dataset', values['dataset'])}",
                found=f"only these data sets use it: {', '.join(loaders)}",
                remedy=f"remove {option(name)}",
            )
    for name, switch in SWITCHES.items():
        if values[switch] == defaults[switch] and values[name] != defaults[name]:
            raise UsageError(f"{option(name)} has no effect without {option(switch)}", remedy="set both, or neither")
