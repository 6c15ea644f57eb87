"""The options of computing: device, precision, XLA, threads. No TensorFlow."""

import dataclasses

from trainer.system.options import NUMERICS, PLACE, Options, declare

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
COMPUTING = "Computing"  # theme


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeOptions(Options):
    """Where, and in which numbers, it is computed."""

    precision: str = declare(
        "float32", NUMERICS, COMPUTING, "of the arithmetic; weights stay float32", choices=PRECISIONS, is_column=True
    )
    tf32: bool = declare(
        False, NUMERICS, COMPUTING, "let a GPU round float32 numbers to 10 bits before it multiplies them"
    )
    jit: str = declare(
        "auto", NUMERICS, COMPUTING, "compile steps with XLA; auto: where it pays", choices=("auto", "on", "off")
    )
    threads: int = declare(0, NUMERICS, COMPUTING, "CPU threads; 0: as the run began, at first all", low=0, high=4096)
    deterministic: bool = declare(False, NUMERICS, COMPUTING, "deterministic kernels, for bit-identical runs on a GPU")
    device: str = declare(
        "auto", PLACE, COMPUTING, "gpu without a usable GPU is an error", choices=("auto", "cpu", "gpu"), is_common=True
    )
