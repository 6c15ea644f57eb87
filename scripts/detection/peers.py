"""Prints the AUROC of other detectors for one table as JSON. Runs in .venv-bench, which has PyOD and PyTorch.

python -m detection.peers TABLE SEED,...
"""

import contextlib
import json
import sys

import numpy as np
import torch
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.iforest import IForest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from detection.measures import auroc

NEIGHBORS = 5
PCA_SHARE = 4  # columns per component


def standardized(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns both tables in standard deviations of the training rows; columns that are constant there are centered."""
    mean, deviations = train.mean(axis=0), train.std(axis=0)
    unit = np.where(deviations > 0, deviations, 1)
    return (train - mean) / unit, (test - mean) / unit


def autoencoder(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Returns the scores of PyOD's autoencoder with its defaults; it standardizes the columns itself."""
    return AutoEncoder(random_state=seed, verbose=0).fit(train).decision_function(test)


def forest(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Returns the scores of the isolation forest of PyOD with its defaults."""
    return IForest(random_state=seed).fit(train).decision_function(test)


def neighbors(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Returns the distance to the fifth nearest training row, columns standardized."""
    train, test = standardized(train, test)
    return NearestNeighbors(n_neighbors=NEIGHBORS).fit(train).kneighbors(test)[0][:, -1]


def pca(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Returns the squared error of a PCA with a quarter as many components as columns, columns standardized."""
    train, test = standardized(train, test)
    components = max(1, min(train.shape[1] // PCA_SHARE, len(train) - 1))
    model = PCA(components, random_state=seed).fit(train)
    return np.square(test - model.inverse_transform(model.transform(test))).mean(axis=1)


RANDOM = {"PyOD AE": autoencoder, "IForest": forest}
DETERMINISTIC = {"kNN": neighbors, "PCA": pca}


def main(path: str, seeds: str) -> None:
    """Prints the mean AUROC over the seeds by detector."""
    torch.set_num_threads(1)  # More threads are slower for networks of this size.
    with np.load(path) as arrays:
        train, test, is_anomaly = arrays["train"].astype(float), arrays["test"].astype(float), arrays["y"].astype(bool)
    result = {}
    with contextlib.redirect_stdout(sys.stderr):
        for name, detector in {**RANDOM, **DETERMINISTIC}.items():
            numbers = [int(seed) for seed in seeds.split(",")][: None if name in RANDOM else 1]
            result[name] = float(np.mean([auroc(detector(train, test, seed), is_anomaly) for seed in numbers]))
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
