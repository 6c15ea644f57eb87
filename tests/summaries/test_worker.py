"""The thread that writes event files while training continues."""

import threading

import numpy as np
from readers import read_images, scalars

from trainer.summaries import writer as board
from trainer.summaries.guard import Guard
from trainer.summaries.worker import Worker


def test_jobs_are_done_one_after_the_other_in_order():
    worker, done, gate = Worker(Guard()), [], threading.Event()
    worker.submit("a", gate.wait)
    for number in range(50):
        worker.submit("a", lambda number=number: done.append(number))
    assert done == []
    gate.set()
    worker.wait()
    assert done == list(range(50))


def test_a_job_that_fails_is_logged_once_and_the_next_ones_are_done(caplog):
    worker, done = Worker(Guard()), []
    for _ in range(2):
        worker.submit("images", lambda: 1 / 0)
    worker.submit("scalars", lambda: done.append(1))
    worker.wait()
    assert done == [1]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "TensorBoard: images cannot be written (division by zero): training continues"
    ]


def test_a_closed_writer_leaves_no_thread(tmp_path):
    before = set(threading.enumerate())
    writer = board.Writer(tmp_path, 0)
    writer.scalars(1, {"loss": 1.0})
    assert len(set(threading.enumerate()) - before) == 1
    writer.close()
    assert set(threading.enumerate()) <= before
    assert scalars(tmp_path)["loss"] == {1: 1.0}


def test_training_does_not_wait_for_the_compression_of_an_image(tmp_path, monkeypatch):
    gate, encode = threading.Event(), board._image

    def slow_image(*arguments):
        gate.wait()
        return encode(*arguments)

    monkeypatch.setattr(board, "_image", slow_image)
    writer = board.Writer(tmp_path, 0)
    writer.image(3, "reconstruction", np.full((4, 4, 1), 7, np.uint8))
    values = {"loss": 1.5}
    writer.scalars(3, values)
    values["loss"] = 9.0
    writer.scalars(4, {"loss": 2.5})
    gate.set()
    writer.close()
    assert scalars(tmp_path)["loss"] == {3: 1.5, 4: 2.5}
    assert list(read_images(tmp_path, "reconstruction")) == [3]
