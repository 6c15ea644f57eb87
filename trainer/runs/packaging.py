"""Exports a network with what its users need beside it: a model card, thresholds of scores, the range of its pixels."""

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
class Facts:
    """What an export says about its network.

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


def package(model: Autoencoder, facts: Facts) -> pathlib.Path:
    """Exports a model in float32 to the run's folder of exports; returns the path of the SavedModel."""
    is_image = len(model.mean.shape) == 3
    unit = report.error_unit(is_image=is_image, is_standardized=facts.config.data.standardise)
    score = score_content(facts, unit, is_image=is_image)
    input_name = "images" if is_image else "rows"
    card = model_card.Card(
        name=facts.directory.path.name,
        dataset=facts.config.data.dataset,
        fingerprint=facts.data,
        network=description.network(facts.config, model),
        step=facts.step,
        errors={**facts.metrics, **baselines.stored_errors(facts.directory.baselines)},
        unit=unit,
        input_name=input_name,
        fills_missing=facts.config.data.missing == "mean",
        shape=tuple(model.mean.shape),
        code_size=model.code_size,
        is_variational=model.is_variational,
        thresholds=score["thresholds"],
    )
    texts = {README: model_card.render(card), SCORE: files.to_json(score)}
    if facts.depth != FULL:
        texts[DEPTH] = files.to_json({"low": facts.depth[0], "high": facts.depth[1]})
    return export.export(model, facts.directory.exports, facts.step, input_name=input_name, texts=texts)


def score_content(facts: Facts, unit: str, *, is_image: bool) -> dict[str, Any]:
    """Returns the content of `assets/score.json`. Thresholds that the held-out examples do not support are None."""
    some = facts.calibration
    thresholds = {f"{share:g}": some.threshold(share) if some else math.inf for share in CONTAMINATIONS}
    return {
        "scoring": scores.resolve(scores.AUTO, is_image=is_image),
        "unit": unit,
        "columns": facts.schema.trained_names if facts.schema else None,
        "calibration": some.to_json() if some else None,
        "thresholds": {
            share: float(f"{value:.9g}") if math.isfinite(value) else None for share, value in thresholds.items()
        },
    }
