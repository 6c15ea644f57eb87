"""PCA from the Gram matrix of few rows, and in a Krylov subspace of many."""

import numpy as np
import pytest

from trainer.evaluation import baselines, pca
from trainer.evaluation.pca import Limits

GRAM = Limits(columns=0)
KRYLOV = Limits(columns=0, rows=1)


def images(count, size, *, seed=0):
    """Returns uint8 images [count, size, size, 3] with a spectrum that decays as that of photos, and noise."""
    rng = np.random.default_rng(seed)
    shape, waves = (size, size, 3), min(200, size * size)
    patterns = (
        np.random.default_rng(9).standard_normal((waves, int(np.prod(shape))))
        / np.sqrt(np.arange(1, 1 + waves))[:, None]
    )
    values = (
        128 + 12 * (rng.standard_normal((count, waves)) @ patterns) + rng.standard_normal((count, patterns.shape[1]))
    )
    return np.clip(values, 0, 255).astype(np.uint8).reshape(count, *shape)


def exact(train, evaluation, code_size, scale=1.0, fitted=None):
    """Returns the errors of PCA on (train, eval) by a singular value decomposition."""
    train, evaluation = (np.reshape(rows, (len(rows), -1)) / np.float64(scale) for rows in (train, evaluation))
    mean = train.mean(axis=0)
    directions = np.linalg.svd((train if fitted is None else train[fitted]) - mean, full_matrices=False)[2][:code_size]
    return tuple(
        float(np.mean(np.square(rows - mean - (rows - mean) @ directions.T @ directions)))
        for rows in (train, evaluation)
    )


def test_rows_of_many_columns_have_exact_pca_if_they_are_few():
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((70, 70_000)) * rng.random(70_000)).astype(np.float32)  # two chunks
    train, evaluation = rows[:63], rows[63:]
    expected = exact(train, evaluation, 16, 2.0)
    assert baselines.compute(train, evaluation, 16, 2.0).pca == pytest.approx(expected, rel=1e-10)
    assert baselines.compute(train, evaluation, 16, 2.0, limits=KRYLOV).pca == pytest.approx(expected, rel=1e-3)


def test_pca_of_few_rows_uses_the_scale_of_each_column_and_the_given_training_rows():
    rng = np.random.default_rng(1)
    rows, scale, part = rng.standard_normal((60, 90)), rng.random(90) + 0.5, np.arange(0, 50, 3)
    train, evaluation = rows[:50], rows[50:]
    result = baselines.compute(train, evaluation, 8, scale, part, limits=GRAM)
    expected = baselines.compute(train, evaluation, 8, scale, part)
    assert result.pca == pytest.approx(expected.pca, rel=1e-10)
    assert result.mean == pytest.approx(expected.mean, rel=1e-10)


@pytest.mark.parametrize("limits", [GRAM, KRYLOV])
@pytest.mark.parametrize("code_size", [30, 200])
def test_a_code_wider_than_the_rank_has_no_training_error_but_an_evaluation_error(limits, code_size):
    rng = np.random.default_rng(2)
    directions = rng.standard_normal((5, 80))
    train, evaluation = rng.standard_normal((30, 5)) @ directions, rng.standard_normal((9, 5)) @ directions
    evaluation[:, 0] += 10
    result = baselines.compute(train, evaluation, code_size, 1.0, limits=limits)
    assert result.pca[0] == pytest.approx(0, abs=1e-12)
    if limits == GRAM:
        assert result.pca[1] == pytest.approx(exact(train, evaluation, 5)[1], rel=1e-9)


def test_equal_examples_have_no_components():
    train = np.full((20, 30), 7, np.uint8)
    assert baselines.compute(train, train + np.uint8(1), 3, 1.0, limits=GRAM).pca == pytest.approx((0, 1), abs=1e-12)
    assert baselines.compute(train, train, 3, 1.0, limits=KRYLOV).pca == pytest.approx((0, 0), abs=1e-12)


@pytest.mark.parametrize("limits", [GRAM, KRYLOV])
def test_a_single_training_example_has_the_errors_of_the_mean(limits):
    train, evaluation = np.full((1, 40), 2.0), np.full((3, 40), 4.0)
    assert baselines.compute(train, evaluation, 3, 1.0, limits=limits).mean == (0, 4)
    assert baselines.compute(train, evaluation, 3, 1.0, limits=limits).pca[0] == 0


def test_pca_of_many_images_is_within_a_thousandth_of_the_exact_one():
    data = images(600, 24)
    train, evaluation = data[:500], data[500:]
    limits = Limits(columns=1_000, rows=100)
    result, expected = (
        baselines.compute(train, evaluation, 24, 255.0, limits=limits),
        exact(train, evaluation, 24, 255.0),
    )
    assert 1 <= result.pca[0] / expected[0] < 1.001
    assert result.pca[1] == pytest.approx(expected[1], rel=1e-3)
    assert result.pca != pytest.approx(expected, rel=1e-9)  # It is not exact PCA.
    assert baselines.compute(train, evaluation, 24, 255.0, limits=limits) == result


def test_pca_of_noise_which_converges_slowly_is_within_a_thousandth_of_the_exact_one():
    rows = np.random.default_rng(3).standard_normal((700, 900)).astype(np.float32)
    result = baselines.compute(rows, rows[:90], 40, 1.0, limits=KRYLOV)
    assert 1 < result.pca[0] / exact(rows, rows[:90], 40)[0] < 1.001


def test_a_column_of_large_numbers_does_not_spoil_the_other_components():
    rows = np.random.default_rng(4).standard_normal((300, 400)).astype(np.float32) * np.linspace(1, 9, 400) ** 2
    rows[:, 3] *= 1e7
    result = baselines.compute(rows, rows[:30], 12, 1.0, limits=KRYLOV)
    assert result.pca[0] == pytest.approx(exact(rows, rows[:30], 12)[0], rel=1e-3)


def test_an_error_far_below_the_variance_is_not_lost_in_the_rounding_of_float32():
    rng = np.random.default_rng(5)
    rows = np.where(rng.random((300, 1)) < 0.5, 20, 235) + rng.integers(0, 2, (300, 500)) * (np.arange(500) % 20 == 0)
    rows = rows.astype(np.uint8)
    expected = exact(rows, rows[:30], 1)
    assert expected[0] < 2e-6 * exact(rows, rows[:30], 0)[0]
    assert baselines.compute(rows, rows[:30], 1, 1.0, limits=KRYLOV).pca == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("limits", [GRAM, KRYLOV])
def test_memory_mapped_examples_have_the_same_errors(limits, tmp_path):
    data = images(120, 12)
    np.save(tmp_path / "data.npy", data)
    mapped = np.load(tmp_path / "data.npy", mmap_mode="r")
    expected = baselines.compute(data[:100], data[100:], 9, 255.0, limits=limits)
    assert baselines.compute(mapped[:100], mapped[100:], 9, 255.0, limits=limits) == expected


def test_beyond_the_limit_of_work_the_components_follow_from_evenly_spaced_examples(caplog):
    data = images(300, 12)
    train, evaluation = data[:250], data[250:]
    products = 60 * 432 * (pca.USUAL_PASSES * (2 * pca.MIN_WIDTH + pca.READ_PRODUCTS) + 9)
    spaced = np.linspace(0, 249, 60).round().astype(int)
    with caplog.at_level("INFO"):
        for limits in (KRYLOV._replace(products=products), GRAM._replace(products=60**2 * 432)):
            result = baselines.compute(train, evaluation, 9, 255.0, limits=limits)
            assert result.pca == pytest.approx(exact(train, evaluation, 9, 255.0, spaced), rel=2e-3)
            assert result.mean == pytest.approx(exact(train, evaluation, 0, 255.0), rel=1e-9)
    part = "PCA baseline: computed from 60 of the 250 training examples, evenly spaced"
    assert [message for message in caplog.messages if "computed from" in message] == [part, part]


def test_without_room_for_a_subspace_pca_is_that_of_fewer_examples():
    data = images(90, 12)
    limits = Limits(columns=0, rows=50, basis_bytes=4 * 432 * 10)
    result = baselines.compute(data, data, 9, 255.0, limits=limits)
    assert result.pca == pytest.approx(exact(data, data, 9, 255.0, np.linspace(0, 89, 50).round().astype(int)))


def test_an_approximation_is_logged_with_its_estimated_error(caplog):
    data = images(120, 12)
    with caplog.at_level("INFO"):
        baselines.compute(data, data, 9, 255.0, limits=GRAM)
        assert caplog.messages == []
        baselines.compute(data, data, 9, 255.0, limits=KRYLOV)
    (message,) = caplog.messages
    start, rest = "PCA baseline: approximate; its squared error is an estimated ", " % above that of exact PCA"
    assert message.startswith(start)
    assert 0 <= float(message.removeprefix(start).removesuffix(rest)) <= 0.02
