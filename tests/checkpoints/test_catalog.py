"""The best checkpoint, those kept for good, and going back to an older one. The files' content does not matter here."""

import contextlib
import errno
import os

import pytest
from formats import commit

from trainer.checkpoints import catalog, retention
from trainer.checkpoints import manifest as manifests
from trainer.errors import CheckpointError, UsageError


@pytest.fixture(params=["plain", "run[1]"])
def folder(request, tmp_path):
    (tmp_path / request.param).mkdir()
    return tmp_path / request.param


def steps(folder):
    return [(step, "" if place == folder else place.name) for step, place in catalog.committed(folder)]


def save(folder, errors, keep_every=0):
    for step, error in errors.items():
        commit(folder, step, error=error)
        retention.retain(folder, keep_every)


def test_the_lowest_evaluation_error_stays_and_of_equals_the_older(folder):
    save(folder, {1: 0.5, 2: 0.3, 3: 0.4, 4: 0.3})
    assert manifests.steps_in(folder / "best") == [2]
    assert manifests.read(folder / "best", 2).error == 0.3
    assert 'path: "ckpt-2"' in (folder / "best" / "checkpoint").read_text()


def test_what_a_kill_or_a_full_disk_kept_from_its_shelf_comes_there_with_the_next_save(folder):
    for step, error in ((1, 0.5), (2, 0.1), (3, 0.4)):  # Nobody came to fill the shelves.
        commit(folder, step, error=error)
    retention.rotate(folder, keep=1, keep_every=2)
    assert manifests.steps_in(folder) == [2, 3]
    retention.retain(folder, keep_every=2)
    retention.rotate(folder, keep=1, keep_every=2)
    assert steps(folder) == [(3, ""), (2, "kept"), (2, "best")]


def test_weights_that_were_not_evaluated_are_never_the_best(folder):
    commit(folder, 1)
    commit(folder, 2, error=0.1, evaluated=1)
    retention.retain(folder, 0)
    assert manifests.steps_in(folder / "best") == [1]


def test_a_shelf_costs_nothing_where_there_are_links_and_holds_copies_elsewhere(folder, monkeypatch):
    commit(folder, 1)
    retention.link_into(folder, 1, folder / "kept")
    assert (folder / "kept" / "ckpt-1.index").samefile(folder / "ckpt-1.index")

    def no_links(*arguments):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    retention.link_into(folder, 1, folder / "best")
    assert not (folder / "best" / "ckpt-1.index").samefile(folder / "ckpt-1.index")
    manifests.delete(folder, 1)
    for shelf in ("kept", "best"):
        assert manifests.read(folder / shelf, 1).step == 1


def test_what_is_on_a_shelf_counts_once_its_manifest_stands(folder):
    commit(folder, 1)
    retention.link_into(folder, 1, folder / "best")
    (folder / "best" / "ckpt-1.json").unlink()
    (folder / "best" / ".ckpt-1.index.tmp").write_text("")
    retention.remove_leftovers(folder)
    assert steps(folder) == [(1, "")]
    assert not (folder / "best").exists()


def test_a_kill_between_two_bests_leaves_the_better_one(folder):
    for step, error in ((1, 0.5), (2, 0.4)):
        commit(folder, step, error=error)
        retention.link_into(folder, step, folder / "best")
    retention.remove_leftovers(folder)
    assert manifests.steps_in(folder / "best") == [2]


def test_a_damaged_best_is_set_aside_when_the_next_comes(folder):
    save(folder, {1: 0.1})
    (folder / "best" / "ckpt-1.json").write_text("{}")
    manifests.delete(folder, 1)
    save(folder, {2: 0.3})
    assert manifests.steps_in(folder / "best") == [2]
    assert (folder / "best" / "damaged-1" / "ckpt-1.json").exists()


def test_going_back_makes_an_older_one_the_newest_and_keeps_the_rest_aside(folder):
    save(folder, {1: 0.5, 2: 0.4, 3: 0.3}, keep_every=3)
    retention.roll_back(folder, 2)
    assert steps(folder) == [(2, ""), (2, "best"), (1, "")]
    assert (folder / "rolled_back-3" / "ckpt-3.json").exists()
    assert (folder / "kept" / "rolled_back-3" / "ckpt-3.json").exists()
    assert 'model_checkpoint_path: "ckpt-2"' in (folder / "checkpoint").read_text()


def test_going_back_to_one_that_is_only_kept_brings_it_back_into_rotation(folder):
    save(folder, {2: 0.5}, keep_every=2)
    save(folder, {3: 0.4, 5: 0.3})
    manifests.delete(folder, 2)
    retention.roll_back(folder, 2)
    assert manifests.steps_in(folder) == [2]
    assert manifests.newest(folder).step == 2


def test_nobody_goes_back_to_what_is_absent_or_damaged(folder):
    commit(folder, 1)
    commit(folder, 2)
    with pytest.raises(UsageError, match="there are: 1, 2"):
        retention.roll_back(folder, 7)
    (folder / "ckpt-1.index").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is damaged"):
        retention.roll_back(folder, 1)
    assert steps(folder) == [(2, ""), (1, "")]


def test_the_catalog_tells_damage_with_its_reason_and_changes_nothing(folder):
    commit(folder, 1)
    commit(folder, 2)
    content = (folder / "ckpt-2.index").read_bytes()
    (folder / "ckpt-2.index").write_bytes(content[:-1] + b"?")
    before = sorted(path.name for path in folder.iterdir())
    assert [entry.reason for entry in catalog.entries(folder, rehash=False)] == ["", ""]
    newest, older = catalog.entries(folder, rehash=True)
    assert "ckpt-2.index has SHA-256" in newest.reason
    assert older.manifest.step == 1
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("path", ["", "checkpoints", "checkpoints/ckpt-2", "checkpoints/ckpt-2.index"])
def test_a_checkpoint_is_found_by_its_run_its_folder_or_its_name(path, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    commit(tmp_path / "checkpoints", 1)
    commit(tmp_path / "checkpoints", 2)
    assert catalog.find(tmp_path / path).step == 2


@pytest.mark.parametrize("path", ["", "absent", "checkpoints/ckpt-3", "checkpoints/ckpt-1"])
def test_where_there_is_no_sound_checkpoint_none_is_found(path, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    commit(tmp_path / "checkpoints", 1)
    (tmp_path / "checkpoints" / "ckpt-1.index").unlink()
    with pytest.raises(CheckpointError, match="there is no checkpoint that can be used"):
        catalog.find(tmp_path / path)


def test_a_checkpoint_of_a_newer_hourglass_is_neither_damaged_nor_passed_over(folder):
    commit(folder, 1)
    commit(folder, 2, schema=manifests.SCHEMA + 1)
    for ask in (manifests.newest, catalog.newest):
        with pytest.raises(manifests.NewerError, match="newer Hourglass"):
            ask(folder)
    assert "was written by a newer Hourglass" in catalog.entries(folder, rehash=False)[0].reason


def test_a_checkpoint_that_cannot_be_read_is_listed_and_not_taken_for_damaged(folder, monkeypatch):
    commit(folder, 1)
    commit(folder, 2)
    read = manifests.read

    def failing(place, step, rehash=True):
        if step == 2:
            raise OSError(errno.EIO, "Input/output error")
        return read(place, step, rehash=rehash)

    monkeypatch.setattr(manifests, "read", failing)
    with pytest.raises(OSError, match="Input/output"):
        catalog.verify(folder, 2, rehash=True)
    unreadable, sound = catalog.entries(folder, rehash=True)
    assert unreadable.reason == "ckpt-2 cannot be used: Input/output error"
    assert sound.manifest
    retention.roll_back(folder, 1)
    assert catalog.newest(folder).step == 1


def test_a_rotten_best_is_set_aside_and_hides_no_other(folder):
    save(folder, {1: 0.1, 2: 0.3})
    manifests.delete(folder, 1)
    (folder / "best" / "ckpt-1.index").write_text("INDEX 1")
    assert catalog.best(folder).step == 2
    assert "best/damaged-1" in retention.check_best(folder)[0]
    retention.retain(folder, 0)
    assert steps(folder) == [(2, ""), (2, "best")]


def test_what_cannot_be_shelved_is_spared_by_rotation_and_the_shelves_do_not_wait_for_each_other(folder, monkeypatch):
    link_into = retention.link_into

    def full(place, step, target):
        if target.name == "kept":
            raise OSError(errno.ENOSPC, "No space left on device")
        link_into(place, step, target)

    monkeypatch.setattr(retention, "link_into", full)
    for step in range(1, 8):
        commit(folder, step, error=1 / step)
        with contextlib.suppress(OSError):
            retention.retain(folder, keep_every=3)
        retention.rotate(folder, keep=1, keep_every=3)
    assert manifests.steps_in(folder) == [3, 6, 7]
    assert manifests.steps_in(folder / "best") == [7]
