"""Exports a network with a model card, thresholds of its scores, and the range of 16-bit images."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from trainer.config import Config
from trainer.data.formats.depth import FULL, Depth
from trainer.data.schema import Schema
from trainer.evaluation import baselines, scores
from trainer.evaluation.calibration import Calibration
from trainer.models.autoencoder import Autoencoder
from trainer.runs import description, export, model_card, report
from trainer.runs.directory import RunDirectory
from trainer.system import files

README, SCORE, DEPTH = "README.md", "assets/score.json", "assets.extra/depth.json"
CONTAMINATIONS = (0.001, 0.01, 0.05)  # the shares of normal examples above the thresholds in `SCORE`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metadata:
    """The metadata of an exported network.

    Attributes:
      config, directory: config and directory of the run.
      step: number of training steps of the weights.
      data: the fingerprint of the data set.
      metrics: the metrics of these weights, as in a manifest; they may be missing.
      depth: the 16-bit values that the network reads as 0 and 1.
      schema: the columns of a custom table, or None.
      calibration: the calibration of its scores, or None.
    """

    config: Config
    directory: RunDirectory
    step: int
    data: str
    metrics: Mapping[str, float]
    depth: Depth
    schema: Schema | None
    calibration: Calibration | None


def package(model: Autoencoder, metadata: Metadata) -> pathlib.Path:
    """Exports a model in float32 to the run's folder of exports; returns the path of the SavedModel."""
    is_image = len(model.mean.shape) == 3
    unit = report.error_unit(is_image=is_image, is_standardized=metadata.config.data.standardise)
    score = score_content(metadata, unit, is_image=is_image)
    input_name = "images" if is_image else "rows"
    card = model_card.Card(
        name=metadata.directory.path.name,
        dataset=metadata.config.data.dataset,
        fingerprint=metadata.data,
        network=description.network(metadata.config, model),
        step=metadata.step,
        errors={**metadata.metrics, **baselines.stored_errors(metadata.directory.baselines)},
        unit=unit,
        input_name=input_name,
        fills_missing=metadata.config.data.missing == "mean",
        shape=tuple(model.mean.shape),
        code_size=model.code_size,
        is_variational=model.is_variational,
        thresholds=score["thresholds"],
    )
    texts = {README: model_card.render(card), SCORE: files.to_json(score)}
    if metadata.depth != FULL:
        texts[DEPTH] = files.to_json({"low": metadata.depth[0], "high": metadata.depth[1]})
    return export.export(model, metadata.directory.exports, metadata.step, input_name=input_name, texts=texts)


def score_content(metadata: Metadata, unit: str, *, is_image: bool) -> dict[str, Any]:
    """Returns the content of `assets/score.json`. Thresholds that the held-out examples do not support are None."""
    calibration = metadata.calibration
    thresholds = {f"{share:g}": calibration.threshold(share) if calibration else math.inf for share in CONTAMINATIONS}
    return {
        "scoring": scores.resolve(scores.AUTO, is_image=is_image),
        "unit": unit,
        "columns": metadata.schema.trained_names if metadata.schema else None,
        "calibration": calibration.to_json() if calibration else None,
        "thresholds": {
            share: float(f"{value:.9g}") if math.isfinite(value) else None for share, value in thresholds.items()
        },
    }
