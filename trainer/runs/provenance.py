"""Everything that the bits of a result depend on: collected at each start, and compared with the last checkpoint."""

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
from trainer.errors import UsageError, option
from trainer.runs.data import changed_data_error
from trainer.runs.directory import RunDirectory
from trainer.system import files

RATE = "learning_rate"  # the only mathematical flag that may change, with --learning_rate_from_now
LIBRARIES = ("tensorflow", "keras", "numpy")
ENVIRONMENT = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS", "TF_XLA_FLAGS", "NVIDIA_TF32_OVERRIDE")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """The provenance of a run at the current start.

    Attributes:
      run_id: random identifier, made at the first start.
      flags: the mathematical flags.
      data: fingerprint of the data set.
      data_source: name and path of the data set, for messages.
      numerics: other settings that the bits of the result depend on: device, precision, XLA, threads, versions.
      is_deterministic: True if the device always computes the same bits.
    """

    run_id: str
    flags: dict[str, Any]
    data: str
    data_source: str
    numerics: dict[str, Any]
    is_deterministic: bool

    @classmethod
    def collect(cls, config: Config, data: Dataset, device: Device, total_steps: int, directory: RunDirectory) -> Self:
        """Collects the provenance; creates the run ID at the first start."""
        numerics = {
            "device": device.description,
            "precision": config.compute.precision,
            "tf32": device.tf32,
            "jit": device.jit,
            "threads": device.threads,
            "deterministic": config.compute.deterministic,
            # The learning rates of all steps depend on the length of the schedule.
            "total_steps": None if config.training.schedule == "constant" else total_steps,
            "processor": _processor(),
            "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        }
        return cls(
            run_id=_run_id(directory),
            flags=configs.mathematical_options(config),
            data=data.fingerprint,
            data_source=f"{data.name} in {data.source}",
            numerics=numerics,
            is_deterministic=device.kind == "cpu" or config.compute.deterministic,
        )

    def check_compatible(self, manifest: Manifest) -> None:
        """Refuses a checkpoint that this run cannot resume.

        Raises:
          UsageError: the run ID differs, or a mathematical flag other than the learning rate.
          DataError, UsageError: the data set differs; see `changed_data_error`.
        """
        stored = configs.with_defaults(manifest.flags)
        free = [RATE, *configs.free_options(manifest.flags, stored["dataset"].partition(":")[0])]
        changed = _differences(stored, {name: value for name, value in self.flags.items() if name not in free})
        if manifest.run_id != self.run_id or changed:
            raise UsageError(
                f"checkpoint {manifest.step:,} was written by another run",
                found="; ".join(changed) or f"run {manifest.run_id}, expected {self.run_id}",
                remedy=f"move it out of the checkpoints folder, or give {option('restart', True)} to start at step 0",
            )
        if manifest.data != self.data:
            remedy = f"restore the original data, or give another {option('run_dir')} to train on the new data"
            raise changed_data_error(self.data_source, self.data, manifest, remedy)

    def differences(self, manifest: Manifest) -> list[str]:
        """Returns all changes of numerics and of the learning rate since the first start, up to this start."""
        rates = _differences(configs.with_defaults(manifest.flags), {RATE: self.flags[RATE]})
        return [*manifest.changes, *_differences(manifest.numerics, self.numerics), *rates]

    def reproducibility_statement(self, manifest: Manifest) -> str:
        """Describes if a run that resumes from this checkpoint has the same result as an uninterrupted run."""
        changes = self.differences(manifest)
        if manifest.rollbacks:  # The checkpoint that a rollback restores can depend on interruptions.
            changes = [*changes, f"rollbacks: {manifest.rollbacks}"]
        if changes:
            return f"bit-identity with an uninterrupted run is not claimed ({'; '.join(changes)})"
        if not self.is_deterministic:
            return f"bit-identity with an uninterrupted run is not claimed (a GPU without {option('deterministic')})"
        return "the result will be that of an uninterrupted run, to the bit"


def _differences(stored: dict[str, Any], current: dict[str, Any]) -> list[str]:
    return [f"{name}: {stored.get(name)} -> {current[name]}" for name in current if stored.get(name) != current[name]]


def _processor() -> str:
    """Returns the model of the CPU and a hash of its features; results of different instructions round differently."""
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
    if not re.fullmatch(r"[0-9a-f]{16}", run_id):  # This is the first start, or the file was lost.
        newest = catalog.newest(directory.checkpoints)
        run_id = newest.run_id if newest else secrets.token_hex(8)
        files.write(path, run_id + "\n")
    return run_id
