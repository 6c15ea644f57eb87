"""Describes a run: header lines for the terminal, and Markdown pages for TensorBoard's Text tab."""

import math
import os
import pathlib
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

import trainer
from trainer import config as configs
from trainer.compute import devices
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.errors import sanitize
from trainer.models.autoencoder import Autoencoder
from trainer.runs.provenance import Provenance
from trainer.system.options import DURATION, MATHEMATICS, NUMERICS, PRESENTATION
from trainer.training.plan import Plan

SAMPLE_ROWS = 8
KINDS = {
    MATHEMATICS: "what is computed: fixed for the run",
    DURATION: "how long the run is",
    NUMERICS: "how it is computed",
    PRESENTATION: "what is written and kept",
}


def text_pages(
    config: Config,
    data: Dataset,
    provenance: Provenance,
    weights: Mapping[str, np.ndarray],
    header: Mapping[str, str],
    *,
    run: pathlib.Path,
    arguments: Sequence[str],
) -> dict[str, str]:
    """Returns Markdown pages by tag.

    Args:
      config, data, provenance: config, data set and provenance of the run.
      weights: the trained weights by name.
      header: the lines of the header by name, from `header()`.
      run: the run directory.
      arguments: the command-line arguments.
    """
    return {
        "run/command": _command(provenance, header, run, arguments),
        "run/flags": _flags(config),
        "run/network": _network(weights, header["network"]),
        "run/data": _data(data, header["data"]),
    }


def _command(provenance: Provenance, header: Mapping[str, str], run: pathlib.Path, arguments: Sequence[str]) -> str:
    resume_flags = [f"--run_dir={run}", *_select(arguments, "data_dir", "device", "mirror_dir")]
    repeat_flags = [f"--flagfile={run}/flags.txt", "--run_dir=ANOTHER", *_select(arguments, "data_dir")]
    facts = {
        "command": f"`{shlex.join(['python', 'launch.py', *map(_without_secrets, arguments)])}`",
        "working directory": f"`{os.getcwd()}` on {socket.gethostname()}",
        "to resume": f"`python launch.py {shlex.join(resume_flags)}`",
        "to repeat": f"`python launch.py {shlex.join(repeat_flags)}`",
        "training": header["training"],
        "device": header["device"],
        "processor": provenance.numerics["processor"],
        "Hourglass": f"{trainer.__version__}, {revision()}",
        "Python": sys.version.split()[0],
        **{name: provenance.numerics[name] for name in ("tensorflow", "keras", "numpy")},
        "run": provenance.run_id,
    }
    return "\n".join(f"* **{name}**: {fact}" for name, fact in facts.items())


def _select(arguments: Sequence[str], *names: str) -> list[str]:
    return [argument for argument in arguments if argument.removeprefix("--").split("=")[0] in names]


def _without_secrets(argument: str) -> str:
    """Removes user, password and query from a URL, because other people can read the pages."""
    return re.sub(r"(://)[^/@]*@|\?.*", r"\1", argument) if "://" in argument else argument


def _flags(config: Config) -> str:
    rows = [
        (f"--{name}", f"`{value}`" if (value := config.text(name)) else "", meaning)
        for kind, meaning in KINDS.items()
        for name in configs.option_names(kind)
    ]
    return _table(("flag", "value", "decides"), rows)


def _network(weights: Mapping[str, np.ndarray], summary: str) -> str:
    rows = [(name, " x ".join(map(str, values.shape)), f"{values.size:,}") for name, values in weights.items()]
    return f"{summary}\n\n" + _table(("weights", "shape", "numbers"), rows)


def _data(data: Dataset, summary: str) -> str:
    values = data.train.examples
    labels, counts = np.unique(data.train.labels, return_counts=True)
    low, high = data.original_range
    facts = [
        summary,
        f"fingerprint (SHA-256) `{data.fingerprint}`",
        f"values {low:g} to {high:g}, divided by {_scale(data)}",
        f"{values.nbytes / 1e6:,.1f} MB of training examples as {values.dtype}",
        "classes: " + ", ".join(f"{name}: {n:,}" for name, n in zip(map(data.class_name, labels), counts, strict=True)),
    ]
    text = "\n".join(f"* {fact}" for fact in [*facts, *(f"note: {sanitize(note)}" for note in data.notes)])
    if data.is_image:
        return text + "\n\nThe image `data/sample` shows examples."
    columns = [f"column {index + 1}" for index in range(data.shape[0])][:20]
    rows = [[f"{value:g}" for value in row[:20]] for row in data.originals(values[:SAMPLE_ROWS])]
    return f"{text}\n\n{_table(columns, rows)}"


def _scale(data: Dataset) -> str:
    return f"{data.scale:g}" if isinstance(data.scale, float) else "the standard deviations of their columns"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def revision() -> str:
    """Returns the git revision of this checkout of Hourglass, in words."""
    checkout = pathlib.Path(trainer.__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return "not from a git checkout"
    command = [
        "git",
        "--no-optional-locks",
        "-C",
        str(checkout),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return "git revision unknown"
    return f"git revision {result.stdout.strip()}"


def header(config: Config, data: Dataset, device: devices.Device, plan: Plan, model: Autoencoder) -> dict[str, str]:
    """Returns one-line descriptions of data, network, training and device."""
    return {
        "data": f"{data.name}: {len(data.train.examples):,} train, {len(data.evaluation.examples):,} eval,"
        f" {'x'.join(map(str, data.shape))}, {data.source}",
        "network": network(config, model),
        "training": ", ".join([f"{plan.total_steps:,} steps of {config.training.batch_size}", *_task(config)]),
        "device": f"{device.description}, {_arithmetic(config, device)}, XLA {'on' if device.jit else 'off'}",
    }


def network(config: Config, model: Autoencoder) -> str:
    """Returns a one-line description of the network, such as `dense 64 -> 5 -> 64, 709 weights`."""
    options = config.model
    kinds = [kind for kind, is_used in (("variational", options.variational), ("tied", options.tied)) if is_used]
    weights = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return f"{' '.join([*kinds, options.model])} {model.shape_summary()}, {weights:,} weights"


def _arithmetic(config: Config, device: devices.Device) -> str:
    if device.kind == "cpu" or config.compute.precision != "float32":
        return config.compute.precision
    return "float32 with TF32 products" if device.tf32 else "float32 without TF32"


def _task(config: Config) -> list[str]:
    """Returns descriptions of the objective, the optimizer and the seed."""
    options, words = config.training, [config.training.loss]
    if config.model.variational and options.beta != 1:
        words.append(f"beta {options.beta:g}")
    if options.noise != "none":
        words.append(f"{options.noise} noise {options.noise_level:g}")
    if options.shift:
        words.append(f"shifts of {options.shift}")
    if options.binarise:
        words.append("binarized")
    if options.sparsity:
        words.append(f"sparsity {options.sparsity:g}")
    if config.stage_ends:
        words.append(f"{len(config.stage_ends)} x {options.pretrain_steps:,} of them {options.pretrain}")
    rate = f"{options.optimizer} {options.learning_rate:g} {options.schedule}"
    words += [f"{rate}, warmed up {options.warmup:,}" if options.warmup else rate, f"seed {options.seed}"]
    return [*words, f"early stopping {options.early_stopping:,}"] if options.early_stopping else words
