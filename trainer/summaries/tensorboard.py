"""The one module that speaks TensorBoard: it writes event files, and mends them when a run goes on."""

import contextlib
import logging
import os
import pathlib
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

from trainer import files
from trainer.errors import said

log = logging.getLogger("hourglass")

FLUSH_MILLISECONDS = 10_000
FRAME_BYTES = 16  # around each record: its length, and two checksums
EVENT_FILES = "events.out.tfevents.*"

DESCRIPTIONS = {
    "loss": "Training loss: the mean over the steps since the last point.",
    "learning_rate": "Learning rate of the step.",
    "gradient_norm": "Euclidean norm of all gradients of the step together.",
    "perf/steps_per_second": "Training steps a second; evaluation, pictures and checkpoints are not counted.",
    "reconstruction/mse": "Squared error, mean over pixels; pictures lie in [0, 1], tables are in their own units.",
    "reconstruction/rmse": "Root of the mean squared error over pixels.",
    "reconstruction/sse": "Squared error summed over pixels, mean over examples.",
    "reconstruction/psnr": "Peak signal-to-noise ratio in dB, the peak being 1; more is better.",
    "history": "Starts, stops, and whatever went otherwise than planned: damaged checkpoints, divergences.",
    "reconstruction": "Originals, reconstructions, and their absolute difference times 2, always of the same examples.",
}


class Writer:
    """Writes one TensorBoard run: scalars, pictures and text under one folder.

    Training never ends for want of a curve: what the disk does not take is dropped, which is told once, and writing
    goes on as soon as it can, at the next `flush`.

    Args:
      folder: where the event files are.
      next_step: what was written for this step and later, by a run that was killed, is removed; the first step to come.

    Attributes:
      has_dropped: whether anything was.
    """

    def __init__(self, folder: pathlib.Path, next_step: int) -> None:
        self.has_dropped = False
        self._folder, self._next_step = folder, next_step
        self._writer: tf.summary.SummaryWriter | None = None
        self._failed = False
        self._templates: dict[tuple[str, ...], Summary] = {}
        with self._dropping():
            self._writer = self._open()

    def _open(self) -> tf.summary.SummaryWriter:
        files.make_folder(self._folder)
        continue_at(self._folder, self._next_step)
        self._older = {path.name for path in self._folder.glob(EVENT_FILES)}
        return tf.summary.create_file_writer(str(self._folder), flush_millis=FLUSH_MILLISECONDS)

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        """What fails within for the disk's sake is dropped, and the file, whose end may be torn, written no more."""
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            writer, self._writer = self._writer, None
            if not self._failed:
                reason = said(error).split("; ")[-1]
                log.warning(f"TensorBoard's files in {self._folder} cannot be written ({reason}): training goes on")
            self._failed = self.has_dropped = True
            if writer is not None:
                with contextlib.suppress(tf.errors.OpError):
                    writer.close()

    def _write(self, step: int, write: Callable[[], object]) -> None:
        self._next_step = max(self._next_step, step + 1)
        if self._writer is not None:
            with self._dropping(), self._writer.as_default(step):
                write()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers of one step, all in one record.

        Four tags take 0.3 ms so, and 0.5 ms as a traced function of `tf.summary.scalar`, which must be traced first.
        """
        tags = tuple(values)
        if tags not in self._templates:
            self._templates[tags] = _template(tags)
        summary = self._templates[tags]
        for entry, value in zip(summary.value, values.values(), strict=True):
            entry.tensor.float_val[:] = [value]
        self._write(step, lambda: tf.summary.experimental.write_raw_pb(summary.SerializeToString()))

    def picture(self, step: int, tag: str, picture: np.ndarray) -> None:
        """Writes a picture, [H, W, C] uint8."""
        self._write(step, lambda: tf.summary.image(tag, picture[np.newaxis], description=DESCRIPTIONS[tag]))

    def text(self, step: int, tag: str, markdown: str) -> None:
        """Writes a text in Markdown."""
        self._write(step, lambda: tf.summary.text(tag, markdown, description=DESCRIPTIONS[tag]))

    def flush(self) -> None:
        """What was written is on the disk when this returns, unless it was dropped; writes anew where it can again."""
        with self._dropping():
            if self._writer is None:
                self._writer = self._open()
                log.warning(f"TensorBoard's files in {self._folder} are written again")
                self._failed = False
            self._writer.flush()
            for path in self._folder.glob(EVENT_FILES):
                if path.name not in self._older:
                    files.fsync(path)
            files.fsync(self._folder)

    def close(self) -> None:
        """Flushes and closes the file."""
        with self._dropping():
            if self._writer is not None:
                self._writer.close()


def _template(tags: Sequence[str]) -> Summary:
    """What `tf.summary.scalar` writes for these tags, the values yet to be put in."""
    summary = Summary()
    for tag in tags:
        summary.MergeFrom(scalar_pb(tag, 0.0, description=DESCRIPTIONS[tag]))
    return summary


def continue_at(folder: pathlib.Path, next_step: int) -> None:
    """Makes the folder's event files end before `next_step`, and says so to readers that have them open.

    TensorBoard's two readers treat what a killed run wrote ahead of its checkpoint differently, and
    `EventAccumulator` never removes it, so the records themselves are removed. `SessionLog.START` tells the same to
    a TensorBoard that has read them already.
    """
    existing = sorted((path for path in folder.glob(EVENT_FILES) if path.is_file()), key=lambda path: path.name)
    for path in existing:
        _drop_from(path, next_step)
    now = int(time.time())
    # Readers take the files in the order of their names, which begin with the time: a clock may have been set back.
    if existing and _time_in(existing[-1].name) >= now:
        for position, path in enumerate(existing):
            rest = path.name.split(".", 4)[4]
            path.rename(path.with_name(f"events.out.tfevents.{now - len(existing) + position:010}.{rest}"))
    start = tf.compat.v1.Event(
        wall_time=time.time(),
        step=next_step,
        session_log=tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START),
    )
    version = tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2")
    name = f"events.out.tfevents.{now:010}.{socket.gethostname()}.{os.getpid()}.0.start"
    _write_records(files.unused(folder / name), [version.SerializeToString(), start.SerializeToString()])


def _time_in(name: str) -> int:
    match = re.match(r"events\.out\.tfevents\.(\d+)\.", name)
    return int(match[1]) if match else 0


def _drop_from(path: pathlib.Path, next_step: int) -> None:
    """Rewrites one event file without the records of `next_step` and later, and without a torn end."""
    kept, size = [], 0
    # A data set of the same records takes 30 ms to build, this nothing; a run that was often stopped has many files.
    records = tf.compat.v1.io.tf_record_iterator(str(path))
    with contextlib.suppress(StopIteration):
        while True:
            try:
                record = next(records)
            except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
                if "truncated" not in str(error):  # Else the kill came while it was written: what is left is no record.
                    _keep_damaged(path)
                break
            event = tf.compat.v1.Event.FromString(record)
            if event.WhichOneof("what") == "file_version" or event.step < next_step:
                kept.append(record)
                size += len(record) + FRAME_BYTES
    if size != path.stat().st_size:
        temporary = path.with_name(f".{path.name}.tmp")
        _write_records(temporary, kept)
        os.replace(temporary, path)
        files.fsync(path.parent)


def _keep_damaged(path: pathlib.Path) -> None:
    """A copy under a name that TensorBoard does not read: what comes after the damage may matter to somebody."""
    aside = files.unused(path.with_name("damaged." + path.name.replace("tfevents", "events")))
    shutil.copy2(path, aside)
    log.warning(f"{path} is damaged: what comes after that is lost to TensorBoard; kept as {aside.name}")


def _write_records(path: pathlib.Path, records: Sequence[bytes]) -> None:
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        files.fsync(path)
    except (tf.errors.OpError, OSError):
        path.unlink(missing_ok=True)  # On a full disk every byte counts.
        raise
