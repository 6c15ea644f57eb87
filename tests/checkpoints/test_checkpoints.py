"""Checkpoints are committed, verified, rotated and fallen back from."""

import dataclasses
import errno
import json
import os

import pytest
import tensorflow as tf

from trainer.checkpoints import catalog, retention
from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.manager import CheckpointManager
from trainer.errors import CheckpointError, StorageError


class Run:
    """A run whose only state is a vector, equal to the step everywhere."""

    def __init__(self, folder, keep=3, keep_every=0):
        self.vector = tf.Variable(tf.zeros([8]))
        self.folder = folder
        self.store = CheckpointManager(
            folder, tf.train.Checkpoint(vector=self.vector), keep=keep, keep_every=keep_every
        )

    def save(self, *steps):
        for step in steps:
            self.vector.assign(tf.fill([8], float(step)))
            self.store.save(manifest(step))

    def restore(self, check=lambda manifest: None):
        found = self.store.restore_newest(check)
        if found:
            assert self.vector.numpy().tolist() == [float(found.manifest.step)] * 8
        return found and found.manifest.step


def manifest(step):
    return manifests.Manifest(
        run_id="r",
        step=step,
        flags={},
        data="d",
        numerics={},
        metrics={},
        changes=[],
        pending=(0.0, 0),
        seconds=0.5,
        files={},
    )


@pytest.fixture(params=["plain", "with spaces, ünicode", "run[1]", "run*?"])
def folder(request, tmp_path):
    (tmp_path / request.param).mkdir()
    return tmp_path / request.param / "checkpoints"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_the_newest_stay_in_any_folder(folder):
    Run(folder).save(1, 2, 3, 4, 5, 6)
    kept = [f"ckpt-{n}{end}" for n in (4, 5, 6) for end in (".data-00000-of-00001", ".index", ".json")]
    assert names(folder) == ["checkpoint", *kept]


def test_rotation_goes_on_after_a_restart(folder):
    Run(folder).save(1, 2, 3)
    again = Run(folder)
    assert again.restore() == 3
    again.save(4, 5)
    assert manifests.steps_in(folder) == [3, 4, 5]
    assert Run(folder).restore() == 5


def test_tensorflows_own_way_to_the_newest_keeps_working(tmp_path):
    Run(tmp_path / "c").save(1, 2, 3, 4)
    assert tf.train.latest_checkpoint(str(tmp_path / "c")) == str(tmp_path / "c" / "ckpt-4")


def test_a_folder_without_checkpoints_is_a_beginning(folder):
    assert Run(folder).restore() is None


def test_a_step_is_not_saved_twice(folder):
    run = Run(folder)
    run.save(1)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    run.save(1)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "a flipped bit in the data": lambda folder: flip(folder / "ckpt-3.data-00000-of-00001"),
    "a flipped bit in the index": lambda folder: flip(folder / "ckpt-3.index"),
    "data cut short": lambda folder: os.truncate(folder / "ckpt-3.data-00000-of-00001", 9),
    "no index": lambda folder: (folder / "ckpt-3.index").unlink(),
    "no data": lambda folder: (folder / "ckpt-3.data-00000-of-00001").unlink(),
    "an empty manifest": lambda folder: (folder / "ckpt-3.json").write_text(""),
    "a manifest of something else": lambda folder: (folder / "ckpt-3.json").write_text("[1]"),
    "a manifest of another step": lambda folder: (folder / "ckpt-3.json").write_text(
        (folder / "ckpt-2.json").read_text()
    ),
    "a manifest that somebody has edited": lambda folder: (folder / "ckpt-3.json").write_text(
        (folder / "ckpt-3.json").read_text().replace('"seconds": 0.5', '"seconds": 0.6')
    ),
    "a manifest with other white space": lambda folder: (folder / "ckpt-3.json").write_text(
        json.dumps(json.loads((folder / "ckpt-3.json").read_text()))
    ),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_noticed_set_aside_and_the_one_before_is_taken(how, tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1, 2, 3)
    DAMAGE[how](folder)
    run = Run(folder)
    assert run.restore() == 2
    assert "damaged-3" in names(folder)
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-2")
    run.save(3, 4)
    assert manifests.steps_in(folder) == [2, 3, 4]


def test_when_none_can_be_used_nothing_is_moved_and_each_is_named(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1, 2)
    for path in folder.glob("*.index"):
        flip(path)
    before = names(folder)
    with pytest.raises(CheckpointError) as error:
        Run(folder).restore()
    assert "ckpt-1.index" in str(error.value)
    assert "ckpt-2.index" in str(error.value)
    assert "--restart" in str(error.value)
    assert names(folder) == before


@pytest.mark.parametrize("content", [None, b"", b"garbage", b'model_checkpoint_path: "elsewhere"\n'])
def test_tensorflows_text_file_is_never_trusted(content, tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1, 2, 3)
    (folder / "checkpoint").unlink() if content is None else (folder / "checkpoint").write_bytes(content)
    run = Run(folder)
    assert run.restore() == 3
    run.save(4)
    assert manifests.steps_in(folder) == [2, 3, 4]
    assert not (folder / "ckpt-1.index").exists()


def test_a_save_that_was_never_committed_does_not_count_and_is_swept(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1, 2, 3)
    (folder / "ckpt-3.json").unlink()
    (folder / "ckpt-4_temp").mkdir()
    (folder / "ckpt-4_temp" / "part.tempstate1").write_text("x")
    (folder / "checkpoint.tmp0").write_text("x")
    run = Run(folder)
    assert run.restore() == 2
    assert not [name for name in names(folder) if "-3" in name or "-4" in name or "tmp" in name]
    run.save(3)
    assert Run(folder).restore() == 3


def test_checkpoints_of_others_are_moved_and_not_lost(tmp_path):
    folder = tmp_path / "c"
    theirs = tf.train.Checkpoint(vector=tf.Variable(tf.fill([8], 7.0)))
    tf.train.CheckpointManager(theirs, str(folder), max_to_keep=3).save()
    content = (folder / "ckpt-1.index").read_bytes()
    run = Run(folder)
    assert run.restore() is None
    run.save(1)
    assert (folder / "damaged-1" / "ckpt-1.index").read_bytes() == content


def test_plain_tensorflow_finds_the_newest_even_after_a_save_that_was_cut_off(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1, 2, 3)
    (folder / "ckpt-3.json").unlink()
    Run(folder)
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-2")


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), OSError(errno.EIO, "I/O error")])
def test_a_disk_that_fails_for_a_moment_does_not_cost_the_newest_checkpoint(error, tmp_path, monkeypatch):
    folder = tmp_path / "c"
    Run(folder).save(1, 2)

    def failing(path):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("trainer.system.files.sha256", failing)
        with pytest.raises(StorageError, match=error.strerror):
            Run(folder).restore()
    assert Run(folder).restore() == 2


def test_files_of_people_are_left_alone(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1)
    (folder / "notes.txt").write_text("mine")
    others = ("ckpt-best.index", "ckpt-50.index.bak", "ckpt-1.data-00000-of-00001.bak", ".notes.tmp")
    for name in others:
        (folder / name).write_text("mine")
    Run(folder, keep=1).save(2, 3)
    assert {"notes.txt", *others} <= set(names(folder))


def test_what_is_not_accepted_stops_the_run_and_stays(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1)
    before = names(folder)

    def refuse(manifest):
        raise ValueError("another run's")

    with pytest.raises(ValueError, match="another run's"):
        Run(folder).restore(refuse)
    assert names(folder) == before


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_leaves_the_previous_checkpoint_and_no_litter(where, tmp_path, monkeypatch):
    folder = tmp_path / "c"
    run = Run(folder)
    run.save(1)
    with monkeypatch.context() as patch:
        patch.setattr(f"trainer.system.files.os.{where}", full)
        with pytest.raises(StorageError, match="No space left"):
            run.save(2)
    assert [name for name in names(folder) if name != "checkpoint"] == names_of(1)
    run.save(2, 3)
    assert Run(folder).restore() == 3


def test_saves_that_fail_again_and_again_do_not_cost_the_last_good_one(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    run = Run(folder, keep=1)
    run.save(1)
    for step in (2, 3, 4, 5):  # TensorFlow's manager believes that these are there.
        with monkeypatch.context() as patch:
            patch.setattr(manifests, "write", full)
            with pytest.raises(StorageError):
                run.save(step)
    assert Run(folder).restore() == 1


def test_a_smaller_number_to_keep_removes_nothing_before_the_next_commit(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    Run(folder, keep=4).save(1, 2, 3, 4)
    run = Run(folder, keep=1)
    with monkeypatch.context() as patch:
        patch.setattr(manifests, "write", full)
        with pytest.raises(StorageError):
            run.save(5)
    assert manifests.steps_in(folder) == [1, 2, 3, 4]
    run.save(6)
    assert manifests.steps_in(folder) == [6]


def test_a_shelf_that_cannot_be_written_does_not_undo_a_commit_and_is_filled_later(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    run = Run(folder, keep=1, keep_every=1)
    with monkeypatch.context() as patch:
        patch.setattr("trainer.checkpoints.retention.link_into", full)
        run.save(1)
    assert manifests.steps_in(folder) == [1]
    run.save(2)
    assert manifests.steps_in(folder / "kept") == [1, 2]


def test_the_best_is_not_lost_while_its_shelf_cannot_be_written(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    run = Run(folder, keep=2)
    monkeypatch.setattr("trainer.checkpoints.retention.link_into", full)
    for step in range(1, 9):
        run.vector.assign(tf.fill([8], float(step)))
        error = {manifests.ERROR: 0.1 if step == 2 else 1.0}
        run.store.save(dataclasses.replace(manifest(step), metrics=error, evaluated=step))
    assert manifests.steps_in(folder) == [2, 7, 8]
    assert catalog.best(folder).step == 2


def test_what_a_failed_save_leaves_behind_is_removed_by_the_next(tmp_path):
    folder = tmp_path / "c"
    run = Run(folder)
    run.save(1)
    (folder / "ckpt-2_temp").mkdir()
    (folder / "ckpt-2.index").write_text("x")
    (folder / "best").mkdir()
    (folder / "best" / "ckpt-2.index").write_text("x")
    run.save(3)
    assert manifests.steps_in(folder) == [1, 3]
    assert not retention.has_leftovers(folder)
    assert not list(folder.rglob("*-2*"))


def test_every_so_many_steps_one_is_kept_for_good(tmp_path):
    folder = tmp_path / "c"
    Run(folder, keep=1, keep_every=2).save(1, 2, 3, 4, 5)
    assert manifests.steps_in(folder) == [5]
    assert manifests.steps_in(folder / "kept") == [2, 4]


def test_the_newest_is_taken_wherever_it_is_and_comes_back_into_rotation(tmp_path):
    folder = tmp_path / "run[1]" / "c"
    folder.parent.mkdir()
    Run(folder, keep_every=2).save(1, 2)
    (folder / "ckpt-2.index").unlink()
    run = Run(folder)
    assert run.restore() == 2
    assert (folder / "damaged-2" / "ckpt-2.json").exists()
    assert manifests.read(folder, 2).step == 2
    run.save(3)
    assert Run(folder).restore() == 3


@pytest.mark.parametrize("torn", [["ckpt-1.data-00000-of-00001"], []])
def test_a_first_save_that_was_cut_off_leaves_nothing(torn, tmp_path):
    folder = tmp_path / "c"
    (folder / "ckpt-1_temp").mkdir(parents=True)
    for name in torn:
        (folder / name).write_text("x")
    assert Run(folder).restore() is None
    assert names(folder) == []


def names_of(step):
    return [f"ckpt-{step}.data-00000-of-00001", f"ckpt-{step}.index", f"ckpt-{step}.json"]


def test_another_structure_is_not_restored_in_part(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1)
    other = CheckpointManager(
        folder, tf.train.Checkpoint(vector=tf.Variable(tf.zeros([8])), more=tf.Variable(0.0)), keep=3
    )
    with pytest.raises(CheckpointError, match="does not restore"):
        other.restore_newest(lambda manifest: None)
