"""Decodes a folder of pictures in one way, in a process that has not imported TensorFlow, and prints the seconds."""

import concurrent.futures
import multiprocessing
import pathlib
import sys
import tempfile
import time

import numpy as np
from PIL import Image

SIDE = 64
FILES_A_TASK = 32


def hourglass(folder: str) -> None:
    """As `--dataset=images` does for the first time."""
    from trainer.data import datasets
    from trainer.data.options import DataOptions
    from trainer.data.sources import Sources

    with tempfile.TemporaryDirectory() as cache:
        options = DataOptions(dataset="images", data_dir=folder, image_size=(SIDE, SIDE), cache_dir=cache)
        datasets.load("images", Sources(options, say=lambda words: None))


def pillow(folder: str) -> None:
    """Two processes, as a person would write it."""
    files = sorted(map(str, pathlib.Path(folder).iterdir()))
    tasks = [files[start : start + FILES_A_TASK] for start in range(0, len(files), FILES_A_TASK)]
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        np.concatenate(list(pool.map(resized, tasks)))


def resized(paths: list[str]) -> np.ndarray:
    """[N, H, W, 3] uint8 of some files."""
    found = [Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS) for path in paths]
    return np.stack([np.asarray(image) for image in found])


if __name__ == "__main__":
    began = time.perf_counter()
    {"hourglass": hourglass, "pillow": pillow}[sys.argv[1]](sys.argv[2])
    print(time.perf_counter() - began)
