"""Remarks on a run that needs attention: worse than the mean, an unused code, a learning rate that rises."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.config import Config
from trainer.data.custom import columns
from trainer.data.dataset import Dataset
from trainer.errors import option, render
from trainer.evaluation import statistics

MIN_ACTIVE_SHARE = 0.25  # of the units of a code; below, a remark names the number of active units
MIN_RISE = 1.1  # of the learning rate
ABOUT_EQUAL = 1.01  # ratio of an error to that of the mean


def on_result(config: Config, data: Dataset, result: Mapping[str, Any], codes: np.ndarray) -> list[str]:
    """Returns the remarks on a finished run, one line each.

    Args:
      config, data: config and data set of the run.
      result: the errors, and those of the baselines, as in `result.json`.
      codes: [P, K] codes of evaluation examples, or their means if the network is variational.
    """
    on_code = _on_code(config, codes)
    return [render(remark) for remark in (*_on_errors(config, data, result, explained=bool(on_code)), *on_code)]


def _on_errors(config: Config, data: Dataset, result: Mapping[str, Any], *, explained: bool) -> list[str]:
    """Returns a remark if an error is above that of the mean; if a remark on the code explains it, far above."""
    factor = ABOUT_EQUAL if explained else 1
    errors = {split: result[f"{split}/reconstruction/rmse"] for split in ("train", "eval")}
    means = {split: result.get(f"floor/mean/{split}", np.inf) for split in errors}
    worse = [split for split in errors if errors[split] > factor * means[split]]
    if not worse:
        return []
    texts = " and ".join(f"{split} ({errors[split]:.5g}; mean {means[split]:.5g})" for split in worse)
    if worse == ["eval"]:
        return [
            f"the network is worse than the mean of the training examples on {texts}, but not on train: it does not"
            f" generalize; use more data, a smaller {option('hidden')}, or fewer {option('steps')}"
        ]
    if any(note.startswith(columns.FINE) for note in data.notes):
        return [f"the network is worse than the mean of the training examples on {texts}: see the note on float32"]
    is_unscaled = not data.is_image and not config.data.standardise
    standardize = f"{option('standardise')} if the columns differ in size, " if is_unscaled else ""
    if not data.is_image and config.training.noise == "masking":
        standardize += f"{option('noise', 'gaussian')} because masking sets numbers to 0, not to the mean, "
    return [
        f"the network is worse than the mean of the training examples on {texts}: try {standardize}more"
        f" {option('steps')}, or another {option('learning_rate')}"
    ]


def _on_code(config: Config, codes: np.ndarray) -> list[str]:
    size, is_variational = codes.shape[1], config.model.variational
    active = statistics.active_units(codes, is_variational=is_variational)
    if active == 0:
        remedy = f"a smaller {option('beta')}" if is_variational else f"a smaller {option('learning_rate')}"
        return [
            f"the code is not used: none of its {size:,} units differs between the examples, so that all"
            f" reconstructions are about the same; try {remedy}, or more {option('steps')}"
        ]
    # Few active units are the aim of a sparsity penalty, and usual in variational networks.
    if is_variational or config.training.sparsity or active > MIN_ACTIVE_SHARE * size:
        return []
    return [
        f"only {active:,} of the {size:,} units of the code are used; the others hardly differ between the examples:"
        f" try a smaller {option('learning_rate')}, or a smaller {option('hidden')}"
    ]


def on_peak(before: float, after: float, step: int, damping: float) -> list[str]:
    """Returns a remark if the peak of the learning rate was changed.

    Args:
      before, after: the peak up to this step, and from it on.
      step: step of the checkpoint from which the run continues.
      damping: factor by which rollbacks have lowered the learning rate; it stays.
    """
    if before == after:
        return []
    lowered = f" (times {damping:g}, because of rollbacks)" if damping < 1 else ""
    return [f"from step {step + 1:,} on, the peak of the learning rate is {after:g}{lowered} instead of {before:g}"]


def on_learning_rate(schedule: str, before: float, after: float, old_end: int, new_end: int) -> list[str]:
    """Returns a remark if the learning rate rises because a run was extended.

    Args:
      schedule: name of the schedule.
      before: learning rate of the last step that was trained.
      after: learning rate of the next step.
      old_end, new_end: last step of the old and of the new schedule.
    """
    if new_end <= old_end or after <= MIN_RISE * before:
        return []
    return [
        f"the learning rate rises from {before:.2g} to {after:.2g}: the {schedule} schedule, which ended at step"
        f" {old_end:,}, now ends at step {new_end:,}"
    ]
