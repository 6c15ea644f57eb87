"""The settings of Keras: whatever a keras.json and the environment say, a run has the same bits.

Every trial is a program of its own, because Keras reads its settings when it is imported.
"""

import itertools
import json
import os
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np
from claims import Claim, failures
from processes import CPU, LAUNCH, spawn

from storms import digests
from trainer.checkpoints import manifest as manifests

STEPS, HALF = 120, 60
FLAGS = (
    *("--model=conv", "--hidden=4,4", f"--steps={STEPS}", f"--checkpoint_every={HALF}", "--log_every=10"),
    *("--eval_every=30", "--image_every=60"),
)
SECONDS = 600.0
KERAS_FILES = {
    "no file": None,
    "channels_first": {"image_data_format": "channels_first"},
    "float16": {"floatx": "float16", "epsilon": 0.1},
    "another backend": {"backend": "jax", "floatx": "float64", "image_data_format": "channels_first"},
    "invalid values": {"floatx": "float8", "image_data_format": "sideways", "epsilon": "small"},
}
VARIABLES = {
    "no variable": {},
    "backend jax": {"KERAS_BACKEND": "jax"},
    "unknown backend": {"KERAS_BACKEND": "nonsense"},
    "legacy": {"TF_USE_LEGACY_KERAS": "1"},
    "others": {"KERAS_MAX_EPOCHS": "none", "KERAS_NNX_ENABLED": "true", "TF_USE_LEGACY_KERAS": "true"},
}
MODES = ("train", "resume", "encode", "export")

Case = tuple[str, str, str]  # a key of KERAS_FILES, a key of VARIABLES, a mode


def cases() -> list[Case]:
    """Returns all combinations."""
    return list(itertools.product(KERAS_FILES, VARIABLES, MODES))


def run_trials(folder: pathlib.Path, chosen: Sequence[Case]) -> Claim:
    """Compares each combination with a run without settings."""
    expected = folder / "expected"
    clean = _environment(folder / "clean", "no file", "no variable")
    for arguments in ((), ("--mode=encode", f"--output={expected}/codes")):
        _launch(expected, clean, *arguments)
    failed = []
    for number, case in enumerate(chosen):
        try:
            problems = _problems(folder / str(number), expected, case)
        except RuntimeError as error:
            problems = [str(error)]
        if problems:
            failed.append(f"{', '.join(case)}: {problems[0]}")
        shutil.rmtree(folder / str(number), ignore_errors=True)
    claim = "keras.json and the variables of Keras change no bit in training, resuming, encoding and exporting"
    detail = f"{len(chosen):,} of {len(cases()):,} combinations{failures(failed)}"
    return Claim(claim, len(chosen) - len(failed), len(chosen), detail)


def _problems(folder: pathlib.Path, expected: pathlib.Path, case: Case) -> list[str]:
    """Returns how a trial differs from the expected run."""
    keras_file, variables, mode = case
    environment, run = _environment(folder / "keras", keras_file, variables), folder / "run"
    if mode == "encode":
        _launch(expected, environment, "--mode=encode", f"--output={folder}/codes")
        codes, expected_codes = (np.load(path / "codes" / "codes.npz") for path in (folder, expected))
        return [f"{name} differs" for name in expected_codes if not np.array_equal(codes[name], expected_codes[name])]
    if mode != "train":
        shutil.copytree(expected, run)
        shutil.rmtree(run / "export")
    if mode == "resume":
        (run / "result.json").unlink()
        manifests.delete(run / "checkpoints", STEPS)
    _launch(run, environment)
    problems = digests.differences(digests.read(run), digests.read(expected))
    return problems or _export_problems(run, expected)


def _export_problems(run: pathlib.Path, expected: pathlib.Path) -> list[str]:
    import tensorflow as tf

    images = np.linspace(0, 1, 3 * 64, dtype=np.float32).reshape(3, 8, 8, 1)
    models = [tf.saved_model.load(str(folder / "export" / str(STEPS))) for folder in (run, expected)]
    outputs = [model.reconstruct(images)["reconstructions"].numpy() for model in models]
    return [] if np.array_equal(*outputs) else ["the exported network differs"]


def _environment(folder: pathlib.Path, keras_file: str, variables: str) -> dict[str, str]:
    """Returns an environment with these settings; writes keras.json to `folder`."""
    folder.mkdir(parents=True)
    content = KERAS_FILES[keras_file]
    if content is not None:
        (folder / "keras.json").write_text(json.dumps(content))
    inherited = {name: value for name, value in {**os.environ, **CPU}.items() if not name.startswith("KERAS_")}
    return {**inherited, "KERAS_HOME": str(folder), **VARIABLES[variables]}


def _launch(run: pathlib.Path, environment: dict[str, str], *arguments: str) -> None:
    """Runs Hourglass to its end.

    Raises:
      RuntimeError: The exit code is not 0.
    """
    output = pathlib.Path(environment["KERAS_HOME"]) / "output"
    child = spawn([*LAUNCH, *FLAGS, f"--run_dir={run}", *arguments], output, environment)
    if child.wait(SECONDS) != 0:
        child.kill()
        raise RuntimeError(f"exit code {child.code}: {child.printed()[-300:]}")
