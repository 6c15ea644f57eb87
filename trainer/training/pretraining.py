"""Greedy layer by layer training of stacked autoencoders, before all layers are trained together.

Bengio, Lamblin, Popovici and Larochelle 2007: each layer of the encoder is trained with the layer of the
decoder that mirrors it to reconstruct its own input, which the layers below it have made and which stays as it is.
With noise, each layer's own input is corrupted (Vincent et al. 2010): salt and pepper are the extremes that a feature
has in the batch.
"""

import dataclasses

import keras
import tensorflow as tf

from trainer.compute import randomness
from trainer.models.autoencoder import Autoencoder, apply
from trainer.training.losses import mean_squares
from trainer.training.objective import Objective
from trainer.training.steps import BatchLoss


def variables(model: Autoencoder, stage: int) -> list[keras.Variable]:
    """What stage `stage`, from 0 on, trains: a layer of the encoder and the one that mirrors it."""
    trained = [*model.encoder.layers[stage].trainable_variables]
    trained += model.decoder.layers[-1 - stage].trainable_variables
    return [*trained, model.decoder.bias] if stage == 0 else trained


def make_loss(model: Autoencoder, objective: Objective, stage: int, *, seed: int, num_loss_terms: int) -> BatchLoss:
    """What stage `stage` makes small: of images the reconstruction loss, of features their mean squared error."""
    layer, mirror = model.encoder.layers[stage], model.decoder.layers[-1 - stage]
    below = model.encoder.layers[:stage]
    idle = [0.0] * num_loss_terms  # The objective's parts mean nothing yet.

    def of_images(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        features = apply(layer, model.centered(objective.corrupted(images, key)))
        logits = model.decoder.shaped(apply(mirror, features))
        takes_logits = objective.loss.takes_logits
        return objective.loss(images, logits if takes_logits else model.output_activation(logits))

    def of_features(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        values = model.centered(images)
        for under in below:
            values = apply(under, values)
        target = tf.stop_gradient(tf.cast(values, tf.float32))
        seen = target
        if objective.noise:
            low, high = tf.reduce_min(target, axis=0), tf.reduce_max(target, axis=0)
            seen = dataclasses.replace(objective.noise, low=low, high=high)(target, key)
        return tf.reduce_mean(mean_squares(target, tf.cast(apply(mirror, apply(layer, seen)), tf.float32)))

    def loss(images: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, list[float]]:
        key = randomness.step_key(seed, step)
        targets = objective.augment(images, key)
        return (of_features if stage else of_images)(targets, key), idle

    return loss
