"""The mean and PCA baselines."""

import json

import numpy as np
import pytest
from sklearn.decomposition import PCA

from trainer.data import datasets
from trainer.data.sources import Sources
from trainer.evaluation import baselines
from trainer.evaluation.pca import MAX_COLUMNS, Limits


def test_pca_errors_equal_those_of_scikit_learn():
    data = datasets.load("digits", Sources())
    result = baselines.compute(data.train.examples, data.evaluation.examples, 10, data.scale)
    splits = [split.examples.reshape(-1, 64) / 16 for split in (data.train, data.evaluation)]
    pca = PCA(10).fit(splits[0])
    for error, rows in zip(result.pca, splits, strict=True):
        assert error == pytest.approx(np.mean((pca.inverse_transform(pca.transform(rows)) - rows) ** 2), rel=1e-9)


def test_the_mean_baseline_is_the_error_of_the_training_mean():
    train, evaluation = np.float32([[0, 2], [4, 2]]), np.float32([[1, 1]])
    result = baselines.compute(train, evaluation, 1, 1.0)
    assert result.mean == pytest.approx((2.0, 1.0))
    assert result.pca == pytest.approx((0.0, 0.5), abs=1e-12)


def test_pca_of_iris_has_the_known_training_error():
    data = datasets.load("iris", Sources())
    result = baselines.compute(data.train.examples, data.evaluation.examples, 1, data.scale)
    assert result.pca[0] ** 0.5 == pytest.approx(0.29258, abs=1e-5)


def test_pca_is_exact_if_codes_are_at_least_as_wide_as_examples():
    rows = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    assert baselines.compute(rows, rows, 7, 1.0).pca == pytest.approx((0, 0), abs=1e-12)


def test_very_wide_data_have_a_pca_baseline():
    rows = np.random.default_rng(0).random((30, MAX_COLUMNS + 1)).astype(np.float32)
    result = baselines.compute(rows[:20], rows[20:], 4, 1.0)
    pca = PCA(4, svd_solver="full").fit(rows[:20].astype(float))
    for error, split in zip(result.pca, (rows[:20], rows[20:]), strict=True):
        assert error == pytest.approx(np.mean((pca.inverse_transform(pca.transform(split)) - split) ** 2), rel=1e-9)
    assert result.mean[0] == pytest.approx(rows[:20].var(axis=0).mean(), rel=1e-5)


def test_training_errors_are_computed_on_the_given_rows_only():
    data = datasets.load("digits", Sources())
    train, evaluation, indices = data.train.examples, data.evaluation.examples, np.arange(0, 1_500, 7)
    result = baselines.compute(train, evaluation, 10, data.scale, indices)
    rows = train.reshape(-1, 64) / 16
    pca = PCA(10).fit(rows)
    reconstructions = pca.inverse_transform(pca.transform(rows[indices]))
    assert result.pca[0] == pytest.approx(np.mean((reconstructions - rows[indices]) ** 2), rel=1e-9)
    assert result.mean[0] == pytest.approx(np.mean((rows.mean(axis=0) - rows[indices]) ** 2), rel=1e-9)
    assert result.pca[1] == pytest.approx(baselines.compute(train, evaluation, 10, data.scale).pca[1], rel=1e-12)


def test_pca_is_fitted_to_a_part_of_very_many_examples():
    data = datasets.load("digits", Sources())
    train, evaluation = data.train.examples, data.evaluation.examples
    complete = baselines.compute(train, evaluation, 10, data.scale)
    partial = baselines.compute(train, evaluation, 10, data.scale, limits=Limits(products=500 * 64**2))
    assert partial.mean == pytest.approx(complete.mean, rel=1e-9)
    assert 1 < partial.pca[0] / complete.pca[0] < 1.05


def test_the_computation_starts_once_and_only_when_started(tmp_path, monkeypatch):
    rows, calls = np.random.default_rng(0).random((9, 3)), []
    expected = baselines.Baselines(mean=(1.0, 1.0), pca=(0.5, 0.5))
    monkeypatch.setattr(baselines, "compute", lambda *arguments, **options: calls.append(1) or expected)
    background = baselines.BackgroundBaselines(
        rows, rows, code_size=1, scale=1.0, fingerprint="a", cache=tmp_path / "floors.json"
    )
    assert not calls
    background.start()
    background.start()
    assert background.wait() == expected
    assert len(calls) == 1


def test_the_cache_is_used_for_the_same_data_and_code_size_only(tmp_path):
    rows = np.random.default_rng(0).random((9, 3))

    def compute(fingerprint, code_size=1, train_rows=None):
        arguments = {
            "code_size": code_size,
            "rows": train_rows,
            "scale": 1.0,
            "fingerprint": fingerprint,
            "cache": tmp_path / "floors.json",
        }
        background = baselines.BackgroundBaselines(rows, rows, **arguments)
        background.wait()
        return background.poll()

    first = compute("a")
    stored = json.loads((tmp_path / "floors.json").read_text())
    (tmp_path / "floors.json").write_text(json.dumps({**stored, "mean": [8.0, 9.0]}))
    assert compute("a") == baselines.Baselines(mean=(8.0, 9.0), pca=first.pca)
    assert compute("a", code_size=2).mean == first.mean
    assert compute("a", train_rows=np.arange(9)) == first
    assert compute("a", train_rows=np.arange(4)).mean[0] != first.mean[0]
    assert compute("a") == first
    for damaged in ("torn", "[]", json.dumps({"key": stored["key"]}), json.dumps({**stored, "pca": ["x", None]})):
        (tmp_path / "floors.json").write_text(damaged)
        assert compute("a") == first


def test_a_cache_without_pca_of_an_earlier_version_is_completed(tmp_path):
    rows, cache = np.random.default_rng(0).random((9, 3)), tmp_path / "floors.json"
    cache.write_text(json.dumps({"key": {"data": "a", "code": 1}, "mean": [8.0, 9.0], "pca": None}))
    assert baselines.stored_errors(cache) == {"floor/mean/train": 8.0**0.5, "floor/mean/eval": 3.0}
    background = baselines.BackgroundBaselines(rows, rows, code_size=1, scale=1.0, fingerprint="a", cache=cache)
    background.wait()
    assert background.poll() == baselines.compute(rows, rows, 1, 1.0)
    assert set(baselines.stored_errors(cache)) == {
        f"floor/{name}/{split}" for name in ("mean", "pca") for split in ("train", "eval")
    }


@pytest.mark.parametrize(
    "change",
    [
        {"mean": None},
        {"mean": [1.0]},
        {"mean": ["1", "2"]},
        {"mean": [1.0, -1.0]},
        {"mean": [1.0, float("nan")]},
        {"mean": [1.0, True]},
        {"pca": 3},
        {"pca": [0.5, float("inf")]},
        {"pca": {"0": 0.5, "1": 0.5}},
        {"key": ["train"]},
        {"key": None},
    ],
)
def test_a_damaged_cache_has_no_errors_and_is_computed_again(tmp_path, change):
    rows, cache = np.random.default_rng(0).random((9, 3)), tmp_path / "floors.json"
    stored = {"key": {"data": "a", "code": 1}, "mean": [1.0, 2.0], "pca": [0.25, 0.5]}
    cache.write_text(json.dumps(stored))
    assert baselines.stored_errors(cache)["floor/pca/train"] == 0.5
    cache.write_text(json.dumps({**stored, **change}))
    assert baselines.stored_errors(cache) == {}
    background = baselines.BackgroundBaselines(rows, rows, code_size=1, scale=1.0, fingerprint="a", cache=cache)
    assert background.wait() == baselines.compute(rows, rows, 1, 1.0)


@pytest.mark.parametrize("content", [None, "", "torn", "[]", "{}", '{"mean": [1.0, 2.0], "pca": null}'])
def test_a_missing_or_partial_cache_has_no_errors(tmp_path, content):
    cache = tmp_path / "floors.json"
    if content is not None:
        cache.write_text(content)
    assert baselines.stored_errors(cache) == {}


class FailingDisk(np.ndarray):
    """Examples in a file that cannot be read."""

    def __getitem__(self, indices):
        raise OSError(5, "Input/output error")


def test_data_that_cannot_be_read_are_logged(tmp_path, caplog):
    rows = np.zeros((9, 3)).view(FailingDisk)
    background = baselines.BackgroundBaselines(
        rows, rows, code_size=1, scale=1.0, fingerprint="a", cache=tmp_path / "floors.json"
    )
    with caplog.at_level("WARNING"):
        assert background.wait() is None
    assert caplog.messages == ["no baselines: [Errno 5] Input/output error"]


@pytest.mark.parametrize("columns", [6, MAX_COLUMNS + 1])
def test_missing_numbers_are_at_the_mean_and_do_not_count_in_the_errors(columns):
    random = np.random.default_rng(0)
    rows = random.normal(size=(40, columns)).astype(np.float32)
    rows[random.random(rows.shape) < 0.2] = np.nan
    train, evaluation, mean = rows[:30], rows[30:], np.nanmean(rows[:30], axis=0, dtype=np.float64)
    result = baselines.compute(train, evaluation, 2, 1.0, mean=mean, has_missing=True)
    components = np.linalg.svd(np.nan_to_num(train - mean), full_matrices=False)[2][:2]
    for index, split in enumerate((train, evaluation)):
        centered = np.nan_to_num(split - mean)
        reconstructions = centered @ components.T @ components
        expected = np.nanmean(np.square(split - mean - reconstructions), axis=1).mean()
        assert result.pca[index] == pytest.approx(expected, rel=1e-6)
        assert result.mean[index] == pytest.approx(np.nanmean(np.square(split - mean), axis=1).mean(), rel=1e-6)
    part = baselines.compute(train, evaluation, 2, 1.0, np.arange(0, 30, 3), mean, has_missing=True)
    assert part.pca[1] == result.pca[1]
    assert part.mean[0] == pytest.approx(np.nanmean(np.square(train[::3] - mean), axis=1).mean(), rel=1e-6)


def test_a_file_of_baselines_is_written_for_rows_with_missing_numbers(tmp_path):
    rows, path = np.float32([[1, 2], [np.nan, 3], [4, 5]]), tmp_path / "floors.json"
    background = baselines.BackgroundBaselines(
        rows,
        rows,
        code_size=1,
        scale=1.0,
        fingerprint="a",
        cache=path,
        mean=np.float64([2.5, 10 / 3]),
        has_missing=True,
    )
    assert background.wait() is background.poll()
    assert baselines.stored_errors(path)["floor/mean/train"] == pytest.approx(background.result.mean[0] ** 0.5)
