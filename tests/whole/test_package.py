"""Hourglass as a wheel: installed elsewhere, it has its console command and its presets."""

import os
import pathlib
import subprocess
import sys

import pytest
from checkout import ROOT

PRESETS = {path.stem for path in (ROOT / "flags").glob("*.flags")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that a wheel of this checkout is installed in, and an environment that sees it first."""
    folder = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in names:  # A build leaves files beside its sources.
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source")]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(folder / "site"), "PYTHONSAFEPATH": "1"}
    return folder / "site", environment


def run(installed, *arguments):
    site, environment = installed
    command = [sys.executable, str(site / "bin" / "hourglass"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=site.parent)


def test_every_module_and_preset_is_in_the_wheel(installed):
    site, _ = installed
    ours = {path.relative_to(ROOT) for path in (ROOT / "trainer").rglob("*.py")}
    theirs = {path.relative_to(site) for path in (site / "trainer").rglob("*.py")}
    assert theirs == ours
    assert {path.stem for path in (site / "trainer" / "presets").iterdir()} == PRESETS


def test_the_console_command_is_launch_py(installed):
    site, _ = installed
    assert run(installed, "--version").stdout.startswith("Hourglass ")
    assert all(name in run(installed, "--help").stdout for name in PRESETS)
    refused = run(installed, "--hiden=3")
    error, suggestion, remedy = refused.stderr.splitlines()
    assert (refused.returncode, error, suggestion) == (1, "error: unknown flag --hiden", "did you mean --hidden?")
    assert remedy.startswith("remedy: ")
    assert site.exists()


def test_a_preset_trains_from_the_wheel(installed, tmp_path):
    done = run(installed, "--preset=iris", "--epochs=2", "--export=none", f"--run_dir={tmp_path / 'run'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "iris: 150 train" in done.stdout
    assert "--dataset=iris" in (tmp_path / "run" / "flags.txt").read_text()
    assert pathlib.Path(tmp_path / "run" / "result.json").exists()
