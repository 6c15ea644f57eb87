"""The short form of scripts/torture in processes of their own: a few trials of every storm."""

import contextlib
import shutil
import subprocess

import pytest
from claims import Claim
from storms import kills, locks, powerloss, signals, syscalls, verify
from storms.saver import Savers


def broken(found: list[Claim]) -> list[str]:
    return [claim.what for claim in found if not claim.holds and not claim.control]


def can_trace() -> bool:
    """Whether strace is there, and may look at processes."""
    return (
        bool(shutil.which("strace"))
        and subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0
    )


needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace")


@pytest.fixture(scope="module")
def savers():
    with Savers() as opened:
        yield opened


@pytest.fixture(scope="module")
def short_runs(tmp_path_factory):
    """A third of the steps, one nursery, one reference: so they end in the time that a test has."""
    with kills.Nursery() as nursery, pytest.MonkeyPatch.context() as patch:
        patch.setattr(kills, "FLAGS", (*kills.FLAGS, "--steps=300"))
        for module in (kills, signals):
            patch.setattr(module, "STEPS", 300)
        expected = kills.reference(nursery, kills.Subject(), tmp_path_factory.mktemp("reference"))
        for module in (kills, signals):
            patch.setattr(module, "Nursery", lambda: contextlib.nullcontext(nursery))
            patch.setattr(module, "reference", lambda *arguments: expected)
        yield


def test_killed_runs_end_with_the_bits_of_one_never_killed(tmp_path, short_runs):
    assert broken([kills.storm(1, tmp_path)]) == []


def test_no_step_is_lost_to_sigterm(tmp_path, short_runs, monkeypatch):
    monkeypatch.setattr(kills, "SECONDS_AFTER_TRAINING", 0.0)  # Late ones are for the full form.
    assert broken([signals.storm(1, tmp_path)]) == []


def test_of_two_that_start_at_once_one_trains_and_the_other_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SECONDS_TO_REFUSE", 60.0)  # How fast is for the full form.
    found = locks.storm(1, tmp_path)
    assert found.holds, found.detail


@needs_strace
def test_a_save_survives_kills_and_errors_at_any_of_its_file_calls(savers):
    assert broken([*syscalls.kills(savers, limit=4), *syscalls.errors(savers, limit=2)]) == []


@needs_strace
def test_what_was_acknowledged_survives_a_loss_of_power_and_would_not_without_fsync(savers):
    found = powerloss.power_losses(savers, 60, restores=2)
    assert broken(found) == []
    assert sum(claim.what.startswith("control") and claim.holds for claim in found) == 3


@pytest.mark.parametrize(("struck", "other", "code"), [(2, "", 0), (2, "--seed=1", 1), (0, "", 1)])
def test_resuming_is_proved_only_by_kills_that_struck_and_bits_that_are_the_same(
    struck, other, code, launch, monkeypatch, capfd
):
    def finish(run, flags):
        assert launch(*flags, f"--run_dir={run}")[0] == 0
        return 1.0

    def killed(run, flags, seconds):
        finish(run, [*flags, *filter(None, [other])])
        return struck

    monkeypatch.setattr(verify, "_finish", finish)
    monkeypatch.setattr(verify, "_killed_now_and_then", killed)
    flags = ["--dataset=iris", "--hidden=1", "--steps=3", "--jit=off", "--export=none"]
    assert verify.main(flags) == code
    assert ("the same to the bit" in capfd.readouterr().out) == (not other)
