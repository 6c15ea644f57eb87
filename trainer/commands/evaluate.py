"""`--mode=evaluate`: writes the metrics of a checkpoint on its data set, or its errors on new data."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.commands import new_data
from trainer.commands.output import Output
from trainer.config import Config
from trainer.errors import DONE
from trainer.evaluation import baselines, statistics
from trainer.runs import report
from trainer.runs.loading import LoadedRun
from trainer.system import files
from trainer.system.logs import log


def evaluate(config: Config, given: frozenset[str]) -> int:
    """Evaluates a checkpoint on the data set of its run or on `--input`, and writes `evaluation.json`."""
    run = LoadedRun(config, given)
    if config.command.input is not None:
        _evaluate_new_data(run, config.command.input)
    else:
        _evaluate_data_set(run)
    return DONE


def _evaluate_data_set(run: LoadedRun) -> None:
    output = Output.of(run)
    data = run.data()
    with run.network() as trained:
        values = trained.evaluate(data)
    values |= baselines.stored_errors(run.directory.baselines)
    unit = report.error_unit(is_image=data.is_image, is_standardized=run.config.data.standardise)
    _write(output, run, values, {"unit": unit})


def _evaluate_new_data(run: LoadedRun, text: str) -> None:
    """Writes the errors of the examples beside those of the training mean. Loads no data set."""
    output = Output.of(run)
    read = new_data.read_input(run, text)
    mean, scale, _ = run.statistics
    parts, baseline = [], []
    with run.model(len(read.names)) as model:
        for part in new_data.reconstructed(read, model):
            parts.append((part.errors, part.data_errors))
            baseline.append(new_data.rmse((part.originals if scale is None else part.originals / scale) - mean))
    errors, data_errors = map(np.concatenate, zip(*parts, strict=True))
    is_image = mean.ndim == 3
    values = _tags("input", errors, mean.size, is_image=is_image)
    values |= {f"input/{tag}": value for tag, value in statistics.error_percentiles(errors).items()}
    if scale is not None:
        values |= _tags("input/data_unit", data_errors, mean.size, is_image=is_image)
    values["floor/mean/input"] = float(np.sqrt(np.square(np.concatenate(baseline)).mean()))
    unit = report.error_unit(is_image=is_image, is_standardized=scale is not None)
    _write(output, run, values, {"unit": unit, "examples": len(errors)})
    output.write(new_data.ERRORS, new_data.errors_table(read.names, errors))


def _tags(prefix: str, errors: np.ndarray, num_pixels: int, *, is_image: bool) -> dict[str, float]:
    """Returns the metrics of [N] root mean squared errors, by tag."""
    mse = float(np.square(errors).mean())
    metrics = statistics.error_metrics(mse, num_pixels, is_image=is_image)
    return {f"{prefix}/{tag}": value for tag, value in metrics.items()}


def _write(output: Output, run: LoadedRun, values: Mapping[str, float], more: Mapping[str, Any]) -> None:
    for name, value in values.items():
        log.info(f"{name:32} {value:.6g}")
    log.info(f"errors      {more['unit']}")
    output.write("evaluation.json", files.to_json({"step": run.entry.step, **values, **more}))
