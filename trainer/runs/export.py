"""Exports a model as a SavedModel that does not depend on Hourglass or Keras."""

import pathlib
import shutil
from collections.abc import Mapping

import tensorflow as tf

from trainer.compute import randomness
from trainer.evaluation.scores import MIN_VARIANCE
from trainer.models.autoencoder import Autoencoder
from trainer.system import files, locks
from trainer.training.objective import sample_codes

Signatures = dict[str, tf.types.experimental.PolymorphicFunction]


def export(
    model: Autoencoder, folder: pathlib.Path, step: int, *, input_name: str, texts: Mapping[str, str] | None = None
) -> pathlib.Path:
    """Writes the SavedModel `folder`/<step>, which replaces an existing one atomically, and returns its path.

    The signatures take any number N of examples, in float32. `serving_default`: input -> `reconstructions`. `encode`:
    input -> `codes` [N, K], the means if the model is variational. `decode`: `codes` -> `reconstructions`. `score`:
    input -> `scores` [N] and `errors`, in the shape of the input; see `_score`.

    A variational model has two more signatures, both with a random `seed` [2] int64. `sample`: input, `seed` -> `codes`
    drawn from the posterior. `generate`: `count` int32, `seed` -> `reconstructions` of codes drawn from the prior.

    Args:
      model: a model in float32.
      folder: the folder of exports; created if it does not exist.
      step: number of training steps of the weights.
      input_name: name of the input: `images` [N, H, W, C] in [0, 1], or `rows` [N, D] in their own units.
      texts: contents of further files, by their path in the folder of the SavedModel.
    """
    folder.mkdir(exist_ok=True)
    with locks.held_folder(folder):  # A training process may export at the same time.
        temporary = folder / f".{step}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        module, signatures = _servable(model, input_name)
        tf.saved_model.save(module, str(temporary), signatures=signatures)
        for name, text in (texts or {}).items():
            files.make_folder((temporary / name).parent)
            files.write(temporary / name, text)
        for path in (*temporary.rglob("*"), temporary):
            files.fsync(path)
        files.replace_folder(temporary, folder / str(step))
    return folder / str(step)


def _servable(model: Autoencoder, input_name: str) -> tuple[tf.Module, Signatures]:
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
    module.score = tf.function(lambda x: _score(model, to_network(x)), input_signature=[examples])
    names = {"serving_default": "reconstruct", "encode": "encode", "decode": "decode", "score": "score"}
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
        names |= {"sample": "sample", "generate": "generate"}
    return module, {name: getattr(module, function).get_concrete_function() for name, function in names.items()}


def _score(model: Autoencoder, examples: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the anomaly scores of [N, ...] examples in the network's units, as `scores.parts` defines them.

    `errors` are squared errors, of images divided by the variance of each image; NaN for missing numbers. `scores` [N]
    are their means over the numbers that are there.
    """
    axes = list(range(1, len(examples.shape)))
    errors = tf.square(examples - model(examples))
    if len(axes) > 1:
        errors /= tf.math.reduce_variance(examples, axes, keepdims=True) + MIN_VARIANCE
    is_missing = tf.math.is_nan(examples)
    total = tf.reduce_sum(tf.where(is_missing, tf.zeros_like(errors), errors), axes)
    return {"scores": total / tf.reduce_sum(tf.cast(~is_missing, tf.float32), axes), "errors": errors}
