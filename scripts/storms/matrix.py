"""Every kind of autoencoder: a repeated run, and one that is killed and resumed, end with the bits of the first run."""

import itertools
import pathlib
import shutil
import signal
from collections.abc import Sequence

from claims import Claim
from processes import Child, ForkServer

from storms import digests
from trainer.compute.options import PRECISIONS
from trainer.models import networks
from trainer.training import options as training_options

FLAGS = (
    *("--hidden=16,4", "--batch_size=50", "--steps=200", "--checkpoint_every=20", "--log_every=7", "--eval_every=60"),
    *("--seed=3", "--export=none"),
)
SECONDS = 600.0
SECOND_CHECKPOINT = 40
CHOICES = {
    "dataset": ("digits", "iris"),
    "model": tuple(networks.MODELS),
    "noise": training_options.NOISES,
    "variational": ("false", "true"),
    "precision": PRECISIONS,
    "jit": ("on", "off"),
    "more": (
        "",
        "--shift=1 --sparsity=0.01",
        "--binarise --loss=bernoulli",
        "--tied",
        "--pretrain=layerwise --pretrain_steps=25",
    ),
}


def _is_refused(case: dict[str, str]) -> bool:
    """Returns True if Hourglass rejects this combination of flags."""
    needs_images = case["model"] in networks.FOR_IMAGES or "shift" in case["more"] or "binarise" in case["more"]
    mirrored = "tied" in case["more"] or "pretrain" in case["more"]
    return (case["dataset"] == "iris" and needs_images) or (mirrored and case["model"] not in networks.MIRRORED)


def cases(limit: int | None = None, piece: str = "1/1") -> list[dict[str, str]]:
    """Returns all combinations that are not refused, at most `limit` of them, evenly spread, or a piece K/N of them."""
    product = (dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values()))
    accepted = [case for case in product if not _is_refused(case)]
    number, count = map(int, piece.split("/"))
    return accepted[number - 1 :: count if limit is None else -(-len(accepted) // limit)]


def run_trials(folder: pathlib.Path, chosen: Sequence[dict[str, str]]) -> list[Claim]:
    """Trains each combination twice at once, and a third time with a kill after the second checkpoint."""
    failed: dict[str, list[str]] = {"again": [], "killed": []}
    with ForkServer() as server:
        for number, case in enumerate(chosen):
            for name, problems in _problems(server, folder / str(number), case).items():
                if problems:
                    failed[name].append(f"{' '.join(case.values())}: {problems[0]}")
            shutil.rmtree(folder / str(number), ignore_errors=not any(failed.values()))
    claims = {
        "again": "two uninterrupted runs at once, on busy cores, have the same bits",
        "killed": "killed in the middle, every kind, precision and XLA setting ends with the same bits",
    }
    detail = f"{len(chosen):,} of {len(cases()):,} combinations of {', '.join(CHOICES)}"
    return [
        Claim(claim, len(chosen) - len(failed[name]), len(chosen), "; ".join(failed[name]) or detail)
        for name, claim in claims.items()
    ]


def _problems(server: ForkServer, folder: pathlib.Path, case: dict[str, str]) -> dict[str, list[str]]:
    """Returns how the second run, and the killed and resumed one, differ from the first."""
    flags = [*FLAGS, *(f"--{name}={value}" for name, value in case.items() if name != "more"), *case["more"].split()]
    folder.mkdir()

    def start(name: str) -> Child:
        return server.start([*flags, f"--run_dir={folder / name}"], folder / f"{name}.out")

    first, again, killed = start("first"), start("again"), start("killed")
    is_due = killed.wait_until(lambda: digests.newest_step(folder / "killed") >= SECOND_CHECKPOINT, SECONDS)
    killed.signal(signal.SIGKILL)
    if (code := killed.wait(SECONDS)) != -signal.SIGKILL:
        return {"killed": [f"it ended with exit code {code} before the kill: {killed.printed()[-300:]}"]}
    if not is_due:
        return {"killed": [f"it had no second checkpoint after {SECONDS:.0f} s"]}
    resumed = start("killed")
    for child in (first, again, resumed):
        if code := child.wait(SECONDS):
            return {"again": [f"a run ended with exit code {code}: {child.printed()[-300:]}"]}
    if "to the bit" not in resumed.printed():
        return {"killed": [f"it did not claim the same bits: {resumed.printed()[-600:]}"]}
    results = {name: digests.read(folder / name) for name in ("first", "again", "killed")}
    return {name: digests.differences(results[name], results["first"]) for name in ("again", "killed")}
