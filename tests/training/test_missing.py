"""Missing numbers in the target of a reconstruction, compared with NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.models import networks
from trainer.models.options import ModelOptions
from trainer.training import losses
from trainer.training.objective import Objective

TARGET = np.float32([[1, 2, 3, 4], [5, np.nan, 7, np.nan], [np.nan, np.nan, np.nan, 2]])
OUTPUTS = np.float32([[0, 2, 5, 4], [4, 9, 9, 9], [9, 9, 9, 0]])
MEANS = np.float64([5 / 4, 5 / 2, 4])  # of the squared errors of the numbers that are there


def make(loss, *, has_missing):
    return Objective(loss=losses.LOSSES[loss], num_pixels=4, has_missing=has_missing)


@pytest.mark.parametrize(("loss", "factor"), [("mse", 1), ("rmse", 1), ("sse", 4), ("gaussian", 4)])
def test_an_error_is_the_mean_over_the_numbers_that_are_there(loss, factor):
    errors = make(loss, has_missing=True).errors(tf.constant(TARGET), tf.constant(OUTPUTS))
    np.testing.assert_allclose(errors, factor * MEANS, rtol=1e-6)
    squared = make(loss, has_missing=True).squared_errors(tf.constant(TARGET), tf.constant(OUTPUTS))
    np.testing.assert_allclose(squared, 4 * MEANS, rtol=1e-6)


def test_missing_numbers_have_no_gradient():
    outputs = tf.constant(OUTPUTS)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = tf.reduce_sum(make("mse", has_missing=True).errors(tf.constant(TARGET), outputs))
    count = (~np.isnan(TARGET)).sum(axis=1, keepdims=True)
    expected = np.where(np.isnan(TARGET), 0, 2 * (OUTPUTS - TARGET) / count)
    np.testing.assert_allclose(tape.gradient(loss, outputs), expected, rtol=1e-6)


def test_without_missing_numbers_the_bits_of_the_errors_are_those_of_the_loss():
    rows = np.random.default_rng(0).random((6, 4)).astype(np.float32)
    target, outputs = tf.constant(rows), tf.constant(rows[::-1].copy())
    for has_missing in (False, True):
        errors = make("sse", has_missing=has_missing).errors(target, outputs)
        np.testing.assert_array_equal(errors, losses.summed_squared_errors(target, outputs))


def test_the_network_sees_the_mean_in_place_of_missing_numbers():
    mean = np.float64([3, 2, 5, 3])
    options = ModelOptions(hidden=(3, 2), output_activation="linear")
    model = networks.build(options, mean=mean, precision="float32", seed=1, fills_missing=True)
    filled = np.where(np.isnan(TARGET), mean, TARGET).astype(np.float32)
    np.testing.assert_array_equal(model.encode(TARGET), model.encode(filled))
    unable = networks.build(options, mean=mean, precision="float32", seed=1)
    assert np.isnan(unable.encode(TARGET)).any()
