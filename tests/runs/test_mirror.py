"""A run's second copy: what is in it, when it counts, and how it comes back."""

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
    """A run's folder with two checkpoints, event files, and what else there is."""
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


def test_the_copy_holds_all_that_a_run_needs(run):
    of(run).update()
    expected = contents(run)
    del expected["checkpoints/notes.txt"]
    found = contents(of(run).path)
    found.pop("checkpoints/checkpoint")
    expected.pop("checkpoints/checkpoint", None)
    assert found == expected


def test_the_copy_follows_the_run(run):
    of(run).update()
    commit(run / "checkpoints", 3)
    manifests.delete(run / "checkpoints", 1)
    (run / "train" / "events.out.tfevents.1").rename(run / "train" / "events.out.tfevents.2")
    (run / "train" / "events.out.tfevents.2").write_text("more than before")
    of(run).update()
    copy = of(run).path
    assert manifests.steps_in(copy / "checkpoints") == [2, 3]
    assert contents(copy / "train") == {"events.out.tfevents.2": b"more than before"}


def test_nothing_is_removed_from_the_copy_before_the_newest_is_there(run, monkeypatch):
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


def test_a_checkpoint_that_is_damaged_on_its_way_does_not_count(run, monkeypatch):
    real = mirror.files.copy

    def garbling(source, target):
        real(source, target)
        if target.name == "ckpt-2.index":
            target.write_text("garbled")

    monkeypatch.setattr(mirror.files, "copy", garbling)
    of(run).update()
    assert manifests.steps_in(of(run).path / "checkpoints") == [1]


@pytest.mark.parametrize("gone", [True, False])
def test_a_run_that_is_gone_or_empty_is_brought_back_whole(gone, run):
    copy = of(run)
    copy.update()
    expected = contents(copy.path)
    run.rename(run.with_name("lost"))
    run.mkdir()  # By whoever locks it.
    if not gone:
        (run / ".lock").write_text("locked")
    assert copy.bring_back() == 2
    found = contents(run)
    assert {k: v for k, v in found.items() if not k.endswith("/checkpoint") and k != ".lock"} == {
        k: v for k, v in expected.items() if not k.endswith("/checkpoint")
    }
    assert os.path.getmtime(run / "flags.txt") == pytest.approx(os.path.getmtime(copy.path / "flags.txt"), abs=1)


def test_a_run_that_has_anything_is_left_as_it_is(run):
    of(run).update()
    (run / "flags.txt").write_text("mine")
    assert of(run).bring_back() is None
    assert (run / "flags.txt").read_text() == "mine"


def test_bringing_back_that_was_interrupted_begins_again(run, monkeypatch):
    copy = of(run)
    copy.update()
    run.rename(run.with_name("lost"))
    run.mkdir()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mirror, "_copy_checkpoint", interrupted)
        with pytest.raises(KeyboardInterrupt):
            copy.bring_back()
    assert copy.bring_back() == 2
    assert manifests.newest(run / "checkpoints").step == 2


def test_only_what_verifies_is_brought_back_and_where_nothing_does_that_is_said(run):
    copy = of(run)
    copy.update()
    run.rename(run.with_name("lost"))
    run.mkdir()
    for path in copy.path.rglob("ckpt-2.index"):
        path.write_text("garbled")
    assert copy.bring_back() == 1
    assert manifests.steps_in(run / "checkpoints") == [1]
    for path in copy.path.rglob("ckpt-1.index"):
        path.write_text("garbled")
    run.rename(run.with_name("lost again"))
    run.mkdir()
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        copy.bring_back()


def test_another_runs_copy_is_not_written_over(run, monkeypatch):
    of(run).update()
    of(run).check()
    (run / "run_id").write_text("another\n")
    with pytest.raises(UsageError, match="the copy of another run"):
        of(run).check()
    (run / "run_id").write_text("r\n")

    def no_folders(source, target, real=os.replace):
        assert not os.path.isdir(source), "a bucket renames no folders"
        real(source, target)

    monkeypatch.setattr(os, "replace", no_folders)
    monkeypatch.setattr(os, "rename", no_folders)
    of(run).set_aside()
    (run / "run_id").write_text("another\n")
    of(run).check()
    assert (of(run).path / "set_aside" / "run" / "run_id").read_text() == "r\n"
    assert (of(run).path / "set_aside" / "run" / "checkpoints" / "ckpt-2.json").exists()
    assert not (of(run).path / "checkpoints").exists()


def test_a_place_that_is_not_mounted_or_is_the_run_itself_is_refused(run):
    with pytest.raises(StorageError, match="is not a folder"):
        mirror.Mirror(str(run.parent.parent / "absent"), run)
    for root in (run.parent, run):
        with pytest.raises(UsageError, match="holds the run itself"):
            mirror.Mirror(str(root), run)


def test_checkpoints_that_the_run_has_lost_come_back_and_are_never_removed_from_the_copy(run):
    of(run).update()
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    commit(run / "checkpoints", 0)
    of(run).update()  # By somebody who did not ask for them.
    assert manifests.steps_in(of(run).path / "checkpoints") == [0, 1, 2]
    assert of(run).bring_back() == 2
    assert manifests.steps_in(run / "checkpoints") == [0, 1, 2]
    assert of(run).bring_back() is None


def test_a_newest_that_is_damaged_here_is_taken_from_the_copy(run):
    of(run).update()
    for place in ("", "best"):
        (run / "checkpoints" / place / "ckpt-2.index").unlink()
        (run / "checkpoints" / place / "ckpt-2.index").write_text("garbled")
    assert of(run).bring_back() == 2
    assert manifests.newest(run / "checkpoints").step == 2
    assert (run / "checkpoints" / "damaged-2" / "ckpt-2.index").read_text() == "garbled"


def test_what_was_rolled_back_by_hand_does_not_come_back(run):
    of(run).update()
    retention.roll_back(run / "checkpoints", 1)
    assert of(run).bring_back() is None
    of(run).update()
    assert manifests.steps_in(of(run).path / "checkpoints") == [1]


def test_one_checkpoint_that_is_rotten_does_not_keep_the_newer_from_the_copy(run):
    (run / "checkpoints" / "ckpt-1.json").write_bytes(b"\xff")
    assert not of(run).update()
    assert manifests.steps_in(of(run).path / "checkpoints") == [2]


def test_a_copy_that_another_run_has_taken_meanwhile_is_left_alone(run):
    copy = of(run)
    copy.claim()
    (copy.path / "run_id").write_text("another\n")
    before = contents(copy.path)
    assert not copy.update()
    assert contents(copy.path) == before


def test_a_copy_is_a_runs_own_from_its_start_on(run, tmp_path):
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    of(run).claim()
    other = tmp_path / "elsewhere" / run.name
    other.mkdir(parents=True)
    (other / "run_id").write_text("another\n")
    with pytest.raises(UsageError, match="the copy of another run"):
        mirror.Mirror(str(tmp_path / "bucket"), other).bring_back()
    run.rename(run.with_name("lost"))
    run.mkdir()
    assert of(run).bring_back() == 0
    assert (run / "run_id").read_text() == "r\n"


def test_a_bucket_without_times_and_with_litter_will_do(run, monkeypatch):
    def no_times(*arguments):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", no_times)
    copy = of(run)
    assert copy.update()
    (copy.path / "checkpoints" / ".ckpt-9.index.tmp").write_text("x")
    (copy.path / "checkpoints" / "ckpt-9.index").write_text("x")
    copy.claim()
    assert copy.update()
    assert not list(copy.path.rglob("*ckpt-9*"))
