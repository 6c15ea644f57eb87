"""Formats the result of a run and the table of its checkpoints. Does not import TensorFlow."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.catalog import BEST, Entry
from trainer.runs.directory import RunFiles

IMAGE_UNIT = "of pixels from 0 to 1"
ROW_UNITS = ("in standard deviations of the columns", "in the units of the data")


def summary(result: Mapping[str, Any], directory: RunFiles, command: str) -> list[str]:
    """Formats the summary of a finished run: time, errors, baselines, and paths.

    Args:
      result: contents of `result.json`.
      directory: the current run directory.
      command: the command that shows the run in TensorBoard.
    """
    lines = [f"finished    {result['step']:,} steps in {result['seconds']:.1f} s of training"]
    if stopped := result.get("stopped"):
        lines.append(f"stopped     {early(stopped)}")
    table = [("rmse", "trained", "PCA", "ratio", "mean")]
    for split in ("train", "eval"):
        trained = result[f"{split}/reconstruction/rmse"]
        pca, mean = result.get(f"floor/pca/{split}"), result.get(f"floor/mean/{split}", float("nan"))
        # If the code is as wide as the data, the PCA error is only rounding, and the ratio is meaningless.
        ratio = f"{trained / pca:.4f}" if pca and pca > 1e-6 else "-"
        baseline = f"{pca:.5f}" if pca is not None else "-"
        table.append((split, f"{trained:.5f}", baseline, ratio, f"{mean:.5f}"))
    lines += _aligned(table)
    if result.get("unit") in ROW_UNITS:
        lines.append(f"errors      {result['unit']}")
    evaluated, count = result.get("train/examples", (0, 0))
    if evaluated < count:
        lines.append(f"train       evaluated on {evaluated:,} of the {count:,} examples, evenly spaced")
    checkpoints = directory.checkpoints
    lines.append(f"checkpoint  {checkpoints / manifests.checkpoint_name(result['step'])}")
    if result["best"] not in (None, result["step"]):
        lines.append(
            f"best        {checkpoints / BEST / manifests.checkpoint_name(result['best'])}: lower evaluation error"
        )
    if result["exported"] is not None:
        lines.append(f"SavedModel  {directory.exported(result['exported'])}")
    lines += [f"note        {note}" for note in result.get("notes", ())]
    return [*lines, f"view        {command}"]


def early(stopped: Mapping[str, Any]) -> str:
    """Describes why a run was stopped early; `stopped` is the entry of `result.json`."""
    patience = stopped["patience"]
    times = "evaluation" if patience == 1 else "evaluations"
    best = f"step {stopped['best/step']:,} (rmse {stopped['best/rmse']:.5f})"
    return f"early: {patience:,} {times} in a row had no lower error than {best}"


def error_unit(*, is_image: bool, is_standardized: bool) -> str:
    """Returns the unit of the errors of a run in words."""
    if is_image:
        return IMAGE_UNIT
    return ROW_UNITS[0] if is_standardized else ROW_UNITS[1]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Formats a table: names on the left, then columns of numbers that are at least two spaces apart."""
    widths = [max(10, 2 + max(map(len, column))) for column in list(zip(*rows, strict=True))[1:]]
    return [
        f"{name:12}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for name, *cells in rows
    ]


def checkpoints(entries: Sequence[Entry], folder: pathlib.Path, *, rehashed: bool) -> list[str]:
    """Formats the table of checkpoints, newest first.

    Args:
      entries: result of `catalog.entries`; several entries may have the same step in different folders.
      folder: the folder of the checkpoints.
      rehashed: True if the contents of all files were verified, and not only their sizes.
    """
    if not entries:
        return [f"no checkpoint is committed in {folder}"]
    lines = [f"{'step':>12}  {'saved':24}  {'size':>9}  {'eval rmse':>9}  {'kept because':20}  state"]
    for step in sorted({entry.step for entry in entries}, reverse=True):
        same = [entry for entry in entries if entry.step == step]
        manifest = next((entry.manifest for entry in same if entry.manifest), None)
        saved = manifest.saved if manifest else "?"
        size = _size(manifest.bytes) if manifest else "?"
        rmse = f"{manifest.error**0.5:.5f}" if manifest and manifest.error is not None else "-"
        reasons = ", ".join(_reason(entry, entries, folder) for entry in same)
        damage = "; ".join(f"damaged: {entry.reason}" for entry in same if entry.reason)
        state = damage or ("verified" if rehashed else "complete")
        lines.append(f"{step:>12,}  {saved:24}  {size:>9}  {rmse:>9}  {reasons:20}  {state}")
    return lines


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:,.1f} kB"


def _reason(entry: Entry, entries: Sequence[Entry], folder: pathlib.Path) -> str:
    """Returns why a checkpoint is kept: newest, recent, kept or best."""
    if entry.folder == folder:
        return "newest" if entry.step == max(other.step for other in entries) else "recent"
    return entry.folder.name
