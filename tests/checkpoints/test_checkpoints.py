"""Tests of saving, committing, verifying, rotating and restoring checkpoints."""

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
from trainer.system import files


class Run:
    """A run whose only state is a vector. All elements equal the step."""

    def __init__(self, folder, keep=3, keep_every=0):
        self.vector = tf.Variable(tf.zeros([8]))
        self.folder = folder
        self.manager = CheckpointManager(
            folder, tf.train.Checkpoint(vector=self.vector), keep=keep, keep_every=keep_every
        )

    def save(self, *steps):
        for step in steps:
            self.vector.assign(tf.fill([8], float(step)))
            self.manager.save(manifest(step))

    def restore(self, check=lambda manifest: None):
        restored = self.manager.restore_newest(check)
        if restored:
            assert self.vector.numpy().tolist() == [float(restored.manifest.step)] * 8
        return restored and restored.manifest.step


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


def test_a_manifest_of_an_older_version_is_read(tmp_path):
    content = vars(manifest(3)) | {"schema": 1}
    for name in ("scores", "columns"):
        del content[name]
    files.write(tmp_path / "ckpt-3.json", manifests._seal(content))
    read = manifests.read(tmp_path, 3)
    assert (read.schema, read.scores, read.columns) == (1, None, "")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_rotation_works_in_folders_with_special_characters(folder):
    Run(folder).save(1, 2, 3, 4, 5, 6)
    files = [f"ckpt-{step}{end}" for step in (4, 5, 6) for end in (".data-00000-of-00001", ".index", ".json")]
    assert names(folder) == ["checkpoint", *files]


def test_rotation_continues_after_a_restart(folder):
    Run(folder).save(1, 2, 3)
    restarted = Run(folder)
    assert restarted.restore() == 3
    restarted.save(4, 5)
    assert manifests.steps_in(folder) == [3, 4, 5]
    assert Run(folder).restore() == 5


def test_latest_checkpoint_of_tensorflow_returns_the_newest(tmp_path):
    Run(tmp_path / "c").save(1, 2, 3, 4)
    assert tf.train.latest_checkpoint(str(tmp_path / "c")) == str(tmp_path / "c" / "ckpt-4")


def test_restoring_from_an_empty_folder_returns_none(folder):
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
    "a manifest that is not an object": lambda folder: (folder / "ckpt-3.json").write_text("[1]"),
    "a manifest of another step": lambda folder: (folder / "ckpt-3.json").write_text(
        (folder / "ckpt-2.json").read_text()
    ),
    "an edited manifest": lambda folder: (folder / "ckpt-3.json").write_text(
        (folder / "ckpt-3.json").read_text().replace('"seconds": 0.5', '"seconds": 0.6')
    ),
    "a manifest with other white space": lambda folder: (folder / "ckpt-3.json").write_text(
        json.dumps(json.loads((folder / "ckpt-3.json").read_text()))
    ),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_checkpoint_is_set_aside_and_the_previous_one_is_restored(how, tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1, 2, 3)
    DAMAGE[how](folder)
    run = Run(folder)
    assert run.restore() == 2
    assert "damaged-3" in names(folder)
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-2")
    run.save(3, 4)
    assert manifests.steps_in(folder) == [2, 3, 4]


def test_if_all_checkpoints_are_damaged_the_error_lists_them_and_nothing_is_moved(tmp_path):
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
def test_the_state_file_of_tensorflow_is_not_read(content, tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1, 2, 3)
    (folder / "checkpoint").unlink() if content is None else (folder / "checkpoint").write_bytes(content)
    run = Run(folder)
    assert run.restore() == 3
    run.save(4)
    assert manifests.steps_in(folder) == [2, 3, 4]
    assert not (folder / "ckpt-1.index").exists()


def test_uncommitted_checkpoints_and_temporary_files_are_deleted(tmp_path):
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


def test_checkpoints_of_other_programs_are_moved_not_deleted(tmp_path):
    folder = tmp_path / "c"
    other = tf.train.Checkpoint(vector=tf.Variable(tf.fill([8], 7.0)))
    tf.train.CheckpointManager(other, str(folder), max_to_keep=3).save()
    content = (folder / "ckpt-1.index").read_bytes()
    run = Run(folder)
    assert run.restore() is None
    run.save(1)
    assert (folder / "damaged-1" / "ckpt-1.index").read_bytes() == content


def test_latest_checkpoint_of_tensorflow_ignores_an_interrupted_save(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1, 2, 3)
    (folder / "ckpt-3.json").unlink()
    Run(folder)
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-2")


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), OSError(errno.EIO, "I/O error")])
def test_a_temporary_read_error_does_not_discard_the_newest_checkpoint(error, tmp_path, monkeypatch):
    folder = tmp_path / "c"
    Run(folder).save(1, 2)

    def failing(path):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("trainer.system.files.sha256", failing)
        with pytest.raises(StorageError, match=error.strerror):
            Run(folder).restore()
    assert Run(folder).restore() == 2


def test_files_of_the_user_are_not_touched(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1)
    (folder / "notes.txt").write_text("mine")
    others = ("ckpt-best.index", "ckpt-50.index.bak", "ckpt-1.data-00000-of-00001.bak", ".notes.tmp")
    for name in others:
        (folder / name).write_text("mine")
    Run(folder, keep=1).save(2, 3)
    assert {"notes.txt", *others} <= set(names(folder))


def test_an_incompatible_checkpoint_raises_and_is_not_moved(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1)
    before = names(folder)

    def reject(manifest):
        raise ValueError("another run")

    with pytest.raises(ValueError, match="another run"):
        Run(folder).restore(reject)
    assert names(folder) == before


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_the_previous_checkpoint_and_no_other_files(function, tmp_path, monkeypatch):
    folder = tmp_path / "c"
    run = Run(folder)
    run.save(1)
    with monkeypatch.context() as patch:
        patch.setattr(f"trainer.system.files.os.{function}", full_disk)
        with pytest.raises(StorageError, match="No space left"):
            run.save(2)
    assert [name for name in names(folder) if name != "checkpoint"] == names_of(1)
    run.save(2, 3)
    assert Run(folder).restore() == 3


def test_repeated_failed_saves_do_not_delete_the_last_checkpoint(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    run = Run(folder, keep=1)
    run.save(1)
    for step in (2, 3, 4, 5):  # TensorFlow's manager counts these as saved.
        with monkeypatch.context() as patch:
            patch.setattr(manifests, "write", full_disk)
            with pytest.raises(StorageError):
                run.save(step)
    assert Run(folder).restore() == 1


def test_a_smaller_keep_deletes_nothing_before_the_next_commit(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    Run(folder, keep=4).save(1, 2, 3, 4)
    run = Run(folder, keep=1)
    with monkeypatch.context() as patch:
        patch.setattr(manifests, "write", full_disk)
        with pytest.raises(StorageError):
            run.save(5)
    assert manifests.steps_in(folder) == [1, 2, 3, 4]
    run.save(6)
    assert manifests.steps_in(folder) == [6]


def test_a_failure_to_write_kept_does_not_undo_the_commit_and_is_retried(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    run = Run(folder, keep=1, keep_every=1)
    with monkeypatch.context() as patch:
        patch.setattr("trainer.checkpoints.retention.link_into", full_disk)
        run.save(1)
    assert manifests.steps_in(folder) == [1]
    run.save(2)
    assert manifests.steps_in(folder / "kept") == [1, 2]


def test_the_best_checkpoint_stays_while_best_cannot_be_written(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    run = Run(folder, keep=2)
    monkeypatch.setattr("trainer.checkpoints.retention.link_into", full_disk)
    for step in range(1, 9):
        run.vector.assign(tf.fill([8], float(step)))
        error = {manifests.ERROR: 0.1 if step == 2 else 1.0}
        run.manager.save(dataclasses.replace(manifest(step), metrics=error, evaluated=step))
    assert manifests.steps_in(folder) == [2, 7, 8]
    assert catalog.best(folder).step == 2


def test_leftovers_of_a_failed_save_are_deleted_by_the_next_save(tmp_path):
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


def test_keep_every_keeps_checkpoints_for_good(tmp_path):
    folder = tmp_path / "c"
    Run(folder, keep=1, keep_every=2).save(1, 2, 3, 4, 5)
    assert manifests.steps_in(folder) == [5]
    assert manifests.steps_in(folder / "kept") == [2, 4]


def test_the_newest_checkpoint_is_restored_from_kept_and_linked_into_the_rotation(tmp_path):
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


@pytest.mark.parametrize("uncommitted", [["ckpt-1.data-00000-of-00001"], []])
def test_an_interrupted_first_save_leaves_nothing(uncommitted, tmp_path):
    folder = tmp_path / "c"
    (folder / "ckpt-1_temp").mkdir(parents=True)
    for name in uncommitted:
        (folder / name).write_text("x")
    assert Run(folder).restore() is None
    assert names(folder) == []


def names_of(step):
    return [f"ckpt-{step}.data-00000-of-00001", f"ckpt-{step}.index", f"ckpt-{step}.json"]


def test_a_checkpoint_with_other_variables_is_rejected(tmp_path):
    folder = tmp_path / "c"
    Run(folder).save(1)
    other = CheckpointManager(
        folder, tf.train.Checkpoint(vector=tf.Variable(tf.zeros([8])), more=tf.Variable(0.0)), keep=3
    )
    with pytest.raises(CheckpointError, match="does not match this network"):
        other.restore_newest(lambda manifest: None)
