"""Measures how well the preset `anomalies` finds anomalies in tables.

scripts/anomalies --tables=FOLDER            AUROC and false alarms, means over five seeds
scripts/anomalies --tables=FOLDER --peers    also PyOD's autoencoder, isolation forest, nearest neighbors and PCA

FOLDER has a file NAME.npz for each table: `train` [N, D], normal rows; `test` [M, D]; `y` [M], 1 for an anomaly.
Arguments that are not listed here are flags of the runs, such as --hidden=64,32.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np
from processes import ROOT, ForkServer, environment

from detection.measures import auroc, false_alarms
from trainer import config as configs
from trainer.checkpoints import bundle, catalog
from trainer.data import splits
from trainer.evaluation import scores as definition
from trainer.models import portable

SECONDS = 600.0  # time limit of a run
PROMISED = 0.01  # false alarms among normal rows
PEERS = ("PyOD AE", "IForest", "kNN", "PCA")
PYTHON = ROOT / ".venv-bench" / "bin" / "python"


class Table(NamedTuple):
    """A table, float32: normal training rows [N, D], test rows [M, D], and which of these are anomalies, [M] bool."""

    train: np.ndarray
    test: np.ndarray
    is_anomaly: np.ndarray


class Outcome(NamedTuple):
    """The measures of one run; `alarms` is None if there are too few held-out rows. `seconds`: of the whole command."""

    auroc: float
    alarms: float | None
    held_out: int
    seconds: float


def read(path: pathlib.Path) -> Table:
    """Reads a table."""
    with np.load(path) as arrays:
        train, test = (arrays[name].astype(np.float32) for name in ("train", "test"))
        return Table(train, test, arrays["y"].astype(bool))


class Detector:
    """Trains runs of the preset in child processes, and scores rows with their weights.

    Args:
      server: starts the runs.
      folder: folder for the runs.
      flags: flags that replace those of the preset.
    """

    def __init__(self, server: ForkServer, folder: pathlib.Path, flags: list[str]) -> None:
        self._server, self._folder, self._flags = server, folder, flags

    def measure(self, table: Table, seed: int) -> Outcome:
        """Trains on the normal rows, and measures the scores of the test rows."""
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            run = pathlib.Path(name)
            np.save(run / "train.npy", table.train)
            started = time.monotonic()
            config = self._train(run, seed)
            seconds = time.monotonic() - started
            network, offset = load(config, run / "run")
        held_out = table.train[splits.by_index(len(table.train), config.data.eval_fraction)]
        held_out_scores, test_scores = (scores(network, offset, rows) for rows in (held_out, table.test))
        alarms = false_alarms(held_out_scores, test_scores[~table.is_anomaly], PROMISED)
        return Outcome(auroc(test_scores, table.is_anomaly), alarms, len(held_out), seconds)

    def _train(self, run: pathlib.Path, seed: int) -> configs.Config:
        own = [f"--seed={seed}", "--dataset=array", f"--data_dir={run / 'train.npy'}", f"--run_dir={run / 'run'}"]
        arguments = ["--preset=anomalies", *self._flags, *own]
        child = self._server.start(arguments, run / "output.log")
        if child.wait(SECONDS) != 0:
            child.kill()
            raise SystemExit(f"{' '.join(arguments)} failed:\n{child.printed()}")
        return configs.parse(arguments)[0]


def load(config: configs.Config, run: pathlib.Path) -> tuple[portable.Network, np.ndarray]:
    """Returns the trained network, and the offset of its rows (see `Dataset.offset`), 0 without."""
    entry = catalog.find(run, [])
    arrays = bundle.network_arrays(entry.folder / f"ckpt-{entry.step}")
    network = portable.network(configs.network_options(configs.mathematical_options(config)), **arrays._asdict())
    return network, np.zeros(1) if arrays.offset is None else arrays.offset


def scores(network: portable.Network, offset: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns the mean squared error over the columns, in standard deviations of the training rows: [N, D] -> [N]."""
    shifted = (rows - offset).astype(np.float32)
    outputs = network.decode(network.encode(shifted))
    return definition.total(definition.parts(shifted, outputs, scoring=definition.SQUARED, unit=network.unit))


def peers(path: pathlib.Path, seeds: str) -> dict[str, float]:
    """Returns the AUROC of the other detectors by name."""
    command = [str(PYTHON), "-P", "-m", "detection.peers", str(path), seeds]
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parses the command line, and returns the options and the flags of the runs."""
    parser = argparse.ArgumentParser(
        prog="scripts/anomalies", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", required=True, type=pathlib.Path, help="folder of .npz files")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="seeds of the runs, and of the other detectors")
    parser.add_argument("--only", default=None, help="NAME,...: only these tables")
    parser.add_argument("--peers", action="store_true", help="measure other detectors too")
    options, flags = parser.parse_known_args(arguments)
    paths = {path.stem: path for path in sorted(options.tables.glob("*.npz"))}
    names = options.only.split(",") if options.only else list(paths)
    if not names or set(names) - set(paths):
        parser.error(f"unknown: {', '.join(names)}; {options.tables} has {', '.join(paths) or 'no .npz files'}")
    options.paths = [paths[name] for name in names]
    return options, flags


def row(table: Table, outcomes: list[Outcome], others: dict[str, float]) -> dict[str, float | None]:
    """Returns the values of one row of the printed table, by heading."""
    alarms = [outcome.alarms for outcome in outcomes if outcome.alarms is not None]
    return {
        "rows": len(table.train),
        "columns": table.train.shape[1],
        "AUROC": float(np.mean([outcome.auroc for outcome in outcomes])),
        **others,
        "held out": outcomes[0].held_out,
        "alarms %": 100 * float(np.mean(alarms)) if alarms else None,
        "seconds": float(np.mean([outcome.seconds for outcome in outcomes])),
    }


FORMATS = {"rows": ",.0f", "columns": ",.0f", "held out": ",.0f", "alarms %": ".2f", "seconds": ".1f"}


def line(name: str, values: dict[str, float | None]) -> str:
    """Returns one line of the printed table."""
    cells = ("-" if value is None else format(value, FORMATS.get(key, ".3f")) for key, value in values.items())
    return f"| {name} | {' | '.join(cells)} |"


def main() -> int:
    """Measures the tables, and prints a line for each and the means of the AUROCs."""
    options, flags = parse(sys.argv[1:])
    rows = []
    with ForkServer() as server, tempfile.TemporaryDirectory() as folder:
        detector = Detector(server, pathlib.Path(folder), flags)
        for path in options.paths:
            table = read(path)
            outcomes = [detector.measure(table, int(seed)) for seed in options.seeds.split(",")]
            rows.append(row(table, outcomes, peers(path, options.seeds) if options.peers else {}))
            if len(rows) == 1:
                print(f"| table | {' | '.join(rows[0])} |\n|{' --- |' * (len(rows[0]) + 1)}", flush=True)
            print(line(path.stem, rows[-1]), flush=True)
    measured = ["AUROC", *(PEERS if options.peers else ())]
    print("mean AUROC: " + ", ".join(f"{key} {np.mean([values[key] for values in rows]):.4f}" for key in measured))
    if options.peers:
        print(f"above PyOD AE on {sum(values['AUROC'] > values['PyOD AE'] for values in rows)} of {len(rows)} tables")
    if any(values["alarms %"] is None for values in rows):
        print(f"-: {PROMISED:.0%} of false alarms needs at least {round(1 / PROMISED) - 1} held-out rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
