import math

import numpy as np
import pytest
import tensorflow as tf

from trainer.training import options as training_options
from trainer.training.losses import LOSSES

IMAGES = np.float32([[0, 1], [1, 0]])
RECONSTRUCTIONS = np.float32([[0, 0.5], [1, 0.5]])


def loss_of(name, outputs):
    return float(LOSSES[name](tf.constant(IMAGES), tf.constant(outputs)))


def test_every_loss_of_the_option_exists():
    assert set(LOSSES) == set(training_options.LOSSES)


@pytest.mark.parametrize(("name", "value"), [("mse", 0.125), ("rmse", math.sqrt(0.125)), ("sse", 0.25)])
def test_squared_errors(name, value):
    assert loss_of(name, RECONSTRUCTIONS) == pytest.approx(value)


def test_bernoulli_is_the_negative_log_likelihood_in_nats():
    logits = np.float32([[-1, 2], [3, 0.5]])
    p = 1 / (1 + np.exp(-logits.astype(float)))
    nats = -(IMAGES * np.log(p) + (1 - IMAGES) * np.log(1 - p)).sum(axis=1).mean()
    assert LOSSES["bernoulli"].takes_logits
    assert loss_of("bernoulli", logits) == pytest.approx(nats)


def test_bernoulli_stays_finite_where_probabilities_round_to_0_and_1():
    assert loss_of("bernoulli", np.float32([[200, -200], [0, 0]])) == pytest.approx(200 + math.log(2))


def test_gaussian_is_the_negative_log_likelihood_under_the_best_variance():
    variance = 0.125
    nats = 0.5 * (np.square(IMAGES - RECONSTRUCTIONS) / variance + math.log(2 * math.pi * variance)).sum(axis=1).mean()
    assert loss_of("gaussian", RECONSTRUCTIONS) == pytest.approx(nats)


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_a_batch_follows_from_the_mean_error_of_its_examples(name):
    loss = LOSSES[name]
    errors = np.asarray(loss.per_example(tf.constant(IMAGES), tf.constant(RECONSTRUCTIONS)))
    assert errors.shape == (2,)
    total = loss.total(tf.constant(errors.mean(dtype=np.float64)), 2)
    assert float(total) == pytest.approx(loss_of(name, RECONSTRUCTIONS), rel=1e-6)


def test_the_gradient_of_an_exact_reconstruction_is_finite():
    with tf.GradientTape() as tape:
        values = tf.Variable(IMAGES)
        loss = LOSSES["rmse"](tf.constant(IMAGES), values)
    assert np.isfinite(tape.gradient(loss, values).numpy()).all()
