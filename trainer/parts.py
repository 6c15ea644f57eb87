"""Names and numbers of a config -> the objects of a run."""

import functools
import math
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer import config as configs
from trainer import devices, evaluation, floors, losses, models, pretraining, progress, steps
from trainer.checkpoints import shelves
from trainer.config import Config
from trainer.datasets import Data
from trainer.loop import Plan
from trainer.models.autoencoder import Autoencoder
from trainer.models.products import with_skinny_products
from trainer.noise import Noise
from trainer.objective import Objective, part_tags
from trainer.summaries import statistics
from trainer.summaries.server import PICTURES_KEPT

POINTS, EVALUATIONS, CHECKPOINTS = 250, 20, 5  # about so many of each in a run, by default
EVALUATION_BATCH = 1_000
EVALUATION_SHARE = 0.02  # of a long run's work, at most, unless that is fewer evaluations than checkpoints
LAST_LOOK_SHARE = 0.005  # and of the look at training examples in its end, unless that is fewer than evaluate
LONG = 1.5e11  # examples x pixels x widest layer: about a minute on two cores
MAX_BLOCK_BYTES = 16 << 20
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
        tf32=config.tf32,
    )


def plan(config: Config, data: Data) -> Plan:
    """The run's length and intervals in steps."""
    total = config.total_steps(len(data.train.examples))

    def interval(given: int | None, times: int) -> int:
        return progress.sensible_interval(total, times) if given is None else given

    checkpoint_every = interval(config.checkpoint_every, CHECKPOINTS)
    eval_every = interval(config.eval_every, _evaluations(config, data, total))
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
        parts=part_tags(variational=config.variational, sparsity=config.sparsity),
        stage_ends=config.stage_ends,
        pictures=progress.picture_steps(total, config.image_every, PICTURES_KEPT),
        traced=(config.profile[0], sum(config.profile) - 1) if config.profile else None,
        batch_size=config.batch_size,
        has_loss_scale=config.precision == "mixed_float16",
        # There is always something to go back to; and old weights are needed only once.
        save_first=config.on_divergence == "rollback" or config.init_from is not None,
    )


def _evaluations(config: Config, data: Data, total_steps: int) -> int:
    """How many are made by default: in a long run with many evaluation examples fewer, so that they cost little."""
    if not _is_long(config, data, total_steps):
        return EVALUATIONS
    affordable = EVALUATION_SHARE * _looks(config, total_steps) / len(data.evaluation.examples)
    return min(EVALUATIONS, max(CHECKPOINTS, int(affordable)))


def last_look(config: Config, data: Data, total_steps: int) -> np.ndarray:
    """The numbers of the training examples that are looked at in the end, ascending: in a long run not always all."""
    count = len(data.train.examples)
    if not _is_long(config, data, total_steps):
        return np.arange(count)
    affordable = int(LAST_LOOK_SHARE * _looks(config, total_steps))
    return statistics.spread(count, max(affordable, len(data.evaluation.examples)))


def _is_long(config: Config, data: Data, total_steps: int) -> bool:
    # A convolution's weights are used at many places.
    times = 2 if config.model == "conv" else 1
    return total_steps * config.batch_size * math.prod(data.shape) * max(config.hidden) * times >= LONG


def _looks(config: Config, total_steps: int) -> int:
    """So many examples could be looked at instead of training: forward only, not back to inputs and to weights."""
    return 3 * total_steps * config.batch_size


def network(config: Config, data: Data, precision: str) -> Autoencoder:
    """The network, with its initial weights."""
    unit = data.scale if isinstance(data.scale, np.ndarray) else None
    return network_around(training_mean(data), config, precision, unit)


def training_mean(data: Data) -> np.ndarray:
    """As the network sees it, the shape of one example, float64."""
    if data.known is not None:
        return data.known.total / len(data.train.examples) / data.scale
    return floors.training_mean(data.train.examples, data.scale).reshape(data.shape)


def network_around(mean: np.ndarray, config: Config, precision: str, unit: np.ndarray | None = None) -> Autoencoder:
    """The network with its initial weights, its training mean, and the unit of a standardised table, being known."""
    return models.build(
        config.model,
        mean=mean,
        hidden=config.hidden,
        activation=config.activation,
        code_activation=config.code_activation,
        output_activation=configs.network(configs.mathematics(config))["output_activation"],
        precision=precision,
        seed=config.seed,
        tied=config.tied,
        variational=config.variational,
        unit=unit,
    )


def state(config: Config, model: Autoencoder) -> steps.TrainState:
    """What is trained, at step 0."""
    return steps.make_state(model, config.optimizer, precision=config.precision)


def objective(config: Config, data: Data) -> Objective:
    """What training makes small."""
    return Objective(
        loss=losses.LOSSES[config.loss],
        num_pixels=math.prod(data.shape),
        noise=None if config.noise == "none" else Noise(config.noise, config.noise_level, *_range(data)),
        shift=config.shift,
        binarise=config.binarise,
        beta=config.beta,
        sparsity=config.sparsity,
    )


def _range(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest values of an example's numbers, as the network sees them."""
    if data.is_pictures:
        return np.zeros((), np.float32), np.ones((), np.float32)
    scale = np.float32(data.scale)
    return data.train.examples.min(axis=0) / scale, data.train.examples.max(axis=0) / scale


def step(
    config: Config,
    data: Data,
    state: steps.TrainState,
    plan: Plan,
    is_logged: Callable[[tf.Tensor], tf.Tensor] | None = None,
    *,
    by_kernels: bool = False,
) -> steps.Step:
    """One training step of all layers together, to be compiled."""
    first = plan.stage_ends[-1] if plan.stage_ends else 0
    return steps.make_step(
        state,
        functools.partial(objective(config, data).of_step, state.model, seed=config.seed),
        _schedule(config, first, plan.total_steps - first),
        scale=data.scale,
        is_logged=is_logged,
        by_kernels=by_kernels,
    )


def _schedule(config: Config, first: int, length: int) -> steps.Schedule:
    """Of the learning rate in a stage that begins after `first` steps."""
    return steps.make_schedule(config.schedule, config.learning_rate, length, first=first, warmup=config.warmup)


def _pretraining_step(
    config: Config,
    data: Data,
    state: steps.TrainState,
    plan: Plan,
    stage: int,
    is_logged: Callable[[tf.Tensor], tf.Tensor],
    *,
    by_kernels: bool,
) -> steps.Step:
    """One step of one layer's training, to be compiled."""
    length = config.pretrain_steps
    return steps.make_step(
        state,
        pretraining.make_loss(state.model, objective(config, data), stage, seed=config.seed, num_parts=len(plan.parts)),
        _schedule(config, stage * length, length),
        scale=data.scale,
        is_logged=is_logged,
        variables=pretraining.variables(state.model, stage),
        by_kernels=by_kernels,
    )


def block(config: Config, data: Data, state: steps.TrainState, plan: Plan, device: devices.Device) -> steps.Block:
    """The compiled block of training steps."""
    every, always = plan.log_every or plan.total_steps, (plan.total_steps, *plan.stage_ends)

    # As `Plan.is_logged`.
    def is_logged(done: tf.Tensor) -> tf.Tensor:
        return (done % every == 0) | tf.reduce_any(done == tf.constant(always, tf.int64))

    # What XLA compiles it also fuses.
    kernels = {"by_kernels": not device.jit}
    stages = [
        _pretraining_step(config, data, state, plan, stage, is_logged, **kernels)
        for stage in range(len(plan.stage_ends))
    ]
    every_stage = [*stages, step(config, data, state, plan, is_logged, **kernels)]
    if device.has_skinny_products(config.batch_size):
        every_stage = [with_skinny_products(one) for one in every_stage]
    made = [steps.make_block(one, jit=device.jit, num_parts=len(plan.parts)) for one in every_stage]
    return steps.in_stages(made, plan.stage_ends, state) if stages else made[0]


def graph(config: Config, data: Data, state: steps.TrainState, plan: Plan) -> tf.compat.v1.GraphDef:
    """The graph of one training step, to be looked at."""
    examples = tf.TensorSpec([config.batch_size, *data.shape], data.train.examples.dtype)
    return steps.graph_of(step(config, data, state, plan), examples, state.model)


def evaluator(config: Config, data: Data, model: Autoencoder, device: devices.Device) -> evaluation.Evaluator:
    """What looks at the network with the weights as they are."""
    return evaluation.make_evaluator(
        model,
        objective(config, data),
        scale=data.scale,
        seed=config.seed,
        batch_size=EVALUATION_BATCH,
        jit=device.jit,
    )


def description(config: Config, data: Data, device: devices.Device, plan: Plan, model: Autoencoder) -> dict[str, str]:
    """What a run is, in words."""
    kinds = [word for word, wanted in (("variational", config.variational), ("tied", config.tied)) if wanted]
    weights = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return {
        "data": f"{data.name}: {len(data.train.examples):,} train, {len(data.evaluation.examples):,} eval,"
        f" {'x'.join(map(str, data.shape))}, {data.source}",
        "network": f"{' '.join([*kinds, config.model])} {model.summary_of_shapes()}, {weights:,} weights",
        "training": ", ".join([f"{plan.total_steps:,} steps of {config.batch_size}", *_task(config)]),
        "device": f"{device.description}, {_arithmetic(config, device)}, XLA {'on' if device.jit else 'off'}",
    }


def _arithmetic(config: Config, device: devices.Device) -> str:
    if device.kind == "cpu" or config.precision != "float32":
        return config.precision
    return "float32 with TF32 products" if device.tf32 else "float32 without TF32"


def _task(config: Config) -> list[str]:
    """What is trained for, and how, in words."""
    words = [config.loss]
    if config.variational and config.beta != 1:
        words.append(f"beta {config.beta:g}")
    if config.noise != "none":
        words.append(f"{config.noise} noise {config.noise_level:g}")
    if config.shift:
        words.append(f"shifts of {config.shift}")
    if config.binarise:
        words.append("binarised")
    if config.sparsity:
        words.append(f"sparsity {config.sparsity:g}")
    if config.stage_ends:
        words.append(f"{len(config.stage_ends)} x {config.pretrain_steps:,} of them {config.pretrain}")
    rate = f"{config.optimizer} {config.learning_rate:g} {config.schedule}"
    return [*words, f"{rate}, warmed up {config.warmup:,}" if config.warmup else rate, f"seed {config.seed}"]
