"""The composition root: the only module that turns names into objects, and puts them together for one run."""

import contextlib
import dataclasses
import logging
import pathlib
import shutil
import signal
import time
from collections.abc import Sequence

import keras
import tensorflow as tf

import trainer
from trainer import config as configs
from trainer.checkpoints import catalog, retention
from trainer.checkpoints.manager import Store
from trainer.checkpoints.manifest import Manifest
from trainer.config import Config
from trainer.data.dataset import Data
from trainer.errors import DeviceError, DivergedError, StorageError, option, said
from trainer.evaluation import baselines
from trainer.runs import builder, description, export, planning, report
from trainer.runs.directory import CHECKPOINTS, FLAGS_FILE, RunDirectory
from trainer.runs.mirror import Mirror
from trainer.runs.provenance import Provenance
from trainer.serving.server import Server, command, start_server
from trainer.summaries.profiler import Profiler
from trainer.summaries.recorder import Recorder
from trainer.system import progress
from trainer.system.logs import log
from trainer.system.signals import Stop
from trainer.training import loop as loops
from trainer.training import pipeline, steps

MAX_ROLLBACKS = 3
DAMPING = 0.25  # what a rollback multiplies the learning rate by
DROPPED = "curves: the disk did not take some points"
FULL_BYTES = 1 << 20  # a disk with less room is full


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      signal: that stopped it, or None when it is finished.
      server: TensorBoard, if it was asked for and this run has started it.
    """

    signal: int | None
    server: Server | None


def train(
    config: Config, data: Data, directory: RunDirectory, *, mirror: Mirror | None = None, arguments: Sequence[str] = ()
) -> Outcome:
    """Trains, or goes on training, one run; under its lock.

    Args:
      config, data, directory, mirror: of the run.
      arguments: of the command line, to be shown.

    Raises:
      HourglassError: whatever a person should know.
    """
    try:
        return Run(config, data, directory, mirror, arguments).train()
    except (tf.errors.OpError, OSError) as error:
        reason = said(error)[:200]
        # TensorFlow says "resource exhausted" of memory and of disks alike.
        full = "No space left" in str(error) or "quota" in str(error).lower()
        if isinstance(error, OSError) or full or shutil.disk_usage(directory.path).free < FULL_BYTES:
            raise StorageError(
                f"the run directory {directory.path} can no longer be written",
                found=reason,
                remedy="make room or mend the disk; the same command then goes on from the last checkpoint",
            ) from error
        if isinstance(error, tf.errors.ResourceExhaustedError):
            smaller = f"a smaller {option('batch_size')} or {option('hidden')}"
            raise DeviceError(
                "out of memory",
                found=reason,
                remedy=f"free memory and type the same command, or {option('restart', True)} with {smaller}",
            ) from error
        raise


class Run:
    """One run's objects, and what the loop asks of them."""

    def __init__(
        self,
        config: Config,
        data: Data,
        directory: RunDirectory,
        mirror: Mirror | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.config, self.data, self.directory, self.mirror = config, data, directory, mirror
        self.arguments = arguments
        tf.get_logger().setLevel(logging.ERROR)
        keras.config.set_floatx("float32")  # Whatever a keras.json says: it would change the checkpoints' types.
        self.device = builder.device(config, directory / CHECKPOINTS)
        if not (directory / FLAGS_FILE).exists():
            directory.write_flags(config)  # First of all that a run writes: by it the folder is known as ours.
        self.plan = planning.plan(config, data)
        self.profiler = Profiler(directory / "train", self.plan.traced)
        self.provenance = Provenance.of(config, data, self.device, self.plan.total_steps, directory)
        self.last_look = planning.last_look(config, data, self.plan.total_steps)
        self.floors = baselines.Background(
            data.train.examples,
            data.evaluation.examples,
            code_size=config.model.hidden[-1],
            scale=data.scale,
            fingerprint=data.fingerprint,
            cache=directory / "floors.json",
            rows=self.last_look,
            mean=builder.training_mean(data).reshape(-1),
        )
        self.rollbacks = 0
        self.changes: list[str] = []
        with tf.device(self.device.name):
            self.model = builder.network(config, data, config.compute.precision)
            self.state = builder.state(config, self.model)
            self.block = builder.block(config, data, self.state, self.plan, self.device)
            self.evaluator = builder.evaluator(config, data, self.model, self.device)

    def train(self) -> Outcome:
        """From the newest checkpoint, or from the start, to the end or a signal."""
        config = self.config
        with contextlib.ExitStack() as stack:
            stop = stack.enter_context(Stop())
            stack.enter_context(tf.device(self.device.name))
            self.store = Store(
                self.directory / CHECKPOINTS,
                self.state.checkpoint(),
                keep=config.checkpoints.keep,
                keep_every=config.checkpoints.keep_every,
            )
            stack.callback(self.store.close)
            restored = self._restore()
            self.block = steps.compiled_ahead(self.block, self._block_of_data(), self.device.name)
            self.directory.write_flags(config)  # Now that they are known to be this run's.
            self.words = self._say_header(restored)
            self.recorder = self._record_from(restored)
            stack.callback(lambda: self.recorder.close())
            self._describe()
            self._tell_beginning(restored)
            if self.mirror:
                self.mirror.claim()
            server = (
                start_server(self.directory.root, config.serving.host, config.serving.port)
                if config.serving.tensorboard
                else None
            )
            ending = stack.enter_context(contextlib.ExitStack())
            if server is not None:
                ending.callback(server.stop)

            step = self._train_on(restored, stop)
            if step < self.plan.total_steps:
                saved = ", saved" if step else ""
                total = f"{self.plan.total_steps:,}"
                log.info(f"stopped at step {step:,} of {total}{saved}; the same command goes on from there")
                self._remember(step, f"stopped by {signal.Signals(stop.signal or 0).name}{saved}")
                self._update_mirror()
                return Outcome(stop.signal, None)
            self._finish(step)
            if stop.signal is not None:  # It came too late to stop the training, but there is nobody to serve.
                return Outcome(None, None)
            ending.pop_all()  # It serves on.
            return Outcome(None, server)

    def _restore(self) -> Manifest | None:
        """The newest checkpoint; or, in a run without one, the weights that it is to begin with."""
        restored = self.store.restore_newest(self.provenance.accept)
        if restored is None:
            if self.config.run.init_from is not None:
                self.begun_with = self.store.borrow(pathlib.Path(self.config.run.init_from), self.model)
            return None
        manifest = restored.manifest
        for words in restored.passed_over:
            log.warning(words)
            self.directory.remember(manifest.step, words)
        self.rollbacks, self.changes = manifest.rollbacks, self.provenance.changes(manifest)
        return manifest

    def _record_from(self, restored: Manifest | None) -> Recorder:
        return Recorder(
            self.directory.path,
            self.data,
            self.evaluator,
            self.floors,
            total_steps=self.plan.total_steps,
            batch_size=self.config.training.batch_size,
            picture_steps=self.plan.pictures,
            last_look=self.last_look,
            next_step=restored.step + 1 if restored else 0,
            metrics=self._metrics_of(restored) if restored else {},
            evaluated=restored.evaluated if restored else None,
        )

    def _metrics_of(self, restored: Manifest) -> dict[str, float]:
        """The last evaluation's; in a run that is older than its `best/`, from the best checkpoint."""
        best = catalog.best(self.directory / CHECKPOINTS)
        if "eval/best/rmse" in restored.metrics or best is None or best.manifest is None or best.manifest.error is None:
            return dict(restored.metrics)
        return {**restored.metrics, "eval/best/rmse": best.manifest.error**0.5, "eval/best/step": best.step}

    def _train_on(self, restored: Manifest | None, stop: Stop) -> int:
        """Trains; after a divergence, from the last checkpoint with a lower learning rate, if that is wanted."""
        while True:
            self.state.damping.assign(DAMPING**self.rollbacks)
            try:
                return self._loop(restored, stop)
            except DivergedError as error:
                restored = self._roll_back(error)

    def _roll_back(self, error: DivergedError) -> Manifest:
        """Restores the last checkpoint that was due by steps, and cuts the event files back; or raises the error.

        Not one that a signal or a clock has caused: so it does not depend on them where a run goes on. The number of
        rollbacks is in the next checkpoint; a run that is killed before that comes to the same divergence again.
        """
        what = error.what
        folder = self.directory / CHECKPOINTS
        due = [step for step, _ in catalog.committed(folder) if self.plan.is_scheduled(step)]
        if self.config.training.on_divergence != "rollback" or not due:
            self._give_up(due[0] if due else 0, what)
            raise error
        if self.rollbacks == MAX_ROLLBACKS:
            self._give_up(due[0], what)
            raise DivergedError(
                what,
                found=f"{MAX_ROLLBACKS} rollbacks were made; the last good checkpoint is of step {due[0]:,}",
                remedy=f"{option('restart', True)} with a lower {option('learning_rate')}",
            )
        count = self.rollbacks + 1
        retention.roll_back(folder, due[0])
        restored = self._restore()
        assert restored is not None
        self.rollbacks = count
        rate = self.config.training.learning_rate * DAMPING**count
        words = f"{what}; rollback {count} of {MAX_ROLLBACKS}: the learning rate is now {rate:g}"
        log.warning(f"{words}, from step {restored.step:,} on")
        self.recorder.close()
        self.recorder = self._record_from(restored)
        self._describe()
        self._remember(restored.step, words)
        return restored

    def _give_up(self, step: int, what: str) -> None:
        self._remember(step, f"diverged: {what}")
        self.recorder.end(succeeded=False)

    def _loop(self, restored: Manifest | None, stop: Stop) -> int:
        config, examples = self.config, self.data.train.examples
        blocks = pipeline.blocks(
            examples,
            batch_size=config.training.batch_size,
            steps_per_block=self.plan.steps_per_block,
            seed=config.training.seed,
            start_step=restored.step if restored else 0,
            resident_on=self.device.name if self.device.holds(examples.nbytes) else None,
        )
        self.clock = progress.Clock(restored.seconds if restored else 0.0)
        with progress.Bar(self.plan.total_steps) as bar, contextlib.closing(self.profiler):
            step = loops.train(
                self.block,
                blocks,
                self.plan,
                loops.Actions(
                    begun=self._begun,
                    log=self.recorder.log,
                    evaluate=self.recorder.evaluate,
                    picture=self.recorder.picture,
                    profile=self.profiler.at,
                    is_sound=self.state.is_sound,
                    save=self._save,
                    batch=self._batch,
                ),
                start_step=restored.step if restored else None,
                pending=loops.Pending(restored.pending if restored else ()),
                words=self.recorder.words(),
                clock=self.clock,
                bar=bar,
                stop=stop,
            )
        self.seconds = self.clock.seconds
        return step

    def _block_of_data(self) -> tf.TensorSpec:
        shape = self.plan.steps_per_block, self.config.training.batch_size, *self.data.shape
        return tf.TensorSpec(shape, self.data.train.examples.dtype)

    def _batch(self, step: int) -> str:
        """Which examples a step was trained on, in words."""
        count, size = len(self.data.train.examples), self.config.training.batch_size
        numbers = pipeline.batch(count, batch_size=size, seed=self.config.training.seed, step=step)
        shown = ", ".join(map(str, numbers[:5])) + (", ..." if size > 5 else "")
        return f"epoch {(step - 1) * size // count + 1:,}, examples {shown}"

    def _save(self, step: int, pending: loops.Pending) -> None:
        # Before the commit: every step that a checkpoint claims is in the event files, or known to be missing.
        began = time.perf_counter()
        self.recorder.flush()
        if self.recorder.has_dropped and DROPPED not in self.changes:
            self.changes = [*self.changes, DROPPED]
        is_first = not catalog.committed(self.directory / CHECKPOINTS)
        self.store.save(
            Manifest(
                run_id=self.provenance.run_id,
                step=step,
                flags=self.provenance.flags,
                data=self.provenance.data,
                numerics=self.provenance.numerics,
                metrics=self.recorder.metrics,
                changes=self.changes,
                pending=pending.sums,
                seconds=self.clock.seconds,
                files={},
                evaluated=self.recorder.evaluated,
                rollbacks=self.rollbacks,
                saved=time.strftime("%F %T%z"),
            )
        )
        seconds, saved = time.perf_counter() - began, catalog.newest(self.directory / CHECKPOINTS)
        self.recorder.saved(step, seconds, saved.bytes if saved else 0)
        if is_first and step:
            self._remember(step, "first checkpoint")
        self._update_mirror()

    def _update_mirror(self) -> None:
        if self.mirror:
            self.recorder.flush()
            self.mirror.update()

    def _remember(self, step: int, what: str) -> None:
        """In the run's history and in TensorBoard."""
        with contextlib.suppress(OSError):
            self.directory.remember(step, what)
            self.recorder.history(step, self.directory.history())

    # Beginning and end.

    def _say_header(self, restored: Manifest | None) -> dict[str, str]:
        lines = {
            **description.description(self.config, self.data, self.device, self.plan, self.model),
            "run": f"{self.directory.path}",
            "look": command(self.directory.root),
        }
        if restored:
            lines["resumed"] = f"at step {restored.step:,}; {self.provenance.claim(restored)}"
        elif self.config.run.init_from is not None:
            lines["weights"] = f"of {self.begun_with}"
        log.info(f"Hourglass {trainer.__version__}")
        for name, text in lines.items():
            log.info(f"{name:12}{text}")
        return lines

    def _describe(self) -> None:
        """What the run is, for TensorBoard."""
        parts_of_it = (self.config, self.data, self.provenance, self.evaluator.weights(), self.words)
        self.recorder.begin(
            f"{self.directory.path.name} {self.provenance.run_id[:4]}",
            configs.columns(),
            configs.row(self.config, self.plan.total_steps),
            lambda: description.pages(*parts_of_it, run=self.directory.path, arguments=self.arguments),
        )

    def _begun(self) -> None:
        """What takes time, and is not needed for the first step."""
        self.floors.start()
        self.recorder.graph(lambda: builder.graph(self.config, self.data, self.state, self.plan))

    def _tell_beginning(self, restored: Manifest | None) -> None:
        if restored:
            self._remember(restored.step, f"resumed; {self.provenance.claim(restored)}")
        else:
            self._remember(
                0, f"started with the weights of {self.begun_with}" if self.config.run.init_from else "started"
            )

    def _finish(self, step: int) -> None:
        """Export, result, and the table."""
        best = catalog.best(self.directory / CHECKPOINTS)
        exported = self._export(step, best)
        result = {
            "step": step,
            "seconds": self.seconds,
            "train/examples": [len(self.last_look), len(self.data.train.examples)],
            **self.recorder.metrics,
            **self.recorder.finish_floors(),
            "best": best.step if best else None,
            "export": self.config.run.export,
            "exported": exported,
        }
        self._remember(step, "finished")
        self.recorder.end(succeeded=True)
        self.directory.write_result(result)
        if self.mirror and not self.mirror.update():
            log.warning(f"the copy in {self.mirror.path} is not up to date; the same command tries again")
        for line in report.summary(result, self.directory.path, command(self.directory.root)):
            log.info(line)

    def _export(self, step: int, best: catalog.Entry | None) -> int | None:
        """Exports the weights that are wanted; returns the step that they are of."""
        if self.config.run.export == "none":
            return None
        if self.config.run.export == "best" and best and best.step != step:
            self.store.restore(best)
            step = best.step
        model = self.model
        if self.config.compute.precision != "float32":
            model = builder.network(self.config, self.data, "float32")
            for ours, trained in zip(model.variables, self.model.variables, strict=True):
                ours.assign(trained.value)
        name = "images" if self.data.is_pictures else "rows"
        export.export(model, self.directory / "export", step, input_name=name)
        return step
