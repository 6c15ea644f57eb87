"""Writes scalars, histograms, images, texts, graphs and the chart layout to event files."""

import contextlib
import io
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.util.tensor_util import make_tensor_proto

from trainer.errors import error_text
from trainer.evaluation.statistics import NOISE_MULTIPLES
from trainer.summaries import event_files, tags
from trainer.summaries.guard import Guard
from trainer.summaries.histograms import histogram
from trainer.summaries.worker import Worker
from trainer.system import files
from trainer.system.logs import log

FLUSH_MILLISECONDS = 10_000

DENOISING, EVIDENCE = "Denoising", "Evidence"  # categories that only some runs have

# Layout of the Custom Scalars tab: {category: {chart: tags}}, and a margin chart (category, title, tags).
CHARTS = {
    "Training, evaluation and baselines": {
        "loss": ["loss"],
        "root mean squared error": ["reconstruction/rmse"],
        "peak signal-to-noise ratio": ["reconstruction/psnr"],
    },
    DENOISING: {
        "root mean squared error at several levels of noise": [
            "reconstruction/rmse",
            *(f"denoising/rmse_{times}x" for times in NOISE_MULTIPLES),
            "denoising/corrupted",
        ],
    },
    EVIDENCE: {"evidence lower bound and its terms": ["elbo/elbo", "elbo/reconstruction", "elbo/kl"]},
    "Speed": {
        "steps and examples per second": ["perf/steps_per_second", "perf/examples_per_second"],
        "share of time spent waiting for input": ["perf/input_wait"],
    },
}
MARGIN = ("Error of single examples", "10th, 50th and 90th percentile", ("error/p50", "error/p10", "error/p90"))


class Writer:
    """Writes one TensorBoard run, in a thread: training does not wait until an image is compressed.

    A failed write, such as on a full disk, does not stop training: it logs one warning, and points are dropped until
    the next `flush`, which tries to open a new event file.

    Args:
      folder: folder of the event files.
      next_step: the first step that is written next. Existing records of this step and later are removed.
      image_steps: steps of the image schedule. Existing images of other steps, written under an earlier schedule, are
        removed, so that there are never more images than TensorBoard keeps. None: all images are kept.

    Attributes:
      has_dropped: True if points were dropped; up to date after `flush`.
      existing_tags: tags in the existing event files, and `graph_def` if they have a graph.
    """

    def __init__(self, folder: pathlib.Path, next_step: int, image_steps: Collection[int] | None = None) -> None:
        self.has_dropped = False
        self.existing_tags: set[str] = set()
        self._folder, self._next_step, self._image_steps = folder, next_step, image_steps
        self._next_text: dict[str, int] = {}
        # State of the current event file: names of the older files, described tags, prepared scalars.
        self._older_files: set[str] = set()
        self._described: set[str] = set()
        self._templates: dict[tuple[str, ...], Summary] = {}
        self._writer: tf.summary.SummaryWriter | None = None
        self._failed = False
        self._worker = Worker(Guard())
        with self._dropping():
            self._writer = self._open()

    def _open(self) -> tf.summary.SummaryWriter:
        files.make_folder(self._folder)
        self.existing_tags = event_files.resume_at(self._folder, self._next_step, _filter(self._image_steps))
        self._older_files = {path.name for path in self._folder.glob(event_files.PATTERN)}
        self._described, self._templates = set(), {}
        return tf.summary.create_file_writer(str(self._folder), flush_millis=FLUSH_MILLISECONDS)

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        """Suppresses write errors in a `with` block, and abandons the event file, whose last record may be torn."""
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            writer, self._writer = self._writer, None
            if not self._failed:
                reason = error_text(error).split("; ")[-1]
                log.warning(f"event files in {self._folder} cannot be written ({reason}): training continues")
            self._failed = self.has_dropped = True
            if writer is not None:
                with contextlib.suppress(tf.errors.OpError):
                    writer.close()

    def _write(self, step: int, name: str, write: Callable[[], object]) -> None:
        """Submits a write; `name` says what is written, for the log."""
        self._next_step = max(self._next_step, step + 1)

        def job() -> None:
            if self._writer is not None:
                with self._dropping(), self._writer.as_default(step):
                    write()

        self._worker.submit(name, job)

    def _write_summary(self, step: int, name: str, summary: Summary) -> None:
        record = summary.SerializeToString()  # Now: the next point changes the summary.
        self._write(step, name, lambda: tf.summary.experimental.write_raw_pb(record))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the scalars of one step in one record.

        Four tags take 0.3 ms. A traced function of `tf.summary.scalar` takes 0.5 ms, plus the time of tracing.
        """
        summary = self._template(tuple(values))
        for entry, value in zip(summary.value, values.values(), strict=True):
            entry.tensor.float_val[:] = [value]
        self._write_summary(step, "scalars", summary)

    def _template(self, names: tuple[str, ...]) -> Summary:
        """Returns the summary that `tf.summary.scalar` writes for these tags, without the values.

        Only the first point of a tag in a file has its description, which is longer than the point.
        """
        if names in self._templates:
            return self._templates[names]
        summary = Summary()
        for name in names:
            summary.MergeFrom(scalar_pb(name, 0.0, description=tags.description(name)))
            if name in self._described:
                summary.value[-1].ClearField("metadata")
        if self._described.issuperset(names):
            self._templates[names] = summary
        self._described.update(names)
        return summary

    def histograms(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Writes histograms of tensors of any shape."""
        summary = Summary()
        for name, tensor in values.items():
            buckets = histogram(tensor)
            metadata = histogram_metadata.create_summary_metadata(None, tags.description(name))
            summary.value.add(tag=name, metadata=metadata, tensor=make_tensor_proto(buckets))
        self._write_summary(step, "histograms", summary)

    def image(self, step: int, tag: str, pixels: np.ndarray) -> None:
        """Writes an image, [H, W, C] uint8, which must not change afterwards."""

        def write() -> None:
            tf.summary.experimental.write_raw_pb(_image(tag, pixels).SerializeToString())

        self._write(step, "images", write)

    def text(self, step: int, tag: str, markdown: str) -> None:
        """Writes a Markdown text; at a later step if `step` already has one, because readers keep one text per step."""
        step = max(step, self._next_text.get(tag, 0))
        self._next_text[tag] = step + 1
        self._write_summary(step, "texts", text_pb(tag, markdown, description=tags.description(tag)))

    def graph(self, step: int, traced: Callable[[], tf.compat.v1.GraphDef]) -> None:
        """Writes a TensorFlow graph; `traced` returns it, and is called in the thread, because tracing takes long."""
        self._write(step, "the graph", lambda: tf.summary.graph(traced()))

    def layout(self, step: int, omitted: Collection[str] = ()) -> None:
        """Writes the layout of the Custom Scalars tab, without the categories that the run has no points for."""
        self._write_summary(step, "the layout", custom_scalar.pb(_layout(omitted)))

    def show(self) -> None:
        """Submits a flush, so that TensorBoard shows everything soon."""
        self._write(self._next_step - 1, "points", lambda: self._writer and self._writer.flush())

    def flush(self) -> None:
        """Flushes and fsyncs everything that was not dropped. After an error, tries to open a new event file."""
        self._worker.wait()
        with self._dropping():
            if self._writer is None:
                self._writer = self._open()
                log.warning(f"event files in {self._folder} are written again")
                self._failed = False
            self._writer.flush()
            for path in self._folder.glob(event_files.PATTERN):
                if path.name not in self._older_files:
                    files.fsync(path)
            files.fsync(self._folder)

    def close(self) -> None:
        """Flushes and closes the event file."""
        self._worker.close()
        with self._dropping():
            if self._writer is not None:
                self._writer.close()


def _image(tag: str, pixels: np.ndarray) -> Summary:
    """Returns the summary of an image, [H, W, C] uint8, as PNG."""
    buffer = io.BytesIO()
    height, width, channels = pixels.shape
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    image.save(buffer, "png", compress_level=1)  # Four times as fast as TensorFlow.
    metadata = image_metadata.create_summary_metadata(None, tags.description(tag))
    strings = make_tensor_proto([str(width).encode(), str(height).encode(), buffer.getvalue()])
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=strings)])


def _filter(image_steps: Collection[int] | None) -> event_files.Filter:
    """Returns a filter that keeps everything except images of steps outside `image_steps`; None keeps all images."""

    def keep(step: int, value: Summary.Value) -> bool:
        is_image = value.metadata.plugin_data.plugin_name == image_metadata.PLUGIN_NAME
        return image_steps is None or not is_image or step in image_steps

    return keep


def _layout(omitted: Collection[str]) -> layout_pb2.Layout:
    categories = [
        layout_pb2.Category(title=category, chart=[_multiline(title, names) for title, names in charts.items()])
        for category, charts in CHARTS.items()
        if category not in omitted
    ]
    category, title, (value, lower, upper) = MARGIN
    series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
    chart = layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))
    categories.insert(1, layout_pb2.Category(title=category, chart=[chart]))
    return layout_pb2.Layout(category=categories)


def _multiline(title: str, names: Sequence[str]) -> layout_pb2.Chart:
    patterns = [f"^{name}$" for name in names]
    return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=patterns))
