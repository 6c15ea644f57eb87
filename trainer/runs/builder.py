"""Names and numbers of a config -> the objects of a run."""

import dataclasses
import functools
import logging
import math
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from trainer.checkpoints import catalog
from trainer.compute import devices
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.evaluation import baselines
from trainer.evaluation.evaluator import Evaluator, make_evaluator
from trainer.models import networks
from trainer.models.autoencoder import Autoencoder
from trainer.models.small_batch_matmul import with_skinny_products
from trainer.runs import planning
from trainer.runs.directory import RunDirectory
from trainer.runs.provenance import Provenance
from trainer.training import losses, pretraining, steps
from trainer.training.noise import Noise
from trainer.training.objective import Objective
from trainer.training.plan import Plan

EVALUATION_BATCH = 1_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objects:
    """What a run is made of.

    Attributes:
      config, data, directory: of the run.
      device: that it computes on.
      plan: how long, and what is due when.
      provenance: what its result depends on.
      last_look: numbers of the training examples that are evaluated in the end, ascending.
      baselines: the floors, computed while it trains.
      state: what is trained.
      block: the compiled block of steps.
      evaluator: looks at the network with the weights as they are.
    """

    config: Config
    data: Dataset
    directory: RunDirectory
    device: devices.Device
    plan: Plan
    provenance: Provenance
    final_train_rows: np.ndarray
    baselines: baselines.BackgroundBaselines
    state: steps.TrainState
    block: steps.Block
    evaluator: Evaluator

    @property
    def model(self) -> Autoencoder:
        """The network."""
        return self.state.model

    @property
    def block_of_data(self) -> tf.TensorSpec:
        """What the block is called with."""
        shape = self.plan.steps_per_block, self.config.training.batch_size, *self.data.shape
        return tf.TensorSpec(shape, self.data.train.examples.dtype)


def build(config: Config, data: Dataset, directory: RunDirectory) -> Objects:
    """Builds all that a run is made of, under its lock; the network has its initial weights."""
    tf.get_logger().setLevel(logging.ERROR)
    keras.config.set_floatx("float32")  # Whatever a keras.json says: it would change the checkpoints' types.
    place = device(config, directory.checkpoints)
    if not directory.flags.exists():
        directory.write_flags(config)  # First of all that a run writes: by it the folder is known as ours.
    plan = planning.plan(config, data)
    provenance = Provenance.collect(config, data, place, plan.total_steps, directory)
    final_train_rows = planning.final_train_rows(config, data, plan.total_steps)
    floors = baselines.BackgroundBaselines(
        data.train.examples,
        data.evaluation.examples,
        code_size=config.model.hidden[-1],
        scale=data.scale,
        fingerprint=data.fingerprint,
        cache=directory.baselines,
        rows=final_train_rows,
        mean=training_mean(data).reshape(-1),
    )
    with tf.device(place.name):
        trained = state(config, network(config, data, config.compute.precision))
        return Objects(
            config=config,
            data=data,
            directory=directory,
            device=place,
            plan=plan,
            provenance=provenance,
            final_train_rows=final_train_rows,
            baselines=floors,
            state=trained,
            block=block(config, data, trained, plan, place),
            evaluator=evaluator(config, data, trained.model, place),
        )


def device(config: Config, checkpoints: pathlib.Path) -> devices.Device:
    """What to compute on. The number of threads stays what it was when the run began, unless another is given."""
    newest = catalog.newest(checkpoints)
    threads = config.compute.threads or (newest.numerics.get("threads", 0) if newest else 0)
    return devices.prepare(dataclasses.replace(config.compute, threads=threads), model=config.model.model)


def network(config: Config, data: Dataset, precision: str) -> Autoencoder:
    """The network, with its initial weights."""
    unit = data.scale if isinstance(data.scale, np.ndarray) else None
    return network_around(training_mean(data), config, precision, unit)


def training_mean(data: Dataset) -> np.ndarray:
    """As the network sees it, the shape of one example, float64."""
    if data.known is not None:
        return data.known.total / len(data.train.examples) / data.scale
    return baselines.training_mean(data.train.examples, data.scale).reshape(data.shape)


def network_around(mean: np.ndarray, config: Config, precision: str, unit: np.ndarray | None = None) -> Autoencoder:
    """The network with its initial weights, its training mean, and the unit of a standardised table, being known."""
    options = dataclasses.replace(config.model, output_activation=config.output_activation)
    return networks.build(options, mean=mean, precision=precision, seed=config.training.seed, unit=unit)


def state(config: Config, model: Autoencoder) -> steps.TrainState:
    """What is trained, at step 0."""
    return steps.make_state(model, config.training.optimizer, precision=config.compute.precision)


def objective(config: Config, data: Dataset) -> Objective:
    """What training makes small."""
    options = config.training
    has_noise = options.noise != "none"
    return Objective(
        loss=losses.LOSSES[options.loss],
        num_pixels=math.prod(data.shape),
        noise=Noise(options.noise, options.noise_level, *_range(data)) if has_noise else None,
        shift=options.shift,
        binarise=options.binarise,
        beta=options.beta,
        sparsity=options.sparsity,
    )


def _range(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest values of an example's numbers, as the network sees them."""
    if data.is_image:
        return np.zeros((), np.float32), np.ones((), np.float32)
    scale = np.float32(data.scale)
    return data.train.examples.min(axis=0) / scale, data.train.examples.max(axis=0) / scale


def step(
    config: Config,
    data: Dataset,
    state: steps.TrainState,
    plan: Plan,
    is_logged: Callable[[tf.Tensor], tf.Tensor] | None = None,
    *,
    use_fused_kernels: bool = False,
) -> steps.Step:
    """One training step of all layers together, to be compiled."""
    first = plan.stage_ends[-1] if plan.stage_ends else 0
    return steps.make_step(
        state,
        functools.partial(objective(config, data).step_loss, state.model, seed=config.training.seed),
        _schedule(config, first, plan.total_steps - first),
        scale=data.scale,
        is_logged=is_logged,
        use_fused_kernels=use_fused_kernels,
    )


def _schedule(config: Config, first: int, length: int) -> steps.Schedule:
    """Of the learning rate in a stage that begins after `first` steps."""
    options = config.training
    return steps.make_schedule(options.schedule, options.learning_rate, length, first=first, warmup=options.warmup)


def _pretraining_step(
    config: Config,
    data: Dataset,
    state: steps.TrainState,
    plan: Plan,
    stage: int,
    is_logged: Callable[[tf.Tensor], tf.Tensor],
    *,
    use_fused_kernels: bool,
) -> steps.Step:
    """One step of one layer's training, to be compiled."""
    length, seed = config.training.pretrain_steps, config.training.seed
    return steps.make_step(
        state,
        pretraining.make_loss(
            state.model, objective(config, data), stage, seed=seed, num_loss_terms=len(plan.loss_term_tags)
        ),
        _schedule(config, stage * length, length),
        scale=data.scale,
        is_logged=is_logged,
        variables=pretraining.variables(state.model, stage),
        use_fused_kernels=use_fused_kernels,
    )


def block(config: Config, data: Dataset, state: steps.TrainState, plan: Plan, device: devices.Device) -> steps.Block:
    """The compiled block of training steps."""
    every, always = plan.log_every or plan.total_steps, (plan.total_steps, *plan.stage_ends)

    # As `Plan.is_logged`.
    def is_logged(done: tf.Tensor) -> tf.Tensor:
        return (done % every == 0) | tf.reduce_any(done == tf.constant(always, tf.int64))

    # What XLA compiles it also fuses.
    kernels = {"use_fused_kernels": not device.jit}
    stages = [
        _pretraining_step(config, data, state, plan, stage, is_logged, **kernels)
        for stage in range(len(plan.stage_ends))
    ]
    every_stage = [*stages, step(config, data, state, plan, is_logged, **kernels)]
    if device.has_skinny_products(config.training.batch_size):
        every_stage = [with_skinny_products(one) for one in every_stage]
    made = [steps.make_block(one, jit=device.jit, num_loss_terms=len(plan.loss_term_tags)) for one in every_stage]
    return steps.switch_by_stage(made, plan.stage_ends, state) if stages else made[0]


def graph(config: Config, data: Dataset, state: steps.TrainState, plan: Plan) -> tf.compat.v1.GraphDef:
    """The graph of one training step, to be looked at."""
    examples = tf.TensorSpec([config.training.batch_size, *data.shape], data.train.examples.dtype)
    return steps.step_graph(step(config, data, state, plan), examples, state.model)


def evaluator(config: Config, data: Dataset, model: Autoencoder, device: devices.Device) -> Evaluator:
    """What looks at the network with the weights as they are."""
    return make_evaluator(
        model,
        objective(config, data),
        scale=data.scale,
        seed=config.training.seed,
        batch_size=EVALUATION_BATCH,
        jit=device.jit,
    )
