"""A finished run's result, for a person. No TensorFlow."""

import pathlib
from collections.abc import Mapping
from typing import Any


def summary(result: Mapping[str, Any], directory: pathlib.Path, look: str) -> list[str]:
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
    lines.append(f"checkpoint  {directory / 'checkpoints'}/ckpt-{result['step']}")
    if result["exported"]:
        lines.append(f"SavedModel  {directory / 'export'}/{result['step']}")
    return [*lines, f"look        {look}"]
