"""Imports TensorFlow and Keras so that the environment of the user does not change the network.

Keras reads `keras.json` and variables such as KERAS_BACKEND when it is imported.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator

from trainer.errors import UsageError

BACKEND = "tensorflow"
_XLA_VARIABLES = ("XLA_FLAGS", "TF_XLA_FLAGS")
# Parses the flags of XLA, without a GPU, and exits with 1 if one of them is wrong.
_USE_XLA = (
    "import tensorflow as tf; tf.config.set_visible_devices([], 'GPU');"
    " tf.function(lambda: tf.constant(0.0) + 1, jit_compile=True)()"
)


def load() -> None:
    """Imports TensorFlow and Keras with the default settings of Keras. Checks the flags of XLA first, if there are any.

    Raises:
      UsageError: XLA does not accept its flags, or this process uses Keras with another backend.
    """
    with _without_keras_settings():
        if "tensorflow" not in sys.modules:
            _check_xla_flags()
        import keras

    if keras.config.backend() != BACKEND:  # Imported before by other code in this process.
        raise UsageError(
            f"Keras uses the backend {keras.config.backend()} in this process",
            found=f"Hourglass needs {BACKEND}, and Keras cannot change its backend after its import",
            remedy=f"run Hourglass in another process, or set KERAS_BACKEND={BACKEND} before Keras is imported",
        )
    set_keras_defaults()


def set_keras_defaults() -> None:
    """Sets the options of Keras on which a network depends to their defaults."""
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


@contextlib.contextmanager
def _without_keras_settings() -> Iterator[None]:
    """Hides the variables and the keras.json of the user; the folder /dev/null contains no file and accepts none."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("KERAS_", "TF_USE_LEGACY_"))}
    os.environ |= {"KERAS_BACKEND": BACKEND, "KERAS_HOME": os.devnull}
    try:
        yield
    finally:
        del os.environ["KERAS_BACKEND"], os.environ["KERAS_HOME"]
        os.environ.update(hidden)


def _check_xla_flags() -> None:
    """Raises `UsageError` if XLA does not accept its flags: it would end this process. Another process tries them."""
    names = [name for name in _XLA_VARIABLES if os.environ.get(name)]
    if not names:
        return
    # `-P`, so that files in the working directory are not imported. Dumps of this program would be confusing.
    environment = dict(os.environ)
    if environment.get("XLA_FLAGS", "").startswith("--"):
        environment["XLA_FLAGS"] += " --xla_dump_to="
    process = subprocess.run(
        [sys.executable, "-P", "-c", _USE_XLA], env=environment, capture_output=True, text=True, errors="replace"
    )
    messages = process.stderr
    name = next((name for name in names if os.environ[name] in messages), names[0])
    remedy = f"correct {name}, or unset it"
    if match := re.search(r"Unknown flags? in (\w+): (.*)", messages):
        raise UsageError(f"{match[1]} has flags that XLA does not know", found=match[2], remedy=remedy)
    if match := re.search(r"Could not open file .*", messages):
        raise UsageError(f"{name} names a file that cannot be read", found=match[0], remedy=remedy)
    if "Flag parsing failed" in messages:
        match = re.search(r"Couldn't interpret value .*|usage: .*", messages)
        found = match[0].removeprefix("usage: ") if match else os.environ[name]
        raise UsageError(f"{name} has a flag with an invalid value", found=found, remedy=remedy)
