"""Every network, precision and XLA setting: killed in the middle, a run ends with the bits of one that was not."""

import itertools
import pathlib
import signal
import sys
import tempfile

from storms import digests
from storms.claims import Claim, table
from storms.nursery import Nursery
from trainer import config, models

FLAGS = ("--dataset=digits", "--hidden=16,4", "--batch_size=50", "--checkpoint_every=20", "--log_every=7", "--seed=3")
STEPS = ("--steps=200", "--eval_every=60", "--export=none")
SECONDS = 300.0


def storm(folder: pathlib.Path, limit: int | None = None) -> Claim:
    """Kills one run of each combination right after its second checkpoint, and goes on with it."""
    cases = list(itertools.product(models.MODELS, config.PRECISIONS, ("on", "off")))[:limit]
    failed = []
    with Nursery() as nursery:
        for case in cases:
            if found := _differences(nursery, folder, *case):
                failed.append(f"{' '.join(case)}: {found[0]}")
    what = "killed in the middle, every network, precision and XLA setting ends with the bits of a run never killed"
    detail = "; ".join(failed) or ", ".join(f"{m} {p} XLA {j}" for m, p, j in cases)
    return Claim(what, len(cases) - len(failed), len(cases), detail)


def _differences(nursery: Nursery, folder: pathlib.Path, model: str, precision: str, jit: str) -> list[str]:
    flags = [*FLAGS, *STEPS, f"--model={model}", f"--precision={precision}", f"--jit={jit}"]
    whole, parts = (folder / f"{model}-{precision}-{jit}-{name}" for name in ("whole", "parts"))
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
        claim = storm(pathlib.Path(temporary))
        print(table([claim]))
        sys.exit(not claim.holds)
