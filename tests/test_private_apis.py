"""Lists the private APIs of other libraries that the trainer uses.

Run these tests first with a new version of a library. setup.cfg sets upper bounds for the versions.
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

# Module: the private names of other libraries that it uses.
PRIVATE_NAMES = {
    "checkpoints/manager.py": {"_trainable_variables"},  # tf.Module: as in optimizers
    "data/builtin/safe_pickle.py": {"_Unpickler"},  # pickle: the unpickler in pure Python
    "data/custom/decode_pool.py": {"_exit"},  # os: documented, despite its name
    "serving/server.py": set(),
    "system/signals.py": {"_exit"},
    "training/optimizers.py": {"_get_variable_index", "_momentums", "_velocities"},  # Keras's optimizers
    "training/steps.py": {"_learning_rate"},
}
# Module: the undocumented modules of other libraries that it imports.
PRIVATE_MODULES = {
    "models/small_batch_matmul.py": {"tensorflow.compiler.tf2xla.python"},
    "summaries/hparams.py": {"tensorboard.plugins.hparams", "tensorboard.summary.writer.record_writer"},
    "summaries/points.py": {"tensorboard.compat.proto.event_pb2", "tensorboard.compat.proto.summary_pb2"},
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


def private_names(tree):
    """Returns the accessed names with one underscore, except those of self, cls and the classes of the file."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)} | {"self", "cls"}
    accessed = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr)
        if not (isinstance(node.value, ast.Name) and node.value.id in own)
    }
    declared = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_self(node.value)}
    return accessed - declared


def is_self(node):
    return isinstance(node, ast.Name) and node.id == "self"


def private_modules(tree):
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name for name in modules if name.startswith(("tensorflow.", "tensorboard.", "keras.src"))}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_private_api_is_listed(path):
    tree, name = ast.parse(path.read_text()), str(path.relative_to(PACKAGE))
    assert private_names(tree) == PRIVATE_NAMES.get(name, set())
    assert private_modules(tree) == PRIVATE_MODULES.get(name, set())


@pytest.mark.parametrize("module", sorted(set().union(*PRIVATE_MODULES.values())))
def test_the_private_modules_exist(module):
    importlib.import_module(module)


def test_keras_optimizers_have_the_expected_slots():
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

    barrier = tf.function(lambda x: xla.optimization_barrier(x)[0], jit_compile=True)
    np.testing.assert_array_equal(barrier(tf.constant([1.0, 2.0])), [1, 2])


def test_tensorflow_saves_the_weights_of_a_private_list(tmp_path):
    module = tf.Module()
    module._trainable_variables = [tf.Variable(3.0)]
    path = tf.train.Checkpoint(optimizer=module).save(str(tmp_path / "ckpt"))
    names = [name for name, _ in tf.train.list_variables(path)]
    assert "optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE" in names


def test_pickle_has_an_unpickler_in_python():
    assert pickle.BYTEARRAY8[0] in pickle._Unpickler.dispatch
