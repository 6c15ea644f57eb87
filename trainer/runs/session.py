"""A training session: from the restored step to the end of the run, a signal, or a divergence."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

import trainer
from trainer import config as configs
from trainer.checkpoints import catalog
from trainer.checkpoints.manager import CheckpointManager
from trainer.checkpoints.manifest import Manifest
from trainer.errors import DivergedError
from trainer.runs import builder, description, remarks, schema_file
from trainer.runs.builder import RunComponents
from trainer.runs.mirror import Mirror
from trainer.runs.recovery import DAMPING, Recovery
from trainer.serving.server import command
from trainer.summaries.profiler import Profiler
from trainer.summaries.recorder import Folders, Recorder
from trainer.system import progress
from trainer.system.logs import log
from trainer.system.signals import Stop
from trainer.training import loop, pipeline, steps


@contextlib.contextmanager
def open_session(
    components: RunComponents, store: CheckpointManager, mirror: Mirror | None, arguments: Sequence[str]
) -> Iterator["Session"]:
    """Restores a run, writes its flags, logs its header, and yields a session. Closes the event files on exit.

    The caller holds the lock of the run.

    Args:
      components: the components of the run.
      store: the checkpoints of the run.
      mirror: the mirror of the run, if any.
      arguments: the command-line arguments, to show in TensorBoard.
    """
    recovery = Recovery(components, store)
    restored = recovery.restore()
    block = steps.compile_in_background(components.block, components.block_spec, components.device.name)
    with contextlib.ExitStack() as stack:
        stack.callback(block.wait)
        components.directory.write_flags(components.config)  # Only now: the checkpoint is compatible with the flags.
        components.directory.write_depth(components.config, components.data.depth)
        stored = restored.columns if restored else ""
        schema_file.write(components.directory.schema, components.data.schema, components.error_unit, stored=stored)
        header = _header(components, restored, recovery.initial_checkpoint)
        log.info(f"Hourglass {trainer.__version__}")
        for name, text in header.items():
            log.info(f"{name:12}{text}")
        session = Session(
            components,
            store,
            mirror,
            block=block,
            recovery=recovery,
            restored=restored,
            header=header,
            arguments=arguments,
        )
        stack.callback(session.close)
        session.begin()
        yield session


def _header(components: RunComponents, restored: Manifest | None, initial_checkpoint: str) -> dict[str, str]:
    """Returns the lines that describe the run, by name."""
    directory = components.directory
    header = {
        **description.header(components.config, components.data, components.device, components.plan, components.model),
        "run": f"{directory.path}",
        "view": command(directory.root),
    }
    if restored:
        header["resumed"] = f"at step {restored.step:,}; {components.provenance.reproducibility_statement(restored)}"
    elif initial_checkpoint:
        header["weights"] = f"of {initial_checkpoint}"
    return header


class Session:
    """Trains a run from its newest checkpoint, or from step 0; implements the actions of the loop. See `open_session`.

    Args:
      components: the components of the run.
      store: the checkpoints of the run.
      mirror: the mirror of the run, if any.
      block: the compiled training steps.
      recovery: the `Recovery` that has restored the run.
      restored: manifest of the restored checkpoint; None if training starts at step 0.
      header: the lines that describe the run, by name.
      arguments: the command-line arguments.

    Attributes:
      components, store, mirror: as in Args.
      recorder: writes the event files.
    """

    def __init__(
        self,
        components: RunComponents,
        store: CheckpointManager,
        mirror: Mirror | None,
        *,
        block: steps.BackgroundCompilation,
        recovery: Recovery,
        restored: Manifest | None,
        header: Mapping[str, str],
        arguments: Sequence[str],
    ) -> None:
        self.components, self.store, self.mirror, self._arguments = components, store, mirror, arguments
        self._block, self._recovery, self._restored, self._header = block, recovery, restored, header
        self._profiler = Profiler(components.directory.train, components.plan.profiled)
        self._clock = progress.Clock(restored.seconds if restored else 0.0)
        self.recorder = self._make_recorder()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, over all starts."""
        return self._clock.seconds

    def begin(self) -> None:
        """Writes the description of the run to TensorBoard, adds the start to the history, and claims the mirror."""
        self._write_description()
        source = self._recovery.initial_checkpoint
        if self._restored:
            event = f"resumed; {self.components.provenance.reproducibility_statement(self._restored)}"
            notes = self._remarks(self._restored)
            for note in notes:
                log.info(f"{'note':12}{note}")
            self.append_history(self._restored.step, event, *notes)
        else:
            self.append_history(0, f"started with the weights of {source}" if source else "started")
        if self.mirror:
            self.mirror.claim()

    def _remarks(self, restored: Manifest) -> list[str]:
        """Returns remarks if the peak of the learning rate has changed, and if it rises as the run was extended."""
        config, plan, peak = self.components.config, self.components.plan, self.components.config.training.learning_rate
        old_peak, old_end = configs.with_defaults(restored.flags)["learning_rate"], restored.numerics.get("total_steps")
        changes = remarks.on_peak(old_peak, peak, restored.step, DAMPING**restored.rollbacks)
        if not old_end or not plan.pretraining_end < restored.step < plan.total_steps:
            return changes
        before = builder.learning_rate(config, plan, restored.step - 1, old_end) * old_peak / peak
        after = builder.learning_rate(config, plan, restored.step, plan.total_steps)
        return changes + remarks.on_learning_rate(config.training.schedule, before, after, old_end, plan.total_steps)

    def close(self) -> None:
        """Closes the event files."""
        self.recorder.close()

    def train(self, stop: Stop) -> int:
        """Trains until the last step or a signal. With --on_divergence=rollback, rolls back after a divergence.

        Returns:
          The number of steps done since step 0.
        """
        while True:
            self._recovery.apply_damping()
            try:
                return self._loop(stop)
            except DivergedError as error:
                self._roll_back(error)

    def _loop(self, stop: Stop) -> int:
        config, examples, restored = self.components.config, self.components.data.train.examples, self._restored
        device, plan = self.components.device, self.components.plan
        blocks = pipeline.blocks(
            examples,
            batch_size=config.training.batch_size,
            steps_per_block=plan.steps_per_block,
            seed=config.training.seed,
            start_step=restored.step if restored else 0,
            resident_on=device.name if device.keeps_resident(examples.nbytes) else None,
        )
        self._clock = progress.Clock(restored.seconds if restored else 0.0)
        actions = loop.Actions(
            on_first_block=self._on_first_block,
            log=self.recorder.log,
            evaluate=self.recorder.evaluate,
            write_images=self.recorder.write_images,
            profile=self._profiler.update,
            weights_are_finite=self.components.state.weights_are_finite,
            is_last=self.recorder.run_evaluator.is_last,
            must_keep=self.recorder.run_evaluator.must_keep,
            save=self.save,
            describe_batch=self._describe_batch,
        )
        with progress.Bar(plan.total_steps) as bar, contextlib.closing(self._profiler):
            step = loop.train(
                self._block,
                blocks,
                plan,
                actions,
                start_step=restored.step if restored else None,
                pending=loop.LossAccumulator(restored.pending if restored else ()),
                evaluation=self.recorder.evaluation_text(),
                clock=self._clock,
                bar=bar,
                stop=stop,
            )
        self._clock.stop()
        self._block.wait()  # The loop does not wait if no step is left, and the caller may change weights.
        return step

    def _roll_back(self, error: DivergedError) -> None:
        """Rolls back to a checkpoint, and truncates the event files; raises if that is impossible or disabled."""
        scheduled = self._recovery.scheduled_steps()
        try:
            self._restored, message = self._recovery.roll_back(error)
        except DivergedError:
            self.append_history(scheduled[0] if scheduled else 0, f"diverged: {error.what}")
            self.recorder.run_info.end(succeeded=False)
            raise
        self.recorder.close()
        self.recorder = self._make_recorder()
        self._write_description()
        self.append_history(self._restored.step, message)

    # Actions of the loop.

    def save(self, step: int, pending: loop.LossAccumulator) -> None:
        """Saves a checkpoint, and updates the mirror."""
        components, recorder = self.components, self.recorder
        # Flush before the commit: a checkpoint's points must be in the event files, or be recorded as missing.
        began = time.perf_counter()
        recorder.flush()
        if recorder.has_dropped:
            self._recovery.record_dropped_points()
        is_first = not catalog.committed(components.directory.checkpoints)
        self.store.save(self._manifest(step, pending))
        seconds, saved = time.perf_counter() - began, catalog.newest(components.directory.checkpoints)
        recorder.write_checkpoint_info(step, seconds, saved.bytes if saved else 0)
        if is_first and step:
            self.append_history(step, "first checkpoint")
        self.update_mirror()

    def _manifest(self, step: int, pending: loop.LossAccumulator) -> Manifest:
        provenance, run_evaluator = self.components.provenance, self.recorder.run_evaluator
        calibration = run_evaluator.calibration(step)
        return Manifest(
            run_id=provenance.run_id,
            step=step,
            flags=provenance.flags,
            data=provenance.data,
            numerics=provenance.numerics,
            metrics=run_evaluator.metrics,
            changes=self._recovery.changes,
            pending=pending.sums,
            seconds=self._clock.seconds,
            files={},
            evaluated=run_evaluator.evaluated,
            rollbacks=self._recovery.rollbacks,
            saved=time.strftime("%F %T%z"),
            columns=schema_file.digest(self.components.directory.schema),
            scores=calibration.to_json() if calibration else None,
        )

    def _describe_batch(self, step: int) -> str:
        """Describes the batch of a step: its epoch, and the indices of its first examples."""
        options, count = self.components.config.training, len(self.components.data.train.examples)
        size = options.batch_size
        indices = pipeline.batch_indices(count, batch_size=size, seed=options.seed, step=step)
        shown = ", ".join(map(str, indices[:5])) + (", ..." if size > 5 else "")
        return f"epoch {(step - 1) * size // count + 1:,}, examples {shown}"

    def _on_first_block(self) -> None:
        """Starts the baselines and writes the graph, which would otherwise delay the first step."""
        components = self.components
        components.baselines.start()
        self.recorder.run_info.graph(
            lambda: builder.graph(components.config, components.data, components.state, components.plan)
        )

    def append_history(self, step: int, *events: str) -> None:
        """Appends lines to the history of the run, and shows it in TensorBoard, which keeps one text for each step."""
        with contextlib.suppress(OSError):
            for event in events:
                self.components.directory.append_history(step, event)
            self.recorder.run_info.history(step, self.components.directory.read_history())

    def update_mirror(self) -> None:
        """Updates the mirror, if any."""
        if self.mirror:
            self.recorder.flush()
            self.mirror.update()

    def _make_recorder(self) -> Recorder:
        components, restored = self.components, self._restored
        directory = components.directory
        return Recorder(
            Folders(directory.train, directory.eval, directory.baseline_curves),
            components.data,
            components.evaluator,
            components.baselines,
            plan=components.plan,
            final_train_rows=components.final_train_rows,
            next_step=restored.step + 1 if restored else 0,
            metrics=self._recovery.last_metrics(restored) if restored else {},
            evaluated=restored.evaluated if restored else None,
        )

    def _write_description(self) -> None:
        """Writes the HParams row, the text pages, and other information about the run to TensorBoard."""
        components = self.components
        config, provenance, run = components.config, components.provenance, components.directory.path
        facts = (config, components.data, provenance, components.evaluator.weights(), self._header)
        self.recorder.run_info.begin(
            f"{run.name} {provenance.run_id[:4]}",
            configs.table_columns(),
            configs.table_row(config, components.plan.total_steps),
            lambda: description.text_pages(*facts, run=run, arguments=self._arguments),
        )
        self.recorder.write_run_info()
