"""The import of TensorFlow and Keras, independent of the environment. Processes of their own are in tests/whole."""

import os
import subprocess

import keras
import pytest

from trainer.compute import devices, frameworks
from trainer.compute.options import ComputeOptions
from trainer.errors import UsageError
from trainer.models import networks
from trainer.models.options import ModelOptions

KNOWN = "I0000 a message\n"


@pytest.fixture
def keras_defaults():
    yield
    frameworks.set_keras_defaults()


def test_keras_gets_its_default_settings_whatever_was_set(keras_defaults):
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    keras.config.set_epsilon(0.1)
    frameworks.load()
    assert keras.config.image_data_format() == "channels_last"
    assert keras.config.floatx() == "float32"
    assert keras.config.epsilon() == 1e-7


def test_the_variables_of_keras_are_hidden_during_its_import_only(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "many")
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    before = dict(os.environ)
    with frameworks._without_keras_settings():
        hidden = {name: value for name, value in os.environ.items() if "KERAS" in name}
        assert hidden == {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull}
    assert dict(os.environ) == before


def test_another_backend_in_this_process_is_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(UsageError, match="Keras uses the backend jax in this process"):
        frameworks.load()


def test_a_convolution_does_not_depend_on_the_data_format_of_keras(keras_defaults):
    import numpy as np

    options = ModelOptions(model="conv", hidden=(8, 16, 8), output_activation="linear")
    keras.config.set_image_data_format("channels_first")
    model = networks.build(options, mean=np.zeros((8, 8, 1)), precision="float32", seed=0)
    assert model.shape_summary().startswith("8x8x1 -> 4x4x8 -> 64 -> 8")
    assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == 7_336


@pytest.mark.parametrize(
    ("variable", "message", "what", "found"),
    [
        ("XLA_FLAGS", "F0 x.cc:1] Unknown flag in XLA_FLAGS: --xla_nope=1", "does not know", "--xla_nope=1"),
        ("XLA_FLAGS", "F0 x.cc:1] Unknown flags in XLA_FLAGS: --a --b", "does not know", "--a --b"),
        ("TF_XLA_FLAGS", "Unknown flag in TF_XLA_FLAGS: --c", "TF_XLA_FLAGS has flags", "--c"),
        (
            "XLA_FLAGS",
            "Couldn't interpret value maybe for flag xla_x.\nFlag parsing failed. usage: --xla_x=maybe\nXLA_FLAGS",
            "invalid value",
            "Couldn't interpret value maybe for flag xla_x.",
        ),
        (
            "TF_XLA_FLAGS",
            "Check failed: Flag parsing failed.\nusage: --tf_xla_auto_jit=abc\nFlags:",
            "TF_XLA_FLAGS has a flag with an invalid value",
            "--tf_xla_auto_jit=abc",
        ),
        ("XLA_FLAGS", 'Could not open file "no" to read', "names a file", 'Could not open file "no" to read'),
    ],
)
def test_flags_that_xla_does_not_accept_are_refused(monkeypatch, variable, message, what, found):
    monkeypatch.setenv("XLA_FLAGS", "--xla_good")
    monkeypatch.setenv(variable, found if found.startswith("--") else "--xla_x=maybe")
    answer = subprocess.CompletedProcess([], 1, "", f"{KNOWN}{message}\n")
    monkeypatch.setattr(frameworks.subprocess, "run", lambda *arguments, **options: answer)
    with pytest.raises(UsageError) as error:
        frameworks._check_xla_flags()
    assert what in error.value.what
    assert error.value.found == found
    assert variable in error.value.remedy


def test_flags_are_only_tried_if_there_are_any(monkeypatch):
    calls = []
    answer = subprocess.CompletedProcess([], 0, "", KNOWN)
    monkeypatch.setattr(frameworks.subprocess, "run", lambda command, env, **options: calls.append(env) or answer)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    frameworks._check_xla_flags()
    assert calls == []
    monkeypatch.setenv("XLA_FLAGS", "--xla_a")
    frameworks._check_xla_flags()
    assert [env["XLA_FLAGS"] for env in calls] == ["--xla_a --xla_dump_to="]


def test_threads_that_cannot_change_any_more_are_refused_unless_they_are_the_same(monkeypatch):
    current = devices.prepare(ComputeOptions(device="cpu"), model="dense").threads
    import tensorflow as tf

    tf.constant(1.0)  # TensorFlow has computed now.
    assert devices.prepare(ComputeOptions(device="cpu", threads=current), model="dense").threads == current
    with pytest.raises(UsageError, match=f"--threads={current + 1} is not possible in this process") as error:
        devices.prepare(ComputeOptions(device="cpu", threads=current + 1), model="dense")
    assert f"with {current} threads" in error.value.found
