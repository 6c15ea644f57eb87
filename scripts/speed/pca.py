"""Compares the PCA baseline of large images with exact PCA: error, processor time and memory.

.venv/bin/python scripts/speed/pca.py             10,000 images of 64x64x3, code of 128 numbers
.venv/bin/python scripts/speed/pca.py --exact     also exact PCA, from eigenvectors: minutes, and 4 GB
"""

import argparse
import resource
import time

import numpy as np

from trainer.evaluation import baselines
from trainer.evaluation.centered_rows import CenteredRows
from trainer.evaluation.pca import Limits, fit


def images(count: int, size: int, seed: int) -> np.ndarray:
    """Returns smooth random images [N, size, size, 3] uint8: their amplitude falls with the frequency, as in photos."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size, 1 / size), np.fft.rfftfreq(size, 1 / size), indexing="ij"))
    frequency[0, 0] = 1
    result = np.empty((count, size, size, 3), np.uint8)
    for image in result:
        gray, *colors = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((4, size, size))) / frequency, axes=(1, 2))
        pixels = gray[..., None] + 0.4 * np.stack(colors, axis=2)
        pixels *= rng.uniform(20, 60) / pixels.std()
        image[:] = np.clip(np.round(pixels + rng.uniform(80, 170)), 0, 255)
    return result


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--code", type=int, default=128)
    parser.add_argument("--exact", action="store_true")
    options = parser.parse_args()
    data = images(options.count + options.count // 10, options.size, seed=1)
    train, evaluation = data[: options.count], data[options.count :]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mean = baselines.training_mean(train, 255.0)
    start = time.process_time()
    errors = np.array(baselines.compute(train, evaluation, options.code, 255.0, mean=mean).pca)
    seconds, memory = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    print(f"baseline: mse {errors}, {seconds:.1f} s of processor time, {memory / 1024:.0f} MiB beside the images")
    if options.exact:
        start = time.process_time()
        rows = CenteredRows(train, mean, 255.0)
        components = fit(rows, options.code, np.dtype(float), Limits(rows=options.count, products=1e18))
        splits = ((rows, errors[0]), (rows._replace(examples=evaluation), errors[1]))
        for name, (split, error) in zip(("train", "eval"), splits, strict=True):
            total = sum(float(np.square(chunk).sum()) for chunk in split.chunks())
            exact = (total - components.captured(split)) / split.examples.size
            print(f"exact {name}: mse {exact}; the baseline's is {100 * (error / exact - 1):+.4f} % away")
        print(f"exact: {time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    main()
