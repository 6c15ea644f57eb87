"""`--mode=scalars`: writes the points of a run's curves as a table."""

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from trainer.commands.output import Output
from trainer.config import Config
from trainer.errors import DONE, DataError, option
from trainer.runs.directory import RunDirectory
from trainer.summaries import records
from trainer.system.logs import log

if TYPE_CHECKING:
    from trainer.summaries.points import Points

FILE = "scalars.csv"
COLUMNS = ("run", "tag", "step", "wall_time", "value")


def scalars(config: Config, given: frozenset[str]) -> int:
    """Writes every point of every scalar of a run to `scalars.csv`. Needs neither checkpoints nor data nor a lock."""
    from trainer.summaries import points  # Imports TensorBoard.

    directory = RunDirectory(config)
    folders = [directory.train, directory.eval, *directory.baseline_curves.glob("*")]
    names = {str(folder.relative_to(directory.path)): folder for folder in folders if points.has_event_files(folder)}
    if not names:
        raise _no_points(directory)
    output = Output(config.command, directory.path / config.command.mode)
    runs = {name: points.read(names[name]) for name in sorted(names)}
    for name, (by_tag, damaged) in runs.items():
        log.info(f"{name:12}{sum(map(len, by_tag.values())):,} points of {len(by_tag)} tags")
        for path in damaged:
            log.warning(f"{path} is damaged: its points after the damage are left out")
    output.write(FILE, table(runs))
    return DONE


def _no_points(directory: RunDirectory) -> Exception:
    remedy = f"set {option('run_dir')} to the folder of a run, or give the flags that started the run"
    if not directory.flags.exists():
        return directory.no_run(f"there is no run in {directory.path}", remedy=remedy)
    return DataError(
        f"there are no event files in {directory.path}",
        found=f"expected files {records.PATTERN} in {directory.train.name}, {directory.eval.name}"
        f" or {directory.baseline_curves.name}",
        remedy="wait until the run has begun to train, or copy them from the original run",
    )


def table(runs: Mapping[str, "Points"]) -> str:
    """Returns CSV with a row for each point, by run, tag and step. Numbers have as many digits as float32 needs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name in sorted(runs):
        for tag, series in sorted(runs[name].by_tag.items()):
            writer.writerows((name, tag, step, time, np.float32(value)) for step, time, value in series)
    return text.getvalue()
