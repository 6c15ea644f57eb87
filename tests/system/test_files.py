"""Folders that replace others."""

import pytest

from trainer.system import files


def make(path, name):
    path.mkdir()
    (path / name).write_text(name)


def names(path):
    return sorted(str(inner.relative_to(path)) for inner in path.rglob("*") if inner.is_file())


def test_a_folder_without_a_predecessor_is_renamed(tmp_path):
    make(tmp_path / ".5.tmp", "new")
    files.replace_folder(tmp_path / ".5.tmp", tmp_path / "5")
    assert names(tmp_path) == ["5/new"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_replaces_another_completely(can_exchange, tmp_path, monkeypatch):
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    make(tmp_path / ".5.tmp", "new")
    make(tmp_path / "5", "old")
    files.replace_folder(tmp_path / ".5.tmp", tmp_path / "5")
    assert names(tmp_path) == ["5/new"]
    assert [path.name for path in tmp_path.iterdir()] == ["5"]


def test_linux_exchanges_two_folders_in_one_call(tmp_path):
    make(tmp_path / "a", "first")
    make(tmp_path / "b", "second")
    assert files._exchange(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path) == ["a/second", "b/first"]
    assert not files._exchange(tmp_path / "a", tmp_path / "absent")


def test_two_processes_that_write_a_file_do_not_mix_their_contents(tmp_path, monkeypatch):
    path = tmp_path / "scores.csv"
    with files.replacing(path, concurrent=True) as first:
        first.write(b"first")
        monkeypatch.setattr(files.os, "getpid", lambda: 1)
        with files.replacing(path, concurrent=True) as second:
            second.write(b"2")
        assert path.read_bytes() == b"2"
        first.write(b" and last")
    assert path.read_bytes() == b"first and last"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
