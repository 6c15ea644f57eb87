"""What a result depends on: whether a checkpoint may be gone on from, and what may be claimed of the outcome."""

import dataclasses
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import re
import secrets
from typing import Any, Self

from trainer import config as configs
from trainer.checkpoints import catalog
from trainer.checkpoints.manifest import Manifest
from trainer.compute.devices import Device
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.errors import DataError, UsageError, option
from trainer.runs.directory import RunDirectory
from trainer.system import files

LIBRARIES = ("tensorflow", "keras", "numpy")
ENVIRONMENT = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS", "TF_XLA_FLAGS", "NVIDIA_TF32_OVERRIDE")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """Of one run, as it goes on now.

    Attributes:
      run_id: the run's own name, made at its first start.
      flags: the mathematical ones.
      data: the data set's fingerprint.
      where: the data set and its place, for people.
      numerics: what the bits depend on beside: device, precision, XLA, threads, versions.
      repeatable: whether the device computes the same bits twice.
    """

    run_id: str
    flags: dict[str, Any]
    data: str
    where: str
    numerics: dict[str, Any]
    repeatable: bool

    @classmethod
    def collect(cls, config: Config, data: Dataset, device: Device, total_steps: int, directory: RunDirectory) -> Self:
        """Of this run."""
        numerics = {
            "device": device.description,
            "precision": config.compute.precision,
            "tf32": device.tf32,
            "jit": device.jit,
            "threads": device.threads,
            "deterministic": config.compute.deterministic,
            # A schedule that ends later takes other steps from the first one on.
            "total_steps": None if config.training.schedule == "constant" else total_steps,
            "processor": _processor(),
            "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        }
        return cls(
            run_id=_run_id(directory),
            flags=configs.guarded(config),
            data=data.fingerprint,
            where=f"{data.name} in {data.source}",
            numerics=numerics,
            repeatable=device.kind == "cpu" or config.compute.deterministic,
        )

    def check_compatible(self, manifest: Manifest) -> None:
        """Refuses a checkpoint of another computation.

        Raises:
          UsageError: of another run, or of other mathematical flags.
          DataError: of other data.
        """
        changed = _differences(configs.completed(manifest.flags), self.flags)
        if manifest.run_id != self.run_id or changed:
            raise UsageError(
                f"checkpoint {manifest.step:,} was written by another run",
                found="; ".join(changed) or f"run {manifest.run_id}, expected {self.run_id}",
                remedy=f"move it out of the checkpoints folder, or {option('restart', True)} to begin again",
            )
        if manifest.data != self.data:
            raise DataError(
                f"{self.where} is not what this run was trained on",
                found=f"fingerprint {self.data[:16]}, expected {manifest.data[:16]}",
                remedy=f"bring back the same data, or give another {option('run_dir')} to train on these",
            )

    def differences(self, manifest: Manifest) -> list[str]:
        """All that has changed since the run's first start, this start included, that bits depend on."""
        return [*manifest.changes, *_differences(manifest.numerics, self.numerics)]

    def reproducibility_statement(self, manifest: Manifest) -> str:
        """What may be said of a run that goes on from this checkpoint."""
        changes = self.differences(manifest)
        if manifest.rollbacks:  # To which checkpoint depends on when there was one.
            changes = [*changes, f"rollbacks: {manifest.rollbacks}"]
        if changes:
            return f"bit-identity with an uninterrupted run is not claimed ({'; '.join(changes)})"
        if not self.repeatable:
            return f"bit-identity with an uninterrupted run is not claimed (a GPU without {option('deterministic')})"
        return "the result will be that of an uninterrupted run, to the bit"


def _differences(stored: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [f"{name}: {stored.get(name)} -> {now[name]}" for name in now if stored.get(name) != now[name]]


def _processor() -> str:
    """The CPU's model and a digest of its features: other instructions round otherwise."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    features = facts.get("flags") or facts.get("Features") or ""
    digest = hashlib.sha256(features.encode()).hexdigest()[:8]
    return f"{platform.machine()} {facts.get('model name', '')} {digest}"


def _run_id(directory: RunDirectory) -> str:
    path = directory.run_id
    run_id = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
    if not re.fullmatch(r"[0-9a-f]{16}", run_id):  # The first start; or lost, but its checkpoints know.
        newest = catalog.newest(directory.checkpoints)
        run_id = newest.run_id if newest else secrets.token_hex(8)
        files.write(path, run_id + "\n")
    return run_id
