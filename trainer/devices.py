"""Device, precision, XLA and threads: what a run computes on, decided once, before anything is built."""

import dataclasses
import os
import platform

import tensorflow as tf

from trainer.errors import DeviceError

# Where XLA pays, by device and precision, for dense networks: microseconds a step with and without on two cores with
# AVX-512 and AMX. Batch 10 x 1024-100: 292 with, 1,099 a call without. bfloat16 of 784-1000-500-250-30: 66,575 with
# XLA's kernels, 33,841 with oneDNN's, which use AMX. float16 on a CPU is 40 times slower without XLA.
XLA_PAYS = {
    ("cpu", "float32"): True,
    ("cpu", "mixed_float16"): True,
    ("cpu", "mixed_bfloat16"): False,
    ("gpu", "float32"): True,
    ("gpu", "mixed_float16"): True,
    ("gpu", "mixed_bfloat16"): True,
}
# No atomic additions, and no kernels chosen by timing them, which another start may choose otherwise.
DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"
# Convolutions on a CPU: 355 ms a step with XLA, 12 ms without.
WITHOUT_XLA_ON_CPU = ("conv",)


@dataclasses.dataclass(frozen=True)
class Device:
    """What a run computes on.

    Attributes:
      kind: cpu or gpu.
      name: TensorFlow's name of it, for tf.device.
      jit: whether steps are compiled with XLA.
      threads: CPU threads.
      description: for people.
    """

    kind: str
    name: str
    jit: bool
    threads: int
    description: str


def prepare(device: str, *, precision: str, jit: str, threads: int, deterministic: bool, model: str) -> Device:
    """Configures TensorFlow; to be called before anything else of it runs.

    Raises:
      DeviceError: a GPU was asked for and TensorFlow finds none.
    """
    gpus = [] if device == "cpu" else tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise DeviceError(
            "--device=gpu: TensorFlow finds no GPU",
            found="no NVIDIA driver, or TensorFlow's CUDA libraries are not installed",
            remedy="check nvidia-smi, then pip install '.[gpu]', or give --device=cpu",
        )
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    if gpus:
        tf.config.set_visible_devices(gpus[:1], "GPU")  # One is used: no memory is taken on the others.
        tf.config.experimental.set_memory_growth(gpus[0], True)
    threads = threads or _available_cores()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    # Float32 means float32: TF32 keeps 10 of its 23 bits, and is on by default.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
        if gpus:  # XLA reads this when it compiles for the first time.
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC_XLA}".strip()
    kind = "gpu" if gpus else "cpu"
    return Device(
        kind=kind,
        name="/GPU:0" if gpus else "/CPU:0",
        jit=uses_jit(jit, kind=kind, precision=precision, model=model),
        threads=threads,
        description=_describe(gpus[0]) if gpus else f"CPU ({platform.machine()}, {threads} threads)",
    )


def uses_jit(jit: str, *, kind: str, precision: str, model: str) -> bool:
    """Whether steps are compiled with XLA: what was asked for, or where it pays."""
    if jit != "auto":
        return jit == "on"
    if kind == "cpu" and model in WITHOUT_XLA_ON_CPU:
        return False
    return XLA_PAYS[kind, precision]


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _describe(gpu: tf.config.PhysicalDevice) -> str:
    details = tf.config.experimental.get_device_details(gpu)
    return f"GPU ({details.get('device_name', gpu.name)})"
