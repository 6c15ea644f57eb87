"""What is drawn at random: corruptions, shifts, binary pixels. Each is a function of its key alone."""

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


def corrupted(name, level, step=5, at=None):
    return Noise(name, level, LOW, HIGH)(tf.constant(IMAGES), key(step), at).numpy()


@pytest.mark.parametrize("name", NOISES)
def test_noise_depends_on_seed_and_step_alone(name):
    first = corrupted(name, 0.3)
    np.testing.assert_array_equal(first, corrupted(name, 0.3))
    assert not np.array_equal(first, corrupted(name, 0.3, step=6))
    np.testing.assert_array_equal(first, corrupted(name, 0.9, at=0.3))


@pytest.mark.parametrize("name", NOISES)
def test_noise_of_level_0_changes_nothing(name):
    np.testing.assert_array_equal(corrupted(name, 0.0), IMAGES)


@pytest.mark.parametrize("name", NOISES)
def test_xla_draws_the_same(name):
    noise = Noise(name, 0.3, LOW, HIGH)
    compiled = tf.function(lambda images, step: noise(images, key(step)), jit_compile=True)
    found = compiled(tf.constant(IMAGES), tf.constant(5, tf.int64))
    np.testing.assert_allclose(found, corrupted(name, 0.3), rtol=1e-5, atol=1e-6)


def test_xla_draws_the_same_uniform_numbers_to_the_bit():
    compiled = tf.function(lambda step: randomness.uniform(key(step), [1000]), jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(5, tf.int64)), randomness.uniform(key(5), [1000]))


def test_shares_end_at_1():
    np.testing.assert_array_equal(corrupted("salt_and_pepper", 0.75, at=1.5), corrupted("salt_and_pepper", 1.0))
    assert corrupted("salt_and_pepper", 1.5).mean() == pytest.approx(0.5, abs=0.05)


def test_gaussian_noise_has_the_deviation_that_is_its_level():
    added = corrupted("gaussian", 0.3) - IMAGES
    assert added.std() == pytest.approx(0.3, rel=0.03)
    assert abs(added.mean()) < 0.02


def test_masking_sets_a_share_to_zero_and_leaves_the_rest():
    found = corrupted("masking", 0.3)
    masked = found == 0
    assert masked.mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_array_equal(found[~masked], IMAGES[~masked])


def test_salt_and_pepper_sets_a_share_to_the_extremes_as_often_to_each():
    found = corrupted("salt_and_pepper", 0.4)
    assert (found == 0).mean() == pytest.approx(0.2, abs=0.03)
    assert (found == 1).mean() == pytest.approx(0.2, abs=0.03)
    rest = (found != 0) & (found != 1)
    np.testing.assert_array_equal(found[rest], IMAGES[rest])


def test_extremes_are_those_of_each_column():
    rows, low, high = tf.zeros([200, 2]), np.float32([-5, 10]), np.float32([-4, 20])
    found = Noise("salt_and_pepper", 1.0, low, high)(rows, key(1)).numpy()
    assert set(found[:, 0]) == {-5, -4}
    assert set(found[:, 1]) == {10, 20}


def by_hand(picture, down, right):
    rows, columns = (np.clip(np.arange(8) - move, 0, 7) for move in (down, right))
    return picture[rows][:, columns]


@pytest.mark.parametrize("most", [1, 2])
def test_a_shift_moves_each_picture_on_its_own_and_repeats_the_border(most):
    found = augmentation.shift(tf.constant(IMAGES), most, key(2)).numpy()
    moves = [(down, right) for down in range(-most, most + 1) for right in range(-most, most + 1)]
    seen = []
    for picture, moved in zip(IMAGES, found, strict=True):
        fits = [move for move in moves if np.array_equal(by_hand(picture, *move), moved)]
        assert len(fits) == 1
        seen += fits
    assert len(set(seen)) > len(moves) / 2


def test_all_shifts_are_equally_likely():
    pictures = tf.tile(tf.reshape(tf.range(64.0), [1, 8, 8, 1]), [9_000, 1, 1, 1])
    found = augmentation.shift(pictures, 1, key(0)).numpy()[:, 4, 4, 0]
    counts = np.unique(found, return_counts=True)[1]
    assert len(counts) == 9
    assert np.abs(counts - 1_000).max() < 150  # nearly five standard deviations


def test_binary_pixels_are_drawn_by_their_values():
    pixels = tf.constant(np.repeat(np.float32([[0.0], [0.2], [0.7], [1.0]]), 4_000, axis=1))
    found = augmentation.binarize(pixels, key(4)).numpy()
    assert set(np.unique(found)) == {0.0, 1.0}
    np.testing.assert_allclose(found.mean(axis=1), [0, 0.2, 0.7, 1], atol=0.03)


def test_each_purpose_and_each_evaluation_has_numbers_of_its_own():
    keys = [randomness.purpose_key(key(7), purpose) for purpose in range(5)]
    keys += [randomness.purpose_key(randomness.evaluation_key(3, tf.constant(7)), purpose) for purpose in range(5)]
    drawn = {randomness.uniform(one, [8]).numpy().tobytes() for one in keys}
    assert len(drawn) == 10
