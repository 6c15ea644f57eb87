"""A run's second copy: what is in it, when it counts, and how it comes back."""

import os

import pytest
from formats import commit

from trainer import mirror
from trainer.checkpoints import manifest as manifests
from trainer.checkpoints import shelves
from trainer.errors import CheckpointError, StorageError, UsageError


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
    shelves.fill(folder / "checkpoints", 0)
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
    run.mkdir()
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


def test_another_runs_copy_is_not_written_over(run):
    of(run).update()
    of(run).check()
    (run / "run_id").write_text("another\n")
    with pytest.raises(UsageError, match="the copy of another run"):
        of(run).check()
    of(run).set_aside()
    of(run).check()
    assert (of(run).path / "set_aside" / "run" / "run_id").read_text() == "r\n"


def test_a_place_that_is_not_mounted_or_is_the_run_itself_is_refused(run):
    with pytest.raises(StorageError, match="is not a folder"):
        mirror.Mirror(str(run.parent.parent / "absent"), run)
    for root in (run.parent, run):
        with pytest.raises(UsageError, match="holds the run itself"):
            mirror.Mirror(str(root), run)
