"""Plans a run: its number of steps, and the steps of evaluations, checkpoints and images."""

import math

import numpy as np

from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.data.rows import evenly_spaced
from trainer.serving.server import IMAGES_KEPT
from trainer.system import intervals
from trainer.training.objective import loss_term_tags
from trainer.training.plan import Plan

POINTS, EVALUATIONS, CHECKPOINTS = 250, 20, 5  # approximate numbers in a run, by default
# Shares of the work of training. There are at least as many evaluations as checkpoints by default.
EVALUATION_SHARE = 0.02  # all evaluations
FINAL_TRAIN_SHARE = 0.005  # the final evaluation of training examples; at least as many as evaluation examples
FREE_WORK = 2e9  # examples x numbers x widest layer: a tenth of a second on two cores, for each of the two shares
MAX_BLOCK_BYTES = 16 << 20
MAX_BLOCK_STEPS = 1_000


def plan(config: Config, data: Dataset) -> Plan:
    """Returns the plan of a run. Flags override the default intervals."""
    total = config.total_steps(len(data.train.examples))

    def interval(given: int | None, times: int) -> int:
        return intervals.default_interval(total, times) if given is None else given

    checkpoint_every = interval(config.checkpoints.checkpoint_every, CHECKPOINTS)
    eval_every = interval(config.summaries.eval_every, _evaluations(config, data, total))
    if config.summaries.eval_every is None and 0 < checkpoint_every < total:
        eval_every = intervals.align(eval_every, checkpoint_every)  # Every checkpoint then has its own error.
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
        image_steps=intervals.image_steps(total, config.summaries.image_every, IMAGES_KEPT),
        profiled=(config.summaries.profile[0], sum(config.summaries.profile) - 1) if config.summaries.profile else None,
        batch_size=config.training.batch_size,
        has_loss_scale=config.compute.precision == "mixed_float16",
        # A rollback needs a checkpoint, and with it a resumed run does not need the checkpoint of --init_from again.
        # With early stopping, the best step must have one, and that may be step 0.
        save_initial=config.training.on_divergence == "rollback"
        or config.run.init_from is not None
        or config.training.early_stopping > 0,
        early_stopping=config.training.early_stopping,
    )


def _evaluations(config: Config, data: Dataset, total_steps: int) -> int:
    """Returns the default number of evaluations; fewer if there are many evaluation examples.

    The number follows from flags and shapes, not from a clock: a resumed run must have the same evaluations.
    """
    affordable = _affordable_examples(config, data, total_steps, EVALUATION_SHARE) / len(data.evaluation.examples)
    return min(EVALUATIONS, max(CHECKPOINTS, int(affordable)))


def final_train_rows(config: Config, data: Dataset, total_steps: int) -> np.ndarray:
    """Returns the ascending indices of the training examples of the final evaluation: all, or evenly spaced ones."""
    affordable = _affordable_examples(config, data, total_steps, FINAL_TRAIN_SHARE)
    return evenly_spaced(len(data.train.examples), max(affordable, len(data.evaluation.examples)))


def _affordable_examples(config: Config, data: Dataset, total_steps: int, share: float) -> int:
    """Returns how many examples can be evaluated for this share of the work of training, or for `FREE_WORK`."""
    # A convolution uses its weights at many positions.
    factor = 2 if config.model.model == "conv" else 1
    work_per_example = math.prod(data.shape) * max(config.model.hidden) * factor
    forward_passes = 3 * total_steps * config.training.batch_size  # A training step costs about three.
    return int(max(share * forward_passes, FREE_WORK / work_per_example))
