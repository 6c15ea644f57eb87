"""The data that scripts/benchmark makes for itself."""

import numpy as np
from speed import data

from trainer.data import datasets
from trainer.data.options import DataOptions
from trainer.data.sources import Sources


def test_pictures_made_here_are_read_as_the_data_sets_and_none_is_like_another(tmp_path, monkeypatch):
    monkeypatch.setattr(data.mnist, "NUM_TRAIN", 30)
    monkeypatch.setattr(data.mnist, "NUM_EVALUATION", 20)
    data.write(tmp_path)
    found = datasets.load("mnist", Sources(DataOptions(data_dir=str(tmp_path))))
    assert found.train.examples.shape == (30, 28, 28, 1)
    assert len(np.unique(found.train.examples.reshape(30, -1), axis=0)) == 30
    horses = datasets.load("cifar_horse", Sources(DataOptions(data_dir=str(tmp_path))))
    assert horses.train.examples.shape == (5_000, 32, 32, 1)
