"""TensorBoard's HParams tab: a run is one row, with its flags and its final and best errors.

The columns are fixed, since TensorBoard takes them from the first run that it finds: all other options that are not
at their defaults go into `other_flags`, so that runs of different versions compare.
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

# It sorts before the event files: the reader that takes one file after the other does not stay with it.
FILE = "about.tfevents.hparams"
OTHER = "other_flags"
TYPES = {str: api_pb2.DATA_TYPE_STRING, float: api_pb2.DATA_TYPE_FLOAT64}
# (tag, title): the last point of each, of the TensorBoard run that the row belongs to.
METRICS = (
    ("reconstruction/rmse", "final rmse"),
    ("best/rmse", "best rmse"),
    ("best/step", "best step"),
    ("reconstruction/psnr", "final psnr"),
    ("reconstruction/ssim", "final ssim"),
    ("loss", "final loss"),
)


def start(folder: pathlib.Path, name: str, columns: Mapping[str, type], options: Mapping[str, str | float]) -> None:
    """Writes the run's row, its status being: running.

    Args:
      folder: of the TensorBoard run that has the metrics: elsewhere, they are found only from one place of `--logdir`.
      name: of the run, and no other's: TensorBoard makes one row of all that have the same.
      columns: the options with a column of their own, with their types: str or float.
      options: by name; those without a column become one text.
    """
    values = {name: options.get(name, "") for name in columns}
    values[OTHER] = " ".join(f"--{name}={value}" for name, value in options.items() if name not in columns)
    types = {**columns, OTHER: str}
    infos = [api_pb2.HParamInfo(name=name, type=TYPES[kind]) for name, kind in types.items()]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=title) for tag, title in METRICS]
    summaries = (hparams.experiment_pb(infos, metrics), hparams.session_start_pb(values, group_name=name))
    # One file, written anew: of several sessions TensorBoard takes the first.
    temporary = folder / ".about.tmp"  # Readers take what has "tfevents" in its name.
    event_files.write(temporary, [_event(summary) for summary in summaries])
    os.replace(temporary, folder / FILE)


def end(folder: pathlib.Path, *, succeeded: bool) -> None:
    """Adds that it is finished, or has failed: for good, so nothing is added when a run is only stopped."""
    status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
    with open(folder / FILE, "ab") as file:  # Not anew: a TensorBoard that is open has this very file.
        RecordWriter(file).write(_event(hparams.session_end_pb(status)))
        file.flush()
        os.fsync(file.fileno())


def _event(summary: tf.compat.v1.Summary) -> bytes:
    return tf.compat.v1.Event(wall_time=time.time(), step=0, summary=summary).SerializeToString()
