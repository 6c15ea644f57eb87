"""Linux-only calls have a fallback for macOS. Windows gets a message about WSL2."""

import ast
import errno
import os
import pathlib
import re
import shutil
import types

import pytest

import launch
import trainer
from trainer.system import cores, files

PACKAGE = pathlib.Path(trainer.__file__).parent
# Names in Python's os and signal that are missing on macOS.
LINUX_ONLY = {
    *("copy_file_range", "eventfd", "fdatasync", "memfd_create", "pidfd_open", "posix_fadvise", "posix_fallocate"),
    *("sched_getaffinity", "sched_setaffinity", "splice", "getrandom", "pidfd_send_signal", "O_DIRECT", "O_TMPFILE"),
    *("sigtimedwait", "sigwaitinfo", "O_NOATIME", "O_PATH", "getxattr", "setxattr", "listxattr", "unshare"),
}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_linux_only_names_are_checked_with_hasattr(path):
    tree = ast.parse(path.read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & LINUX_ONLY
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr"]
    checked = {ast.literal_eval(call.args[1]) for call in calls}
    assert used <= checked


def test_reserve_works_without_posix_fallocate(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    files.reserve(tmp_path / "a", 5_000)
    assert (tmp_path / "a").stat().st_size == 5_000
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=4_999))
    with pytest.raises(OSError, match="No space left") as caught:
        files.reserve(tmp_path / "b", 5_000)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_reserve_works_if_the_file_system_does_not_support_it(code, tmp_path, monkeypatch):
    def unsupported(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    files.reserve(tmp_path / "a", 5_000)
    assert (tmp_path / "a").stat().st_size == 5_000


def test_all_cores_are_available_without_sched_getaffinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert cores.available() == 3


def test_images_are_decoded_and_cached_without_linux_only_calls(folder, launch, monkeypatch):
    for name in ("posix_fallocate", "sched_getaffinity"):
        monkeypatch.delattr(os, name)
    code, output, error = launch("--mode=inspect", "--dataset=images", f"--data_dir={folder}")
    assert (code, error) == (0, "")
    assert sum(map(int, re.findall(r"(?:cat|dog) (\d+)", output))) == 40


def test_the_error_on_windows_mentions_wsl2(capsys, monkeypatch):
    monkeypatch.setattr(launch.os, "name", "nt")
    assert launch.main(["--dataset=iris"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "WSL2" in lines[2]
