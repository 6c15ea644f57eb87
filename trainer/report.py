"""A finished run's result, for a person. No TensorFlow."""

from collections.abc import Mapping
from typing import Any


def summary(result: Mapping[str, Any]) -> list[str]:
    """The lines of the closing table: errors beside their floors, time, and where things are."""
    lines = [f"finished    {result['step']:,} steps in {result['seconds']:.1f} s of training"]
    lines.append(f"{'rmse':12}{'trained':>10}{'PCA':>10}{'ratio':>10}{'mean':>10}")
    for split in ("train", "eval"):
        trained = result[f"{split}/reconstruction/rmse"]
        pca, mean = result.get(f"floor/pca/{split}"), result[f"floor/mean/{split}"]
        # A code as wide as the data has a floor of nothing but rounding: a ratio to it means nothing.
        ratio = f"{trained / pca:.4f}" if pca and pca > 1e-6 else "-"
        floor = f"{pca:.5f}" if pca is not None else "-"
        lines.append(f"{split:12}{trained:>10.5f}{floor:>10}{ratio:>10}{mean:>10.5f}")
    lines.append(f"checkpoint  {result['checkpoint']}")
    if result["export"]:
        lines.append(f"SavedModel  {result['export']}")
    return [*lines, f"look        {result['look']}"]
