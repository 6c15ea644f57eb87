"""`--mode=export`: exports a checkpoint as a SavedModel."""

from trainer.commands.output import Output
from trainer.config import Config
from trainer.errors import DONE, UsageError, option
from trainer.evaluation import scores
from trainer.runs.loading import LoadedRun
from trainer.system.logs import log


def export(config: Config, given: frozenset[str]) -> int:
    """Exports a checkpoint to `export/<step>` in the run directory. Reads no data if the checkpoint has scores."""
    if "export" in given:
        raise UsageError(
            f"{option('export')} cannot be used with {option('mode', 'export')}",
            found="it selects the weights that training exports at its end",
            remedy=f"select a checkpoint with {option('at_step')}; {option('mode', 'checkpoints')} marks the best",
        )
    run = LoadedRun(config, given)
    Output.check(run.directory.exports, None)
    depth, schema, manifest = run.depth(), run.stored_schema(), run.entry.manifest
    with run.network() as trained:
        from trainer.runs import packaging  # Imports TensorFlow.

        metadata = packaging.Metadata(
            config=run.config,
            directory=run.directory,
            step=run.entry.step,
            data=manifest.data if manifest else "",
            metrics=manifest.metrics if manifest and manifest.evaluated == manifest.step else {},
            depth=depth,
            schema=schema,
            calibration=run.calibration(scores.resolve(scores.AUTO, is_image=len(trained.shape) == 3)),
        )
        log.info(f"SavedModel  {packaging.package(trained.model, metadata)}")
    return DONE
