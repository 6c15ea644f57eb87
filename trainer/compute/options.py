"""Compute options: device, precision, XLA, threads. No TensorFlow."""

import dataclasses

from trainer.system.options import NUMERICS, PLACE, Options, declare

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
COMPUTING = "Device and precision"  # theme


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ComputeOptions(Options):
    """Options for the device and its arithmetic."""

    precision: str = declare(
        "float32",
        NUMERICS,
        COMPUTING,
        "Compute in this precision. Weights and checkpoints stay float32",
        choices=PRECISIONS,
        is_column=True,
    )
    tf32: bool = declare(
        False,
        NUMERICS,
        COMPUTING,
        "Allow TensorFloat-32 on a GPU: faster float32 matrix products, with 10-bit mantissas",
    )
    jit: str = declare(
        "auto",
        NUMERICS,
        COMPUTING,
        "Compile training steps with XLA. auto: where it is faster",
        choices=("auto", "on", "off"),
    )
    threads: int = declare(
        0,
        NUMERICS,
        COMPUTING,
        "Use N CPU threads. 0: as many as the run started with; a new run uses all cores",
        low=0,
        high=4096,
    )
    deterministic: bool = declare(
        False,
        NUMERICS,
        COMPUTING,
        "Use deterministic GPU kernels, for bit-identical runs. Slower",
    )
    device: str = declare(
        "auto",
        PLACE,
        COMPUTING,
        "Train on this device. auto: a GPU if there is one. gpu: fail if there is none",
        choices=("auto", "cpu", "gpu"),
        is_common=True,
    )
