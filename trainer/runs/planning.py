"""How long a run is, and how often what is done in it."""

import math

import numpy as np

from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.data.rows import evenly_spaced
from trainer.serving.server import IMAGES_KEPT
from trainer.system import intervals
from trainer.training.objective import loss_term_tags
from trainer.training.plan import Plan

POINTS, EVALUATIONS, CHECKPOINTS = 250, 20, 5  # about so many of each in a run, by default


EVALUATION_SHARE = 0.02  # of a long run's work, at most, unless that is fewer evaluations than checkpoints


LAST_LOOK_SHARE = 0.005  # and of the look at training examples in its end, unless that is fewer than evaluate


LONG = 1.5e11  # examples x pixels x widest layer: about a minute on two cores


MAX_BLOCK_BYTES = 16 << 20


MAX_BLOCK_STEPS = 1_000


def plan(config: Config, data: Dataset) -> Plan:
    """The run's length and intervals in steps."""
    total = config.total_steps(len(data.train.examples))

    def interval(given: int | None, times: int) -> int:
        return intervals.sensible_interval(total, times) if given is None else given

    checkpoint_every = interval(config.checkpoints.checkpoint_every, CHECKPOINTS)
    eval_every = interval(config.summaries.eval_every, _evaluations(config, data, total))
    if config.summaries.eval_every is None and 0 < checkpoint_every < total:
        eval_every = intervals.aligned(eval_every, checkpoint_every)  # So checkpoints know their own error.
    batch_bytes = config.training.batch_size * data.train.examples[0].nbytes
    return Plan(
        total_steps=total,
        steps_per_block=max(1, min(MAX_BLOCK_STEPS, MAX_BLOCK_BYTES // batch_bytes)),
        log_every=interval(config.summaries.log_every, POINTS),
        eval_every=eval_every,
        checkpoint_every=checkpoint_every,
        keep_every=config.checkpoints.keep_every,
        loss_term_tags=loss_term_tags(variational=config.model.variational, sparsity=config.training.sparsity),
        stage_ends=config.stage_ends,
        pictures=intervals.image_steps(total, config.summaries.image_every, IMAGES_KEPT),
        traced=(config.summaries.profile[0], sum(config.summaries.profile) - 1) if config.summaries.profile else None,
        batch_size=config.training.batch_size,
        has_loss_scale=config.compute.precision == "mixed_float16",
        # There is always something to go back to; and old weights are needed only once.
        save_first=config.training.on_divergence == "rollback" or config.run.init_from is not None,
    )


def _evaluations(config: Config, data: Dataset, total_steps: int) -> int:
    """How many are made by default: in a long run with many evaluation examples fewer, so that they cost little."""
    if not _is_long_run(config, data, total_steps):
        return EVALUATIONS
    affordable = EVALUATION_SHARE * _affordable_forward_passes(config, total_steps) / len(data.evaluation.examples)
    return min(EVALUATIONS, max(CHECKPOINTS, int(affordable)))


def final_train_rows(config: Config, data: Dataset, total_steps: int) -> np.ndarray:
    """The numbers of the training examples that are looked at in the end, ascending: in a long run not always all."""
    count = len(data.train.examples)
    if not _is_long_run(config, data, total_steps):
        return np.arange(count)
    affordable = int(LAST_LOOK_SHARE * _affordable_forward_passes(config, total_steps))
    return evenly_spaced(count, max(affordable, len(data.evaluation.examples)))


def _is_long_run(config: Config, data: Dataset, total_steps: int) -> bool:
    # A convolution's weights are used at many places.
    times = 2 if config.model.model == "conv" else 1
    return total_steps * config.training.batch_size * math.prod(data.shape) * max(config.model.hidden) * times >= LONG


def _affordable_forward_passes(config: Config, total_steps: int) -> int:
    """So many examples could be looked at instead of training: forward only, not back to inputs and to weights."""
    return 3 * total_steps * config.training.batch_size
