import math

import numpy as np
import pytest

from trainer import config
from trainer.losses import LOSSES

IMAGES = np.float32([[0, 1], [1, 0]])
RECONSTRUCTIONS = np.float32([[0, 0.5], [1, 0.5]])


def test_every_loss_of_the_flags_exists():
    assert set(LOSSES) == set(config.LOSSES)


@pytest.mark.parametrize(("name", "value"), [("mse", 0.125), ("rmse", math.sqrt(0.125)), ("sse", 0.25)])
def test_squared_errors(name, value):
    assert float(LOSSES[name].function(IMAGES, RECONSTRUCTIONS)) == pytest.approx(value)


def test_bernoulli_is_the_negative_log_likelihood_in_nats():
    logits = np.float32([[-1, 2], [3, 0.5]])
    p = 1 / (1 + np.exp(-logits.astype(float)))
    nats = -(IMAGES * np.log(p) + (1 - IMAGES) * np.log(1 - p)).sum(axis=1).mean()
    assert LOSSES["bernoulli"].takes_logits
    assert float(LOSSES["bernoulli"].function(IMAGES, logits)) == pytest.approx(nats)


def test_bernoulli_stays_finite_where_probabilities_round_to_0_and_1():
    assert float(LOSSES["bernoulli"].function(IMAGES, np.float32([[200, -200], [0, 0]]))) == pytest.approx(
        200 + math.log(2)
    )


def test_an_exact_reconstruction_has_a_finite_slope():
    import tensorflow as tf

    with tf.GradientTape() as tape:
        values = tf.Variable(IMAGES)
        loss = LOSSES["rmse"].function(IMAGES, values)
    assert np.isfinite(tape.gradient(loss, values).numpy()).all()
