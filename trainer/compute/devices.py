"""Device, precision, XLA and threads: what a run computes on, decided once, before anything is built."""

import dataclasses
import os
import platform

import tensorflow as tf

from trainer.compute.options import ComputeOptions
from trainer.errors import DeviceError, option
from trainer.system import cores

# Where XLA pays, by device and precision, for dense networks: microseconds a step with and without, on two cores with
# AVX-512 and bfloat16 products, of which oneDNN has faster ones. Of a GPU nothing was measured.
XLA_PAYS = {
    ("cpu", "float32"): True,  # 10 x 1024-100: 208, 640; 784-500-300-2: 17,000, 19,000; to -1000-...-30: 80,000, 81,000
    ("cpu", "mixed_float16"): True,  # 40 times faster (on another machine)
    ("cpu", "mixed_bfloat16"): False,  # 1000 x 784-1000-500-250-30: 84,500, 46,600
    ("gpu", "float32"): True,
    ("gpu", "mixed_float16"): True,
    ("gpu", "mixed_bfloat16"): True,
}
# Up to so many rows XLA's products on a CPU are faster in other forms, by 1.3 at 10, 1.1 at 32, not at 64 or 256.
SKINNY_BATCH = 32
# What XLA is told by the version of TensorFlow: one that does not know a flag would end the process. This one saves
# copies of weights that are read and then changed in a step: a tenth of the time at batch 10 x 1024-100.
CPU_XLA = {"2.21": "--xla_cpu_copy_insertion_use_region_analysis=true"}
# As much of a GPU's memory may be taken by the data set: of any GPU in use it is a small part.
RESIDENT_BYTES = 1 << 30
# No atomic additions, and no kernels chosen by timing them, which another start may choose otherwise.
DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"
# Convolutions on a CPU: 355 ms a step with XLA, 12 ms without (on another machine).
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
      tf32: whether products of float32 numbers are of shortened ones.
    """

    kind: str
    name: str
    jit: bool
    threads: int
    description: str
    tf32: bool = False

    def holds(self, data_bytes: int) -> bool:
        """Whether the training examples are to lie in the memory of a GPU, and not to be sent there block by block."""
        return self.kind == "gpu" and data_bytes <= RESIDENT_BYTES

    def has_skinny_products(self, batch_size: int) -> bool:
        """Whether `models.small_batch_matmul`'s product is the faster one."""
        return self.kind == "cpu" and self.jit and batch_size <= SKINNY_BATCH


def prepare(options: ComputeOptions, *, model: str) -> Device:
    """Configures TensorFlow; to be called before anything else of it runs.

    Args:
      options: the wishes.
      model: dense or conv.

    Raises:
      DeviceError: a GPU was asked for and TensorFlow finds none.
    """
    gpus = [] if options.device == "cpu" else tf.config.list_physical_devices("GPU")
    if options.device == "gpu" and not gpus:
        raise DeviceError(
            f"{option('device', 'gpu')}: TensorFlow finds no GPU",
            found="no NVIDIA driver, or TensorFlow's CUDA libraries are not installed",
            remedy=f"check nvidia-smi, then pip install '.[gpu]', or give {option('device', 'cpu')}",
        )
    if options.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    if gpus:
        tf.config.set_visible_devices(gpus[:1], "GPU")  # One is used: no memory is taken on the others.
        tf.config.experimental.set_memory_growth(gpus[0], True)
    threads = options.threads or cores.available()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    # TensorFlow has it on by default; here float32 means float32.
    tf.config.experimental.enable_tensor_float_32_execution(options.tf32)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    if gpus and options.deterministic:
        _set_xla_threads(DETERMINISTIC_XLA)
    if not gpus:
        _set_xla_threads(CPU_XLA.get(".".join(tf.__version__.split(".")[:2]), ""))
    kind = "gpu" if gpus else "cpu"
    return Device(
        kind=kind,
        name="/GPU:0" if gpus else "/CPU:0",
        jit=uses_jit(options.jit, kind=kind, precision=options.precision, model=model),
        tf32=options.tf32 and kind == "gpu",
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


def _set_xla_threads(flags: str) -> None:
    """XLA reads it when it compiles for the first time; what the user has set comes last, and wins."""
    known = os.environ.get("XLA_FLAGS", "")
    if flags not in known:
        os.environ["XLA_FLAGS"] = f"{flags} {known}".strip()


def _describe(gpu: tf.config.PhysicalDevice) -> str:
    details = tf.config.experimental.get_device_details(gpu)
    return f"GPU ({details.get('device_name', gpu.name)})"
