"""What a run's result is, to the bit: every tensor of its newest checkpoint, every point of its event files.

Event files are read record by record, as they lie on the disk, so that nothing is hidden by what TensorBoard's
readers leave out; a torn record or a step that comes twice is an error.
"""

import dataclasses
import hashlib
import pathlib
import sys
from collections.abc import Iterator, Mapping

import numpy as np

from trainer.checkpoints import manifest as manifests

EVENT_FILES = "events.out.tfevents.*"
PLUGINS = ("scalars", "images", "histograms")  # Texts tell when a run was started.
COUNTERS = ("save_counter", "_CHECKPOINTABLE")  # of saves, and of the object graph: they depend on how often was saved
SPEED = "perf/"
# TensorFlow names a variable by the shortest way to it: trained weights stand under the optimizer that has them.
WEIGHTS = ("model/", "optimizer/_trainable_variables/")
OPTIMIZER = ("optimizer/",)
NAMED = 5  # differences that a person reads before the rest is a number

Points = dict[str, dict[str, dict[int, bytes]]]


@dataclasses.dataclass(frozen=True)
class Digest:
    """A run's result in SHA-256, hex.

    Attributes:
      step: of the newest checkpoint.
      weights: the model's tensors.
      optimizer: its slots, counters and learning rate.
      rest: of the checkpoint: the step, the loss scale.
      scalars: all points but those of speed.
      pictures: all pictures.
      histograms: all histograms.
    """

    step: int
    weights: str
    optimizer: str
    rest: str
    scalars: str
    pictures: str
    histograms: str


@dataclasses.dataclass(frozen=True)
class Result:
    """A run's result itself.

    Attributes:
      step: of the newest checkpoint.
      tensors: "name dtype shape" -> bytes.
      scalars: folder -> tag -> step -> bytes of a float32.
      pictures: folder -> tag -> step -> SHA-256 of the picture as it was written.
      histograms: folder -> tag -> step -> bytes.
    """

    step: int
    tensors: dict[str, bytes]
    scalars: Points
    pictures: Points
    histograms: Points


def newest_step(run: pathlib.Path) -> int:
    """The step of the newest committed checkpoint; 0 where there is none."""
    return max(manifests.steps_in(run / "checkpoints"), default=0)


def tensors(run: pathlib.Path, step: int) -> dict[str, bytes]:
    """Every tensor of a checkpoint but the number of saves: "name dtype shape" -> bytes."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(run / "checkpoints" / manifests.name_of(step)))
    names = sorted(name for name in reader.get_variable_to_shape_map() if not name.startswith(COUNTERS))
    arrays = {name: np.asarray(reader.get_tensor(name)) for name in names}
    return {f"{name} {array.dtype} {list(array.shape)}": array.tobytes() for name, array in arrays.items()}


def scalars(run: pathlib.Path) -> Points:
    """Every scalar of every TensorBoard run in the folder but the speed, as bytes of float32.

    Raises:
      ValueError: a tag has a step twice.
    """
    return _points(run)[0]


def read(run: pathlib.Path) -> Result:
    """The result of a run, from its newest checkpoint and all its event files."""
    step = newest_step(run)
    return Result(step, tensors(run, step), *_points(run))


def of(run: pathlib.Path) -> Digest:
    """The digest of a run's result."""
    return digest(read(run))


def digest(result: Result) -> Digest:
    """The digest of a result."""
    kinds: dict[str, dict[str, bytes]] = {"weights": {}, "optimizer": {}, "rest": {}}
    for name, value in result.tensors.items():
        kinds[_kind(name)][name] = value
    hexes = {kind: _sha256(found) for kind, found in kinds.items()}
    points = (_sha256(_flat(kind)) for kind in (result.scalars, result.pictures, result.histograms))
    return Digest(result.step, hexes["weights"], hexes["optimizer"], hexes["rest"], *points)


def differences(found: Result, expected: Result) -> list[str]:
    """In what a result is not the expected one, in words; empty where it is the same to the bit."""
    step = [f"it ends at step {found.step:,} instead of {expected.step:,}"] if found.step != expected.step else []
    return [
        *step,
        *_compare("tensor", found.tensors, expected.tensors),
        *_compare("point", _flat(found.scalars), _flat(expected.scalars)),
        *_compare("picture", _flat(found.pictures), _flat(expected.pictures)),
        *_compare("histogram", _flat(found.histograms), _flat(expected.histograms)),
    ]


def _kind(name: str) -> str:
    if name.startswith(WEIGHTS):
        return "weights"
    return "optimizer" if name.startswith(OPTIMIZER) else "rest"


def _sha256(values: Mapping[str, bytes]) -> str:
    """Of names and values, each with its length before it, so that no two mappings look alike."""
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


def _compare(what: str, found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> list[str]:
    said = [f"{what} {name} is missing" for name in expected if name not in found]
    said += [f"{what} {name} should not be there" for name in found if name not in expected]
    said += [
        f"{what} {name} is {_value(found[name])} instead of {_value(expected[name])}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    more = len(said) - NAMED
    return [*said[:NAMED], f"and {more:,} more differences of {what}s"] if more > 0 else said


def _value(value: bytes) -> str:
    """A number for people, where it may be one; else the beginning of its SHA-256."""
    if len(value) == 4:
        return f"{np.frombuffer(value, np.float32)[0]:.9g}"
    return f"sha256 {hashlib.sha256(value).hexdigest()[:12]}"


def _points(run: pathlib.Path) -> list[Points]:
    """The scalars, the pictures and the histograms of every folder with event files."""
    found: dict[str, Points] = {plugin: {} for plugin in PLUGINS}
    for folder in sorted({path.parent for path in run.rglob(EVENT_FILES)}):
        for plugin, points in _points_in(folder).items():
            found[plugin][str(folder.relative_to(run))] = points
    return list(found.values())


def _points_in(folder: pathlib.Path) -> dict[str, dict[str, dict[int, bytes]]]:
    """Plug-in -> tag -> step -> value of one folder, from all its files."""
    plugins: dict[str, str] = {}
    found: dict[str, dict[str, dict[int, bytes]]] = {plugin: {} for plugin in PLUGINS}
    for event in _events(folder):
        for value in event.summary.value:
            # A writer may say once only, with a tag's first value, which plug-in it is for.
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            if value.tag.startswith(SPEED) or plugin not in found:
                continue
            steps = found[plugin].setdefault(value.tag, {})
            if event.step in steps:
                raise ValueError(f"{folder}: {value.tag} has step {event.step:,} twice")
            steps[event.step] = _bytes_of(value.tensor, plugin)
    return found


def _events(folder: pathlib.Path) -> Iterator:
    """Every event of every file; a torn or damaged record raises."""
    import tensorflow as tf

    for path in sorted(folder.glob(EVENT_FILES)):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield tf.compat.v1.Event.FromString(record)


def _bytes_of(tensor: object, plugin: str) -> bytes:
    import tensorflow as tf

    array = tf.make_ndarray(tensor)
    if plugin == "scalars":
        return np.asarray(array, np.float32).tobytes()
    return hashlib.sha256(b"".join(array.ravel())).digest() if plugin == "images" else array.tobytes()


def main() -> None:
    """Prints the digests of the runs given; of two, also in what they differ."""
    runs = [pathlib.Path(argument) for argument in sys.argv[1:]]
    results = [read(run) for run in runs]
    for run, result in zip(runs, results, strict=True):
        print(run)
        for name, value in dataclasses.asdict(digest(result)).items():
            print(f"  {name:10}{value}")
    if len(results) == 2:
        print("\n".join(differences(results[1], results[0])) or "the same to the bit")


if __name__ == "__main__":
    main()
