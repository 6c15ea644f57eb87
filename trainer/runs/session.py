"""One stretch of a run's training: from where it goes on to its end, a signal, or a divergence."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

import trainer
from trainer import config as configs
from trainer.checkpoints import catalog
from trainer.checkpoints.manager import CheckpointManager
from trainer.checkpoints.manifest import Manifest
from trainer.errors import DivergedError
from trainer.runs import builder, description
from trainer.runs.builder import Objects
from trainer.runs.mirror import Mirror
from trainer.runs.recovery import Recovery
from trainer.serving.server import command
from trainer.summaries.profiler import Profiler
from trainer.summaries.recorder import Folders, Recorder
from trainer.system import progress
from trainer.system.logs import log
from trainer.system.signals import Stop
from trainer.training import loop, pipeline, steps


@contextlib.contextmanager
def open_session(
    objects: Objects, store: CheckpointManager, mirror: Mirror | None, arguments: Sequence[str]
) -> Iterator["Session"]:
    """Restores a run, writes its flags, says what it is, and opens its event files; closes them in the end.

    To be called under the run's lock.

    Args:
      objects: of the run.
      store: its checkpoints.
      mirror: its copy; None: there is none.
      arguments: of the command line, to be shown.
    """
    recovery = Recovery(objects, store)
    restored = recovery.restore()
    block = steps.compile_in_background(objects.block, objects.block_of_data, objects.device.name)
    with contextlib.ExitStack() as stack:
        stack.callback(block.wait)
        objects.directory.write_flags(objects.config)  # Now that they are known to be this run's.
        words = _words(objects, restored, recovery.begun_with)
        log.info(f"Hourglass {trainer.__version__}")
        for name, text in words.items():
            log.info(f"{name:12}{text}")
        session = Session(
            objects,
            store,
            mirror,
            block=block,
            recovery=recovery,
            restored=restored,
            words=words,
            arguments=arguments,
        )
        stack.callback(session.close)
        session.begin()
        yield session


def _words(objects: Objects, restored: Manifest | None, begun_with: str) -> dict[str, str]:
    """What a run is, by name."""
    words = {
        **description.description(objects.config, objects.data, objects.device, objects.plan, objects.model),
        "run": f"{objects.directory.path}",
        "look": command(objects.directory.root),
    }
    if restored:
        words["resumed"] = f"at step {restored.step:,}; {objects.provenance.reproducibility_statement(restored)}"
    elif begun_with:
        words["weights"] = f"of {begun_with}"
    return words


class Session:
    """Trains a run from its newest checkpoint, or from the start: what the loop asks of it. See `open_session`.

    Args:
      objects: of the run.
      store: its checkpoints.
      mirror: its copy; None: there is none.
      block: trains some steps.
      recovery: has restored the run.
      restored: the manifest of the checkpoint that it goes on from; None: it begins.
      words: what the run is, by name.

    Attributes:
      objects, store, mirror: as given.
      recorder: writes for TensorBoard.
    """

    def __init__(
        self,
        objects: Objects,
        store: CheckpointManager,
        mirror: Mirror | None,
        *,
        block: steps.BackgroundCompilation,
        recovery: Recovery,
        restored: Manifest | None,
        words: Mapping[str, str],
        arguments: Sequence[str],
    ) -> None:
        self.objects, self.store, self.mirror, self._arguments = objects, store, mirror, arguments
        self._block, self._recovery, self._restored, self._words = block, recovery, restored, words
        self._profiler = Profiler(objects.directory.train, objects.plan.traced)
        self._clock = progress.Clock(restored.seconds if restored else 0.0)
        self.recorder = self._make_recorder()

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""
        return self._clock.seconds

    def begin(self) -> None:
        """Tells TensorBoard, the history and the copy that the run begins, or goes on."""
        self._describe()
        begun_with = self._recovery.begun_with
        if self._restored:
            self.append_history(
                self._restored.step, f"resumed; {self.objects.provenance.reproducibility_statement(self._restored)}"
            )
        else:
            self.append_history(0, f"started with the weights of {begun_with}" if begun_with else "started")
        if self.mirror:
            self.mirror.claim()

    def close(self) -> None:
        """Closes the event files."""
        self.recorder.close()

    def train(self, stop: Stop) -> int:
        """Trains; after a divergence, from the last checkpoint with a lower learning rate, if that is wanted.

        Returns:
          The steps done.
        """
        while True:
            self._recovery.damp()
            try:
                return self._loop(stop)
            except DivergedError as error:
                self._roll_back(error)

    def _loop(self, stop: Stop) -> int:
        config, examples, restored = self.objects.config, self.objects.data.train.examples, self._restored
        device, plan = self.objects.device, self.objects.plan
        blocks = pipeline.blocks(
            examples,
            batch_size=config.training.batch_size,
            steps_per_block=plan.steps_per_block,
            seed=config.training.seed,
            start_step=restored.step if restored else 0,
            resident_on=device.name if device.holds(examples.nbytes) else None,
        )
        self._clock = progress.Clock(restored.seconds if restored else 0.0)
        actions = loop.Actions(
            on_first_block=self._on_first_block,
            log=self.recorder.log,
            evaluate=self.recorder.evaluate,
            write_images=self.recorder.write_images,
            profile=self._profiler.at,
            weights_are_finite=self.objects.state.weights_are_finite,
            save=self.save,
            describe_batch=self._batch,
        )
        with progress.Bar(plan.total_steps) as bar, contextlib.closing(self._profiler):
            step = loop.train(
                self._block,
                blocks,
                plan,
                actions,
                start_step=restored.step if restored else None,
                pending=loop.LossAccumulator(restored.pending if restored else ()),
                words=self.recorder.words(),
                clock=self._clock,
                bar=bar,
                stop=stop,
            )
        self._clock.stop()
        self._block.wait()  # Where no step was left to do: weights may be changed from here on.
        return step

    def _roll_back(self, error: DivergedError) -> None:
        """Goes back to a checkpoint, and cuts the event files back; or raises the error."""
        due = self._recovery.due()
        try:
            self._restored, words = self._recovery.roll_back(error)
        except DivergedError:
            self.append_history(due[0] if due else 0, f"diverged: {error.what}")
            self.recorder.about.end(succeeded=False)
            raise
        self.recorder.close()
        self.recorder = self._make_recorder()
        self._describe()
        self.append_history(self._restored.step, words)

    # What the loop asks for.

    def save(self, step: int, pending: loop.LossAccumulator) -> None:
        """Saves a checkpoint, and brings the copy up to date."""
        objects, recorder = self.objects, self.recorder
        # Before the commit: every step that a checkpoint claims is in the event files, or known to be missing.
        began = time.perf_counter()
        recorder.flush()
        if recorder.has_dropped:
            self._recovery.dropped_points()
        is_first = not catalog.committed(objects.directory.checkpoints)
        self.store.save(self._manifest(step, pending))
        seconds, saved = time.perf_counter() - began, catalog.newest(objects.directory.checkpoints)
        recorder.write_checkpoint_info(step, seconds, saved.bytes if saved else 0)
        if is_first and step:
            self.append_history(step, "first checkpoint")
        self.update_mirror()

    def _manifest(self, step: int, pending: loop.LossAccumulator) -> Manifest:
        provenance, run_evaluator = self.objects.provenance, self.recorder.run_evaluator
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
        )

    def _batch(self, step: int) -> str:
        """Which examples a step was trained on, in words."""
        options, count = self.objects.config.training, len(self.objects.data.train.examples)
        size = options.batch_size
        numbers = pipeline.batch(count, batch_size=size, seed=options.seed, step=step)
        shown = ", ".join(map(str, numbers[:5])) + (", ..." if size > 5 else "")
        return f"epoch {(step - 1) * size // count + 1:,}, examples {shown}"

    def _on_first_block(self) -> None:
        """What takes time, and is not needed for the first step."""
        objects = self.objects
        objects.baselines.start()
        self.recorder.about.graph(lambda: builder.graph(objects.config, objects.data, objects.state, objects.plan))

    # What is told.

    def append_history(self, step: int, what: str) -> None:
        """Adds a line to the run's history, and to TensorBoard's."""
        with contextlib.suppress(OSError):
            self.objects.directory.append_history(step, what)
            self.recorder.about.history(step, self.objects.directory.read_history())

    def update_mirror(self) -> None:
        """Brings the copy up to date, if there is one."""
        if self.mirror:
            self.recorder.flush()
            self.mirror.update()

    def _make_recorder(self) -> Recorder:
        objects, restored = self.objects, self._restored
        directory = objects.directory
        return Recorder(
            Folders(directory.train, directory.eval, directory.baseline_curves),
            objects.data,
            objects.evaluator,
            objects.baselines,
            total_steps=objects.plan.total_steps,
            batch_size=objects.config.training.batch_size,
            image_steps=objects.plan.pictures,
            final_train_rows=objects.final_train_rows,
            next_step=restored.step + 1 if restored else 0,
            metrics=self._recovery.metrics(restored) if restored else {},
            evaluated=restored.evaluated if restored else None,
        )

    def _describe(self) -> None:
        """What the run is, for TensorBoard."""
        objects = self.objects
        given = (objects.config, objects.data, objects.provenance, objects.evaluator.weights(), self._words)
        self.recorder.about.begin(
            f"{objects.directory.path.name} {objects.provenance.run_id[:4]}",
            configs.columns(),
            configs.row(objects.config, objects.plan.total_steps),
            lambda: description.text_pages(*given, run=objects.directory.path, arguments=self._arguments),
        )
        self.recorder.write_run_info()
