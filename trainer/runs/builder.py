"""Builds the components of a run from its config."""

import dataclasses
import functools
import logging
import math
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.checkpoints import catalog
from trainer.checkpoints.manager import TrainingStatistics
from trainer.compute import devices
from trainer.config import Config
from trainer.data.dataset import Dataset, column_ranges, mean_and_deviations
from trainer.evaluation import baselines
from trainer.evaluation.evaluator import Evaluator, make_evaluator
from trainer.models import networks
from trainer.models.autoencoder import Autoencoder
from trainer.models.small_batch_matmul import with_small_batch_matmul
from trainer.runs import planning, report
from trainer.runs.directory import RunDirectory
from trainer.runs.provenance import Provenance
from trainer.training import losses, pretraining, steps
from trainer.training.noise import Noise
from trainer.training.objective import Objective
from trainer.training.plan import Plan

EVALUATION_BATCH = 1_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunComponents:
    """The components of a run.

    Attributes:
      config, data, directory: config, data set and directory of the run.
      device: the device that computes.
      plan: the number of steps, and the steps of evaluations, checkpoints, images and the like.
      provenance: everything that the result depends on.
      final_train_rows: indices of the training examples that the final evaluation uses, ascending.
      baselines: mean and PCA baselines, which a background thread computes during training.
      state: model, optimizer and step.
      block: the compiled block of training steps.
      evaluator: evaluates the model with its current weights.
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
        """The model."""
        return self.state.model

    @property
    def error_unit(self) -> str:
        """The unit of errors, in words."""
        return report.error_unit(is_image=self.data.is_image, is_standardized=self.config.data.standardise)

    @property
    def block_spec(self) -> tf.TensorSpec:
        """Shape and type of a block of examples: [steps per block, batch size, ...]."""
        shape = self.plan.steps_per_block, self.config.training.batch_size, *self.data.shape
        return tf.TensorSpec(shape, self.data.train.examples.dtype)


def build(config: Config, data: Dataset, directory: RunDirectory) -> RunComponents:
    """Builds the components of a run with initial weights. The caller holds the lock of the directory."""
    tf.get_logger().setLevel(logging.ERROR)
    run_device = device(config, directory.checkpoints)
    if not directory.flags.exists():
        directory.write_flags(config)  # Written before any other file, because it identifies a run directory.
    plan = planning.plan(config, data)
    provenance = Provenance.collect(config, data, run_device, plan.total_steps, directory)
    final_train_rows = planning.final_train_rows(config, data, plan.total_steps)
    background_baselines = baselines.BackgroundBaselines(
        data.train.examples,
        data.evaluation.examples,
        code_size=config.model.hidden[-1],
        scale=data.scale,
        fingerprint=data.fingerprint,
        cache=directory.baselines,
        rows=final_train_rows,
        mean=training_mean(data).reshape(-1),
        has_missing=data.has_missing,
    )
    with tf.device(run_device.name):
        train_state = state(config, network(config, data, config.compute.precision))
        return RunComponents(
            config=config,
            data=data,
            directory=directory,
            device=run_device,
            plan=plan,
            provenance=provenance,
            final_train_rows=final_train_rows,
            baselines=background_baselines,
            state=train_state,
            block=block(config, data, train_state, plan, run_device),
            evaluator=evaluator(config, data, train_state.model, run_device),
        )


def device(config: Config, checkpoints: pathlib.Path) -> devices.Device:
    """Configures the device. Unless --threads is given, uses the number of threads in the newest checkpoint."""
    newest = catalog.newest(checkpoints)
    threads = config.compute.threads or (newest.numerics.get("threads", 0) if newest else 0)
    return devices.prepare(dataclasses.replace(config.compute, threads=threads), model=config.model.model)


def network(config: Config, data: Dataset, precision: str) -> Autoencoder:
    """Builds the model of a run with initial weights."""
    unit = data.scale if isinstance(data.scale, np.ndarray) else None
    return network_from_statistics(TrainingStatistics(training_mean(data), unit, data.offset), config, precision)


def training_mean(data: Dataset) -> np.ndarray:
    """Returns the mean of the training examples divided by `data.scale`, in the shape of one example, float64."""
    if data.has_missing:
        return mean_and_deviations(data.train.examples)[0] / data.scale
    if data.statistics is not None:
        return data.statistics.total / len(data.train.examples) / data.scale
    return baselines.training_mean(data.train.examples, data.scale).reshape(data.shape)


def network_from_statistics(statistics: TrainingStatistics, config: Config, precision: str) -> Autoencoder:
    """Builds a model with initial weights from statistics of the training set."""
    options = dataclasses.replace(config.model, output_activation=config.output_activation)
    fills_missing = config.data.missing == "mean"
    return networks.build(
        options,
        precision=precision,
        seed=config.training.seed,
        mean=statistics.mean,
        unit=statistics.unit,
        offset=statistics.offset,
        fills_missing=fills_missing,
    )


def restore_units(model: Autoencoder, data: Dataset) -> None:
    """Sets unit and offset to those of the data set, after weights of another run were loaded with that run's."""
    for variable, value in ((model.unit, data.scale), (model.offset, data.offset)):
        if variable is not None:
            variable.assign(value)


def state(config: Config, model: Autoencoder) -> steps.TrainState:
    """Builds the training state at step 0."""
    return steps.make_state(model, config.training.optimizer, precision=config.compute.precision)


def objective(config: Config, data: Dataset) -> Objective:
    """Builds the training objective."""
    options = config.training
    has_noise = options.noise != "none"
    return Objective(
        loss=losses.LOSSES[options.loss],
        num_pixels=math.prod(data.shape),
        noise=Noise(options.noise, options.noise_level, *_range(data)) if has_noise else None,
        shift=options.shift,
        binarize=options.binarise,
        beta=options.beta,
        sparsity=options.sparsity,
        has_missing=data.has_missing,
    )


def _range(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bounds of inputs: 0 and 1 for images, the scaled minimum and maximum of each column for tables."""
    if data.is_image:
        return np.zeros((), np.float32), np.ones((), np.float32)
    low, high = column_ranges(data.train.examples)
    scale = np.float32(data.scale)
    return low / scale, high / scale


def step(
    config: Config,
    data: Dataset,
    state: steps.TrainState,
    plan: Plan,
    is_logged: Callable[[tf.Tensor], tf.Tensor] | None = None,
    *,
    use_fused_kernels: bool = False,
) -> steps.Step:
    """Builds a training step of the whole network, not yet compiled."""
    first = plan.stage_ends[-1] if plan.stage_ends else 0
    return steps.make_step(
        state,
        functools.partial(objective(config, data).step_loss, state.model, seed=config.training.seed),
        _schedule(config, first, plan.total_steps - first),
        scale=data.scale,
        is_logged=is_logged,
        use_fused_kernels=use_fused_kernels,
    )


def learning_rate(config: Config, plan: Plan, step: int, end: int) -> float:
    """Returns the learning rate of the step after `step` steps, if the schedule of the whole network ends at `end`."""
    first = plan.stage_ends[-1] if plan.stage_ends else 0
    return float(_schedule(config, first, end - first)(tf.constant(step, tf.int64)))


def _schedule(config: Config, first: int, length: int) -> steps.Schedule:
    """Builds the learning-rate schedule of a stage of `length` steps that begins after step `first`."""
    options = config.training
    return steps.make_schedule(options.schedule, options.learning_rate, length, start=first, warmup=options.warmup)


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
    """Builds a step of layerwise pretraining, not yet compiled. `stage` is the index of the layer, from 0."""
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
    """Builds the compiled block of training steps."""
    log_every, always_logged = plan.log_every or plan.total_steps, (plan.total_steps, *plan.stage_ends)

    # The same condition as `Plan.is_logged`.
    def is_logged(done: tf.Tensor) -> tf.Tensor:
        return (done % log_every == 0) | tf.reduce_any(done == tf.constant(always_logged, tf.int64))

    # XLA fuses the optimizer's operations itself.
    kernels = {"use_fused_kernels": not device.jit}
    pretraining_steps = [
        _pretraining_step(config, data, state, plan, stage, is_logged, **kernels)
        for stage in range(len(plan.stage_ends))
    ]
    stage_steps = [*pretraining_steps, step(config, data, state, plan, is_logged, **kernels)]
    if device.uses_small_batch_matmul(config.training.batch_size):
        stage_steps = [with_small_batch_matmul(stage_step) for stage_step in stage_steps]
    num_loss_terms = len(plan.loss_term_tags)
    blocks = [steps.make_block(stage_step, jit=device.jit, num_loss_terms=num_loss_terms) for stage_step in stage_steps]
    return steps.switch_by_stage(blocks, plan.stage_ends, state) if pretraining_steps else blocks[0]


def graph(config: Config, data: Dataset, state: steps.TrainState, plan: Plan) -> tf.compat.v1.GraphDef:
    """Returns the graph of one training step, for TensorBoard."""
    examples = tf.TensorSpec([config.training.batch_size, *data.shape], data.train.examples.dtype)
    return steps.step_graph(step(config, data, state, plan), examples, state.model)


def evaluator(config: Config, data: Dataset, model: Autoencoder, device: devices.Device) -> Evaluator:
    """Builds the evaluator of the model's current weights."""
    return make_evaluator(
        model,
        objective(config, data),
        scale=data.scale,
        seed=config.training.seed,
        batch_size=EVALUATION_BATCH,
        jit=device.jit,
    )
