"""What options cannot ask of the data that are there."""

import itertools

import numpy as np

from trainer.config.config import Config
from trainer.data.dataset import Data
from trainer.errors import UsageError, option
from trainer.models import networks


def check_fits(config: Config, data: Data) -> None:
    """Refuses what cannot be done with these data.

    Raises:
      UsageError: it is so.
    """
    networks.check_fits(config.model.model, data.shape)
    _check_pictures(config, data)
    if config.training.loss == "bernoulli" and not data.is_pictures:
        _check_chances(data)
    _check_length(config, len(data.train.examples))
    count, batch_size = len(data.train.examples), config.training.batch_size
    if batch_size > count:
        raise UsageError(
            f"{option('batch_size', batch_size)} is larger than the data",
            found=f"{data.name} has {count:,} examples to train on",
            remedy=f"give {option('batch_size', count)} or less",
        )


def _check_pictures(config: Config, data: Data) -> None:
    """Refuses what only pictures can be asked for, of a table; and shifts out of sight."""
    shift, binarise = config.training.shift, config.training.binarise
    for asked, is_asked in ((option("shift", shift), shift), (option("binarise", True), binarise)):
        if is_asked and not data.is_pictures:
            raise UsageError(f"{asked} with {data.name}", found="it is for pictures", remedy="leave it out")
    if shift and shift >= min(data.shape[:2]):
        raise UsageError(
            f"{option('shift', shift)} moves pictures out of sight",
            found=f"{data.name} has pictures of {data.shape[0]}x{data.shape[1]}",
            remedy=f"give a smaller one, such as {option('shift', 1)}",
        )


def _check_chances(data: Data) -> None:
    seen = data.train.examples / np.float32(data.scale)
    low, high = seen.min(), seen.max()
    if low < 0 or high > 1:
        raise UsageError(
            f"{option('loss', 'bernoulli')} with {data.name}",
            found=f"its values go from {low:g} to {high:g}; chances from 0 to 1 are expected",
            remedy=f"give another {option('loss')}, or {option('loss', 'gaussian')}",
        )


def _check_length(config: Config, num_train: int) -> None:
    """Refuses a run whose stages, or whose warm-up, take all of its steps."""
    options, total = config.training, config.total_steps(num_train)
    ends = (0, *config.stage_ends, total)
    if ends[-2] >= total:
        longer = f"a larger {option('steps')} or {option('epochs')}"
        raise UsageError(
            f"{option('pretrain_steps', options.pretrain_steps)} leaves no step for all layers together",
            found=f"{len(config.model.hidden)} layers take {ends[-2]:,} steps; the run has {total:,}",
            remedy=f"give {longer}, or a smaller {option('pretrain_steps')}",
        )
    shortest = min(last - first for first, last in itertools.pairwise(ends))
    if options.warmup >= shortest:
        raise UsageError(
            f"{option('warmup', options.warmup)} leaves no step at the full learning rate",
            found=f"the run, or its shortest stage, has {shortest:,} steps",
            remedy="give a smaller one",
        )
