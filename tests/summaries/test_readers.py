"""TensorBoard's three readers agree on what a killed run left behind, also when they had it open all the time."""

import itertools
import re

import numpy as np
import pytest
from readers import READERS, Accumulators, DataServer, LocalReader, read

from trainer.summaries import event_files
from trainer.summaries import writer as board

LAST = 12
KILLS = [  # The steps that every life of the run writes; each goes on at the step that it begins with.
    pytest.param([(0, 9), (6, LAST)], id="once"),
    pytest.param([(0, 9), (6, 8), (3, 11), (11, 11), (4, LAST)], id="again and again"),
    pytest.param([(0, 9), (7, 6), (7, 6), (5, LAST)], id="before anything was written"),
    pytest.param([(0, 9), (0, LAST)], id="before the first checkpoint"),
]
# The data server looks again every second: one kill does for a short test.
OPENED = [
    pytest.param(
        reader,
        *kill.values,
        id=f"{kill.id}-{reader.__name__}",
        marks=[pytest.mark.whole] if reader is DataServer and kill is not KILLS[0] else [],
    )
    for kill in KILLS[:3]
    for reader in (DataServer, LocalReader)
]


def write(root, first, last) -> None:
    """One life of a run: it goes on at its first step, and is killed after its last one."""
    train, evaluation = (board.Writer(root / name, first) for name in ("train", "eval"))
    for step in range(first, last + 1):
        train.scalars(step, {"loss": step / 2, **({"learning_rate": 1 / 2**step} if step % 2 == 0 else {})})
        if step % 3 == 0:
            evaluation.scalars(step, {"reconstruction/rmse": float(step)})
            evaluation.picture(step, "reconstruction", np.full([4, 5, 1], step, np.uint8))
            evaluation.text(step, "history", f"step {step}")
    train.close()
    evaluation.close()


def rename(root, second) -> None:
    """Makes all files that are younger than 2001 of that second."""
    for path in root.rglob(event_files.PATTERN):
        if event_files._time_in(path.name) > 1_000_000_000:
            path.rename(path.with_name(re.sub(r"tfevents\.\d+", f"tfevents.{second}", path.name)))


@pytest.fixture
def live_a_second(tmp_path):
    """Writes one life, a second after the one before: TensorBoard tells files apart by the second they began in."""
    seconds = itertools.count(1_000_000_000 - 100)

    def live(first, last):
        write(tmp_path, first, last)
        rename(tmp_path, next(seconds))

    return live


def seen(root) -> dict:
    return {reader.__name__: read(reader, root) for reader in READERS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, prepared_tensorflow):
    """What a reader sees of a run that was never killed."""
    root = tmp_path_factory.mktemp("whole")
    write(root, 0, LAST)
    return read(DataServer, root)


@pytest.fixture(scope="module")
def by_all(whole):
    return {reader.__name__: whole for reader in READERS}


def test_every_point_is_given_by_value_and_in_order(whole):
    import tensorflow as tf

    thirds = range(0, LAST + 1, 3)
    assert whole["scalars"] == {
        "train": {
            "loss": [(step, step / 2) for step in range(LAST + 1)],
            "learning_rate": [(step, 1 / 2**step) for step in range(0, LAST + 1, 2)],
        },
        "eval": {"reconstruction/rmse": [(step, float(step)) for step in thirds]},
    }
    assert whole["text"] == {"eval": {"history": [(step, f"step {step}".encode()) for step in thirds]}}
    pictures = whole["images"]["eval"]["reconstruction"]
    assert [step for step, _ in pictures] == list(thirds)
    for step, (png,) in pictures:
        np.testing.assert_array_equal(tf.io.decode_png(png), np.full([4, 5, 1], step))


def test_every_kind_of_series_is_read_alike(tmp_path):
    import tensorflow as tf
    from tensorboard.plugins.custom_scalar import layout_pb2
    from tensorboard.plugins.custom_scalar import summary as layouts

    layout = layouts.pb(layout_pb2.Layout(category=[layout_pb2.Category(title="errors")]))
    for folder in (tmp_path, tmp_path / "a" / "b"):
        with tf.summary.create_file_writer(str(folder)).as_default(step=3):
            tf.summary.experimental.write_raw_pb(layout.SerializeToString())
            for tag in ("one", "another"):
                tf.summary.scalar(f"scalar/{tag}", 0.1)
                tf.summary.histogram(f"histogram/{tag}", [1.0, 2.0, 2.0])
                tf.summary.text(f"text/{tag}", ["ü", "b"])
                tf.summary.image(f"pictures/{tag}", np.zeros([2, 3, 4, 3], np.uint8), max_outputs=2)
    found = seen(tmp_path)
    assert found["DataServer"] == found["LocalReader"] == found["Accumulators"]
    for plugin, runs in found["DataServer"].items():
        assert set(runs) == {".", "a/b"}
        assert all(len(tags) == (1 if plugin == "custom_scalars" else 2) for tags in runs.values())


@pytest.mark.parametrize("lives", KILLS)
def test_all_readers_see_a_killed_run_as_one_never_killed(lives, tmp_path, by_all):
    for life in lives:
        write(tmp_path, *life)
    assert seen(tmp_path) == by_all


@pytest.mark.parametrize("lost", [1, 7, 40])
def test_all_readers_see_nothing_of_a_torn_last_record(lost, tmp_path, by_all):
    write(tmp_path, 0, 9)
    for path in tmp_path.rglob("*.v2"):
        path.write_bytes(path.read_bytes()[:-lost])
    write(tmp_path, 9, LAST)
    assert seen(tmp_path) == by_all


def test_all_readers_see_a_run_whose_clock_was_set_back(tmp_path, by_all):
    write(tmp_path, 0, 9)
    rename(tmp_path, 9_999_999_999)
    write(tmp_path, 6, 10)
    write(tmp_path, 8, LAST)
    assert seen(tmp_path) == by_all


@pytest.mark.parametrize(("reader", "lives"), OPENED)
def test_a_tensorboard_that_was_open_all_the_time_sees_no_kill(reader, lives, live_a_second, tmp_path, whole):
    """Once every tag has been written again: until then the data server goes on showing what the kill took back.

    `EventAccumulator` is told in vain: of what it has read it removes nothing.
    """
    first, *later = lives
    live_a_second(*first)
    with reader(tmp_path) as opened:
        for life in later:
            live_a_second(*life)
            opened.reload()
        assert opened.read() == whole


def test_a_data_server_that_was_open_follows_a_clock_that_was_set_back(tmp_path, whole):
    """The other one reads on from the file with the latest name until TensorBoard is started again."""
    write(tmp_path, 0, 9)
    rename(tmp_path, 9_999_999_999)
    with DataServer(tmp_path) as opened:
        write(tmp_path, 6, LAST)
        opened.reload()
        assert opened.read() == whole


def losses(reader) -> list[int]:
    return [step for step, _ in reader.read()["scalars"]["train"]["loss"]]


def test_without_the_mending_readers_see_steps_twice_and_disagree(live_a_second, tmp_path, whole, monkeypatch):
    monkeypatch.setattr(event_files, "continue_at", lambda *arguments: None)
    live_a_second(0, 9)
    live_a_second(6, LAST)
    twice = [*range(10), *range(6, LAST + 1)]
    assert losses(LocalReader(tmp_path)) == twice
    assert losses(Accumulators(tmp_path)) == twice
    assert read(DataServer, tmp_path) == whole


def test_without_being_told_a_tensorboard_that_was_open_sees_steps_twice(live_a_second, tmp_path, monkeypatch):
    def mend(folder, next_step, keep):
        for path in folder.glob(event_files.PATTERN):
            event_files._mend(path, next_step, keep, set())

    monkeypatch.setattr(event_files, "continue_at", mend)
    live_a_second(0, 9)
    opened = LocalReader(tmp_path)
    live_a_second(6, LAST)
    opened.reload()
    assert losses(opened) == [*range(10), *range(6, LAST + 1)]
