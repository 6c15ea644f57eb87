import json

import numpy as np
import pytest
from sklearn.decomposition import PCA

from trainer.data import datasets
from trainer.data.sources import Sources
from trainer.evaluation import baselines


def test_pca_is_what_scikit_learn_finds():
    data = datasets.load("digits", Sources())
    found = baselines.compute(data.train.examples, data.evaluation.examples, 10, data.scale)
    rows = [split.examples.reshape(-1, 64) / 16 for split in (data.train, data.evaluation)]
    pca = PCA(10).fit(rows[0])
    for floor, values in zip(found.pca, rows, strict=True):
        assert floor == pytest.approx(np.mean((pca.inverse_transform(pca.transform(values)) - values) ** 2), rel=1e-9)


def test_the_mean_floor_is_the_error_of_the_training_mean():
    train, evaluation = np.float32([[0, 2], [4, 2]]), np.float32([[1, 1]])
    found = baselines.compute(train, evaluation, 1, 1.0)
    assert found.mean == pytest.approx((2.0, 1.0))
    assert found.pca == pytest.approx((0.0, 0.5), abs=1e-12)


def test_iris_with_one_number_has_the_known_floor():
    data = datasets.load("iris", Sources())
    found = baselines.compute(data.train.examples, data.evaluation.examples, 1, data.scale)
    assert found.pca[0] ** 0.5 == pytest.approx(0.29258, abs=1e-5)


def test_a_code_as_wide_as_the_data_loses_nothing():
    rows = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    assert baselines.compute(rows, rows, 7, 1.0).pca == pytest.approx((0, 0), abs=1e-12)


def test_very_wide_data_have_a_mean_floor_only():
    rows = np.random.default_rng(0).random((3, baselines.MAX_COLUMNS + 1)).astype(np.float32)
    found = baselines.compute(rows, rows, 1, 1.0)
    assert found.pca is None
    assert found.mean == pytest.approx((rows.var(axis=0).mean(),) * 2, rel=1e-5)


def test_training_errors_of_some_examples_are_beside_the_floors_of_these_alone():
    data = datasets.load("digits", Sources())
    train, evaluation, some = data.train.examples, data.evaluation.examples, np.arange(0, 1_500, 7)
    found = baselines.compute(train, evaluation, 10, data.scale, some)
    rows = train.reshape(-1, 64) / 16
    pca = PCA(10).fit(rows)
    restored = pca.inverse_transform(pca.transform(rows[some]))
    assert found.pca[0] == pytest.approx(np.mean((restored - rows[some]) ** 2), rel=1e-9)
    assert found.mean[0] == pytest.approx(np.mean((rows.mean(axis=0) - rows[some]) ** 2), rel=1e-9)
    assert found.pca[1] == pytest.approx(baselines.compute(train, evaluation, 10, data.scale).pca[1], rel=1e-12)


def test_of_very_many_examples_the_components_are_of_some():
    data = datasets.load("digits", Sources())
    train, evaluation = data.train.examples, data.evaluation.examples
    whole = baselines.compute(train, evaluation, 10, data.scale)
    some = baselines.compute(train, evaluation, 10, data.scale, max_products=500 * 64**2)
    assert some.mean == pytest.approx(whole.mean, rel=1e-9)
    assert 1 < some.pca[0] / whole.pca[0] < 1.05


def test_nothing_is_computed_before_it_is_told_to_start(tmp_path, monkeypatch):
    rows, calls = np.random.default_rng(0).random((9, 3)), []
    found = baselines.Baselines(mean=(1.0, 1.0), pca=(0.5, 0.5))
    monkeypatch.setattr(baselines, "compute", lambda *arguments: calls.append(1) or found)
    background = baselines.BackgroundBaselines(
        rows, rows, code_size=1, scale=1.0, fingerprint="a", cache=tmp_path / "floors.json"
    )
    assert not calls
    background.start()
    background.start()
    assert background.wait() == found
    assert len(calls) == 1


def test_the_cache_counts_for_the_same_data_and_code_only(tmp_path):
    rows = np.random.default_rng(0).random((9, 3))

    def found(fingerprint, code_size=1, some=None):
        arguments = {
            "code_size": code_size,
            "rows": some,
            "scale": 1.0,
            "fingerprint": fingerprint,
            "cache": tmp_path / "floors.json",
        }
        background = baselines.BackgroundBaselines(rows, rows, **arguments)
        background.wait()
        return background.take()

    first = found("a")
    stored = json.loads((tmp_path / "floors.json").read_text())
    (tmp_path / "floors.json").write_text(json.dumps({**stored, "mean": [8.0, 9.0]}))
    assert found("a") == baselines.Baselines(mean=(8.0, 9.0), pca=first.pca)
    assert found("a", code_size=2).mean == first.mean
    assert found("a", some=np.arange(9)) == first
    assert found("a", some=np.arange(4)).mean[0] != first.mean[0]
    assert found("a") == first
    for damaged in ("torn", "[]", json.dumps({"key": stored["key"]}), json.dumps({**stored, "pca": ["x", None]})):
        (tmp_path / "floors.json").write_text(damaged)
        assert found("a") == first
