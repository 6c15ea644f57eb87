"""Checks options against the loaded data set."""

import itertools

import numpy as np

from trainer.config.config import Config
from trainer.data.dataset import Dataset
from trainer.errors import UsageError, option
from trainer.models import networks


def check_fits(config: Config, data: Dataset) -> None:
    """Rejects options that do not work with this data set.

    Raises:
      UsageError: an option needs images, values from 0 to 1, more examples, or more steps.
    """
    networks.check_fits(config.model.model, data.shape)
    _check_image_options(config, data)
    if config.training.loss == "bernoulli" and not data.is_image:
        _check_probabilities(data)
    _check_length(config, len(data.train.examples))
    count, batch_size = len(data.train.examples), config.training.batch_size
    if batch_size > count:
        raise UsageError(
            f"{option('batch_size', batch_size)} is larger than the data set",
            found=f"{data.name} has {count:,} training examples",
            remedy=f"use {option('batch_size', count)} or less",
        )


def _check_image_options(config: Config, data: Dataset) -> None:
    """Rejects image options for tables, and shifts that are larger than the images."""
    shift, binarise = config.training.shift, config.training.binarise
    for flag, is_set in ((option("shift", shift), shift), (option("binarise", True), binarise)):
        if is_set and not data.is_image:
            raise UsageError(f"{flag} needs images", found=f"{data.name} is a table", remedy=f"remove {flag}")
    if shift and shift >= min(data.shape[:2]):
        raise UsageError(
            f"{option('shift', shift)} is not smaller than the images",
            found=f"{data.name} has images of {data.shape[0]}x{data.shape[1]} pixels",
            remedy=f"use a smaller shift, such as {option('shift', 1)}",
        )


def _check_probabilities(data: Dataset) -> None:
    scaled = data.train.examples / np.float32(data.scale)
    low, high = scaled.min(), scaled.max()
    if low < 0 or high > 1:
        raise UsageError(
            f"{option('loss', 'bernoulli')} needs values from 0 to 1",
            found=f"{data.name} has values from {low:g} to {high:g}",
            remedy=f"use another {option('loss')}, such as {option('loss', 'gaussian')}",
        )


def _check_length(config: Config, num_train: int) -> None:
    """Rejects a pretraining that takes all steps of the run, and a warm-up that takes all steps of a stage."""
    options, total = config.training, config.total_steps(num_train)
    ends = (0, *config.stage_ends, total)
    if ends[-2] >= total:
        longer = f"a larger {option('steps')} or {option('epochs')}"
        raise UsageError(
            f"{option('pretrain_steps', options.pretrain_steps)} leaves no step for training all layers together",
            found=f"pretraining {len(config.model.hidden)} layers takes {ends[-2]:,} steps; the run has {total:,}",
            remedy=f"use {longer}, or a smaller {option('pretrain_steps')}",
        )
    shortest = min(last - first for first, last in itertools.pairwise(ends))
    if options.warmup >= shortest:
        raise UsageError(
            f"{option('warmup', options.warmup)} leaves no step at the full learning rate",
            found=f"the run, or its shortest stage, has {shortest:,} steps",
            remedy=f"use a smaller {option('warmup')}",
        )
