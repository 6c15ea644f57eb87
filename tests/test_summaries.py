"""What TensorBoard is given, read back as TensorBoard reads it."""

import re

import numpy as np
import pytest
from conftest import pictures as read_pictures
from conftest import scalars

from trainer.summaries import pictures, statistics
from trainer.summaries import tensorboard as board
from trainer.summaries.server import Server, command


def test_the_measures_are_of_one_error():
    squared_errors = np.float32([3.0, 5.0])
    found = statistics.reconstruction(squared_errors, 100, pictures=True)
    expected = {"mse": 0.04, "rmse": 0.2, "sse": 4.0, "psnr": 13.9794}
    assert found == pytest.approx({f"reconstruction/{name}": value for name, value in expected.items()}, rel=1e-5)


def test_tables_have_no_peak_signal():
    assert "reconstruction/psnr" not in statistics.reconstruction(np.float32([1]), 4, pictures=False)


def test_an_exact_reconstruction_has_no_ratio_to_take_a_logarithm_of():
    assert "reconstruction/psnr" not in statistics.measures(0.0, 4, pictures=True)


def test_the_same_examples_are_shown_every_time_from_first_to_last():
    examples = np.arange(100)
    shown = pictures.fixed_examples(examples)
    assert (len(shown), shown[0], shown[-1]) == (8, 0, 99)
    assert pictures.fixed_examples(examples[:3]).tolist() == [0, 1, 2]


def test_the_grid_shows_original_reconstruction_and_error_below_each_other():
    originals = np.full((2, 64, 64, 1), 0.5, np.float32)
    reconstructions = originals + np.float32([0.1, 9.0]).reshape(2, 1, 1, 1)
    grid = pictures.reconstruction_grid(originals, reconstructions)
    assert grid.shape == (3 * 66 + 2, 2 * 66 + 2, 1)
    # An error of 0.1 is shown as 0.2; what lies outside is clipped.
    first, second = grid[33::66, 33, 0][:3], grid[33::66, 99, 0][:3]
    assert first.tolist() == [128, 153, 51]
    assert second.tolist() == [128, 255, 255]
    assert grid[0].min() == 255


def test_small_pictures_are_enlarged_without_smoothing():
    tile = np.float32([[0, 1], [1, 0]]).reshape(1, 1, 2, 2, 1)
    grid = pictures.grid(tile)
    assert grid.shape == (64 + 4, 64 + 4, 1)
    assert set(np.unique(grid)) == {0, 255}


def write(folder, steps, next_step=0, **values):
    writer = board.Writer(folder, next_step)
    for step in steps:
        writer.scalars(step, {"loss": step / 2, **values})
    writer.close()


def test_scalars_and_pictures_are_read_back_by_value(tmp_path):
    writer = board.Writer(tmp_path, 0)
    writer.scalars(3, {"loss": 0.5, "learning_rate": 0.25})
    writer.scalars(7, {"loss": 1.5})
    grid = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    writer.picture(7, "reconstruction", grid)
    writer.close()
    assert scalars(tmp_path) == {"loss": {3: 0.5, 7: 1.5}, "learning_rate": {3: 0.25}}
    np.testing.assert_array_equal(read_pictures(tmp_path, "reconstruction")[7], grid)


def test_what_a_killed_run_wrote_ahead_of_its_checkpoint_is_gone(tmp_path):
    write(tmp_path, range(10))
    write(tmp_path, range(6, 8), next_step=6, learning_rate=1.0)
    assert scalars(tmp_path)["loss"] == {step: step / 2 for step in range(8)}
    assert set(scalars(tmp_path)["learning_rate"]) == {6, 7}


def test_a_run_that_starts_over_leaves_nothing_of_the_first(tmp_path):
    write(tmp_path, range(10))
    write(tmp_path, range(2))
    assert set(scalars(tmp_path)["loss"]) == {0, 1}


@pytest.mark.parametrize("lost", [1, 7, 40])
def test_a_torn_last_record_is_cut_off(lost, tmp_path):
    write(tmp_path, range(5))
    (path,) = [p for p in tmp_path.glob(board.EVENT_FILES) if p.name.endswith(".v2")]
    path.write_bytes(path.read_bytes()[:-lost])
    write(tmp_path, [4], next_step=4)
    assert scalars(tmp_path)["loss"] == {step: step / 2 for step in range(5)}


def test_a_damaged_event_file_is_kept_aside(tmp_path):
    write(tmp_path, range(50))
    (path,) = [p for p in tmp_path.glob(board.EVENT_FILES) if p.name.endswith(".v2")]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    write(tmp_path, [50], next_step=50)
    (aside,) = tmp_path.glob("damaged.*")
    assert aside.read_bytes() == bytes(content)
    assert 50 in scalars(tmp_path)["loss"]


def test_a_clock_that_was_set_back_changes_nothing(tmp_path, monkeypatch):
    write(tmp_path, range(5))
    for path in tmp_path.glob(board.EVENT_FILES):
        path.rename(path.with_name(re.sub(r"tfevents\.\d+", "tfevents.9999999999", path.name)))
    write(tmp_path, range(5, 8), next_step=5)
    assert scalars(tmp_path)["loss"] == {step: step / 2 for step in range(8)}
    assert not list(tmp_path.glob("*9999999999*"))


def test_the_start_is_told_to_readers_that_have_the_files_open(tmp_path):
    import tensorflow as tf

    write(tmp_path, range(5))
    write(tmp_path, range(3, 5), next_step=3)
    started = [
        event.step
        for path in sorted(tmp_path.glob(board.EVENT_FILES))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if event.session_log.status == tf.compat.v1.SessionLog.START
    ]
    assert started == [0, 3]


def test_the_command_can_be_typed_and_keeps_every_picture(tmp_path):
    assert command(tmp_path / "my runs").endswith("/my runs' --samples_per_plugin images=1000")


def test_a_port_that_is_taken_is_replaced_by_a_free_one(tmp_path, monkeypatch):
    import socket
    import subprocess

    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda arguments, **options: started.append(arguments))
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server(tmp_path, port)
    assert server.url != f"http://localhost:{port}/"
    assert started[0][started[0].index("--host") + 1] == "localhost"
