"""TensorBoard's HParams tab: each run is one row, with its flags and its final and best errors.

The columns are fixed, because TensorBoard uses the columns of the first run that it reads.
"""

import os
import pathlib
import time
from collections.abc import Mapping

import tensorflow as tf
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams
from tensorboard.summary.writer.record_writer import RecordWriter

from trainer.summaries import event_files

# The name sorts before those of the event files: a reader that reads one file after the other waits at the last one.
FILE = "about.tfevents.hparams"
TYPES = {str: api_pb2.DATA_TYPE_STRING, float: api_pb2.DATA_TYPE_FLOAT64, bool: api_pb2.DATA_TYPE_BOOL}
# (tag, title): TensorBoard shows the last point of each tag in the TensorBoard run that the row belongs to.
METRICS = (
    ("reconstruction/rmse", "final rmse"),
    ("best/rmse", "best rmse"),
    ("best/step", "best step"),
    ("reconstruction/psnr", "final psnr"),
    ("reconstruction/ssim", "final ssim"),
    ("loss", "final loss"),
)


def start(folder: pathlib.Path, name: str, columns: Mapping[str, type], row: Mapping[str, str | float]) -> None:
    """Writes the row of a run, with the status "running".

    Args:
      folder: the TensorBoard run that has the metrics. In another folder, only one value of `--logdir` would work.
      name: unique name of the run; TensorBoard merges runs with equal names into one row.
      columns: types by name: str, float or bool.
      row: the value of each column.
    """
    infos = [api_pb2.HParamInfo(name=name, type=TYPES[kind]) for name, kind in columns.items()]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=title) for tag, title in METRICS]
    summaries = (hparams.experiment_pb(infos, metrics), hparams.session_start_pb(row, group_name=name))
    # Replaces the file, because TensorBoard uses the first of several sessions.
    temporary = folder / ".about.tmp"  # TensorBoard reads every file with "tfevents" in its name.
    event_files.write(temporary, [_event(summary) for summary in summaries])
    os.replace(temporary, folder / FILE)


def end(folder: pathlib.Path, *, succeeded: bool) -> None:
    """Appends the final status, success or failure. Not to be called for a stopped run, which can be resumed."""
    status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
    with open(folder / FILE, "ab") as file:  # Appends, because a running TensorBoard has this file open.
        RecordWriter(file).write(_event(hparams.session_end_pb(status)))
        file.flush()
        os.fsync(file.fileno())


def _event(summary: tf.compat.v1.Summary) -> bytes:
    return tf.compat.v1.Event(wall_time=time.time(), step=0, summary=summary).SerializeToString()
