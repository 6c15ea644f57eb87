"""All readers of TensorBoard, even open ones, see a killed and resumed run like an uninterrupted run."""

import itertools
import re

import numpy as np
import pytest
from readers import READERS, Accumulators, DataServer, LocalReader, read

from trainer.summaries import event_files
from trainer.summaries import writer as board

LAST = 12
KILLS = [  # The first and the last step of each session of a run. A session resumes at its first step.
    pytest.param([(0, 9), (6, LAST)], id="once"),
    pytest.param([(0, 9), (6, 8), (3, 11), (11, 11), (4, LAST)], id="again and again"),
    pytest.param([(0, 9), (7, 6), (7, 6), (5, LAST)], id="before anything was written"),
    pytest.param([(0, 9), (0, LAST)], id="before the first checkpoint"),
]
# The data server reads new points only once per second, so the short test suite uses it for one kill only.
OPEN_READERS = [
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
    """Writes one session of a run, which resumes at step `first` and is killed after step `last`."""
    train, evaluation = (board.Writer(root / name, first) for name in ("train", "eval"))
    for step in range(first, last + 1):
        train.scalars(step, {"loss": step / 2, **({"learning_rate": 1 / 2**step} if step % 2 == 0 else {})})
        if step % 3 == 0:
            evaluation.scalars(step, {"reconstruction/rmse": float(step)})
            evaluation.image(step, "reconstruction", np.full([4, 5, 1], step, np.uint8))
            evaluation.text(step, "history", f"step {step}")
    train.close()
    evaluation.close()


def rename(root, second) -> None:
    """Sets the time in the names of all event files from after 2001 to `second`."""
    for path in root.rglob(event_files.PATTERN):
        if event_files._timestamp(path.name) > 1_000_000_000:
            path.rename(path.with_name(re.sub(r"tfevents\.\d+", f"tfevents.{second}", path.name)))


@pytest.fixture
def write_a_second_later(tmp_path):
    """Writes sessions one second apart, because TensorBoard distinguishes files by the second in their names."""
    seconds = itertools.count(1_000_000_000 - 100)

    def write_session(first, last):
        write(tmp_path, first, last)
        rename(tmp_path, next(seconds))

    return write_session


def read_all(root) -> dict:
    return {reader.__name__: read(reader, root) for reader in READERS}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, prepared_tensorflow):
    """All points of a run that was never killed."""
    root = tmp_path_factory.mktemp("uninterrupted")
    write(root, 0, LAST)
    return read(DataServer, root)


@pytest.fixture(scope="module")
def expected(uninterrupted):
    return {reader.__name__: uninterrupted for reader in READERS}


def test_all_points_are_read_in_order(uninterrupted):
    import tensorflow as tf

    evaluations = range(0, LAST + 1, 3)
    assert uninterrupted["scalars"] == {
        "train": {
            "loss": [(step, step / 2) for step in range(LAST + 1)],
            "learning_rate": [(step, 1 / 2**step) for step in range(0, LAST + 1, 2)],
        },
        "eval": {"reconstruction/rmse": [(step, float(step)) for step in evaluations]},
    }
    assert uninterrupted["text"] == {"eval": {"history": [(step, f"step {step}".encode()) for step in evaluations]}}
    images = uninterrupted["images"]["eval"]["reconstruction"]
    assert [step for step, _ in images] == list(evaluations)
    for step, (png,) in images:
        np.testing.assert_array_equal(tf.io.decode_png(png), np.full([4, 5, 1], step))


def test_the_readers_agree_on_every_kind_of_series(tmp_path):
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
                tf.summary.image(f"images/{tag}", np.zeros([2, 3, 4, 3], np.uint8), max_outputs=2)
    results = read_all(tmp_path)
    assert results["DataServer"] == results["LocalReader"] == results["Accumulators"]
    for plugin, runs in results["DataServer"].items():
        assert set(runs) == {".", "a/b"}
        assert all(len(tags) == (1 if plugin == "custom_scalars" else 2) for tags in runs.values())


@pytest.mark.parametrize("sessions", KILLS)
def test_all_readers_see_a_killed_run_like_an_uninterrupted_run(sessions, tmp_path, expected):
    for session in sessions:
        write(tmp_path, *session)
    assert read_all(tmp_path) == expected


@pytest.mark.parametrize("num_bytes", [1, 7, 40])
def test_no_reader_sees_a_torn_last_record(num_bytes, tmp_path, expected):
    write(tmp_path, 0, 9)
    for path in tmp_path.rglob("*.v2"):
        path.write_bytes(path.read_bytes()[:-num_bytes])
    write(tmp_path, 9, LAST)
    assert read_all(tmp_path) == expected


def test_all_readers_see_all_points_if_the_clock_was_set_back(tmp_path, expected):
    write(tmp_path, 0, 9)
    rename(tmp_path, 9_999_999_999)
    write(tmp_path, 6, 10)
    write(tmp_path, 8, LAST)
    assert read_all(tmp_path) == expected


@pytest.mark.parametrize(("reader", "sessions"), OPEN_READERS)
def test_an_open_tensorboard_sees_an_uninterrupted_run(reader, sessions, write_a_second_later, tmp_path, uninterrupted):
    """The data server shows removed points of a tag until the tag is written again, so only the end is compared.

    `EventAccumulator` is not tested, because it ignores `SessionLog.START` for points that it has read.
    """
    first, *later = sessions
    write_a_second_later(*first)
    with reader(tmp_path) as opened:
        for session in later:
            write_a_second_later(*session)
            opened.reload()
        assert opened.read() == uninterrupted


def test_an_open_data_server_sees_all_points_if_the_clock_was_set_back(tmp_path, uninterrupted):
    """`LocalReader` is not tested: it waits at the file with the latest name until TensorBoard is restarted."""
    write(tmp_path, 0, 9)
    rename(tmp_path, 9_999_999_999)
    with DataServer(tmp_path) as opened:
        write(tmp_path, 6, LAST)
        opened.reload()
        assert opened.read() == uninterrupted


def loss_steps(reader) -> list[int]:
    return [step for step, _ in reader.read()["scalars"]["train"]["loss"]]


def test_without_truncation_readers_see_steps_twice_and_disagree(
    write_a_second_later, tmp_path, uninterrupted, monkeypatch
):
    monkeypatch.setattr(event_files, "resume_at", lambda *arguments: None)
    write_a_second_later(0, 9)
    write_a_second_later(6, LAST)
    repeated = [*range(10), *range(6, LAST + 1)]
    assert loss_steps(LocalReader(tmp_path)) == repeated
    assert loss_steps(Accumulators(tmp_path)) == repeated
    assert read(DataServer, tmp_path) == uninterrupted


def test_without_a_session_log_an_open_tensorboard_sees_steps_twice(write_a_second_later, tmp_path, monkeypatch):
    def truncate(folder, next_step, keep):
        for path in folder.glob(event_files.PATTERN):
            event_files._truncate(path, next_step, keep, set())

    monkeypatch.setattr(event_files, "resume_at", truncate)
    write_a_second_later(0, 9)
    opened = LocalReader(tmp_path)
    write_a_second_later(6, LAST)
    opened.reload()
    assert loss_steps(opened) == [*range(10), *range(6, LAST + 1)]
