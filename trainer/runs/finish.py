"""Finishes a run: exports the model, writes the result, and logs a summary."""

from typing import Any

from trainer.checkpoints import catalog
from trainer.checkpoints.catalog import Entry
from trainer.runs import builder, export, remarks, report
from trainer.runs.session import Session
from trainer.serving.server import command
from trainer.system.logs import log


def finish(session: Session, step: int) -> None:
    """Exports the model, writes the result, updates the mirror, and logs a summary."""
    components, recorder, mirror = session.components, session.recorder, session.mirror
    directory = components.directory
    best = catalog.best(directory.checkpoints)
    codes = recorder.run_evaluator.probe(step).codes  # Before the export, which may restore other weights.
    exported = _export(session, step, best)
    result: dict[str, Any] = {
        "step": step,
        "seconds": session.seconds,
        "train/examples": [len(components.final_train_rows), len(components.data.train.examples)],
        **recorder.run_evaluator.metrics,
        **recorder.baseline_curves.finish(),
        "best": best.step if best else None,
        "export": components.config.run.export,
        "exported": exported,
        "unit": report.error_unit(
            is_image=components.data.is_image, is_standardized=components.config.data.standardise
        ),
    }
    result["notes"] = remarks.on_result(components.config, components.data, result, codes)
    session.append_history(step, *result["notes"], "finished")
    recorder.run_info.end(succeeded=True)
    directory.write_result(result)
    if mirror and not mirror.update():
        log.warning(f"the mirror {mirror.path} is not up to date; repeat the command to update it")
    for line in report.summary(result, directory, command(directory.root)):
        log.info(line)


def _export(session: Session, step: int, best: Entry | None) -> int | None:
    """Exports the weights that --export selects, and returns their step; None for --export=none."""
    components = session.components
    config, data = components.config, components.data
    if config.run.export == "none":
        return None
    if config.run.export == "best" and best and best.step != step:
        session.store.restore(best)
        step = best.step
    model = components.model
    if config.compute.precision != "float32":
        model = builder.network(config, data, "float32")
        for variable, trained in zip(model.variables, components.model.variables, strict=True):
            variable.assign(trained.value)
    input_name = "images" if data.is_image else "rows"
    export.export(model, components.directory.exports, step, input_name=input_name, depth=data.depth)
    return step
