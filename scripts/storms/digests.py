"""The result of a run, bit for bit: every tensor of its newest checkpoint and every point of its event files.

Event files are read record by record, so that nothing is hidden by what TensorBoard's readers skip. A torn record or a
step that occurs twice is an error.
"""

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from trainer.checkpoints import manifest as manifests

EVENT_FILES = "events.out.tfevents.*"
PLUGINS = ("scalars", "images", "histograms")  # Texts contain the time of each start.
COUNTERS = ("save_counter", "_CHECKPOINTABLE")  # They depend on the number of saves.
SPEED = "perf/"
# TensorFlow names a variable by the shortest path to it: trained weights are stored under the optimizer.
WEIGHTS = ("model/", "optimizer/_trainable_variables/")
OPTIMIZER = "optimizer/"
MAX_LISTED = 5  # differences of a kind

Points = dict[str, dict[str, dict[int, bytes]]]


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
      step: of the newest checkpoint.
      tensors: "name dtype shape" -> bytes.
      scalars: folder -> tag -> step -> bytes of a float32.
      images: folder -> tag -> step -> SHA-256 of the image as written.
      histograms: folder -> tag -> step -> bytes.
    """

    step: int
    tensors: dict[str, bytes]
    scalars: Points
    images: Points
    histograms: Points


def newest_step(run: pathlib.Path) -> int:
    """Returns the step of the newest committed checkpoint; 0 if there is none."""
    return max(manifests.steps_in(run / "checkpoints"), default=0)


def tensors(run: pathlib.Path, step: int, folder: str = "checkpoints") -> dict[str, bytes]:
    """Returns "name dtype shape" -> bytes of every tensor of a checkpoint, except the save counter."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(run / folder / manifests.checkpoint_name(step)))
    names = sorted(name for name in reader.get_variable_to_shape_map() if not name.startswith(COUNTERS))
    arrays = {name: np.asarray(reader.get_tensor(name)) for name in names}
    return {f"{name} {array.dtype} {list(array.shape)}": array.tobytes() for name, array in arrays.items()}


def scalars(run: pathlib.Path) -> Points:
    """Returns the scalars of all event files, except those of speed, as bytes of float32.

    Raises:
      ValueError: A tag has a step twice.
    """
    return _points(run)["scalars"]


def read(run: pathlib.Path) -> Result:
    """Returns the result of a run, from its newest checkpoint and its event files."""
    step = newest_step(run)
    return Result(step, tensors(run, step), **_points(run))


def digest(result: Result) -> dict[str, str]:
    """Returns the step, and SHA-256 digests of the weights, the optimizer, the rest of the checkpoint, and points."""
    groups: dict[str, dict[str, bytes]] = {"weights": {}, "optimizer": {}, "rest": {}}
    for name, value in result.tensors.items():
        rest = "optimizer" if name.startswith(OPTIMIZER) else "rest"
        groups["weights" if name.startswith(WEIGHTS) else rest][name] = value
    groups |= {plugin: _flat(getattr(result, plugin)) for plugin in PLUGINS}
    return {"step": str(result.step)} | {group: _sha256(values) for group, values in groups.items()}


def differences(result: Result, expected: Result) -> list[str]:
    """Describes how a result differs from the expected one; empty if they are equal bit for bit."""
    step = [f"it ends at step {result.step:,} instead of {expected.step:,}"] if result.step != expected.step else []
    return [
        *step,
        *_compare("tensor", result.tensors, expected.tensors),
        *_compare("point", _flat(result.scalars), _flat(expected.scalars)),
        *_compare("image", _flat(result.images), _flat(expected.images)),
        *_compare("histogram", _flat(result.histograms), _flat(expected.histograms)),
    ]


def _sha256(values: Mapping[str, bytes]) -> str:
    """Hashes names and values, each preceded by its length, so that different mappings differ."""
    state = hashlib.sha256()
    for name in sorted(values):
        for part in (name.encode(), values[name]):
            state.update(len(part).to_bytes(8, "big") + part)
    return state.hexdigest()


def _flat(points: Points) -> dict[str, bytes]:
    return {
        f"{folder}: {tag} at step {step:,}": value
        for folder, tags in points.items()
        for tag, steps in tags.items()
        for step, value in steps.items()
    }


def _compare(kind: str, values: Mapping[str, bytes], expected: Mapping[str, bytes]) -> list[str]:
    lines = [f"{kind} {name} is missing" for name in expected if name not in values]
    lines += [f"{kind} {name} should not exist" for name in values if name not in expected]
    lines += [
        f"{kind} {name} is {_readable(values[name])} instead of {_readable(expected[name])}"
        for name in expected
        if name in values and values[name] != expected[name]
    ]
    more = len(lines) - MAX_LISTED
    return [*lines[:MAX_LISTED], f"and {more:,} more differences of {kind}s"] if more > 0 else lines


def _readable(value: bytes) -> str:
    """Returns four bytes as a float32, and longer values as the beginning of their SHA-256."""
    if len(value) == 4:
        return f"{np.frombuffer(value, np.float32)[0]:.9g}"
    return f"sha256 {hashlib.sha256(value).hexdigest()[:12]}"


def _points(run: pathlib.Path) -> dict[str, Points]:
    """Returns plugin -> folder -> tag -> step -> value."""
    points: dict[str, Any] = {plugin: collections.defaultdict(dict) for plugin in PLUGINS}
    for folder in sorted({path.parent for path in run.rglob(EVENT_FILES)}):
        name, plugins = str(folder.relative_to(run)), {}
        for event in _events(folder):
            for value in event.summary.value:
                # A writer may name the plugin only with the first value of a tag.
                plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
                if value.tag.startswith(SPEED) or plugin not in points:
                    continue
                steps = points[plugin][name].setdefault(value.tag, {})
                if event.step in steps:
                    raise ValueError(f"{folder}: {value.tag} has step {event.step:,} twice")
                steps[event.step] = _value(value.tensor, plugin)
    return points


def _events(folder: pathlib.Path) -> Iterator[Any]:
    """Yields every event of every file; raises if a record is torn or damaged."""
    import tensorflow as tf

    for path in sorted(folder.glob(EVENT_FILES)):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield tf.compat.v1.Event.FromString(record)


def _value(tensor: Any, plugin: str) -> bytes:
    import tensorflow as tf

    array = tf.make_ndarray(tensor)
    if plugin == "scalars":
        return np.asarray(array, np.float32).tobytes()
    return hashlib.sha256(b"".join(array.ravel())).digest() if plugin == "images" else array.tobytes()
