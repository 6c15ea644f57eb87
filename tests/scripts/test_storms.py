"""The short form of scripts/torture in this process, and its checks."""

import dataclasses

import claims
from claims import Claim
from storms import damage, digests

from trainer.checkpoints import manifest as manifests


def test_damage_is_detected_everywhere(tmp_path):
    from formats import commit

    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    for step in (10, 20, 30):
        commit(folder, step)
    victim = damage.Victim(folder.parent)
    results = [damage.every_bit(victim), damage.truncations(victim), damage.deletions_and_swaps(victim)]
    assert [claim.what for claim in results if not claim.holds] == []
    assert results[0].tried == victim.bytes * 8
    assert manifests.steps_in(folder) == [10, 20, 30]


def test_a_verifier_that_compares_only_sizes_is_detected(tmp_path, monkeypatch):
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


def test_digests_report_differences():
    result = digests.Result(3, {"w float32 [1]": b"\0\0\0\0"}, {"train": {"loss": {1: b"\0\0\0\0"}}}, {}, {})
    other = dataclasses.replace(result, tensors={"w float32 [1]": b"\0\0\x80\x3f"}, scalars={"train": {"loss": {}}})
    assert digests.differences(result, result) == []
    assert digests.differences(other, result) == [
        "tensor w float32 [1] is 1 instead of 0",
        "point train: loss at step 1 is missing",
    ]
    assert digests.digest(other)["weights"] == digests.digest(result)["weights"]
    assert digests.digest(other)["rest"] != digests.digest(result)["rest"]
    assert digests.digest(other)["scalars"] != digests.digest(result)["scalars"]


def test_an_untried_claim_does_not_hold_and_random_trials_bound_the_failure_rate():
    assert not Claim("x", 0, 0).holds
    assert not Claim("x", 9, 10).holds
    assert "failure rate < 1.5 %" in claims.table([Claim("x", 200, 200, random=True)])
    assert "1 failed" in claims.table([Claim("x", 9, 10)])
