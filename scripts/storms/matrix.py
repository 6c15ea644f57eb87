"""Every kind of autoencoder: killed in the middle, a run ends with the bits of one that was not."""

import itertools
import pathlib
import signal
import sys
import tempfile

from claims import Claim, table

from storms import digests
from storms.nursery import Nursery
from trainer import config, models

FLAGS = ("--hidden=16,4", "--batch_size=50", "--checkpoint_every=20", "--log_every=7", "--seed=3")
STEPS = ("--steps=200", "--eval_every=60", "--export=none")
SECONDS = 300.0

CHOICES = {
    "dataset": ("digits", "iris"),
    "model": tuple(models.MODELS),
    "noise": config.NOISES,
    "variational": ("false", "true"),
    "precision": config.PRECISIONS,
    "jit": ("on", "off"),
    "more": (
        "",
        "--shift=1 --sparsity=0.01",
        "--binarise --loss=bernoulli",
        "--tied",
        "--pretrain=layerwise --pretrain_steps=25",
    ),
}


def is_refused(case: dict[str, str]) -> bool:
    """Whether Hourglass has told that these do not go together."""
    for_pictures = case["model"] in models.FOR_PICTURES or "shift" in case["more"] or "binarise" in case["more"]
    mirrored = "tied" in case["more"] or "pretrain" in case["more"]
    return (case["dataset"] == "iris" and for_pictures) or (mirrored and case["model"] not in models.MIRRORED)


def cases(limit: int | None = None) -> list[dict[str, str]]:
    """All that are not refused; or some, spread evenly."""
    product = (dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values()))
    every = [case for case in product if not is_refused(case)]
    return every if limit is None else every[:: -(-len(every) // limit)]


def storm(folder: pathlib.Path, limit: int | None = None) -> Claim:
    """Kills one run of each combination right after its second checkpoint, and goes on with it."""
    chosen, failed = cases(limit), []
    with Nursery() as nursery:
        for number, case in enumerate(chosen):
            if found := _differences(nursery, folder, number, case):
                failed.append(f"{' '.join(case.values())}: {found[0]}")
    what = "killed in the middle, every kind, precision and XLA setting ends with the bits of a run never killed"
    return Claim(what, len(chosen) - len(failed), len(chosen), "; ".join(failed) or "kinds: " + ", ".join(CHOICES))


def _differences(nursery: Nursery, folder: pathlib.Path, number: int, case: dict[str, str]) -> list[str]:
    given = [f"--{name}={value}" for name, value in case.items() if name != "more"]
    flags = [*FLAGS, *STEPS, *given, *case["more"].split()]
    whole, parts = (folder / f"{number}-{name}" for name in ("whole", "parts"))
    child = nursery.start([*flags, f"--run_dir={whole}"], whole.with_suffix(".out"), folder=folder)
    ended = nursery.wait(child, SECONDS)
    for kill in (True, False):
        child = nursery.start([*flags, f"--run_dir={parts}"], parts.with_suffix(".out"), folder=folder)
        if kill:
            nursery.wait_until(child, lambda: digests.newest_step(parts) >= 40, SECONDS)
            nursery.signal(child, signal.SIGKILL)
        ended = ended or (nursery.wait(child, SECONDS) if not kill else nursery.wait(child, SECONDS) != -signal.SIGKILL)
    if ended:
        return [f"ended with {ended}: {child.said()[-300:]}"]
    if "to the bit" not in child.said():
        return [f"it did not claim the bits: {child.said()[-600:]}"]
    return digests.differences(digests.read(parts), digests.read(whole))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        claim = storm(pathlib.Path(temporary), int(sys.argv[1]) if sys.argv[1:] else None)
        print(table([claim]))
        sys.exit(not claim.holds)
