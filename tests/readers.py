"""A log folder as TensorBoard's three readers see it: every point in the order it is kept in, none taken out.

What a reader gives is {plugin: {run: {tag: [(step, value), ...]}}}. A scalar's value is a float, a picture's are the
bytes of its PNGs, and that of everything else is its array's bytes. Readers load when they are opened, and what was
written since then at `reload`.
"""

import argparse
import os
import pathlib
import subprocess

import numpy as np

PLUGINS = ("scalars", "images", "histograms", "text", "custom_scalars")
EVERYTHING = ",".join(f"{plugin}=100000" for plugin in PLUGINS)  # TensorBoard keeps 10 pictures of a tag unless told.


def value_of(plugin: str, array: np.ndarray):
    if plugin == "scalars":
        return array.item()
    if plugin == "images":
        return tuple(array[2:].tolist())  # The first two are its width and height.
    return array.tobytes() if array.dtype != object else b"\0".join(array.ravel().tolist())


class DataServer:
    """The reader of TensorBoard unless told otherwise: a program in Rust, which looks again every second."""

    def __init__(self, folder: pathlib.Path) -> None:
        from tensorboard.data import server_ingester
        from tensorboard.util import grpc_util

        arguments = ["--logdir", folder, "--reload=1", "--port=0", "--die-after-stdin", "--verbose"]
        self._process = subprocess.Popen(
            [server_ingester.get_server_binary().path, *arguments, "--samples-per-plugin", EVERYTHING],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        address = self._translate_errors("listening on ").split()[-1]
        self._translate_errors("Finished load cycle")
        local = grpc_util.ChannelCredsType.LOCAL
        self._data = server_ingester.ExistingServerDataIngester(address, channel_creds_type=local).data_provider

    def _translate_errors(self, words: str) -> str:
        """Waits until the server has told this."""
        for line in self._process.stderr:
            if words in line.decode():
                return line.decode()
        raise AssertionError(f"the data server ended before it said: {words}")

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self._process.kill()
        self._process.communicate()

    def reload(self) -> None:
        # What it has told by now is of an earlier look; only a whole one after this counts.
        os.set_blocking(self._process.stderr.fileno(), False)
        while self._process.stderr.read():
            pass
        os.set_blocking(self._process.stderr.fileno(), True)
        self._translate_errors("Starting load cycle")
        self._translate_errors("Finished load cycle")

    def read(self) -> dict:
        return {plugin: self._read(plugin) for plugin in PLUGINS}

    def _read(self, plugin: str) -> dict:
        asked = {"ctx": None, "experiment_id": "", "plugin_name": plugin, "downsample": 1_000_000}
        if plugin == "scalars":
            found, value = self._data.read_scalars(**asked), lambda point: point.value
        elif plugin == "images":
            found, value = self._data.read_blob_sequences(**asked), self._pictures
        else:
            found, value = self._data.read_tensors(**asked), lambda point: value_of(plugin, point.numpy)
        return {
            run: {tag: [(point.step, value(point)) for point in points] for tag, points in tags.items()}
            for run, tags in found.items()
        }

    def _pictures(self, point) -> tuple[bytes, ...]:
        return tuple(self._data.read_blob(None, reference.blob_key) for reference in point.values[2:])


class InProcess:
    """A reader that has nothing to end."""

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass


class LocalReader(InProcess):
    """The reader of `tensorboard --load_fast=false`.

    TensorBoard asks it through a `MultiplexerDataProvider`, which leaves out pictures of a step that it has already:
    here they would be missed, so what lies behind that is asked.
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
    """An `EventAccumulator` for every folder with event files: what scripts and notebooks read with."""

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

    found: dict = {plugin: {} for plugin in PLUGINS}
    for plugin, run, tag, points in series:
        if plugin in PLUGINS:
            values = [(point.step, value_of(plugin, tf.make_ndarray(point.tensor_proto))) for point in points]
            found[plugin].setdefault(run, {})[tag] = values
    return found


READERS = (DataServer, LocalReader, Accumulators)


def read(reader, folder: pathlib.Path) -> dict:
    """What a reader that was opened just now sees."""
    with reader(folder) as opened:
        return opened.read()


def scalars(folder: pathlib.Path) -> dict[str, dict[int, float]]:
    """{tag: {step: value}} of one TensorBoard run, as EventAccumulator reads it; a step twice is a failure."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    found: dict[str, dict[int, float]] = {}
    for tag in accumulator.Tags()["tensors"]:
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name != "scalars":
            continue
        points = accumulator.Tensors(tag)
        found[tag] = {point.step: float(tf.make_ndarray(point.tensor_proto)) for point in points}
        assert len(found[tag]) == len(points), f"{tag} has a step twice"
    return found


def pictures(folder: pathlib.Path, tag: str):
    """{step: [H, W, C] uint8} of one TensorBoard run."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    found = {}
    for point in accumulator.Tensors(tag):
        found[point.step] = tf.io.decode_png(tf.make_ndarray(point.tensor_proto)[2]).numpy()
    return found
