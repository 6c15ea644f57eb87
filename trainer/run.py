"""The composition root: the only module that turns names into objects, and puts them together for one run."""

import contextlib
import dataclasses
import logging
import shutil

import keras
import numpy as np
import tensorflow as tf

import trainer
from trainer import devices, export, floors, losses, models, pipeline, progress, report, steps
from trainer import loop as loops
from trainer.checkpoints.manifest import Manifest
from trainer.checkpoints.store import Store
from trainer.config import Config
from trainer.datasets import Data
from trainer.errors import DeviceError, StorageError
from trainer.models.autoencoder import Autoencoder
from trainer.provenance import Provenance
from trainer.recorder import Recorder
from trainer.rundir import RunDirectory
from trainer.summaries.server import Server, command, start_server

log = logging.getLogger("hourglass")

POINTS, EVALUATIONS, PICTURES, CHECKPOINTS = 250, 20, 10, 5  # about so many of each in a run, by default
EVALUATION_BATCH = 1_000
MAX_BLOCK_BYTES = 32 << 20
MAX_BLOCK_STEPS = 1_000
FULL_BYTES = 1 << 20  # a disk with less room is full


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      signal: that stopped it, or None when it is finished.
      server: TensorBoard, if it was asked for and is still serving.
    """

    signal: int | None
    server: Server | None


def train(config: Config, data: Data, directory: RunDirectory) -> Outcome:
    """Trains, or goes on training, one run; under its lock.

    Raises:
      HourglassError: whatever a person should know.
    """
    try:
        return Run(config, data, directory).train()
    except (tf.errors.OpError, OSError) as error:
        said = str(error).split("\n")[0][:200]
        # TensorFlow says "resource exhausted" of memory and of disks alike.
        full = "No space left" in str(error) or "quota" in str(error).lower()
        if isinstance(error, OSError) or full or shutil.disk_usage(directory.path).free < FULL_BYTES:
            raise StorageError(
                f"the run directory {directory.path} can no longer be written",
                found=said,
                remedy="make room or mend the disk; the same command then goes on from the last checkpoint",
            ) from error
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise DeviceError(
                "out of memory",
                found=said,
                remedy="free memory and type the same command, or --restart with a smaller --batch_size or --hidden",
            ) from error
        raise


class Run:
    """One run's objects, and what the loop asks of them."""

    def __init__(self, config: Config, data: Data, directory: RunDirectory) -> None:
        self.config, self.data, self.directory = config, data, directory
        tf.get_logger().setLevel(logging.ERROR)
        keras.config.set_floatx("float32")  # Whatever a keras.json says: it would change the checkpoints' types.
        self.device = devices.prepare(
            config.device,
            precision=config.precision,
            jit=config.jit,
            threads=config.threads,
            deterministic=config.deterministic,
            model=config.model,
        )
        directory.write_flags(config)
        self.plan = make_plan(config, data)
        self.provenance = Provenance.of(config, data, self.device, self.plan.total_steps, directory)
        self.input_name = "images" if data.is_pictures else "rows"
        self.num_pixels = int(np.prod(data.shape))
        self.floors = floors.Background(
            data.train.examples,
            data.evaluation.examples,
            code_size=config.hidden[-1],
            scale=data.scale,
            fingerprint=data.fingerprint,
            cache=directory / "floors.json",
        )
        with tf.device(self.device.name):
            self._build()

    def _build(self) -> None:
        config, data = self.config, self.data
        self.mean = floors.training_mean(data.train.examples, data.scale).reshape(data.shape)
        self.model = self._model(config.precision)
        self.state = steps.make_state(self.model, config.optimizer, precision=config.precision)
        plan = self.plan
        self.block = steps.make_block(
            self.state,
            losses.LOSSES[config.loss],
            steps.make_schedule(config.schedule, config.learning_rate, plan.total_steps),
            scale=data.scale,
            is_logged=lambda step: (step % (plan.log_every or plan.total_steps) == 0) | (step == plan.total_steps),
            jit=self.device.jit,
        )
        self.evaluator = steps.make_evaluator(
            self.model, scale=data.scale, batch_size=EVALUATION_BATCH, jit=self.device.jit
        )

    def _model(self, precision: str) -> Autoencoder:
        config = self.config
        output = config.output_activation
        if output == "auto":
            output = "sigmoid" if config.loss == "bernoulli" else "linear"
        return models.build(
            config.model,
            mean=self.mean,
            hidden=config.hidden,
            activation=config.activation,
            code_activation=config.code_activation,
            output_activation=output,
            precision=precision,
            seed=config.seed,
        )

    def train(self) -> Outcome:
        """From the newest checkpoint, or from the start, to the end or a signal."""
        config = self.config
        with contextlib.ExitStack() as stack:
            stop = stack.enter_context(loops.Stop())
            stack.enter_context(tf.device(self.device.name))
            self.store = Store(self.directory / "checkpoints", self.state.checkpoint(), keep=config.keep)
            stack.callback(self.store.close)
            restored = self.store.restore_newest(self.provenance.accept)
            self._say_header(restored)
            self.recorder = Recorder(
                self.directory.path,
                self.data,
                self.evaluator,
                self.floors,
                total_steps=self.plan.total_steps,
                next_step=restored.step + 1 if restored else 0,
                metrics=restored.metrics if restored else {},
            )
            stack.callback(self.recorder.close)
            server = start_server(self.directory.root, config.port) if config.tensorboard else None
            ending = stack.enter_context(contextlib.ExitStack())
            if server is not None:
                ending.callback(server.stop)

            step = self._loop(restored, stop)
            if step < self.plan.total_steps:
                saved = ", saved" if step else ""
                total = f"{self.plan.total_steps:,}"
                log.info(f"stopped at step {step:,} of {total}{saved}; the same command goes on from there")
                return Outcome(stop.signal, None)
            self._finish(step)
            if stop.signal is not None:  # It came too late to stop the training, but there is nobody to serve.
                return Outcome(None, None)
            ending.pop_all()  # It serves on.
            return Outcome(None, server)

    def _loop(self, restored: Manifest | None, stop: loops.Stop) -> int:
        start = restored.step if restored else 0
        self.changes = self.provenance.changes(restored) if restored else []
        blocks = pipeline.blocks(
            self.data.train.examples,
            batch_size=self.config.batch_size,
            steps_per_block=self.plan.steps_per_block,
            seed=self.config.seed,
            start_step=start,
        )
        self.clock = progress.Clock(restored.seconds if restored else 0.0)
        with progress.Bar(self.plan.total_steps) as bar:
            step = loops.train(
                self.block,
                blocks,
                self.plan,
                loops.Actions(
                    log=self.recorder.log,
                    evaluate=self.recorder.evaluate,
                    picture=self.recorder.picture,
                    is_sound=self.state.is_sound,
                    save=self._save,
                ),
                start_step=start,
                pending=loops.Pending(*restored.pending) if restored else loops.Pending(),
                words=self.recorder.words(),
                clock=self.clock,
                bar=bar,
                stop=stop,
            )
        self.seconds = self.clock.seconds
        return step

    def _save(self, step: int, pending: loops.Pending) -> None:
        # Before the commit: every step that a checkpoint claims is in the event files.
        self.recorder.flush()
        self.store.save(
            Manifest(
                run_id=self.provenance.run_id,
                step=step,
                flags=self.provenance.flags,
                data=self.provenance.data,
                numerics=self.provenance.numerics,
                metrics=self.recorder.metrics,
                changes=self.changes,
                pending=(pending.total, pending.count),
                seconds=self.clock.seconds,
                files={},
            )
        )

    # Beginning and end.

    def _say_header(self, restored: Manifest | None) -> None:
        data, config, device = self.data, self.config, self.device
        lines = {
            "data": f"{data.name}: {len(data.train.examples):,} train, {len(data.evaluation.examples):,} eval,"
            f" {'x'.join(map(str, data.shape))}, {data.source}",
            "network": f"{config.model} {' -> '.join(map(str, self._widths()))},"
            f" {sum(int(np.prod(v.shape)) for v in self.model.trainable_variables):,} weights",
            "training": f"{self.plan.total_steps:,} steps of {config.batch_size}, {config.loss}, {config.optimizer}"
            f" {config.learning_rate:g} {config.schedule}, seed {config.seed}",
            "device": f"{device.description}, {config.precision}, XLA {'on' if device.jit else 'off'}",
            "run": f"{self.directory.path}",
            "look": command(self.directory.root),
        }
        if restored:
            lines["resumed"] = f"at step {restored.step:,}; {self.provenance.claim(restored)}"
        log.info(f"Hourglass {trainer.__version__}")
        for name, text in lines.items():
            log.info(f"{name:12}{text}")

    def _widths(self) -> tuple[int, ...]:
        hidden = self.config.hidden
        return (self.num_pixels, *hidden, *hidden[-2::-1], self.num_pixels)

    def _finish(self, step: int) -> None:
        """Export, result, and the table."""
        result = {
            "step": step,
            "seconds": self.seconds,
            **self.recorder.metrics,
            **self.recorder.finish_floors(),
            "exported": self._export(step),
        }
        self.directory.write_result(result)
        for line in report.summary(result, self.directory.path, command(self.directory.root)):
            log.info(line)

    def _export(self, step: int) -> bool:
        if self.config.export == "none":
            return False
        model = self.model
        if self.config.precision != "float32":
            model = self._model("float32")
            for ours, trained in zip(model.variables, self.model.variables, strict=True):
                ours.assign(trained.value)
        export.export(model, self.directory / "export", step, input_name=self.input_name)
        return True


def make_plan(config: Config, data: Data) -> loops.Plan:
    """The run's length and intervals in steps."""
    total = config.total_steps(len(data.train.examples))

    def interval(given: int | None, times: int) -> int:
        return progress.sensible_interval(total, times) if given is None else given

    batch_bytes = config.batch_size * data.train.examples[0].nbytes
    return loops.Plan(
        total_steps=total,
        steps_per_block=max(1, min(MAX_BLOCK_STEPS, MAX_BLOCK_BYTES // batch_bytes)),
        log_every=interval(config.log_every, POINTS),
        eval_every=interval(config.eval_every, EVALUATIONS),
        image_every=interval(config.image_every, PICTURES),
        checkpoint_every=interval(config.checkpoint_every, CHECKPOINTS),
    )
