"""Kills a real training process (SIGKILL) again and again, and compares what it ends with to a run never killed.

    python -m storms.kills 200      # kills of Hourglass, and a few of what the guides of TensorFlow and Keras show

Half of the kills come at a random moment: one in four of them before the start's first save, while event files are
mended and the step is compiled, the others from there to the end of training and into the export. The other half wait
for a save to be half done on the disk, and strike up to 40 ms later: some hit that save, some the moment after.
"""

import collections
import dataclasses
import json
import os
import pathlib
import random as randoms
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from claims import Claim, table

from storms import digests
from storms.nursery import HOURGLASS, Child, Nursery
from trainer.checkpoints import manifest as manifests
from trainer.data import datasets
from trainer.data.sources import Sources

HIDDEN = (16, 4)
STEPS, BATCH, STEPS_BETWEEN_SAVES, KEEP = 900, 50, 20, 3
STEPS_AN_EPOCH = 30  # 1,500 digits
FLAGS = (
    *("--dataset=digits", f"--hidden={','.join(map(str, HIDDEN))}", f"--steps={STEPS}", f"--batch_size={BATCH}"),
    *(f"--checkpoint_every={STEPS_BETWEEN_SAVES}", "--log_every=7", "--eval_every=60", "--image_every=200"),
    f"--keep={KEEP}",
)
SECONDS_A_START = 180.0  # more is a process that hangs
SECONDS_AFTER_SAVE = 0.040
SAVES_LET_GO = 10  # before an aimed kill, at most, so that runs get on
AIMED = 0.5  # of the kills wait for a save
EARLY = 0.25  # of the other kills come before the start's first save
SECONDS_AFTER_TRAINING = 0.5  # the network is exported then
RUNS_A_KILL = 3  # with more runs than that, kills never strike
LINES_OF_OUTPUT = 15


# What is killed.


class Subject:
    """Hourglass, and how to see from outside what it is doing.

    Attributes:
      name: for people.
      program: "module:function" of its main program.
      begun: what it says once all is restored and training begins.
      resumed: what it says of the step it goes on from.
    """

    name = "Hourglass"
    program = HOURGLASS
    begun = re.compile(r"^run\s", re.MULTILINE)
    resumed = re.compile(r"^resumed\s+at step ([\d,]+);", re.MULTILINE)

    def arguments(self, run: pathlib.Path) -> list[str]:
        """The command line of a run, the same at every start."""
        return [*FLAGS, f"--run_dir={run}"]

    def is_saving(self, run: pathlib.Path) -> bool:
        """Whether a save, or the removal of an old one, is half done on the disk."""
        names = _names(run / "checkpoints")
        return any("_temp" in name or ".tmp" in name for name in names) or bool(_orphans(names))

    def reached(self, run: pathlib.Path) -> int:
        """The step of the newest save that counts; 0 where there is none."""
        return digests.newest_step(run)

    def result(self, run: pathlib.Path) -> Any:
        """What a finished run ends with."""
        return digests.read(run)

    def complaints(self, run: pathlib.Path, expected: Any) -> list[str]:
        """In what a finished run is not as one that was never stopped."""
        try:
            return [*digests.differences(self.result(run), expected), *leftovers(run)]
        except Exception as error:  # A torn event file, a checkpoint that cannot be read: that is a result.
            return [f"its result cannot be read: {type(error).__name__}: {str(error)[:200]}"]

    def complaints_of_start(self, reached: int, child: Child) -> list[str]:
        """What is wrong with how a start went on from the step that was reached before it."""
        said = child.said()
        if not self.begun.search(said):
            return []
        found = self.resumed_at(said)
        complaints = [f"went on from step {found:,} where {reached:,} was saved"] if found != reached else []
        return [*complaints, *(["does not claim the same bits"] if "not claimed" in said else [])]

    def has_begun(self, child: Child, reached: int) -> bool:
        """Whether a process has said all that it says before it trains."""
        said = child.said()
        return bool(self.begun.search(said) and (not reached or self.resumed.search(said)))

    def resumed_at(self, said: str) -> int:
        """The step that a start went on from, by its own words."""
        match = self.resumed.search(said)
        return int(match[1].replace(",", "")) if match else 0


def leftovers(run: pathlib.Path) -> list[str]:
    """What a finished run should not hold: temporary files, and checkpoints that do not count."""
    temporary = [path for path in run.rglob("*") if path.name.endswith("_temp") or ".tmp" in path.name]
    said = [f"{path.relative_to(run)} is left over" for path in temporary]
    return [*said, *(f"ckpt-{step} has no manifest" for step in _orphans(_names(run / "checkpoints")))]


def _names(folder: pathlib.Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _orphans(names: list[str]) -> list[int]:
    """The steps that have files of TensorFlow's and no manifest."""
    matches = [re.fullmatch(rf"{manifests.PREFIX}-(\d+)\.(.+)", name) for name in names]
    found = collections.defaultdict(set)
    for match in matches:
        if match:
            found[int(match[1])].add(match[2])
    return sorted(step for step, endings in found.items() if "json" not in endings)


# What it is compared to: recipes as the official guides show them, with the same data, network and steps.


class Control(Subject):
    """A recipe: what it shares with the others."""

    begun = re.compile(r"^training from step (\d+)$", re.MULTILINE)
    resumed = begun

    def __init__(self, name: str, *options: str) -> None:
        self.name, self.options = name, options

    def arguments(self, run: pathlib.Path) -> list[str]:
        """The command line of a run."""
        return [str(run), *self.options]

    def result(self, run: pathlib.Path) -> Any:
        """The trained weights."""
        with np.load(run / "weights.npz") as found:
            return {name: found[name].tobytes() for name in found.files}

    def complaints(self, run: pathlib.Path, expected: Any) -> list[str]:
        """In what the trained weights differ."""
        found = self.result(run)
        differing = [name for name in expected if found.get(name) != expected[name]]
        return [f"{len(differing)} of {len(expected)} arrays of weights differ"] if differing else []

    def complaints_of_start(self, reached: int, child: Child) -> list[str]:
        """The weights at the end tell; where a start goes on from is counted apart."""
        return []


class Guide(Control):
    """The training loop of tensorflow.org/guide/checkpoint."""

    program = "storms.kills:train_as_in_the_guide"

    def is_saving(self, run: pathlib.Path) -> bool:
        """Whether a save is half done."""
        return any("_temp" in name or ".tmp" in name for name in _names(run))

    def reached(self, run: pathlib.Path) -> int:
        """From TensorFlow's own list."""
        path = run / "checkpoint"
        match = re.search(r'^model_checkpoint_path: "ckpt-(\d+)"', path.read_text(), re.M) if path.exists() else None
        return int(match[1]) * STEPS_BETWEEN_SAVES if match else 0


class Fit(Control):
    """`model.fit` with the callback of keras.io/api/callbacks/backup_and_restore."""

    program = "storms.kills:train_with_fit"

    def is_saving(self, run: pathlib.Path) -> bool:
        """Whether the weights are newer than what is said of them."""
        try:
            weights, facts = ((run / name).stat() for name in ("latest.weights.h5", "training_metadata.json"))
        except FileNotFoundError:
            return (run / "latest.weights.h5").exists()
        return weights.st_mtime_ns > facts.st_mtime_ns or facts.st_size == 0

    def reached(self, run: pathlib.Path) -> int:
        """From the callback's own file."""
        try:
            facts = json.loads((run / "training_metadata.json").read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return facts["epoch"] * STEPS_AN_EPOCH + facts["batch"]


CONTROLS = (
    Guide("tf.train.CheckpointManager, the iterator saved too", "--iterator"),
    Guide("tf.train.CheckpointManager"),
    Fit("keras.callbacks.BackupAndRestore"),
    Fit("keras.callbacks.BackupAndRestore(double_checkpoint=True)", "--double"),
)


def train_as_in_the_guide(arguments: list[str]) -> int:
    """The loop of the guide "Training checkpoints", every 20 steps a save; killed runs go on by its first lines."""
    import keras
    import tensorflow as tf

    run = pathlib.Path(arguments[0])
    keras.utils.set_random_seed(0)
    images = _images()
    iterator = iter(tf.data.Dataset.from_tensor_slices(images).shuffle(len(images)).batch(BATCH).repeat())
    network, optimizer = _network(), _optimizer()
    optimizer.build(network.trainable_variables)
    state = tf.train.Checkpoint(step=tf.Variable(0, dtype=tf.int64), optimizer=optimizer, network=network)
    if "--iterator" in arguments:
        state.iterator = iterator
    manager = tf.train.CheckpointManager(state, str(run), max_to_keep=KEEP)
    state.restore(manager.latest_checkpoint)

    @tf.function
    def train_step(batch: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(batch - network(batch, training=True)))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, network.trainable_variables), network.trainable_variables, strict=True)
        )

    print(f"training from step {int(state.step)}", flush=True)
    while int(state.step) < STEPS:
        train_step(next(iterator))
        state.step.assign_add(1)
        if int(state.step) % STEPS_BETWEEN_SAVES == 0:
            manager.save()
    np.savez(run / "weights.npz", *network.get_weights())
    return 0


def train_with_fit(arguments: list[str]) -> int:
    """`fit` with the callback that Keras has for interruptions."""
    import keras

    run = pathlib.Path(arguments[0])
    keras.utils.set_random_seed(0)
    images, network = _images(), _network()
    network.compile(optimizer=_optimizer(), loss="mse")
    backup = keras.callbacks.BackupAndRestore(
        str(run), save_freq=STEPS_BETWEEN_SAVES, double_checkpoint="--double" in arguments
    )
    begun = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: print(f"training from step {int(network.optimizer.iterations)}", flush=True)
    )
    epochs = STEPS // STEPS_AN_EPOCH
    network.fit(images, images, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[backup, begun])
    run.mkdir(exist_ok=True)  # The callback removes its folder at the end.
    np.savez(run / "weights.npz", *network.get_weights())
    return 0


def _images() -> np.ndarray:
    data = datasets.load("digits", Sources())
    return data.train.examples.reshape(len(data.train.examples), -1).astype(np.float32) / np.float32(data.scale)


def _network() -> Any:
    import keras

    dense = keras.layers.Dense
    middle = [dense(width, "swish") for width in HIDDEN[:-1]]
    return keras.Sequential(
        [keras.Input((64,)), *middle, dense(HIDDEN[-1]), *(dense(w, "swish") for w in HIDDEN[-2::-1]), dense(64)]
    )


def _optimizer() -> Any:
    import keras

    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.002, STEPS))


# The storm.


@dataclasses.dataclass(frozen=True)
class Reference:
    """A run that was never stopped.

    Attributes:
      result: what it ended with.
      before: seconds from its header to its first save.
      training: seconds from there to its last save.
    """

    result: Any
    before: float
    training: float

    def sooner(self, share: float) -> "Reference":
        """The same result in this share of its times."""
        return dataclasses.replace(self, before=self.before * share, training=self.training * share)


@dataclasses.dataclass(frozen=True)
class Kill:
    """A kill that struck a process.

    Attributes:
      in_save: whether a save was half done on the disk when it was dead.
      early: whether its start had saved nothing yet.
    """

    in_save: bool
    early: bool


@dataclasses.dataclass
class Life:
    """One run, from its first start to its end or to its first failure.

    Attributes:
      run: its folder.
      kills: that it went through.
      starts: of a process.
      lost: starts that began at step 0 although something had been saved.
      crashed: whether a start ended by itself with an error.
      complaints: in what it failed; empty where it ended as it should.
    """

    run: pathlib.Path
    kills: list[Kill] = dataclasses.field(default_factory=list)
    starts: int = 0
    lost: int = 0
    crashed: bool = False
    complaints: list[str] = dataclasses.field(default_factory=list)


def storm(count: int, folder: pathlib.Path, *, seed: int = 0) -> Claim:
    """Kills Hourglass `count` times; every run must end as one never killed, to the bit, with nothing left over."""
    subject = Subject()
    with Nursery() as nursery:
        expected = reference(nursery, subject, folder)
        began = time.monotonic()
        lives = _lives(nursery, subject, folder, expected, count, seed)
        seconds = time.monotonic() - began
    kills = [kill for life in lives for kill in life.kills]
    moved = sum(len(list(life.run.rglob("damaged*"))) for life in lives)
    detail = (
        f"{len(lives)} runs of {STEPS} steps; {_where(kills)}; {seconds / max(1, len(kills)):.1f} s a kill;"
        f" {moved} uncommitted or damaged things kept aside"
    )
    for life in lives:
        if not life.complaints:
            shutil.rmtree(life.run)
    what = "killed (SIGKILL) at any moment, the same command ends with the bits of a run never killed"
    return Claim(what, _survived(lives), len(kills), f"{detail}{_failures(lives)}", random=True)


def controls(count: int, folder: pathlib.Path, *, seed: int = 0) -> list[Claim]:
    """The same storm on what the official guides show: `count` kills of each recipe."""
    with Nursery() as nursery:
        return [_control(nursery, subject, folder / f"control-{n}", count, seed) for n, subject in enumerate(CONTROLS)]


def _control(nursery: Nursery, subject: Control, folder: pathlib.Path, count: int, seed: int) -> Claim:
    folder.mkdir()
    expected = reference(nursery, subject, folder)
    again = reference(nursery, subject, folder, "reference-again")
    lives = _lives(nursery, subject, folder, expected, count, seed)
    kills = [kill for life in lives for kill in life.kills]
    twice = "equal each other" if again.result == expected.result else "DIFFER from each other: no comparison"
    detail = (
        f"two uninterrupted runs {twice}; {sum(not life.complaints for life in lives)} of {len(lives)} runs ended with"
        f" their weights; {sum(life.crashed for life in lives)} could not be started again;"
        f" {sum(life.lost for life in lives)} of {sum(life.starts for life in lives)} starts began at step 0 although"
        f" something was saved; {_where(kills)}{_failures(lives)}"
    )
    what = f"control: {subject.name}, killed, ends with the same weights"
    return Claim(what, _survived(lives), len(kills), detail, random=True, control=True)


def reference(nursery: Nursery, subject: Subject, folder: pathlib.Path, name: str = "reference") -> Reference:
    """A run that nobody stops.

    Raises:
      RuntimeError: it does not end well: there is nothing to compare with.
    """
    run = folder / name
    child = _start(nursery, subject, run)
    nursery.wait_until(child, lambda: subject.has_begun(child, 0), SECONDS_A_START)
    times = [time.monotonic()]
    for step in (1, STEPS):  # Where the last save is gone at the end, training ends with the process.
        nursery.wait_until(child, lambda step=step: subject.reached(run) >= step, SECONDS_A_START)
        times.append(time.monotonic())
    code = nursery.wait(child, SECONDS_A_START)
    if code != 0:
        raise RuntimeError(f"{subject.name}: the uninterrupted run ended with {code}:\n{child.said()}")
    return Reference(subject.result(run), times[1] - times[0], times[2] - times[1])


def _start(nursery: Nursery, subject: Subject, run: pathlib.Path) -> Child:
    output = run.with_suffix(".out")
    return nursery.start(subject.arguments(run), output, folder=run.parent, program=subject.program)


def _lives(
    nursery: Nursery, subject: Subject, folder: pathlib.Path, expected: Reference, count: int, seed: int
) -> list[Life]:
    """One run after the other until so many kills have struck; the last one is left to end."""
    random, lives, struck = randoms.Random(seed), [], 0
    while struck < count and len(lives) < RUNS_A_KILL * count + 5:
        life = Life(folder / f"run-{len(lives) + 1:03}")
        _live(nursery, subject, life, random, expected, count - struck)
        if not life.complaints:
            life.complaints += subject.complaints(life.run, expected.result)
        struck += len(life.kills)
        lives.append(life)
        _say(subject, life, f"{struck} of {count} kills")
    return lives


def _live(
    nursery: Nursery, subject: Subject, life: Life, random: randoms.Random, expected: Reference, kills: int
) -> None:
    """Starts a run again and again, kills it at most `kills` times, until it ends by itself."""
    while not life.complaints:
        reached = subject.reached(life.run)
        child = _start(nursery, subject, life.run)
        life.starts += 1
        if len(life.kills) < kills:
            _strike(nursery, child, subject, life.run, random, expected)
        code = nursery.wait(child, SECONDS_A_START)
        life.complaints += subject.complaints_of_start(reached, child)
        life.lost += bool(reached and subject.has_begun(child, 0) and not subject.resumed_at(child.said()))
        if code == 0:
            return
        if code == -signal.SIGKILL:
            life.kills.append(Kill(subject.is_saving(life.run), subject.reached(life.run) == reached))
            continue
        life.crashed = code is not None
        life.complaints.append(f"start {life.starts} {_ended(code)}: {_last_line(child)}")
        nursery.signal(child, signal.SIGKILL)


def _strike(
    nursery: Nursery,
    child: Child,
    subject: Subject,
    run: pathlib.Path,
    random: randoms.Random,
    expected: Reference,
) -> None:
    """Kills a process once its training has begun; in vain where it ends before."""
    reached = subject.reached(run)
    if not nursery.wait_until(child, lambda: subject.has_begun(child, reached), SECONDS_A_START):
        return
    if random.random() < AIMED:
        for _ in range(random.randint(1, 1 + int(SAVES_LET_GO * (1 - reached / STEPS)))):
            nursery.wait_until(child, lambda: not subject.is_saving(run), SECONDS_A_START)
            nursery.wait_until(child, lambda: subject.is_saving(run), SECONDS_A_START)
        nursery.wait(child, random.uniform(0, SECONDS_AFTER_SAVE))
    else:
        wait_for_any_moment(nursery, child, subject, run, random, expected, reached)
    nursery.signal(child, signal.SIGKILL)


def wait_for_any_moment(
    nursery: Nursery,
    child: Child,
    subject: Subject,
    run: pathlib.Path,
    random: randoms.Random,
    expected: Reference,
    reached: int,
) -> None:
    """Waits, once a process has begun, for a random moment of its training, or for its end if that comes before."""
    if random.random() < EARLY:
        nursery.wait(child, random.uniform(0, expected.before))
        return
    nursery.wait_until(child, lambda: subject.reached(run) > reached, SECONDS_A_START)
    left = 1 - reached / STEPS
    nursery.wait(child, random.uniform(0, expected.training * left + SECONDS_AFTER_TRAINING))


def _ended(code: int | None) -> str:
    return f"ran on after {SECONDS_A_START:.0f} s" if code is None else f"ended with {code}"


def _last_line(child: Child) -> str:
    lines = child.said().strip().splitlines()
    return lines[-1][:200] if lines else "(nothing was said)"


def _survived(lives: list[Life]) -> int:
    return sum(len(life.kills) for life in lives if not life.complaints)


def _where(kills: list[Kill]) -> str:
    in_save, early = sum(kill.in_save for kill in kills), sum(kill.early and not kill.in_save for kill in kills)
    return (
        f"{in_save} kills with a save half done on the disk, {early} before their start's first save,"
        f" {len(kills) - in_save - early} between saves"
    )


def _failures(lives: list[Life]) -> str:
    failed = [f"{life.run.name}: {life.complaints[0]}" for life in lives if life.complaints]
    return f"; failed: {'; '.join(failed[:3])}" if failed else ""


def _say(subject: Subject, life: Life, so_far: str) -> None:
    """A line for each run, and all that is known of one that failed."""
    outcome = "FAILED" if life.complaints else "the same"
    print(f"{subject.name}: {life.run.name} {outcome}, {life.starts} starts; {so_far}", file=sys.stderr, flush=True)
    for complaint in life.complaints:
        print(f"  {complaint}", file=sys.stderr)
    if life.complaints:
        output = life.run.with_suffix(".out").read_text(encoding="utf-8", errors="replace").splitlines()
        print(*(f"  | {line}" for line in output[-LINES_OF_OUTPUT:]), sep="\n", file=sys.stderr, flush=True)
        print(f"  kept: {life.run}", file=sys.stderr, flush=True)


def run_alone(make: Callable[[int, pathlib.Path], list[Claim]], count: int) -> int:
    """A storm as a program: `python -m storms.<name> [count]`; its folder is kept where a claim does not hold."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else count
    folder = pathlib.Path(tempfile.mkdtemp(prefix="storm-"))
    claims = make(count, folder)
    print(table(claims), end="")
    if all(claim.holds for claim in claims):
        shutil.rmtree(folder)
        return 0
    print(f"kept: {folder}", file=sys.stderr)
    return 1


def main() -> int:
    """Kills Hourglass; with --controls, the recipes of the guides instead."""
    if "--controls" in sys.argv:
        sys.argv.remove("--controls")
        return run_alone(controls, 20)
    return run_alone(lambda count, folder: [storm(count, folder)], 200)


if __name__ == "__main__":
    sys.exit(main())
