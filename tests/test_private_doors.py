"""What the trainer uses of other libraries that they do not promise to keep: all of it is named here.

A new version of one of them is tried by this file first; setup.cfg bounds the versions above.
"""

import ast
import importlib
import pathlib
import pickle
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainer

PACKAGE = pathlib.Path(trainer.__file__).parent

# {module of ours: names with an underscore that it reads of other libraries' objects}
PRIVATE_NAMES = {
    "checkpoints/manager.py": {"_trainable_variables"},  # tf.Module: how TensorFlow saves weights of an optimizer
    "data/builtin/safe_pickle.py": {"_Unpickler"},  # pickle: its unpickler in Python
    "data/custom/decode_pool.py": {"_exit"},  # os: documented, in spite of its name
    "serving/server.py": set(),
    "system/signals.py": {"_exit"},
    "training/optimizers.py": {"_get_variable_index", "_momentums", "_velocities"},  # Keras's optimizers
    "training/steps.py": {"_learning_rate"},
}
# {module of ours: modules of other libraries that are no part of their documented interface}
PRIVATE_MODULES = {
    "models/small_batch_matmul.py": {"tensorflow.compiler.tf2xla.python"},
    "summaries/hparams.py": {"tensorboard.plugins.hparams", "tensorboard.summary.writer.record_writer"},
    "summaries/writer.py": {
        "tensorboard.compat.proto.summary_pb2",
        "tensorboard.plugins.custom_scalar",
        "tensorboard.plugins.histogram",
        "tensorboard.plugins.image",
        "tensorboard.plugins.scalar.summary_v2",
        "tensorboard.plugins.text.summary_v2",
        "tensorboard.util.tensor_util",
    },
}


def of_others(tree):
    """Names with one underscore that are read of anything but self, cls, and classes and modules of the same file."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)} | {"self", "cls"}
    found = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr)
        if not (isinstance(node.value, ast.Name) and node.value.id in own)
    }
    declared = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_self(node.value)}
    return found - declared


def is_self(node):
    return isinstance(node, ast.Name) and node.id == "self"


def private_modules(tree):
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name for name in modules if name.startswith(("tensorflow.", "tensorboard.", "keras.src"))}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_private_door_is_named_here(path):
    tree, name = ast.parse(path.read_text()), str(path.relative_to(PACKAGE))
    assert of_others(tree) == PRIVATE_NAMES.get(name, set())
    assert private_modules(tree) == PRIVATE_MODULES.get(name, set())


@pytest.mark.parametrize("module", sorted(set().union(*PRIVATE_MODULES.values())))
def test_the_private_modules_are_there(module):
    importlib.import_module(module)


def test_keras_optimizers_have_their_slots_where_we_look():
    weight = keras.Variable(np.float32([1, 2]))
    adam, rmsprop = keras.optimizers.Adam(), keras.optimizers.RMSprop()
    for optimizer in (adam, rmsprop):
        optimizer.build([weight])
        assert optimizer._get_variable_index(weight) == 0
        assert optimizer._velocities[0].shape == (2,)
        assert optimizer._learning_rate in optimizer.variables
    assert adam._momentums[0].shape == (2,)


def test_xla_has_a_barrier():
    from tensorflow.compiler.tf2xla.python import xla

    kept = tf.function(lambda x: xla.optimization_barrier(x)[0], jit_compile=True)
    np.testing.assert_array_equal(kept(tf.constant([1.0, 2.0])), [1, 2])


def test_tensorflow_finds_weights_in_a_private_list(tmp_path):
    module = tf.Module()
    module._trainable_variables = [tf.Variable(3.0)]
    path = tf.train.Checkpoint(optimizer=module).save(str(tmp_path / "ckpt"))
    names = [name for name, _ in tf.train.list_variables(path)]
    assert "optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE" in names


def test_pickle_has_its_unpickler_in_python():
    assert pickle.BYTEARRAY8[0] in pickle._Unpickler.dispatch
