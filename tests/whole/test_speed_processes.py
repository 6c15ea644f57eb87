"""The generated data of scripts/benchmark."""

import numpy as np
from speed import data

from trainer.data import datasets
from trainer.data.options import DataOptions
from trainer.data.sources import Sources


def test_generated_images_are_read_as_mnist_and_cifar_and_are_distinct(tmp_path, monkeypatch):
    monkeypatch.setattr(data.mnist, "NUM_TRAIN", 30)
    monkeypatch.setattr(data.mnist, "NUM_EVALUATION", 20)
    data.write(tmp_path)
    digits = datasets.load("mnist", Sources(DataOptions(data_dir=str(tmp_path))))
    assert digits.train.examples.shape == (30, 28, 28, 1)
    assert len(np.unique(digits.train.examples.reshape(30, -1), axis=0)) == 30
    horses = datasets.load("cifar_horse", Sources(DataOptions(data_dir=str(tmp_path))))
    assert horses.train.examples.shape == (5_000, 32, 32, 1)
