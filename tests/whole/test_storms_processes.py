"""The short form of scripts/torture in separate processes: a few trials of each storm."""

import contextlib
import shutil
import subprocess

import pytest
from claims import Claim
from processes import ForkServer
from storms import environments, interrupts, locks, powerloss, syscalls, training, verify


def failed(claims: list[Claim]) -> list[str]:
    return [claim.what for claim in claims if not claim.holds]


def can_trace() -> bool:
    """Returns True if strace is installed and may trace processes."""
    return (
        bool(shutil.which("strace"))
        and subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0
    )


needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace")


@pytest.fixture(scope="module")
def server():
    with ForkServer() as opened:
        yield opened


@pytest.fixture(scope="module")
def short_runs(server, tmp_path_factory):
    """A third of the steps, one fork server and one reference, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS", 300)
        train = training.reference
        expected = train(server, tmp_path_factory.mktemp("reference"))
        patch.setattr(training, "reference", lambda *arguments: train(*arguments) if arguments[-1] else expected)
        patch.setattr(interrupts, "ForkServer", lambda: contextlib.nullcontext(server))
        yield


def test_killed_runs_end_with_the_bits_of_an_uninterrupted_one(tmp_path, short_runs):
    assert failed([interrupts.kills(1, tmp_path)]) == []


def test_killed_runs_that_end_early_end_at_the_same_step_with_the_same_best(tmp_path, short_runs):
    assert failed([interrupts.kills(1, tmp_path, training.EARLY_STOPPING)]) == []


def test_no_step_is_lost_to_sigterm(tmp_path, short_runs, monkeypatch):
    monkeypatch.setattr(training, "SECONDS_AFTER_TRAINING", 0.0)  # Late signals are left to the full form.
    assert failed([interrupts.signals(1, tmp_path)]) == []


def test_of_two_simultaneous_starts_one_trains_and_the_other_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SECONDS_TO_REFUSE", 60.0)  # Times are checked by the full form.
    claim = locks.run_trials(1, tmp_path)
    assert claim.holds, claim.detail


def test_the_settings_of_keras_change_no_bit(tmp_path):
    chosen = [
        ("channels_first", "no variable", "resume"),
        ("another backend", "others", "train"),
        ("invalid values", "backend jax", "encode"),
    ]
    assert set(chosen) < set(environments.cases())
    assert len(environments.cases()) == 100
    claim = environments.run_trials(tmp_path, chosen)
    assert claim.holds, claim.detail


@needs_strace
def test_a_save_survives_kills_and_errors_at_any_of_its_file_calls(server):
    assert failed([*syscalls.kills(server, limit=4), *syscalls.errors(server, limit=2)]) == []


@needs_strace
def test_acknowledged_saves_survive_a_loss_of_power_and_would_not_without_fsync(server):
    claims = powerloss.run_trials(server, 60, restores=2)
    assert failed(claims) == []
    assert sum(claim.what.startswith("control") and claim.holds for claim in claims) == 3


@pytest.mark.parametrize(("kills", "other", "code"), [(2, "", 0), (2, "--seed=1", 1), (0, "", 1)])
def test_verify_resume_passes_only_with_kills_that_struck_and_equal_bits(
    kills, other, code, launch, monkeypatch, capfd
):
    def train(run, flags):
        assert launch(*flags, f"--run_dir={run}")[0] == 0
        return 1.0

    def train_with_kills(run, flags, seconds):
        train(run, [*flags, *filter(None, [other])])
        return kills

    monkeypatch.setattr(verify, "_train", train)
    monkeypatch.setattr(verify, "_train_with_kills", train_with_kills)
    flags = ["--dataset=iris", "--hidden=1", "--steps=3", "--jit=off", "--export=none"]
    assert verify.main(flags) == code
    assert ("the same to the bit" in capfd.readouterr().out) == (not other)
