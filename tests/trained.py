"""Helpers for tests of whole runs: flags, and readers of the files that a run writes."""

import pathlib
import shutil

import numpy as np
import readers
from hparams_reader import read_row
from readers import scalars

from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests

SHORT = ("--steps=40", "--batch_size=70", "--hidden=5", "--log_every=4", "--eval_every=10", "--image_every=20")


LONG = ("--hidden=5", "--schedule=constant", "--log_every=50", "--eval_every=0", "--image_every=0", "--jit=off")


OFTEN = (*SHORT, "--checkpoint_every=1", "--keep=100")  # 1,500 digits: an epoch has 21.4 steps


def weights(run: pathlib.Path, step: int) -> dict[str, bytes]:
    """Every tensor of a checkpoint but the number of saves."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(run / "checkpoints" / manifests.checkpoint_name(step)))
    names = [n for n in reader.get_variable_to_shape_map() if not n.startswith(("save_counter", "_CHECKPOINTABLE"))]
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}


def points(run: pathlib.Path) -> dict[str, dict[str, dict[int, float]]]:
    """Every scalar of every TensorBoard run but the speed."""
    folders = {path.parent for path in run.rglob("events.out.tfevents.*")}
    return {
        str(folder.relative_to(run)): {tag: v for tag, v in scalars(folder).items() if not tag.startswith("perf/")}
        for folder in folders
    }


def seen(run: pathlib.Path) -> dict:
    """All that a run's result decides in TensorBoard, as each of its readers sees it: every value, of every step."""
    kinds = ("scalars", "images", "histograms", "custom_scalars")
    return {
        reader.__name__: {
            (kind, folder, tag): values
            for kind, folders in readers.read(reader, run).items()
            if kind in kinds
            for folder, tags in folders.items()
            for tag, values in tags.items()
            if not tag.startswith("perf/")
        }
        for reader in readers.READERS
    }


def row(run: pathlib.Path):
    """The run's row in HParams: its columns, flags, and status."""
    return read_row(run / "eval")


def killed_after(finished, step, run):
    """The run as a kill after this step's checkpoint would have left it, with all that was written later."""
    shutil.copytree(finished, run)
    for later, place in catalog.committed(run / "checkpoints"):
        if later > step:
            manifests.delete(place, later)
    if step == 0:
        (run / "history.txt").unlink()
    (run / "result.json").unlink()
    shutil.rmtree(run / "export")


def raising(error):
    def broken(*arguments, **options):
        raise error

    return broken


def tf_zeros_like(values):
    import tensorflow as tf

    return tf.zeros_like(values)
