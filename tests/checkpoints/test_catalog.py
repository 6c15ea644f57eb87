"""Tests of best/, kept/ and rollback. The checkpoints are dummy files."""

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
    return [(step, "" if parent == folder else parent.name) for step, parent in catalog.committed(folder)]


def save(folder, errors, keep_every=0):
    for step, error in errors.items():
        commit(folder, step, error=error)
        retention.retain(folder, keep_every)


def test_best_keeps_the_lowest_evaluation_error_and_the_older_of_equal_ones(folder):
    save(folder, {1: 0.5, 2: 0.3, 3: 0.4, 4: 0.3})
    assert manifests.steps_in(folder / "best") == [2]
    assert manifests.read(folder / "best", 2).error == 0.3
    assert 'path: "ckpt-2"' in (folder / "best" / "checkpoint").read_text()


def test_missing_links_in_best_and_kept_are_created_by_the_next_save(folder):
    for step, error in ((1, 0.5), (2, 0.1), (3, 0.4)):  # `retain` was not called.
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


def test_best_and_kept_contain_hard_links_or_copies_without_link_support(folder, monkeypatch):
    commit(folder, 1)
    retention.link_into(folder, 1, folder / "kept")
    assert (folder / "kept" / "ckpt-1.index").samefile(folder / "ckpt-1.index")

    def no_links(*arguments):
        raise OSError(errno.EPERM, "links are not supported")

    monkeypatch.setattr(os, "link", no_links)
    retention.link_into(folder, 1, folder / "best")
    assert not (folder / "best" / "ckpt-1.index").samefile(folder / "ckpt-1.index")
    manifests.delete(folder, 1)
    for name in ("kept", "best"):
        assert manifests.read(folder / name, 1).step == 1


def test_a_checkpoint_in_best_without_a_manifest_is_deleted(folder):
    commit(folder, 1)
    retention.link_into(folder, 1, folder / "best")
    (folder / "best" / "ckpt-1.json").unlink()
    (folder / "best" / ".ckpt-1.index.tmp").write_text("")
    retention.remove_leftovers(folder)
    assert steps(folder) == [(1, "")]
    assert not (folder / "best").exists()


def test_only_the_better_one_of_two_checkpoints_in_best_remains(folder):
    for step, error in ((1, 0.5), (2, 0.4)):
        commit(folder, step, error=error)
        retention.link_into(folder, step, folder / "best")
    retention.remove_leftovers(folder)
    assert manifests.steps_in(folder / "best") == [2]


def test_a_damaged_best_checkpoint_is_set_aside_by_the_next_save(folder):
    save(folder, {1: 0.1})
    (folder / "best" / "ckpt-1.json").write_text("{}")
    manifests.delete(folder, 1)
    save(folder, {2: 0.3})
    assert manifests.steps_in(folder / "best") == [2]
    assert (folder / "best" / "damaged-1" / "ckpt-1.json").exists()


def test_a_rollback_makes_an_older_checkpoint_the_newest_and_sets_newer_ones_aside(folder):
    save(folder, {1: 0.5, 2: 0.4, 3: 0.3}, keep_every=3)
    retention.roll_back(folder, 2)
    assert steps(folder) == [(2, ""), (2, "best"), (1, "")]
    assert (folder / "rolled_back-3" / "ckpt-3.json").exists()
    assert (folder / "kept" / "rolled_back-3" / "ckpt-3.json").exists()
    assert 'model_checkpoint_path: "ckpt-2"' in (folder / "checkpoint").read_text()


def test_a_rollback_to_a_checkpoint_in_kept_links_it_into_the_rotation(folder):
    save(folder, {2: 0.5}, keep_every=2)
    save(folder, {3: 0.4, 5: 0.3})
    manifests.delete(folder, 2)
    retention.roll_back(folder, 2)
    assert manifests.steps_in(folder) == [2]
    assert manifests.newest(folder).step == 2


def test_a_rollback_to_a_missing_or_damaged_checkpoint_is_rejected(folder):
    commit(folder, 1)
    commit(folder, 2)
    with pytest.raises(UsageError, match="available steps: 1, 2"):
        retention.roll_back(folder, 7)
    (folder / "ckpt-1.index").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is damaged"):
        retention.roll_back(folder, 1)
    assert steps(folder) == [(2, ""), (1, "")]


def test_entries_describe_damage_and_change_nothing(folder):
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
def test_find_accepts_a_run_directory_a_checkpoints_folder_or_a_checkpoint(path, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    commit(tmp_path / "checkpoints", 1)
    commit(tmp_path / "checkpoints", 2)
    assert catalog.find(tmp_path / path).step == 2


@pytest.mark.parametrize("path", ["", "absent", "checkpoints/ckpt-3", "checkpoints/ckpt-1"])
def test_find_raises_if_there_is_no_usable_checkpoint(path, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    commit(tmp_path / "checkpoints", 1)
    (tmp_path / "checkpoints" / "ckpt-1.index").unlink()
    with pytest.raises(CheckpointError, match="has no usable checkpoint"):
        catalog.find(tmp_path / path)


def test_a_checkpoint_of_a_newer_hourglass_is_neither_damaged_nor_skipped(folder):
    commit(folder, 1)
    commit(folder, 2, schema=manifests.SCHEMA + 1)
    for newest in (manifests.newest, catalog.newest):
        with pytest.raises(manifests.NewerError, match="newer Hourglass"):
            newest(folder)
    assert "was written by a newer Hourglass" in catalog.entries(folder, rehash=False)[0].reason


def test_an_unreadable_checkpoint_is_listed_and_not_treated_as_damaged(folder, monkeypatch):
    commit(folder, 1)
    commit(folder, 2)
    read = manifests.read

    def failing(folder, step, rehash=True):
        if step == 2:
            raise OSError(errno.EIO, "Input/output error")
        return read(folder, step, rehash=rehash)

    monkeypatch.setattr(manifests, "read", failing)
    with pytest.raises(OSError, match="Input/output"):
        catalog.verify(folder, 2, rehash=True)
    unreadable, intact = catalog.entries(folder, rehash=True)
    assert unreadable.reason == "ckpt-2 cannot be used: Input/output error"
    assert intact.manifest
    retention.roll_back(folder, 1)
    assert catalog.newest(folder).step == 1


def test_a_damaged_best_checkpoint_does_not_hide_the_next_best(folder):
    save(folder, {1: 0.1, 2: 0.3})
    manifests.delete(folder, 1)
    (folder / "best" / "ckpt-1.index").write_text("INDEX 1")
    assert catalog.best(folder).step == 2
    assert "best/damaged-1" in retention.set_aside_damaged_best(folder)[0]
    retention.retain(folder, 0)
    assert steps(folder) == [(2, ""), (2, "best")]


def test_rotation_spares_checkpoints_that_cannot_be_linked_and_a_full_kept_does_not_block_best(folder, monkeypatch):
    link_into = retention.link_into

    def full(source, step, target):
        if target.name == "kept":
            raise OSError(errno.ENOSPC, "No space left on device")
        link_into(source, step, target)

    monkeypatch.setattr(retention, "link_into", full)
    for step in range(1, 8):
        commit(folder, step, error=1 / step)
        with contextlib.suppress(OSError):
            retention.retain(folder, keep_every=3)
        retention.rotate(folder, keep=1, keep_every=3)
    assert manifests.steps_in(folder) == [3, 6, 7]
    assert manifests.steps_in(folder / "best") == [7]
