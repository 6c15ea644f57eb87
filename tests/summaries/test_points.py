"""Reading the scalars of event files without TensorFlow."""

import numpy as np
import pytest
from readers import Accumulators, LocalReader, read

from trainer.summaries import event_files, points, records
from trainer.summaries import writer as board

LAST = 9


def write(folder, first, last, scale=0.1) -> None:
    """Writes one session of a run, from step `first` to step `last`."""
    writer = board.Writer(folder, first)
    for step in range(first, last + 1):
        writer.scalars(step, {"loss": step * scale, **({"learning_rate": 1e-3} if step % 2 == 0 else {})})
        writer.image(step, "reconstruction", np.full([4, 5, 1], step, np.uint8))
        writer.histograms(step, {"codes": np.arange(3.0)})
        writer.text(step, "history", f"step {step}")
    writer.close()


def series(folder) -> dict:
    return {tag: [(step, value) for step, _, value in points] for tag, points in points.read(folder).by_tag.items()}


def event_file(folder):
    return max(folder.glob("*.v2"))


def position_of(folder, step) -> int:
    """Returns the position in the event file of the record that holds the loss of a step."""
    content, position = event_file(folder).read_bytes(), 0
    for record in records.read(event_file(folder)):
        event = points.Event.FromString(record.content)
        if event.step == step and event.summary.value and event.summary.value[0].tag == "loss":
            return position
        position += len(record.content) + event_files.FRAME_BYTES
    raise AssertionError(f"no step {step} in {content!r}")


def flip(folder, position) -> None:
    content = bytearray(event_file(folder).read_bytes())
    content[position] ^= 4
    event_file(folder).write_bytes(content)


def test_every_scalar_is_read_with_its_float32_value_and_its_time(tmp_path):
    import tensorflow as tf

    write(tmp_path, 0, LAST)
    read_points = points.read(tmp_path)
    assert series(tmp_path) == {
        "loss": [(step, float(np.float32(step * 0.1))) for step in range(LAST + 1)],
        "learning_rate": [(step, float(np.float32(1e-3))) for step in range(0, LAST + 1, 2)],
    }
    events = list(tf.compat.v1.train.summary_iterator(str(event_file(tmp_path))))
    times = [event.wall_time for event in events if "loss" in [value.tag for value in event.summary.value]]
    assert [point.wall_time for point in read_points.by_tag["loss"]] == times
    assert read_points.damaged == []


@pytest.mark.parametrize("sessions", [[(6, LAST)], [(6, 8), (3, 9), (9, 9), (4, LAST)], [(0, LAST)]])
def test_a_resumed_run_has_the_points_that_tensorboard_shows(sessions, tmp_path):
    write(tmp_path, 0, 8)
    for first, last in sessions:
        write(tmp_path, first, last, scale=first / 8)
    assert [step for step, _ in series(tmp_path)["loss"]] == list(range(LAST + 1))
    for reader in (LocalReader, Accumulators):
        assert {".": series(tmp_path)} == read(reader, tmp_path)["scalars"]


def test_steps_that_a_later_file_repeats_are_read_once(tmp_path):
    for folder, first, last, scale in (("old", 0, 8, 0.1), ("new", 5, LAST, 2.0)):
        write(tmp_path / folder, first, last, scale)
    event_file(tmp_path / "old").rename(tmp_path / "events.out.tfevents.1.v2")
    event_file(tmp_path / "new").rename(tmp_path / "events.out.tfevents.2.v2")
    values = [*(float(np.float32(step * 0.1)) for step in range(5)), *(2.0 * step for step in range(5, LAST + 1))]
    assert series(tmp_path)["loss"] == list(enumerate(values))


def test_scalars_of_other_writers_are_read(tmp_path):
    import tensorflow as tf

    with tf.summary.create_file_writer(str(tmp_path), filename_suffix=".v2").as_default():
        tf.summary.scalar("eager", 0.1, step=1)
        summary = tf.compat.v1.Summary(value=[tf.compat.v1.Summary.Value(tag="simple", simple_value=0.2)])
        tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=2)
    expected = {"eager": [(1, float(np.float32(0.1)))], "simple": [(2, float(np.float32(0.2)))]}
    assert series(tmp_path) == expected


@pytest.mark.parametrize("num_bytes", [1, 7, 40])
def test_a_record_that_is_still_being_written_is_no_damage(num_bytes, tmp_path):
    write(tmp_path, 0, LAST)
    path, end = event_file(tmp_path), position_of(tmp_path, LAST)
    path.write_bytes(path.read_bytes()[: end + num_bytes])
    assert [step for step, _ in series(tmp_path)["loss"]] == list(range(LAST))
    assert points.read(tmp_path).damaged == []


@pytest.mark.parametrize("offset", [0, 9, 12, 20, 40])
def test_points_before_damage_and_those_of_other_files_are_read(offset, tmp_path):
    write(tmp_path, 0, 5)
    damaged = event_file(tmp_path)
    flip(tmp_path, position_of(tmp_path, 3) + offset)
    later = tmp_path / "later"
    write(later, 6, LAST)
    event_file(later).rename(tmp_path / "events.out.tfevents.9999999999.v2")
    assert [step for step, _ in series(tmp_path)["loss"]] == [0, 1, 2, *range(6, LAST + 1)]
    assert points.read(tmp_path).damaged == [damaged]


def test_a_file_that_a_resumed_run_has_just_renamed_is_looked_up_again(tmp_path, monkeypatch):
    write(tmp_path, 0, LAST)
    expected, read_records = series(tmp_path), records.read

    def read_after_rename(path):
        monkeypatch.setattr(records, "read", read_records)
        path.rename(path.with_name("events.out.tfevents.1.v2"))
        return read_records(path)

    monkeypatch.setattr(records, "read", read_after_rename)
    assert series(tmp_path) == expected
