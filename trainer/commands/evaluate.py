"""`--mode=evaluate`: writes the metrics of a checkpoint."""

from trainer.commands.output import Output
from trainer.config import Config
from trainer.errors import DONE
from trainer.evaluation import baselines
from trainer.runs import report
from trainer.runs.loading import LoadedRun
from trainer.system import files
from trainer.system.logs import log


def evaluate(config: Config, given: frozenset[str]) -> int:
    """Evaluates a checkpoint on the data set of its run, and writes the metrics to `evaluation.json`."""
    run = LoadedRun(config, given)
    output = Output.of(run)
    data = run.data()
    with run.network() as trained:
        values = trained.evaluate(data)
    values |= baselines.stored_errors(run.directory.baselines)
    unit = report.error_unit(is_image=data.is_image, is_standardized=run.config.data.standardise)
    for name, value in values.items():
        log.info(f"{name:32} {value:.6g}")
    log.info(f"errors      {unit}")
    output.write("evaluation.json", files.to_json({"step": run.entry.step, **values, "unit": unit}))
    return DONE
