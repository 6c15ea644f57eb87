"""Writes scalars, histograms, pictures, texts, a graph and a layout as TensorBoard reads them."""

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
from trainer.summaries.histograms import histogram
from trainer.system import files
from trainer.system.logs import log

FLUSH_MILLISECONDS = 10_000

DENOISING, EVIDENCE = "Denoising", "Evidence"  # categories of some runs only

# The Custom Scalars tab: {category: {chart: tags}}, and the margin chart (value, lower, upper).
CHARTS = {
    "Training, evaluation and floors": {
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
    EVIDENCE: {"evidence lower bound and its parts": ["elbo/elbo", "elbo/reconstruction", "elbo/kl"]},
    "Speed": {
        "steps and examples a second": ["perf/steps_per_second", "perf/examples_per_second"],
        "share of time waiting for input": ["perf/input_wait"],
    },
}
MARGIN = ("Error of single examples", "10th, 50th and 90th percentile", ("error/p50", "error/p10", "error/p90"))


class Writer:
    """Writes one TensorBoard run under one folder.

    Training never ends for want of a curve: what the disk does not take is dropped, which is told once, and writing
    goes on as soon as it can, at the next `flush`.

    Args:
      folder: where the event files are.
      next_step: what was written for this step and later, by a run that was killed, is removed; the first step to come.
      picture_steps: when pictures are due: old ones of other steps, from before a change of the schedule, are removed,
        so that there are never more of them than TensorBoard keeps. None: all stay.

    Attributes:
      has_dropped: whether anything was.
      older: the tags that earlier files have points of, and `graph_def` if they have a graph.
    """

    def __init__(self, folder: pathlib.Path, next_step: int, image_steps: Collection[int] | None = None) -> None:
        self.has_dropped = False
        self.older: set[str] = set()
        self._folder, self._next_step, self._picture_steps = folder, next_step, image_steps
        self._next_text: dict[str, int] = {}
        # Of the file that is written now: which files are older, which tags are described, what a step looks like.
        self._older: set[str] = set()
        self._described: set[str] = set()
        self._templates: dict[tuple[str, ...], Summary] = {}
        self._writer: tf.summary.SummaryWriter | None = None
        self._failed = False
        with self._dropping():
            self._writer = self._open()

    def _open(self) -> tf.summary.SummaryWriter:
        files.make_folder(self._folder)
        self.older = event_files.continue_at(self._folder, self._next_step, _filter(self._picture_steps))
        self._older = {path.name for path in self._folder.glob(event_files.PATTERN)}
        self._described, self._templates = set(), {}
        return tf.summary.create_file_writer(str(self._folder), flush_millis=FLUSH_MILLISECONDS)

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        """What fails within for the disk's sake is dropped, and the file, whose end may be torn, written no more."""
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            writer, self._writer = self._writer, None
            if not self._failed:
                reason = error_text(error).split("; ")[-1]
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

    def _write_summary(self, step: int, summary: Summary) -> None:
        self._write(step, lambda: tf.summary.experimental.write_raw_pb(summary.SerializeToString()))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers of one step, all in one record.

        Four tags take 0.3 ms so, and 0.5 ms as a traced function of `tf.summary.scalar`, which must be traced first.
        """
        summary = self._template(tuple(values))
        for entry, value in zip(summary.value, values.values(), strict=True):
            entry.tensor.float_val[:] = [value]
        self._write_summary(step, summary)

    def _template(self, names: tuple[str, ...]) -> Summary:
        """What `tf.summary.scalar` writes for these tags, the values yet to be put in.

        Descriptions are in a file once, where the tag comes first: each is longer than its points.
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
        """Writes the distributions of tensors of any shape."""
        summary = Summary()
        for name, tensor in values.items():
            buckets = histogram(tensor)
            metadata = histogram_metadata.create_summary_metadata(None, tags.description(name))
            summary.value.add(tag=name, metadata=metadata, tensor=make_tensor_proto(buckets))
        self._write_summary(step, summary)

    def picture(self, step: int, tag: str, picture: np.ndarray) -> None:
        """Writes a picture, [H, W, C] uint8."""
        buffer = io.BytesIO()
        height, width, channels = picture.shape
        image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
        image.save(buffer, "png", compress_level=1)  # A quarter of TensorFlow's time.
        metadata = image_metadata.create_summary_metadata(None, tags.description(tag))
        strings = make_tensor_proto([str(width).encode(), str(height).encode(), buffer.getvalue()])
        self._write_summary(step, Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=strings)]))

    def text(self, step: int, tag: str, markdown: str) -> None:
        """Writes a text in Markdown; at a later step where one has been written at this one: readers keep the last."""
        step = max(step, self._next_text.get(tag, 0))
        self._next_text[tag] = step + 1
        self._write_summary(step, text_pb(tag, markdown, description=tags.description(tag)))

    def graph(self, step: int, graph: tf.compat.v1.GraphDef) -> None:
        """Writes a graph of operations."""
        self._write(step, lambda: tf.summary.graph(graph))

    def layout(self, step: int, omitted: Collection[str] = ()) -> None:
        """Writes how the Custom Scalars tab is laid out, without the categories that this run has no points of."""
        self._write_summary(step, custom_scalar.pb(_layout(omitted)))

    def flush(self) -> None:
        """What was written is on the disk when this returns, unless it was dropped; writes anew where it can again."""
        with self._dropping():
            if self._writer is None:
                self._writer = self._open()
                log.warning(f"TensorBoard's files in {self._folder} are written again")
                self._failed = False
            self._writer.flush()
            for path in self._folder.glob(event_files.PATTERN):
                if path.name not in self._older:
                    files.fsync(path)
            files.fsync(self._folder)

    def close(self) -> None:
        """Flushes and closes the file."""
        with self._dropping():
            if self._writer is not None:
                self._writer.close()


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
