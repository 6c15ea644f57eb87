"""Event files as files: mended when a run goes on, written record by record. What is in them is `writer`'s."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import time
from collections.abc import Callable, Sequence

import tensorflow as tf

from trainer.system import files
from trainer.system.logs import log

FRAME_BYTES = 16  # around each record: its length, and two checksums
PATTERN = "events.out.tfevents.*"

# (step, value) -> True if the value is kept.
Filter = Callable[[int, tf.compat.v1.Summary.Value], bool]


def continue_at(folder: pathlib.Path, next_step: int, keep: Filter) -> set[str]:
    """Makes the folder's event files end before `next_step`, and says so to readers that have them open.

    TensorBoard's two readers treat what a killed run wrote ahead of its checkpoint differently, and
    `EventAccumulator` never removes it, so the records themselves are removed. `SessionLog.START` tells the same to
    a TensorBoard that has read them already.

    Args:
      folder: of one TensorBoard run.
      next_step: the first to come.
      keep: called with the step and each value; a value is removed if `keep` returns False.

    Returns:
      The tags of the values that are left, and `graph_def` where a graph is.
    """
    left: set[str] = set()
    found = sorted((path for path in folder.glob(PATTERN) if path.is_file()), key=lambda path: path.name)
    existing = [path for path in found if _mend(path, next_step, keep, left)]
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
    name = f"events.out.tfevents.{now:010}.{socket.gethostname()}.{os.getpid()}.0.start"
    write(files.unused_path(folder / name), [start.SerializeToString()])
    return left


def write(path: pathlib.Path, records: Sequence[bytes]) -> None:
    """Writes an event file: the record that every one begins with, then these, durably but for its name."""
    version = tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2")
    _write_records(path, [version.SerializeToString(), *records])


def _time_in(name: str) -> int:
    match = re.match(r"events\.out\.tfevents\.(\d+)\.", name)
    return int(match[1]) if match else 0


def _mend(path: pathlib.Path, next_step: int, keep: Filter, left: set[str]) -> bool:
    """Rewrites one event file without the records of `next_step` and later, what does not stay, and a torn end.

    Returns:
      Whether there still is one: a file of which nothing is left is removed. What is, is added to `left`.
    """
    kept, size, events = [], 0, 0
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
            event = _filtered(record, next_step, keep)
            if event is not None:
                kept.append(event.SerializeToString())
                size += len(kept[-1]) + FRAME_BYTES
                events += event.WhichOneof("what") != "file_version"
                left.update([*(value.tag for value in event.summary.value), event.WhichOneof("what") or ""])
    if not events:
        path.unlink()
        files.fsync(path.parent)
    elif size != path.stat().st_size:
        temporary = path.with_name(".mending.tmp")  # Readers take what has "tfevents" in its name.
        _write_records(temporary, kept)
        os.replace(temporary, path)
        files.fsync(path.parent)
    return events > 0


def _filtered(record: bytes, next_step: int, keep: Filter) -> tf.compat.v1.Event | None:
    """What is left of a record; None: nothing."""
    event = tf.compat.v1.Event.FromString(record)
    if event.WhichOneof("what") == "file_version":
        return event
    if event.step >= next_step:
        return None
    values = list(event.summary.value)
    left = [value for value in values if keep(event.step, value)]
    if values and not left:
        return None
    if len(left) < len(values):
        event.summary.CopyFrom(tf.compat.v1.Summary(value=left))
    return event


def _keep_damaged(path: pathlib.Path) -> None:
    """A copy under a name that TensorBoard does not read: what comes after the damage may matter to somebody."""
    aside = files.unused_path(path.with_name("damaged." + path.name.replace("tfevents", "events")))
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
