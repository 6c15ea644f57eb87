"""What never losing a run costs: a verified save beside a bare one, the share of a run, resuming, bytes.

Times are measured interleaved and told as medians; the machine should have nothing else to do.
"""

import contextlib
import dataclasses
import itertools
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
from claims import Claim, table

BATCH = 64
TIMES_A_BARE_SAVE = 2.5
SHARE_OF_A_RUN = 0.01
SECONDS_TO_RESUME = 0.5
SECONDS_APART = 0.05


def pictures(count: int) -> "datasets.Data":  # noqa: F821 - imported where TensorFlow may be
    """Grey pictures of 32x32, of noise."""
    from trainer.data.dataset import Data, Split

    random = np.random.default_rng(0)
    splits = [random.integers(0, 256, (n, 32, 32, 1), dtype=np.uint8) for n in (count, 1_000)]
    train, evaluation = (Split(examples, np.zeros(len(examples), np.int64)) for examples in splits)
    return Data(name="noise", train=train, evaluation=evaluation, label_names=("x",), scale=255.0, source="made here")


@contextlib.contextmanager
def run_in(folder: pathlib.Path, *flags: str, data: object = None) -> Iterator["builder.Objects"]:  # noqa: F821
    """A run's objects, under its lock; 1024 -> 100 -> 1024 with Adam: 2.5 MB a checkpoint."""
    from trainer import config as configs
    from trainer.runs import builder
    from trainer.runs.directory import RunDirectory

    config = configs.parse([f"--run_dir={folder}", "--hidden=100", f"--batch_size={BATCH}", *flags])[0]
    directory = RunDirectory(config)
    with directory.locked():
        run = builder.build(config, data or pictures(5_000), directory)
        run.baselines.wait()  # They are computed once a data set, not again when a run goes on.
        yield run


def timed(action: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def saves(folder: pathlib.Path, count: int) -> Claim:
    """A committed, verified, fsynced save against `CheckpointManager.save` of the same state, one by one."""
    import tensorflow as tf

    from trainer.checkpoints.manager import Store

    with run_in(folder / "run") as run:
        ours = Store(folder / "ours", run.state.checkpoint(), keep=5)
        bare = tf.train.CheckpointManager(run.state.checkpoint(), str(folder / "bare"), max_to_keep=5)
        times: list[tuple[float, float]] = []
        for step in range(1, count + 3):
            manifest = _manifest(run, step)
            bare_seconds = timed(lambda step=step: bare.save(checkpoint_number=step))
            times.append((timed(lambda manifest=manifest: ours.save(manifest)), bare_seconds))
    times = times[2:]  # The first ones build their graphs.
    ratio = statistics.median(ours / bare for ours, bare in times)
    medians = [statistics.median(column) * 1000 for column in zip(*times, strict=True)]
    detail = f"{ratio:.2f} times (median of {count}, one by one): {medians[0]:.0f} ms against {medians[1]:.0f} ms"
    return Claim(f"a save of 2.5 MB costs at most {TIMES_A_BARE_SAVE} bare ones", ratio <= TIMES_A_BARE_SAVE, 1, detail)


def _manifest(run: "builder.Objects", step: int, **changes: object) -> "Manifest":  # noqa: F821
    from trainer.checkpoints.manifest import ERROR, Manifest

    values = {
        "run_id": run.provenance.run_id,
        "step": step,
        "flags": run.provenance.flags,
        "data": run.provenance.data,
        "numerics": run.provenance.numerics,
        "metrics": {ERROR: 1.0 / (step + 1), "eval/reconstruction/rmse": 1.0 / (step + 1)},
        "changes": [],
        "pending": (0.0, 0),
        "seconds": 1.0,
        "files": {},
        "evaluated": step,
    }
    return Manifest(**{**values, **changes})


def share(folder: pathlib.Path, steps: int) -> Claim:
    """The time that saving takes of a whole run at the default interval."""
    with run_in(folder / "run", f"--steps={steps}", "--export=none") as run:
        from trainer.runs.run import train_objects
        from trainer.runs.session import Session

        spent, save = [], Session.save

        def timed_save(*arguments: object) -> None:
            spent.append(timed(lambda: save(*arguments)))

        with mock.patch.object(Session, "save", timed_save):
            seconds = timed(lambda: train_objects(run))
    part = sum(spent) / seconds
    detail = f"{part:.2%}: {len(spent)} saves, {sum(spent):.2f} s of {seconds:.0f} s"
    what = f"saving takes at most {SHARE_OF_A_RUN:.0%} of a run of a minute or more"
    return Claim(what, part <= SHARE_OF_A_RUN, 1, detail)


def resuming(folder: pathlib.Path, rounds: int) -> Claim:
    """Seconds from the restored process's first line to its first step, at step 10 and at step 1,000,000.

    Import, building the network and tracing are the same for a run that begins; they are not counted.
    """
    times: dict[int, list[float]] = {10: [], 1_000_000: []}
    for step in times:
        _prepare(folder / str(step), step)
    for _, step in itertools.product(range(rounds + 1), times):
        times[step].append(_resume(folder / str(step)))
    early, late = (statistics.median(found[1:]) for found in times.values())
    holds = max(early, late) <= SECONDS_TO_RESUME and abs(early - late) <= SECONDS_APART
    detail = f"{early * 1000:.0f} ms at step 10, {late * 1000:.0f} ms at step 1,000,000 (medians of {rounds})"
    what = f"resuming takes at most {SECONDS_TO_RESUME} s, as long at step 10 as at 1,000,000 ({SECONDS_APART} s apart)"
    return Claim(what, holds, 1, detail)


FLAGS = ("--steps=2000000", "--schedule=constant", "--checkpoint_every=500000", "--eval_every=0", "--image_every=0")


def _prepare(folder: pathlib.Path, step: int) -> None:
    """A run that has come to this step, with a point in TensorBoard for every 250th part of the way."""
    from trainer.checkpoints.manager import Store
    from trainer.summaries.recorder import Folders, Recorder

    with run_in(folder, *FLAGS) as run:
        recorder = Recorder(
            *(Folders(folder / "train", folder / "eval", folder / "floor"), run.data, run.evaluator, run.baselines),
            total_steps=2,
            batch_size=1,
            next_step=0,
            picture_steps=(),
            last_look=np.arange(1),
            metrics={},
            evaluated=None,
        )
        for point in range(1, 251):
            recorder.log(step * point // 250, {"loss": 1.0, "learning_rate": 1.0, "gradient_norm": 1.0})
        recorder.close()
        (folder / "checkpoints").mkdir()
        run.state.step.assign(step)
        Store(folder / "checkpoints", run.state.checkpoint(), keep=5).save(_manifest(run, step))


def _resume(folder: pathlib.Path) -> float:
    """Seconds from the start of training to the first block of data in hand and everything restored."""
    from trainer.runs.run import train_objects

    with run_in(folder, *FLAGS) as run:

        class Begun(Exception):
            pass

        def first_block(*arguments: object) -> None:
            raise Begun

        began = time.perf_counter()
        with contextlib.suppress(Begun):
            train_objects(dataclasses.replace(run, block=first_block))
        return time.perf_counter() - began


def bytes_by_data(folder: pathlib.Path) -> Claim:
    """A checkpoint's size with ten times the data."""
    from trainer.runs.run import train_objects

    sizes = []
    for count in (500, 5_000):
        run_folder = folder / str(count)
        with run_in(run_folder, "--steps=3", "--export=none", data=pictures(count)) as run:
            train_objects(run)
        sizes.append(sum(path.stat().st_size for path in (run_folder / "checkpoints").glob("ckpt-3.[id]*")))
    detail = f"{sizes[0]:,} bytes with 500 pictures, {sizes[1]:,} with 5,000"
    return Claim("ten times the data add no byte to a checkpoint", sizes[0] == sizes[1], 1, detail)


def storm(folder: pathlib.Path, *, count: int = 100, steps: int = 60_000, rounds: int = 7) -> list[Claim]:
    """All of it."""
    for name in ("saves", "share", "resuming", "bytes"):
        (folder / name).mkdir()
    return [
        saves(folder / "saves", count),
        share(folder / "share", steps),
        resuming(folder / "resuming", rounds),
        bytes_by_data(folder / "bytes"),
    ]


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with tempfile.TemporaryDirectory() as temporary:
        steps = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
        print(table(storm(pathlib.Path(temporary), steps=steps)))
