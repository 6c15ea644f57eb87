"""Data sets of known content: loaded and compared, and some of them trained, evaluated and reported.

A trial passes if the loaded data equal the truth, if they are refused, or if a note names the guess that was made. With
training, also if the reported errors are those of the truth, computed with NumPy.
"""

import contextlib
import functools
import io
import json
import os
import pathlib
import random
import shutil
import tempfile

import numpy as np

import launch
from hostile import truth
from hostile.truth import Known
from hostile.workers import Outcome, Trial
from trainer import config
from trainer.data.dataset import Dataset
from trainer.errors import HourglassError, as_flag, option_style
from trainer.runs.data import load

EQUAL, WARNED, REFUSED, NOTED = "equal", "equal, with a false warning", "refused", "noted"
FACTS = (  # Notes on what was done; other notes say that something may be wrong.
    "the first line is the heading",
    "there is no heading",
    "skipped columns",
    "skipped lines of empty cells",
    "constant columns",
    "centered before",
    "images of",
    "the split is defined",
    "16-bit images use",
    "only the first page or frame",
)
DOUBT = "if it is"
SHORT_RUN = ("--hidden=2", "--steps=3", "--jit=off", "--batch_size=2", "--export=none", "--image_every=0")
MAX_ERROR = 1e-4  # relative


def make(*, is_trained: bool = False) -> Trial:
    """Returns the trial, which runs in a folder of this process; `is_trained`: it trains on data that were equal."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="hourglass-data-"))
    os.environ.update(HOME=str(root / "home"), KERAS_HOME=str(root / "keras"))

    def trial(seed: int) -> Outcome:
        draw = random.Random(seed)
        folder = root / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        kind = draw.choice(truth.KINDS)
        known = kind(folder / "data", draw)
        with option_style(as_flag):
            verdict, problem = judge(loaded(known, folder / "cache"), known)
        if is_trained and verdict in (EQUAL, WARNED) and known.train is not None:
            verdict, problem = "trained", _train(folder, known, draw)
        return Outcome(f"{kind.__name__}: {verdict}", problem)

    return trial


make_trained = functools.partial(make, is_trained=True)


def loaded(known: Known, cache: pathlib.Path) -> Dataset | str:
    """Loads a data set as a run does; returns the message if it is refused."""
    try:
        return load(config.parse([*known.flags, f"--cache_dir={cache}"])[0])
    except HourglassError as error:
        return str(error)


def judge(data: Dataset | str, known: Known) -> tuple[str, str]:
    """Judges loaded data: their kind, and what is wrong, which is empty if nothing is."""
    if isinstance(data, str):
        return REFUSED, "" if "remedy:" in data else f"refused without a remedy: {data}"
    problem = known.judge(data)
    if not problem:
        warnings = [note for note in data.notes if not note.startswith(FACTS) or DOUBT in note]
        has_warning = any(not note.startswith(known.warnings) for note in warnings)
        return WARNED if has_warning else EQUAL, ""
    is_named = any("--heading" in note or "--depth" in note for note in data.notes)
    return NOTED, "" if is_named else f"{problem}; notes: {'; '.join(data.notes)}"


def _train(root: pathlib.Path, known: Known, draw: random.Random) -> str:
    """Trains on a data set, reconstructs the true training examples, and returns how the reported errors are wrong."""
    assert known.train is not None
    is_standardized = known.train.ndim == 2 and draw.random() < 0.5
    flags = [*known.flags, f"--cache_dir={root / 'cache'}", *(["--standardise"] if is_standardized else [])]
    run, output = f"--run_dir={root / 'run'}", root / "output"
    np.save(root / "truth.npy", known.train)
    modes = [
        [*flags, *SHORT_RUN],
        ["--mode=evaluate", f"--output={output}"],
        ["--mode=reconstruct", f"--input={root / 'truth.npy'}", f"--output={output}"],
    ]
    for mode in modes:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            code = launch.main([*mode, run])
        if code == 1 and "is larger than the data set" in text.getvalue():
            return ""  # one example
        if code:
            return f"{mode}: exit {code}: {text.getvalue()[-400:]}"
    results = np.load(output / "reconstructions.npz")
    if known.train.ndim == 2:
        unit = known.train.std(axis=0) if is_standardized else np.ones(known.train.shape[1])
        unit = np.where(unit > 0, unit, 1)
        errors = _rmse((known.train - results["reconstructions"]) / unit)
        if not np.allclose(results["rmse"], errors, rtol=MAX_ERROR, atol=1e-6):
            return f"reconstruct reports {results['rmse'][:3]}, not {errors[:3]}; {flags}"
    expected = float(np.sqrt(np.square(results["rmse"]).mean()))
    for file in (root / "run" / "result.json", output / "evaluation.json"):
        reported = json.loads(file.read_text())["train/reconstruction/rmse"]
        if abs(reported - expected) > MAX_ERROR * expected:
            return f"{file.name} has the error {reported}, expected {expected}; {flags}"
    return ""


def _rmse(differences: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(differences).reshape(len(differences), -1).mean(axis=1))
