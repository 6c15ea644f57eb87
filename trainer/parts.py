"""Names and numbers of a config -> the objects of a run."""

import math
import pathlib

from trainer import devices, floors, losses, models, progress, steps
from trainer.checkpoints import shelves
from trainer.config import Config
from trainer.datasets import Data
from trainer.loop import Plan
from trainer.models.autoencoder import Autoencoder

POINTS, EVALUATIONS, PICTURES, CHECKPOINTS = 250, 20, 10, 5  # about so many of each in a run, by default
EVALUATION_BATCH = 1_000
MAX_BLOCK_BYTES = 32 << 20
MAX_BLOCK_STEPS = 1_000


def device(config: Config, checkpoints: pathlib.Path) -> devices.Device:
    """What to compute on. The number of threads stays what it was when the run began, unless another is given."""
    newest = shelves.newest(checkpoints)
    return devices.prepare(
        config.device,
        precision=config.precision,
        jit=config.jit,
        threads=config.threads or (newest.numerics.get("threads", 0) if newest else 0),
        deterministic=config.deterministic,
        model=config.model,
    )


def plan(config: Config, data: Data) -> Plan:
    """The run's length and intervals in steps."""
    total = config.total_steps(len(data.train.examples))

    def interval(given: int | None, times: int) -> int:
        return progress.sensible_interval(total, times) if given is None else given

    checkpoint_every = interval(config.checkpoint_every, CHECKPOINTS)
    eval_every = interval(config.eval_every, EVALUATIONS)
    if config.eval_every is None and 0 < checkpoint_every < total:
        eval_every = progress.aligned(eval_every, checkpoint_every)  # So checkpoints know their own error.
    batch_bytes = config.batch_size * data.train.examples[0].nbytes
    return Plan(
        total_steps=total,
        steps_per_block=max(1, min(MAX_BLOCK_STEPS, MAX_BLOCK_BYTES // batch_bytes)),
        log_every=interval(config.log_every, POINTS),
        eval_every=eval_every,
        image_every=interval(config.image_every, PICTURES),
        checkpoint_every=checkpoint_every,
        keep_every=config.keep_every,
        # There is always something to go back to; and old weights are needed only once.
        save_first=config.on_divergence == "rollback" or config.init_from is not None,
    )


def network(config: Config, data: Data, precision: str) -> Autoencoder:
    """The network, with its initial weights."""
    output = config.output_activation
    if output == "auto":
        output = "sigmoid" if config.loss == "bernoulli" else "linear"
    return models.build(
        config.model,
        mean=floors.training_mean(data.train.examples, data.scale).reshape(data.shape),
        hidden=config.hidden,
        activation=config.activation,
        code_activation=config.code_activation,
        output_activation=output,
        precision=precision,
        seed=config.seed,
    )


def state(config: Config, model: Autoencoder) -> steps.TrainState:
    """What is trained, at step 0."""
    return steps.make_state(model, config.optimizer, precision=config.precision)


def block(config: Config, data: Data, state: steps.TrainState, plan: Plan, device: devices.Device) -> steps.Block:
    """The compiled block of training steps."""
    total, every = plan.total_steps, plan.log_every or plan.total_steps
    return steps.make_block(
        state,
        losses.LOSSES[config.loss],
        steps.make_schedule(config.schedule, config.learning_rate, total),
        scale=data.scale,
        is_logged=lambda step: (step % every == 0) | (step == total),
        jit=device.jit,
    )


def evaluator(data: Data, model: Autoencoder, device: devices.Device) -> steps.Evaluator:
    """What reconstructs with the weights as they are."""
    return steps.make_evaluator(model, scale=data.scale, batch_size=EVALUATION_BATCH, jit=device.jit)


def description(config: Config, data: Data, device: devices.Device, plan: Plan, model: Autoencoder) -> dict[str, str]:
    """What a run is, in words."""
    pixels = math.prod(data.shape)
    widths = (pixels, *config.hidden, *config.hidden[-2::-1], pixels)
    weights = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return {
        "data": f"{data.name}: {len(data.train.examples):,} train, {len(data.evaluation.examples):,} eval,"
        f" {'x'.join(map(str, data.shape))}, {data.source}",
        "network": f"{config.model} {' -> '.join(map(str, widths))}, {weights:,} weights",
        "training": f"{plan.total_steps:,} steps of {config.batch_size}, {config.loss}, {config.optimizer}"
        f" {config.learning_rate:g} {config.schedule}, seed {config.seed}",
        "device": f"{device.description}, {config.precision}, XLA {'on' if device.jit else 'off'}",
    }
