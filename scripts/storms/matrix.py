"""Every kind of autoencoder: a run repeated, and one killed in the middle and resumed, end with the same bits.

`python -m storms.matrix 2/6` runs the second of six pieces.
"""

import itertools
import pathlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence

from claims import Claim, table

from storms import digests
from storms.nursery import Child, Nursery
from trainer.compute.options import PRECISIONS
from trainer.models import networks
from trainer.training import options as training_options

FLAGS = ("--hidden=16,4", "--batch_size=50", "--checkpoint_every=20", "--log_every=7", "--seed=3")
STEPS = ("--steps=200", "--eval_every=60", "--export=none")
SECONDS = 600.0

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


def is_refused(case: dict[str, str]) -> bool:
    """Whether Hourglass has told that these do not go together."""
    for_pictures = case["model"] in networks.FOR_PICTURES or "shift" in case["more"] or "binarise" in case["more"]
    mirrored = "tied" in case["more"] or "pretrain" in case["more"]
    return (case["dataset"] == "iris" and for_pictures) or (mirrored and case["model"] not in networks.MIRRORED)


def cases(limit: int | None = None) -> list[dict[str, str]]:
    """All that are not refused; or some, spread evenly."""
    product = (dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values()))
    every = [case for case in product if not is_refused(case)]
    return every if limit is None else every[:: -(-len(every) // limit)]


def piece(cases: Sequence[dict[str, str]], text: str) -> list[dict[str, str]]:
    """The cases of piece K/N, such as 2/6: every N-th, starting with the K-th."""
    number, count = map(int, text.split("/"))
    return list(cases[number - 1 :: count])


def storm(folder: pathlib.Path, chosen: Sequence[dict[str, str]]) -> list[Claim]:
    """Of each combination two runs at once, and a third that is killed after its second checkpoint and resumed."""
    failed: dict[str, list[str]] = {"again": [], "killed": []}
    with Nursery() as nursery:
        for number, case in enumerate(chosen):
            for name, found in _differences(nursery, folder, number, case).items():
                if found:
                    failed[name].append(f"{' '.join(case.values())}: {found[0]}")
            shutil.rmtree(folder / str(number), ignore_errors=not any(failed.values()))
    claims = {
        "again": "two uninterrupted runs at once, on busy cores, have the same bits",
        "killed": "killed in the middle, every kind, precision and XLA setting ends with the same bits",
    }
    everything = f"{len(chosen):,} of {len(cases()):,} combinations of {', '.join(CHOICES)}"
    return [
        Claim(what, len(chosen) - len(failed[name]), len(chosen), "; ".join(failed[name]) or everything)
        for name, what in claims.items()
    ]


def _differences(nursery: Nursery, folder: pathlib.Path, number: int, case: dict[str, str]) -> dict[str, list[str]]:
    """The differences from the first run: of a second run beside it, and of a third that was killed and resumed."""
    given = [f"--{name}={value}" for name, value in case.items() if name != "more"]
    flags = [*FLAGS, *STEPS, *given, *case["more"].split()]
    place = folder / str(number)
    place.mkdir()

    def start(name: str) -> Child:
        run = place / name
        return nursery.start([*flags, f"--run_dir={run}"], run.with_suffix(".out"), folder=place)

    whole, again, killed = start("whole"), start("again"), start("killed")
    is_due = nursery.wait_until(killed, lambda: digests.newest_step(place / "killed") >= 40, SECONDS)
    nursery.signal(killed, signal.SIGKILL)
    if (code := nursery.wait(killed, SECONDS)) != -signal.SIGKILL:
        return {"killed": [f"it ended with {code} before it was killed: {killed.said()[-300:]}"]}
    if not is_due:
        return {"killed": [f"it had no second checkpoint after {SECONDS:.0f} s"]}
    resumed = start("killed")
    for child in (whole, again, resumed):
        if code := nursery.wait(child, SECONDS):
            return {"again": [f"a run ended with {code}: {child.said()[-300:]}"]}
    if "to the bit" not in resumed.said():
        return {"killed": [f"it did not claim the bits: {resumed.said()[-600:]}"]}
    results = {name: digests.read(place / name) for name in ("whole", "again", "killed")}
    return {name: digests.differences(results[name], results["whole"]) for name in ("again", "killed")}


def main() -> int:
    """Tries the combinations of a piece, given as K/N, or all of them."""
    chosen = piece(cases(), sys.argv[1] if sys.argv[1:] else "1/1")
    with tempfile.TemporaryDirectory() as temporary:
        claims = storm(pathlib.Path(temporary), chosen)
    print(table(claims))
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
