"""The short form of scripts/torture: a few trials of every storm; and that each of them can fail."""

import contextlib
import dataclasses
import shutil
import subprocess

import claims
import pytest
from claims import Claim
from storms import damage, digests, kills, locks, powerloss, signals, syscalls, verify
from storms.saver import Savers

from trainer.checkpoints import manifest as manifests


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


def broken(found: list[Claim]) -> list[str]:
    return [claim.what for claim in found if not claim.holds and not claim.control]


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


def test_damage_is_noticed_wherever_it_is(tmp_path):
    from formats import commit

    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    for step in (10, 20, 30):
        commit(folder, step)
    victim = damage.Victim(folder.parent)
    found = [damage.every_bit(victim), damage.truncations(victim), damage.deletions_and_swaps(victim)]
    assert broken(found) == []
    assert found[0].tried == victim.bytes * 8
    assert manifests.steps_in(folder) == [10, 20, 30]


def test_a_verifier_that_looks_at_sizes_only_is_found_out(tmp_path, monkeypatch):
    from formats import commit

    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    for step in (10, 20, 30):
        commit(folder, step)
    read = manifests.read
    monkeypatch.setattr(manifests, "read", lambda folder, step, rehash=True: read(folder, step, rehash=False))
    victim = damage.Victim(folder.parent)
    victim.paths = victim.paths[:1]
    assert damage.random_bits(victim, 20).passed == 0


def test_digests_tell_what_differs():
    result = digests.Result(3, {"w float32 [1]": b"\0\0\0\0"}, {"train": {"loss": {1: b"\0\0\0\0"}}}, {}, {})
    other = dataclasses.replace(result, tensors={"w float32 [1]": b"\0\0\x80\x3f"}, scalars={"train": {"loss": {}}})
    assert digests.differences(result, result) == []
    assert digests.differences(other, result) == [
        "tensor w float32 [1] is 1 instead of 0",
        "point train: loss at step 1 is missing",
    ]
    assert digests.digest(other).weights == digests.digest(result).weights
    assert digests.digest(other).rest != digests.digest(result).rest
    assert digests.digest(other).scalars != digests.digest(result).scalars


def test_a_claim_that_was_never_tried_does_not_hold_and_trials_bound_a_rate():
    assert not Claim("x", 0, 0).holds
    assert not Claim("x", 9, 10).holds
    assert "failure rate < 1.5 %" in claims.table([Claim("x", 200, 200, random=True)])
    assert "1 failed" in claims.table([Claim("x", 9, 10)])


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
