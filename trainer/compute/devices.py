"""The device of a run, XLA and threads, chosen before anything is built."""

import contextlib
import dataclasses
import os
import platform

import tensorflow as tf

from trainer.compute import frameworks
from trainer.compute.options import ComputeOptions
from trainer.errors import DeviceError, UsageError, option
from trainer.system import cores

# True if XLA is faster for dense networks, by device and precision. The comments give the batch size, the layer widths,
# and the microseconds per step with XLA and without. They were measured on two CPU cores with AVX-512 and bfloat16
# instructions, which oneDNN uses and XLA does not. The values for a GPU are not measured.
XLA_IS_FASTER = {
    ("cpu", "float32"): True,  # 10 x 1024-100: 208, 640; 784-500-300-2: 17,000, 19,000; 784-1000-...-30: 80,000, 81,000
    ("cpu", "mixed_float16"): True,  # 40 times faster (on another machine)
    ("cpu", "mixed_bfloat16"): False,  # 1000 x 784-1000-500-250-30: 84,500, 46,600
    ("gpu", "float32"): True,
    ("gpu", "mixed_float16"): True,
    ("gpu", "mixed_bfloat16"): True,
}
# Largest batch for `models.small_batch_matmul` on a CPU. Speedup: 1.3 at 10 examples, 1.1 at 32, none at 64 or 256.
MAX_SMALL_BATCH = 32
# XLA flags for each TensorFlow version. Others get none, because XLA aborts on an unknown flag. This flag avoids copies
# of weights that a step reads and then updates: a tenth of the time at batch size 10, layers 1024-100.
CPU_XLA_FLAGS = {"2.21": "--xla_cpu_copy_insertion_use_region_analysis=true"}
# Largest data set that is kept in GPU memory; a small part of the memory of current GPUs.
MAX_RESIDENT_BYTES = 1 << 30
# No atomic additions, and no autotuning, which may select other kernels at the next start.
DETERMINISTIC_XLA_FLAGS = "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"
# Convolutions on a CPU take 355 ms per step with XLA, 12 ms without (on another machine).
NO_XLA_ON_CPU = ("conv",)


@dataclasses.dataclass(frozen=True)
class Device:
    """The device of a run, and its settings.

    Attributes:
      kind: `cpu` or `gpu`.
      name: TensorFlow's name, for tf.device.
      jit: True if steps are compiled with XLA.
      threads: number of CPU threads.
      description: text for the header of a run.
      tf32: True if float32 matrix products use TensorFloat-32.
    """

    kind: str
    name: str
    jit: bool
    threads: int
    description: str
    tf32: bool = False

    def keeps_resident(self, data_bytes: int) -> bool:
        """Returns True if the training examples are kept in GPU memory instead of being transferred block by block."""
        return self.kind == "gpu" and data_bytes <= MAX_RESIDENT_BYTES

    def uses_small_batch_matmul(self, batch_size: int) -> bool:
        """Returns True if `models.small_batch_matmul` is faster than the usual matrix products."""
        return self.kind == "cpu" and self.jit and batch_size <= MAX_SMALL_BATCH


def prepare(options: ComputeOptions, *, model: str) -> Device:
    """Configures TensorFlow and Keras, and returns the device. Should be called before TensorFlow computes anything.

    Args:
      options: the compute options.
      model: name of the network.

    Raises:
      DeviceError: a GPU is required, and TensorFlow finds none.
      UsageError: TensorFlow has already computed something in this process, with another number of threads.
    """
    frameworks.set_keras_defaults()
    gpus = [] if options.device == "cpu" else tf.config.list_physical_devices("GPU")
    if options.device == "gpu" and not gpus:
        raise DeviceError(
            f"{option('device', 'gpu')}: TensorFlow finds no GPU",
            found="the NVIDIA driver or TensorFlow's CUDA libraries are not installed",
            remedy=f"check nvidia-smi, then pip install '.[gpu]'; or use {option('device', 'cpu')}",
        )
    with contextlib.suppress(RuntimeError):  # TensorFlow has been used before; this changes no result.
        if options.device == "cpu":
            tf.config.set_visible_devices([], "GPU")
        if gpus:
            tf.config.set_visible_devices(gpus[:1], "GPU")  # Hidden GPUs keep all their memory.
            tf.config.experimental.set_memory_growth(gpus[0], True)
    threads = options.threads or cores.available()
    _set_threads(threads)
    # TensorFlow enables TensorFloat-32 by default. Without --tf32, float32 products must be exact float32.
    tf.config.experimental.enable_tensor_float_32_execution(options.tf32)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    if gpus and options.deterministic:
        _add_xla_flags(DETERMINISTIC_XLA_FLAGS)
    if not gpus:
        _add_xla_flags(CPU_XLA_FLAGS.get(".".join(tf.__version__.split(".")[:2]), ""))
    kind = "gpu" if gpus else "cpu"
    return Device(
        kind=kind,
        name="/GPU:0" if gpus else "/CPU:0",
        jit=uses_jit(options.jit, kind=kind, precision=options.precision, model=model),
        tf32=options.tf32 and kind == "gpu",
        threads=threads,
        description=_describe(gpus[0]) if gpus else f"CPU ({platform.machine()}, {threads} threads)",
    )


def _set_threads(count: int) -> None:
    """Sets the number of threads, which TensorFlow cannot change after its first operation; 0 means all cores."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)
    except RuntimeError as error:
        current = tf.config.threading.get_intra_op_parallelism_threads() or cores.available()
        if current != count:
            raise UsageError(
                f"{option('threads', count)} is not possible in this process",
                found=f"TensorFlow has already been used in it, with {current} threads",
                remedy=f"run Hourglass in another process, or with {option('threads', current)}",
            ) from error


def uses_jit(jit: str, *, kind: str, precision: str, model: str) -> bool:
    """Returns True if steps are compiled with XLA: as the flag says, or with `auto` if XLA is faster."""
    if jit != "auto":
        return jit == "on"
    if kind == "cpu" and model in NO_XLA_ON_CPU:
        return False
    return XLA_IS_FASTER[kind, precision]


def _add_xla_flags(flags: str) -> None:
    """Adds flags for XLA, which reads them at its first compilation. The user's flags come last and take precedence."""
    current = os.environ.get("XLA_FLAGS", "")
    if flags not in current:
        os.environ["XLA_FLAGS"] = f"{flags} {current}".strip()


def _describe(gpu: tf.config.PhysicalDevice) -> str:
    details = tf.config.experimental.get_device_details(gpu)
    return f"GPU ({details.get('device_name', gpu.name)})"
