"""The end of a run: export, result, and the closing table."""

from trainer.checkpoints import catalog
from trainer.checkpoints.catalog import Entry
from trainer.runs import builder, export, report
from trainer.runs.session import Session
from trainer.serving.server import command
from trainer.system.logs import log


def finish(session: Session, step: int) -> None:
    """Exports, writes the result, brings the copy up to date, and says how it went."""
    objects, recorder, mirror = session.objects, session.recorder, session.mirror
    directory = objects.directory
    best = catalog.best(directory.checkpoints)
    exported = _export(session, step, best)
    result = {
        "step": step,
        "seconds": session.seconds,
        "train/examples": [len(objects.final_train_rows), len(objects.data.train.examples)],
        **recorder.run_evaluator.metrics,
        **recorder.curves.finish(),
        "best": best.step if best else None,
        "export": objects.config.run.export,
        "exported": exported,
    }
    session.append_history(step, "finished")
    recorder.about.end(succeeded=True)
    directory.write_result(result)
    if mirror and not mirror.update():
        log.warning(f"the copy in {mirror.path} is not up to date; the same command tries again")
    for line in report.summary(result, directory, command(directory.root)):
        log.info(line)


def _export(session: Session, step: int, best: Entry | None) -> int | None:
    """Exports the weights that are wanted; returns the step that they are of."""
    objects = session.objects
    config, data = objects.config, objects.data
    if config.run.export == "none":
        return None
    if config.run.export == "best" and best and best.step != step:
        session.store.restore(best)
        step = best.step
    model = objects.model
    if config.compute.precision != "float32":
        model = builder.network(config, data, "float32")
        for ours, trained in zip(model.variables, objects.model.variables, strict=True):
            ours.assign(trained.value)
    export.export(model, objects.directory.exports, step, input_name="images" if data.is_image else "rows")
    return step
