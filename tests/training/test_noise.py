"""Noise, shifts and binary pixels: each is a function of its key only."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.compute import randomness
from trainer.training import augmentation
from trainer.training.noise import NOISES, Noise

IMAGES = np.random.default_rng(0).uniform(0.2, 0.8, (50, 8, 8, 1)).astype(np.float32)
LOW, HIGH = np.zeros((), np.float32), np.ones((), np.float32)


def key(step, seed=3):
    return randomness.step_key(seed, step)


def corrupt(name, level, step=5, override=None):
    return Noise(name, level, LOW, HIGH)(tf.constant(IMAGES), key(step), override).numpy()


@pytest.mark.parametrize("name", NOISES)
def test_noise_depends_on_seed_and_step_only(name):
    first = corrupt(name, 0.3)
    np.testing.assert_array_equal(first, corrupt(name, 0.3))
    assert not np.array_equal(first, corrupt(name, 0.3, step=6))
    np.testing.assert_array_equal(first, corrupt(name, 0.9, override=0.3))


@pytest.mark.parametrize("name", NOISES)
def test_noise_of_level_0_changes_nothing(name):
    np.testing.assert_array_equal(corrupt(name, 0.0), IMAGES)


@pytest.mark.parametrize("name", NOISES)
def test_xla_computes_the_same_noise(name):
    noise = Noise(name, 0.3, LOW, HIGH)
    compiled = tf.function(lambda images, step: noise(images, key(step)), jit_compile=True)
    result = compiled(tf.constant(IMAGES), tf.constant(5, tf.int64))
    np.testing.assert_allclose(result, corrupt(name, 0.3), rtol=1e-5, atol=1e-6)


def test_xla_computes_bit_identical_uniform_numbers():
    compiled = tf.function(lambda step: randomness.uniform(key(step), [1000]), jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(5, tf.int64)), randomness.uniform(key(5), [1000]))


def test_fractions_are_limited_to_1():
    np.testing.assert_array_equal(corrupt("salt_and_pepper", 0.75, override=1.5), corrupt("salt_and_pepper", 1.0))
    assert corrupt("salt_and_pepper", 1.5).mean() == pytest.approx(0.5, abs=0.05)


def test_the_level_of_gaussian_noise_is_its_standard_deviation():
    added = corrupt("gaussian", 0.3) - IMAGES
    assert added.std() == pytest.approx(0.3, rel=0.03)
    assert abs(added.mean()) < 0.02


def test_masking_sets_a_fraction_to_zero_and_keeps_the_rest():
    images = corrupt("masking", 0.3)
    masked = images == 0
    assert masked.mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_array_equal(images[~masked], IMAGES[~masked])


def test_salt_and_pepper_sets_a_fraction_to_both_extremes_equally_often():
    images = corrupt("salt_and_pepper", 0.4)
    assert (images == 0).mean() == pytest.approx(0.2, abs=0.03)
    assert (images == 1).mean() == pytest.approx(0.2, abs=0.03)
    unchanged = (images != 0) & (images != 1)
    np.testing.assert_array_equal(images[unchanged], IMAGES[unchanged])


def test_each_column_has_its_own_extremes():
    rows, low, high = tf.zeros([200, 2]), np.float32([-5, 10]), np.float32([-4, 20])
    corrupted = Noise("salt_and_pepper", 1.0, low, high)(rows, key(1)).numpy()
    assert set(corrupted[:, 0]) == {-5, -4}
    assert set(corrupted[:, 1]) == {10, 20}


def shift_by(image, down, right):
    rows, columns = (np.clip(np.arange(8) - distance, 0, 7) for distance in (down, right))
    return image[rows][:, columns]


@pytest.mark.parametrize("max_shift", [1, 2])
def test_each_image_is_shifted_independently_and_the_border_is_repeated(max_shift):
    shifted_images = augmentation.shift(tf.constant(IMAGES), max_shift, key(2)).numpy()
    distances = range(-max_shift, max_shift + 1)
    shifts = [(down, right) for down in distances for right in distances]
    used = []
    for image, shifted in zip(IMAGES, shifted_images, strict=True):
        matches = [shift for shift in shifts if np.array_equal(shift_by(image, *shift), shifted)]
        assert len(matches) == 1
        used += matches
    assert len(set(used)) > len(shifts) / 2


def test_all_shifts_are_equally_likely():
    images = tf.tile(tf.reshape(tf.range(64.0), [1, 8, 8, 1]), [9_000, 1, 1, 1])
    pixels = augmentation.shift(images, 1, key(0)).numpy()[:, 4, 4, 0]
    counts = np.unique(pixels, return_counts=True)[1]
    assert len(counts) == 9
    assert np.abs(counts - 1_000).max() < 150  # nearly five standard deviations


def test_the_value_of_a_pixel_is_its_probability_of_1():
    pixels = tf.constant(np.repeat(np.float32([[0.0], [0.2], [0.7], [1.0]]), 4_000, axis=1))
    binary = augmentation.binarize(pixels, key(4)).numpy()
    assert set(np.unique(binary)) == {0.0, 1.0}
    np.testing.assert_allclose(binary.mean(axis=1), [0, 0.2, 0.7, 1], atol=0.03)


def test_training_and_evaluation_use_distinct_numbers_for_each_purpose():
    keys = [randomness.purpose_key(key(7), purpose) for purpose in range(5)]
    keys += [randomness.purpose_key(randomness.evaluation_key(3, tf.constant(7)), purpose) for purpose in range(5)]
    numbers = {randomness.uniform(purpose_key, [8]).numpy().tobytes() for purpose_key in keys}
    assert len(numbers) == 10
