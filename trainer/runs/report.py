"""A finished run's result, and a run's checkpoints, for a person. No TensorFlow."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.catalog import BEST, Entry
from trainer.runs.directory import RunFiles


def summary(result: Mapping[str, Any], directory: RunFiles, look: str) -> list[str]:
    """The lines of the closing table: errors beside their floors, time, and where things are.

    Args:
      result: of `result.json`.
      directory: the run's, wherever it is now.
      look: the command that shows it.
    """
    lines = [f"finished    {result['step']:,} steps in {result['seconds']:.1f} s of training"]
    lines.append(f"{'rmse':12}{'trained':>10}{'PCA':>10}{'ratio':>10}{'mean':>10}")
    for split in ("train", "eval"):
        trained = result[f"{split}/reconstruction/rmse"]
        pca, mean = result.get(f"floor/pca/{split}"), result.get(f"floor/mean/{split}", float("nan"))
        # A code as wide as the data has a floor of nothing but rounding: a ratio to it means nothing.
        ratio = f"{trained / pca:.4f}" if pca and pca > 1e-6 else "-"
        floor = f"{pca:.5f}" if pca is not None else "-"
        lines.append(f"{split:12}{trained:>10.5f}{floor:>10}{ratio:>10}{mean:>10.5f}")
    looked_at, count = result.get("train/examples", (0, 0))
    if looked_at < count:
        lines.append(f"train       of {looked_at:,} of the {count:,} examples, spread evenly")
    checkpoints = directory.checkpoints
    lines.append(f"checkpoint  {checkpoints / manifests.checkpoint_name(result['step'])}")
    if result["best"] not in (None, result["step"]):
        lines.append(
            f"best        {checkpoints / BEST / manifests.checkpoint_name(result['best'])}: lower evaluation error"
        )
    if result["exported"] is not None:
        lines.append(f"SavedModel  {directory.exported(result['exported'])}")
    return [*lines, f"look        {look}"]


def checkpoints(entries: Sequence[Entry], folder: pathlib.Path, *, rehashed: bool) -> list[str]:
    """A table of checkpoints, newest first.

    Args:
      entries: as `catalog.entries` has them; of one step there may be several, in different places.
      folder: the run's checkpoints.
      rehashed: all of their files was read again; else only looked for.
    """
    if not entries:
        return [f"no checkpoint is committed in {folder}"]
    lines = [f"{'step':>12}  {'saved':24}  {'size':>9}  {'eval rmse':>9}  {'kept because':20}  state"]
    for step in sorted({entry.step for entry in entries}, reverse=True):
        same = [entry for entry in entries if entry.step == step]
        known = next((entry.manifest for entry in same if entry.manifest), None)
        saved = known.saved if known else "?"
        size = _size(known.bytes) if known else "?"
        rmse = f"{known.error**0.5:.5f}" if known and known.error is not None else "-"
        why = ", ".join(_reason(entry, entries, folder) for entry in same)
        damage = "; ".join(f"damaged: {entry.reason}" for entry in same if entry.reason)
        state = damage or ("verified" if rehashed else "complete")
        lines.append(f"{step:>12,}  {saved:24}  {size:>9}  {rmse:>9}  {why:20}  {state}")
    return lines


def _size(number: int) -> str:
    """Bytes for people."""
    return f"{number / 1e6:,.1f} MB" if number >= 1e5 else f"{number / 1e3:,.1f} kB"


def _reason(entry: Entry, entries: Sequence[Entry], folder: pathlib.Path) -> str:
    if entry.folder == folder:
        return "newest" if entry.step == max(other.step for other in entries) else "recent"
    return entry.folder.name
