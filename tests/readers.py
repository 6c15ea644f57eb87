"""Reads a log folder with the three readers of TensorBoard. All points are read, in the stored order.

Readers return {plugin: {run: {tag: [(step, value), ...]}}}. The value of a scalar is a float, that of an image a tuple
of the bytes of its PNG files, and all others are the bytes of an array. A reader loads the folder when it is opened,
and new points at `reload`.
"""

import argparse
import os
import pathlib
import subprocess

import numpy as np

PLUGINS = ("scalars", "images", "histograms", "text", "custom_scalars")
EVERYTHING = ",".join(f"{plugin}=100000" for plugin in PLUGINS)  # By default, TensorBoard keeps 10 images of a tag.


def value_of(plugin: str, array: np.ndarray):
    if plugin == "scalars":
        return array.item()
    if plugin == "images":
        return tuple(array[2:].tolist())  # The first two elements are width and height.
    return array.tobytes() if array.dtype != object else b"\0".join(array.ravel().tolist())


class DataServer:
    """TensorBoard's default reader: a program in Rust, which reads new points every second."""

    def __init__(self, folder: pathlib.Path) -> None:
        from tensorboard.data import server_ingester
        from tensorboard.util import grpc_util

        arguments = ["--logdir", folder, "--reload=1", "--port=0", "--die-after-stdin", "--verbose"]
        self._process = subprocess.Popen(
            [server_ingester.get_server_binary().path, *arguments, "--samples-per-plugin", EVERYTHING],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        address = self._wait_for("listening on ").split()[-1]
        self._wait_for("Finished load cycle")
        local = grpc_util.ChannelCredsType.LOCAL
        self._data = server_ingester.ExistingServerDataIngester(address, channel_creds_type=local).data_provider

    def _wait_for(self, text: str) -> str:
        """Waits until the server logs a line with this text, and returns the line."""
        for line in self._process.stderr:
            if text in line.decode():
                return line.decode()
        raise AssertionError(f"the data server ended before it logged: {text}")

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self._process.kill()
        self._process.communicate()

    def reload(self) -> None:
        # Skip lines of earlier load cycles: only a cycle that starts now reads all points.
        os.set_blocking(self._process.stderr.fileno(), False)
        while self._process.stderr.read():
            pass
        os.set_blocking(self._process.stderr.fileno(), True)
        self._wait_for("Starting load cycle")
        self._wait_for("Finished load cycle")

    def read(self) -> dict:
        return {plugin: self._read(plugin) for plugin in PLUGINS}

    def _read(self, plugin: str) -> dict:
        query = {"ctx": None, "experiment_id": "", "plugin_name": plugin, "downsample": 1_000_000}
        if plugin == "scalars":
            runs, value = self._data.read_scalars(**query), lambda point: point.value
        elif plugin == "images":
            runs, value = self._data.read_blob_sequences(**query), self._read_images
        else:
            runs, value = self._data.read_tensors(**query), lambda point: value_of(plugin, point.numpy)
        return {
            run: {tag: [(point.step, value(point)) for point in points] for tag, points in tags.items()}
            for run, tags in runs.items()
        }

    def _read_images(self, point) -> tuple[bytes, ...]:
        return tuple(self._data.read_blob(None, reference.blob_key) for reference in point.values[2:])


class InProcess:
    """A reader that needs no process."""

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass


class LocalReader(InProcess):
    """The reader of `tensorboard --load_fast=false`.

    TensorBoard uses it through `MultiplexerDataProvider`, which hides a second image of the same step. Tests must
    see the second image, so this class uses the multiplexer itself.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        from tensorboard.backend.event_processing import data_ingester
        from tensorboard.plugins.core import core_plugin

        parser = argparse.ArgumentParser()
        core_plugin.CorePluginLoader().define_flags(parser)
        flags = parser.parse_args([f"--logdir={folder}", "--load_fast=false", f"--samples_per_plugin={EVERYTHING}"])
        self._folder = str(folder)
        self._data = data_ingester.LocalDataIngester(flags).deprecated_multiplexer
        self.reload()

    def reload(self) -> None:
        self._data.AddRunsFromDirectory(self._folder, None)
        self._data.Reload()

    def read(self) -> dict:
        series = [
            (metadata.plugin_data.plugin_name, run, tag, self._data.Tensors(run, tag))
            for run, tags in self._data.AllSummaryMetadata().items()
            for tag, metadata in tags.items()
        ]
        return by_plugin(series)


class Accumulators(InProcess):
    """An `EventAccumulator` for every folder with event files, as scripts and notebooks use it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder, self._data = folder, {}
        self.reload()

    def reload(self) -> None:
        from tensorboard.backend.event_processing import event_accumulator

        for folder in {path.parent for path in self._folder.rglob("*tfevents*")}:
            run = str(folder.relative_to(self._folder))
            if run not in self._data:
                everything = event_accumulator.STORE_EVERYTHING_SIZE_GUIDANCE
                self._data[run] = event_accumulator.EventAccumulator(str(folder), everything)
            self._data[run].Reload()

    def read(self) -> dict:
        series = [
            (accumulator.SummaryMetadata(tag).plugin_data.plugin_name, run, tag, accumulator.Tensors(tag))
            for run, accumulator in self._data.items()
            for tag in accumulator.Tags()["tensors"]
        ]
        return by_plugin(series)


def by_plugin(series) -> dict:
    import tensorflow as tf

    plugins: dict = {plugin: {} for plugin in PLUGINS}
    for plugin, run, tag, points in series:
        if plugin in PLUGINS:
            values = [(point.step, value_of(plugin, tf.make_ndarray(point.tensor_proto))) for point in points]
            plugins[plugin].setdefault(run, {})[tag] = values
    return plugins


READERS = (DataServer, LocalReader, Accumulators)


def read(reader, folder: pathlib.Path) -> dict:
    """Opens a reader and reads all points."""
    with reader(folder) as opened:
        return opened.read()


def scalars(folder: pathlib.Path) -> dict[str, dict[int, float]]:
    """Returns {tag: {step: value}} of one TensorBoard run, as EventAccumulator reads it; fails on repeated steps."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    values: dict[str, dict[int, float]] = {}
    for tag in accumulator.Tags()["tensors"]:
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name != "scalars":
            continue
        points = accumulator.Tensors(tag)
        values[tag] = {point.step: float(tf.make_ndarray(point.tensor_proto)) for point in points}
        assert len(values[tag]) == len(points), f"{tag} has a step twice"
    return values


def read_images(folder: pathlib.Path, tag: str):
    """Returns {step: [H, W, C] uint8} of a tag of one TensorBoard run."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    points = accumulator.Tensors(tag)
    return {point.step: tf.io.decode_png(tf.make_ndarray(point.tensor_proto)[2]).numpy() for point in points}
