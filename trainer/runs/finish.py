"""Finishes a run: exports the model, writes the result, and logs a summary."""

from typing import Any

from trainer.checkpoints import catalog
from trainer.checkpoints.catalog import Entry
from trainer.checkpoints.manifest import Manifest
from trainer.evaluation import stopping
from trainer.evaluation.calibration import Calibration
from trainer.runs import builder, packaging, remarks, report
from trainer.runs.session import Session
from trainer.serving.server import command
from trainer.system.logs import log


def finish(session: Session, step: int) -> None:
    """Exports the model, writes the result, updates the mirror, and logs a summary."""
    components, recorder, mirror = session.components, session.recorder, session.mirror
    directory = components.directory
    best = catalog.best(directory.checkpoints)
    recorder.run_evaluator.complete(step)
    codes = recorder.run_evaluator.probe(step).codes  # Before the export, which may restore other weights.
    exported = _export(session, step, best)
    result: dict[str, Any] = {
        "step": step,
        "seconds": session.seconds,
        "train/examples": [len(components.final_train_rows), len(components.data.train.examples)],
        **recorder.run_evaluator.metrics,
        **recorder.baseline_curves.finish(step),
        "best": best.step if best else None,
        "export": components.config.export,
        "exported": exported,
        "stopped": _stopped(session, step),
        "unit": components.error_unit,
    }
    result["notes"] = remarks.on_result(components.config, components.data, result, codes)
    reason = [f"stopped {report.early(result['stopped'])}"] if result["stopped"] else []
    session.append_history(step, *result["notes"], *reason, "finished")
    recorder.run_info.end(succeeded=True)
    directory.write_result(result)
    if mirror and not mirror.update():
        log.warning(f"the mirror {mirror.path} is not up to date; repeat the command to update it")
    for line in report.summary(result, directory, command(directory.root)):
        log.info(line)


def _stopped(session: Session, step: int) -> dict[str, Any] | None:
    """Returns why the run ended before the last step of its plan, at which step; None if it did not."""
    plan, metrics = session.components.plan, session.recorder.run_evaluator.metrics
    if step >= plan.total_steps:
        return None
    return {
        "reason": "early_stopping",
        "patience": plan.early_stopping,
        "step": step,
        "best/step": metrics[f"eval/{stopping.STEP}"],
        "best/rmse": metrics[f"eval/{stopping.RMSE}"],
    }


def _export(session: Session, step: int, best: Entry | None) -> int | None:
    """Exports the weights that --export selects, and returns their step; None for --export=none."""
    components = session.components
    config, data = components.config, components.data
    if config.export == "none":
        return None
    metrics, saved = session.recorder.run_evaluator.metrics, catalog.newest(components.directory.checkpoints)
    if config.export == "best" and best and best.step != step:
        session.store.restore(best)
        step, saved, metrics = best.step, best.manifest, best.manifest.metrics if best.manifest else {}
    model = components.model
    if config.compute.precision != "float32":
        model = builder.network(config, data, "float32")
        for variable, trained in zip(model.variables, components.model.variables, strict=True):
            variable.assign(trained.value)
    metadata = packaging.Metadata(
        config=config,
        directory=components.directory,
        step=step,
        data=data.fingerprint,
        metrics=metrics,
        depth=data.depth,
        schema=components.directory.read_schema(),
        calibration=_calibration(session, step, saved),
    )
    packaging.package(model, metadata)
    return step


def _calibration(session: Session, step: int, saved: Manifest | None) -> Calibration | None:
    """Returns the calibration of the scores of these weights, from this process or from their checkpoint."""
    if evaluated := session.recorder.run_evaluator.calibration(step):
        return evaluated
    return Calibration.from_json(saved.scores) if saved and saved.step == step and saved.scores else None
