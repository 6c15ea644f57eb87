"""Greedy layerwise pretraining of stacked autoencoders (Bengio, Lamblin, Popovici and Larochelle 2007).

In each stage, an encoder layer and the decoder layer that mirrors it learn to reconstruct the input of the encoder
layer. The encoder layers below stay fixed. With noise, the input of the trained layer is corrupted (Vincent et al.
2010). Salt-and-pepper noise then uses each feature's lowest and highest value in the batch.
"""

import dataclasses

import keras
import tensorflow as tf

from trainer.compute import randomness
from trainer.models.autoencoder import Autoencoder, apply_layer
from trainer.training.losses import mean_squared_errors
from trainer.training.objective import Objective
from trainer.training.steps import BatchLoss


def variables(model: Autoencoder, stage: int) -> list[keras.Variable]:
    """Returns the variables trained in stage `stage` (from 0): of an encoder layer and its mirror in the decoder."""
    trained = [*model.encoder.layers[stage].trainable_variables]
    trained += model.decoder.layers[-1 - stage].trainable_variables
    return [*trained, model.decoder.bias] if stage == 0 else trained


def make_loss(model: Autoencoder, objective: Objective, stage: int, *, seed: int, num_loss_terms: int) -> BatchLoss:
    """Returns the loss of a stage: the reconstruction loss in stage 0, the mean squared error of features later."""
    layer, mirror = model.encoder.layers[stage], model.decoder.layers[-1 - stage]
    fixed_layers = model.encoder.layers[:stage]
    unused_terms = [0.0] * num_loss_terms  # The terms of the objective are undefined during pretraining.

    def image_loss(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        features = apply_layer(layer, model.centered(objective.corrupt(images, key)))
        logits = model.decoder.to_logits(apply_layer(mirror, features))
        takes_logits = objective.loss.takes_logits
        errors = objective.errors(images, logits if takes_logits else model.output_activation(logits))
        return objective.loss.total(tf.reduce_mean(errors), objective.num_pixels)

    def feature_loss(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        values = model.centered(images)
        for fixed_layer in fixed_layers:
            values = apply_layer(fixed_layer, values)
        target = tf.stop_gradient(tf.cast(values, tf.float32))
        inputs = target
        if objective.noise:
            low, high = tf.reduce_min(target, axis=0), tf.reduce_max(target, axis=0)
            inputs = dataclasses.replace(objective.noise, low=low, high=high)(target, key)
        outputs = apply_layer(mirror, apply_layer(layer, inputs))
        return tf.reduce_mean(mean_squared_errors(target, tf.cast(outputs, tf.float32)))

    def loss(images: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, list[float]]:
        key = randomness.step_key(seed, step)
        targets = objective.augment(images, key)
        return (feature_loss if stage else image_loss)(targets, key), unused_terms

    return loss
