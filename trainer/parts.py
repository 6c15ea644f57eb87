"""Names and numbers of a config -> the objects of a run."""

import math
import pathlib
from collections.abc import Callable

import tensorflow as tf

from trainer import devices, floors, losses, models, progress, steps
from trainer.checkpoints import shelves
from trainer.config import Config
from trainer.datasets import Data
from trainer.loop import Plan
from trainer.models.autoencoder import Autoencoder
from trainer.summaries.server import PICTURES_KEPT

POINTS, EVALUATIONS, CHECKPOINTS = 250, 20, 5  # about so many of each in a run, by default
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
        checkpoint_every=checkpoint_every,
        keep_every=config.keep_every,
        pictures=progress.picture_steps(total, config.image_every, PICTURES_KEPT),
        traced=(config.profile[0], sum(config.profile) - 1) if config.profile else None,
        batch_size=config.batch_size,
        has_loss_scale=config.precision == "mixed_float16",
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


def step(
    config: Config,
    data: Data,
    state: steps.TrainState,
    plan: Plan,
    is_logged: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> steps.Step:
    """One training step, to be compiled."""
    return steps.make_step(
        state,
        losses.LOSSES[config.loss],
        steps.make_schedule(config.schedule, config.learning_rate, plan.total_steps),
        scale=data.scale,
        is_logged=is_logged,
    )


def block(config: Config, data: Data, state: steps.TrainState, plan: Plan, device: devices.Device) -> steps.Block:
    """The compiled block of training steps."""
    total, every = plan.total_steps, plan.log_every or plan.total_steps

    def is_logged(done: tf.Tensor) -> tf.Tensor:
        return (done % every == 0) | (done == total)

    return steps.make_block(step(config, data, state, plan, is_logged), jit=device.jit)


def graph(config: Config, data: Data, state: steps.TrainState, plan: Plan) -> tf.compat.v1.GraphDef:
    """The graph of one training step, to be looked at."""
    examples = tf.TensorSpec([config.batch_size, *data.shape], data.train.examples.dtype)
    return steps.graph_of(step(config, data, state, plan), examples, state.model)


def evaluator(config: Config, data: Data, model: Autoencoder, device: devices.Device) -> steps.Evaluator:
    """What looks at the network with the weights as they are."""
    loss = losses.LOSSES[config.loss]
    return steps.make_evaluator(model, loss, scale=data.scale, batch_size=EVALUATION_BATCH, jit=device.jit)


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
