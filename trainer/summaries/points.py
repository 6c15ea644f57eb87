"""Reads all scalars of a TensorBoard run from its event files. No TensorFlow, whose import takes seconds."""

import pathlib
import struct
from typing import NamedTuple

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from trainer.summaries import records

SCALARS = "scalars"  # TensorBoard's name of the plugin
# Plugins whose records are large. They hold no scalars, so their checksums are not verified.
LARGE = ("images", "histograms")
TRIES = 3  # A run that is resumed may rename or delete a file before it is opened.


class Point(NamedTuple):
    """One point of a scalar; its time is in seconds since 1970."""

    step: int
    wall_time: float
    value: float


class Points(NamedTuple):
    """The points of a TensorBoard run by tag, in the order of their steps, and the event files that are damaged."""

    by_tag: dict[str, list[Point]]
    damaged: list[pathlib.Path]


def has_event_files(folder: pathlib.Path) -> bool:
    """Returns True if a folder is a TensorBoard run."""
    return any(folder.glob(records.PATTERN))


def read(folder: pathlib.Path) -> Points:
    """Reads the points that TensorBoard shows of a run. What follows damage in a file is left out."""
    for _ in range(TRIES - 1):
        try:
            return _read(folder)
        except FileNotFoundError:
            continue
    return _read(folder)


def _read(folder: pathlib.Path) -> Points:
    by_tag: dict[str, list[Point]] = {}
    described: set[str] = set()  # tags of scalars; the plugin of a tag is only in its first point
    damaged = []
    for path in sorted(folder.glob(records.PATTERN), key=lambda path: path.name):
        try:
            for record in records.read(path):
                event = Event.FromString(record.content)
                if not _is_large(event):
                    record.verify()
                _add(event, by_tag, described)
        except (records.DamagedError, DecodeError):
            damaged.append(path)
    return Points(by_tag, damaged)


def _is_large(event: Event) -> bool:
    plugins = {value.metadata.plugin_data.plugin_name for value in event.summary.value}
    return event.WhichOneof("what") == "graph_def" or (bool(plugins) and plugins.issubset(LARGE))


def _add(event: Event, by_tag: dict[str, list[Point]], described: set[str]) -> None:
    for value in event.summary.value:
        if value.HasField("simple_value") or value.metadata.plugin_data.plugin_name == SCALARS:
            described.add(value.tag)
        if value.tag in described:
            points = by_tag.setdefault(value.tag, [])
            # Like TensorBoard: a step that comes again replaces itself and all later ones.
            while points and points[-1].step >= event.step:
                points.pop()
            points.append(Point(event.step, event.wall_time, _number(value)))


def _number(value: Summary.Value) -> float:
    """Returns a scalar in each of the forms in which float32 scalars are stored."""
    if value.HasField("simple_value"):
        return value.simple_value
    numbers = value.tensor.float_val or struct.unpack("<f", value.tensor.tensor_content)
    return numbers[0]
