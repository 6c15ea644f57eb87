"""Exports a model as a SavedModel that does not depend on Hourglass or Keras."""

import os
import pathlib
import shutil

import tensorflow as tf

from trainer.compute import randomness
from trainer.data.formats.depth import FULL, Depth
from trainer.models.autoencoder import Autoencoder
from trainer.system import files
from trainer.training.objective import sample_codes

EXTRA = "assets.extra"  # TensorFlow's name of the folder for files that it does not read itself


def export(
    model: Autoencoder, folder: pathlib.Path, step: int, *, input_name: str, depth: Depth = FULL
) -> pathlib.Path:
    """Writes the SavedModel `folder`/<step> atomically, and returns its path.

    The signatures take any number N of examples, in float32. `serving_default`: input -> `reconstructions`. `encode`:
    input -> `codes` [N, K], the means if the model is variational. `decode`: `codes` -> `reconstructions`.

    A variational model has two more signatures, both with a random `seed` [2] int64. `sample`: input, `seed` -> `codes`
    drawn from the posterior. `generate`: `count` int32, `seed` -> `reconstructions` of codes drawn from the prior.

    Args:
      model: a model in float32.
      folder: the folder of exports; created if it does not exist.
      step: number of training steps of the weights.
      input_name: name of the input: `images` [N, H, W, C] in [0, 1], or `rows` [N, D] in their own units.
      depth: the 16-bit values that the network reads as 0 and 1; if it is not `FULL`, it is in the file
        `assets.extra/depth.json`.
    """
    folder.mkdir(exist_ok=True)
    temporary = folder / f".{step}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    module, signatures = _servable(model, input_name)
    tf.saved_model.save(module, str(temporary), signatures=signatures)
    if depth != FULL:
        files.make_folder(temporary / EXTRA)
        files.write_json(temporary / EXTRA / "depth.json", {"low": depth[0], "high": depth[1]})
    for path in (*temporary.rglob("*"), temporary):
        files.fsync(path)
    target = folder / str(step)
    if target.exists():  # The run was interrupted between its export and its end.
        shutil.rmtree(target)
    os.replace(temporary, target)
    files.fsync(folder)
    return target


def _servable(
    model: Autoencoder, input_name: str
) -> tuple[tf.Module, dict[str, tf.types.experimental.PolymorphicFunction]]:
    """Builds a plain tf.Module and its signatures. A module with Keras objects would need Keras when it is loaded."""
    examples = tf.TensorSpec([None, *model.mean.shape], tf.float32, name=input_name)
    codes = tf.TensorSpec([None, model.code_size], tf.float32, name="codes")

    def to_network(originals: tf.Tensor) -> tf.Tensor:
        return model.standardize(model.subtract_offset(originals))

    def to_originals(outputs: tf.Tensor) -> tf.Tensor:
        return model.add_offset(model.unstandardize(outputs))

    module = tf.Module(name="autoencoder")
    module.weights = [variable.value for variable in model.variables]
    module.reconstruct = tf.function(
        lambda x: {"reconstructions": to_originals(model(to_network(x)))}, input_signature=[examples]
    )
    module.encode = tf.function(lambda x: {"codes": model.encode(to_network(x))}, input_signature=[examples])
    module.decode = tf.function(lambda x: {"reconstructions": to_originals(model.decode(x))}, input_signature=[codes])
    signatures = {"serving_default": module.reconstruct, "encode": module.encode, "decode": module.decode}
    if model.is_variational:
        seed, count = tf.TensorSpec([2], tf.int64, name="seed"), tf.TensorSpec([], tf.int32, name="count")
        module.sample = tf.function(
            lambda x, key: {"codes": sample_codes(model.posterior(to_network(x)), key)},
            input_signature=[examples, seed],
        )
        module.generate = tf.function(
            lambda n, key: {
                "reconstructions": to_originals(model.decode(randomness.normal(key, [n, model.code_size])))
            },
            input_signature=[count, seed],
        )
        signatures |= {"sample": module.sample, "generate": module.generate}
    return module, {name: function.get_concrete_function() for name, function in signatures.items()}
