"""Reads, truncates and writes event files as sequences of records. `writer` creates their summaries."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import time
from collections.abc import Callable, Sequence

import tensorflow as tf

from trainer.summaries.records import PATTERN
from trainer.system import files
from trainer.system.logs import log

FRAME_BYTES = 16  # per record: its length and two checksums

# (step, value) -> True if the value is kept.
Filter = Callable[[int, tf.compat.v1.Summary.Value], bool]


def resume_at(folder: pathlib.Path, next_step: int, keep: Filter) -> set[str]:
    """Removes the records of `next_step` and later from a folder's event files, and writes `SessionLog.START`.

    A killed run may have written records after its last checkpoint. TensorBoard's two readers treat these differently,
    and `EventAccumulator` never drops them, so they are removed from the files. `SessionLog.START` tells a TensorBoard
    that has already read them to drop them.

    Args:
      folder: folder of one TensorBoard run.
      next_step: the first step that is written next.
      keep: called with the step and each value; a value is removed if `keep` returns False.

    Returns:
      The tags of the remaining values, and `graph_def` if there is a graph.
    """
    tags: set[str] = set()
    paths = sorted((path for path in folder.glob(PATTERN) if path.is_file()), key=lambda path: path.name)
    existing = [path for path in paths if _truncate(path, next_step, keep, tags)]
    now = int(time.time())
    # Readers sort files by name, and names begin with the time. If the clock was set back, rename the existing files.
    if existing and _timestamp(existing[-1].name) >= now:
        for index, path in enumerate(existing):
            suffix = path.name.split(".", 4)[4]
            path.rename(path.with_name(f"events.out.tfevents.{now - len(existing) + index:010}.{suffix}"))
    start = tf.compat.v1.Event(
        wall_time=time.time(),
        step=next_step,
        session_log=tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START),
    )
    name = f"events.out.tfevents.{now:010}.{socket.gethostname()}.{os.getpid()}.0.start"
    write(files.unused_path(folder / name), [start.SerializeToString()])
    return tags


def write(path: pathlib.Path, records: Sequence[bytes]) -> None:
    """Writes an event file: the version record, then `records`. Fsyncs the file, but not its folder."""
    version = tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2")
    _write_records(path, [version.SerializeToString(), *records])


def _timestamp(name: str) -> int:
    match = re.match(r"events\.out\.tfevents\.(\d+)\.", name)
    return int(match[1]) if match else 0


def _truncate(path: pathlib.Path, next_step: int, keep: Filter, tags: set[str]) -> bool:
    """Removes from an event file a torn last record, the steps from `next_step` on, and values not to keep.

    Adds the tags of the remaining values to `tags`. Returns True if events remain; otherwise deletes the file.
    """
    records, size, num_events = [], 0, 0
    # Building a `TFRecordDataset` takes 30 ms per file, and a run that was stopped often has many files.
    reader = tf.compat.v1.io.tf_record_iterator(str(path))
    with contextlib.suppress(StopIteration):
        while True:
            try:
                record = next(reader)
            except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
                if "truncated" not in str(error):  # A truncated last record is normal after a kill.
                    _keep_damaged(path)
                break
            event = _filtered(record, next_step, keep)
            if event is not None:
                records.append(event.SerializeToString())
                size += len(records[-1]) + FRAME_BYTES
                num_events += event.WhichOneof("what") != "file_version"
                tags.update([*(value.tag for value in event.summary.value), event.WhichOneof("what") or ""])
    if not num_events:
        path.unlink()
        files.fsync(path.parent)
    elif size != path.stat().st_size:
        temporary = path.with_name(".mending.tmp")  # TensorBoard reads every file with "tfevents" in its name.
        _write_records(temporary, records)
        os.replace(temporary, path)
        files.fsync(path.parent)
    return num_events > 0


def _filtered(record: bytes, next_step: int, keep: Filter) -> tf.compat.v1.Event | None:
    """Returns a record's event with the values to keep; None if the event is removed."""
    event = tf.compat.v1.Event.FromString(record)
    if event.WhichOneof("what") == "file_version":
        return event
    if event.step >= next_step:
        return None
    values = list(event.summary.value)
    remaining = [value for value in values if keep(event.step, value)]
    if values and not remaining:
        return None
    if len(remaining) < len(values):
        event.summary.CopyFrom(tf.compat.v1.Summary(value=remaining))
    return event


def _keep_damaged(path: pathlib.Path) -> None:
    """Copies a damaged file to a name that TensorBoard does not read: records after the damage may be recoverable."""
    copy = files.unused_path(path.with_name("damaged." + path.name.replace("tfevents", "events")))
    shutil.copy2(path, copy)
    log.warning(f"{path} is damaged: the records after the damage were removed; a copy is kept as {copy.name}")


def _write_records(path: pathlib.Path, records: Sequence[bytes]) -> None:
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        files.fsync(path)
    except (tf.errors.OpError, OSError):
        path.unlink(missing_ok=True)  # Frees space on a full disk.
        raise
