"""The trained network as a SavedModel that needs nothing of Hourglass."""

import os
import pathlib
import shutil

import tensorflow as tf

from trainer.compute import randomness
from trainer.models.autoencoder import Autoencoder
from trainer.system import files
from trainer.training.objective import sample


def export(model: Autoencoder, folder: pathlib.Path, step: int, *, input_name: str) -> pathlib.Path:
    """Writes `folder`/<step>, whole or not at all.

    Signatures, float32, any number N of examples: `serving_default`: input -> `reconstructions`; `encode`: input ->
    `codes` [N, K]; `decode`: `codes` -> `reconstructions`. A variational network's `encode` gives means, and it has two
    more, for which `seed` [2] int64 decides what is drawn: `sample`: input, `seed` -> `codes` from their distributions;
    `generate`: `count` (int32), `seed` -> `reconstructions` of codes from the prior.

    Args:
      model: in float32.
      folder: where exports are; made if need be.
      step: steps that the weights have been trained for.
      input_name: of the input: `images` [N, H, W, C] in [0, 1], or `rows` [N, D] in their own units.
    """
    folder.mkdir(exist_ok=True)
    aside = folder / f".{step}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    module, signatures = _servable(model, input_name)
    tf.saved_model.save(module, str(aside), signatures=signatures)
    for path in (*aside.rglob("*"), aside):
        files.fsync(path)
    target = folder / str(step)
    if target.exists():  # An earlier run's end was interrupted right after its export.
        shutil.rmtree(target)
    os.replace(aside, target)
    files.fsync(folder)
    return target


def _servable(
    model: Autoencoder, input_name: str
) -> tuple[tf.Module, dict[str, tf.types.experimental.PolymorphicFunction]]:
    """A plain tf.Module: with Keras objects inside, loading would want Keras and our classes."""
    examples = tf.TensorSpec([None, *model.mean.shape], tf.float32, name=input_name)
    codes = tf.TensorSpec([None, model.code_size], tf.float32, name="codes")
    module = tf.Module(name="autoencoder")
    module.weights = [variable.value for variable in model.variables]
    module.reconstruct = tf.function(
        lambda x: {"reconstructions": model.unstandardize(model(model.standardize(x)))}, input_signature=[examples]
    )
    module.encode = tf.function(lambda x: {"codes": model.encode(model.standardize(x))}, input_signature=[examples])
    module.decode = tf.function(
        lambda x: {"reconstructions": model.unstandardize(model.decode(x))}, input_signature=[codes]
    )
    signatures = {"serving_default": module.reconstruct, "encode": module.encode, "decode": module.decode}
    if model.is_variational:
        seed, count = tf.TensorSpec([2], tf.int64, name="seed"), tf.TensorSpec([], tf.int32, name="count")
        module.sample = tf.function(
            lambda x, key: {"codes": sample(model.posterior(model.standardize(x)), key)},
            input_signature=[examples, seed],
        )
        module.generate = tf.function(
            lambda n, key: {
                "reconstructions": model.unstandardize(model.decode(randomness.normal(key, [n, model.code_size])))
            },
            input_signature=[count, seed],
        )
        signatures |= {"sample": module.sample, "generate": module.generate}
    return module, {name: function.get_concrete_function() for name, function in signatures.items()}
