"""The mirror of a run: its contents, its commits, and restoring from it."""

import os
import shutil

import pytest
from formats import commit

from trainer.checkpoints import manifest as manifests
from trainer.checkpoints import retention
from trainer.errors import CheckpointError, StorageError, UsageError
from trainer.runs import mirror


@pytest.fixture
def run(tmp_path):
    """A run directory with two checkpoints, event files and other files."""
    folder = tmp_path / "disk" / "run[1]"
    for name in ("checkpoints", "train", "eval", "floor/pca"):
        (folder / name).mkdir(parents=True)
    for name in ("flags.txt", "history.txt", "train/events.out.tfevents.1", "floor/pca/events.out.tfevents.1"):
        (folder / name).write_text(name)
    (folder / "run_id").write_text("r\n")
    (folder / "checkpoints" / "notes.txt").write_text("mine")
    for step in (1, 2):
        commit(folder / "checkpoints", step, error=1.0 / step)
    retention.retain(folder / "checkpoints", 0)
    (tmp_path / "bucket").mkdir()
    return folder


def of(run):
    return mirror.Mirror(str(run.parent.parent / "bucket"), run)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_mirror_contains_all_files_of_the_run(run):
    of(run).update()
    expected = contents(run)
    del expected["checkpoints/notes.txt"]
    mirrored = contents(of(run).path)
    mirrored.pop("checkpoints/checkpoint")
    expected.pop("checkpoints/checkpoint", None)
    assert mirrored == expected


def test_an_update_copies_new_files_and_deletes_old_ones(run):
    of(run).update()
    commit(run / "checkpoints", 3)
    manifests.delete(run / "checkpoints", 1)
    (run / "train" / "events.out.tfevents.1").rename(run / "train" / "events.out.tfevents.2")
    (run / "train" / "events.out.tfevents.2").write_text("more than before")
    of(run).update()
    copy = of(run).path
    assert manifests.steps_in(copy / "checkpoints") == [2, 3]
    assert contents(copy / "train") == {"events.out.tfevents.2": b"more than before"}


def test_no_checkpoint_is_deleted_before_the_newest_is_copied(run, monkeypatch):
    of(run).update()
    commit(run / "checkpoints", 3)
    manifests.delete(run / "checkpoints", 1)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mirror.files, "copy", full)
    of(run).update()
    assert manifests.steps_in(of(run).path / "checkpoints") == [1, 2]
    monkeypatch.undo()
    of(run).update()
    assert manifests.steps_in(of(run).path / "checkpoints") == [2, 3]


def test_a_checkpoint_that_is_damaged_while_it_is_copied_is_not_committed(run, monkeypatch):
    copy_file = mirror.files.copy

    def copy_and_damage(source, target):
        copy_file(source, target)
        if target.name == "ckpt-2.index":
            target.write_text("damaged")

    monkeypatch.setattr(mirror.files, "copy", copy_and_damage)
    of(run).update()
    assert manifests.steps_in(of(run).path / "checkpoints") == [1]


@pytest.mark.parametrize("has_lock", [False, True])
def test_an_empty_run_directory_is_restored(has_lock, run):
    copy = of(run)
    copy.update()
    expected = contents(copy.path)
    run.rename(run.with_name("lost"))
    run.mkdir()  # Locking creates the directory.
    if has_lock:
        (run / ".lock").write_text("locked")
    assert copy.restore() == 2
    restored = contents(run)
    assert {k: v for k, v in restored.items() if not k.endswith("/checkpoint") and k != ".lock"} == {
        k: v for k, v in expected.items() if not k.endswith("/checkpoint")
    }
    assert os.path.getmtime(run / "flags.txt") == pytest.approx(os.path.getmtime(copy.path / "flags.txt"), abs=1)


def test_a_run_that_has_lost_no_checkpoint_is_not_restored(run):
    of(run).update()
    (run / "flags.txt").write_text("mine")
    assert of(run).restore() is None
    assert (run / "flags.txt").read_text() == "mine"


def test_an_interrupted_restore_is_repeated(run, monkeypatch):
    copy = of(run)
    copy.update()
    run.rename(run.with_name("lost"))
    run.mkdir()

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mirror, "_copy_checkpoint", interrupt)
        with pytest.raises(KeyboardInterrupt):
            copy.restore()
    assert copy.restore() == 2
    assert manifests.newest(run / "checkpoints").step == 2


def test_damaged_checkpoints_are_not_restored_and_are_an_error_if_no_other_exists(run):
    copy = of(run)
    copy.update()
    run.rename(run.with_name("lost"))
    run.mkdir()
    for path in copy.path.rglob("ckpt-2.index"):
        path.write_text("damaged")
    assert copy.restore() == 1
    assert manifests.steps_in(run / "checkpoints") == [1]
    for path in copy.path.rglob("ckpt-1.index"):
        path.write_text("damaged")
    run.rename(run.with_name("lost again"))
    run.mkdir()
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        copy.restore()


def test_the_mirror_of_another_run_is_refused_until_it_is_set_aside(run, monkeypatch):
    of(run).update()
    of(run).check()
    (run / "run_id").write_text("another\n")
    with pytest.raises(UsageError, match="the mirror of another run"):
        of(run).check()
    (run / "run_id").write_text("r\n")

    def replace_file(source, target, replace=os.replace):
        assert not os.path.isdir(source), "buckets cannot rename folders"
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_file)
    monkeypatch.setattr(os, "rename", replace_file)
    of(run).set_aside()
    (run / "run_id").write_text("another\n")
    of(run).check()
    assert (of(run).path / "set_aside" / "run" / "run_id").read_text() == "r\n"
    assert (of(run).path / "set_aside" / "run" / "checkpoints" / "ckpt-2.json").exists()
    assert not (of(run).path / "checkpoints").exists()


def test_a_mirror_dir_that_does_not_exist_or_contains_the_run_is_refused(run):
    with pytest.raises(StorageError, match="is not a folder"):
        mirror.Mirror(str(run.parent.parent / "absent"), run)
    for root in (run.parent, run):
        with pytest.raises(UsageError, match="contains the run itself"):
            mirror.Mirror(str(root), run)


def test_lost_checkpoints_of_the_run_stay_in_the_mirror_and_are_restored(run):
    of(run).update()
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    commit(run / "checkpoints", 0)
    of(run).update()
    assert manifests.steps_in(of(run).path / "checkpoints") == [0, 1, 2]
    assert of(run).restore() == 2
    assert manifests.steps_in(run / "checkpoints") == [0, 1, 2]
    assert of(run).restore() is None


def test_a_damaged_newest_checkpoint_is_restored(run):
    of(run).update()
    for folder in ("", "best"):
        (run / "checkpoints" / folder / "ckpt-2.index").unlink()
        (run / "checkpoints" / folder / "ckpt-2.index").write_text("damaged")
    assert of(run).restore() == 2
    assert manifests.newest(run / "checkpoints").step == 2
    assert (run / "checkpoints" / "damaged-2" / "ckpt-2.index").read_text() == "damaged"


def test_checkpoints_that_the_user_rolled_back_are_not_restored(run):
    of(run).update()
    retention.roll_back(run / "checkpoints", 1)
    assert of(run).restore() is None
    of(run).update()
    assert manifests.steps_in(of(run).path / "checkpoints") == [1]


def test_other_checkpoints_are_copied_if_one_cannot_be_read(run):
    (run / "checkpoints" / "ckpt-1.json").write_bytes(b"\xff")
    assert not of(run).update()
    assert manifests.steps_in(of(run).path / "checkpoints") == [2]


def test_a_mirror_that_another_run_has_claimed_is_not_changed(run):
    copy = of(run)
    copy.claim()
    (copy.path / "run_id").write_text("another\n")
    before = contents(copy.path)
    assert not copy.update()
    assert contents(copy.path) == before


def test_a_run_claims_its_mirror_before_the_first_checkpoint(run, tmp_path):
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    of(run).claim()
    other = tmp_path / "elsewhere" / run.name
    other.mkdir(parents=True)
    (other / "run_id").write_text("another\n")
    with pytest.raises(UsageError, match="the mirror of another run"):
        mirror.Mirror(str(tmp_path / "bucket"), other).restore()
    run.rename(run.with_name("lost"))
    run.mkdir()
    assert of(run).restore() == 0
    assert (run / "run_id").read_text() == "r\n"


def test_a_bucket_that_stores_no_times_and_contains_leftovers_is_usable(run, monkeypatch):
    def refuse(*arguments):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    copy = of(run)
    assert copy.update()
    (copy.path / "checkpoints" / ".ckpt-9.index.tmp").write_text("x")
    (copy.path / "checkpoints" / "ckpt-9.index").write_text("x")
    copy.claim()
    assert copy.update()
    assert not list(copy.path.rglob("*ckpt-9*"))
