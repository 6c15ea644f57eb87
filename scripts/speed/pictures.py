"""How fast pictures are decoded into the cache, and how fast they are trained on from there."""

import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from speed.contenders import CHECKOUT
from speed.data import pictures
from speed.decoding import SIDE
from trainer import config as configs
from trainer.compute import devices
from trainer.config import Config
from trainer.data.dataset import Data, Split
from trainer.runs import builder, planning
from trainer.training import pipeline

ROUNDS = 5
KINDS = {"JPEG 256x256": ("jpg", 256, 2_000), "PNG 256x256": ("png", 256, 2_000), "JPEG 1024x1024": ("jpg", 1_024, 300)}
TRAINED = 20_000  # pictures of 32x32x3
FLAGS = ["--dataset=images", "--image_size=32", "--hidden=256,64", "--batch_size=128", "--log_every=0"]


def measure() -> None:
    """Prints both."""
    config, _ = configs.parse(FLAGS)
    device = builder.device(config, pathlib.Path(tempfile.gettempdir()))  # Before anything else of TensorFlow runs.
    for name, (suffix, side, count) in KINDS.items():
        print(_decoding(name, suffix, side, count), flush=True)
    _train(config, device)


def _decoding(name: str, suffix: str, side: int, count: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        files = _write(pathlib.Path(folder), suffix, side, count)
        rates = _in_turns(
            {
                "Hourglass": lambda: count / _apart("hourglass", folder),
                "Pillow": lambda: count / _apart("pillow", folder),
                "TensorFlow": lambda: count / _seconds(lambda: _tf(files)),
            }
        )
    best = [max(a, b) for a, b in zip(rates["Pillow"], rates["TensorFlow"], strict=True)]
    ratio = statistics.median(mine / its for mine, its in zip(rates["Hourglass"], best, strict=True))
    words = ", ".join(f"{way} {statistics.median(found):,.0f}" for way, found in rates.items())
    return f"{name} to {SIDE}x{SIDE}, pictures a second: {words}; {ratio:.2f} times the better"


def _in_turns(ways: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _, (way, run) in itertools.product(range(ROUNDS), ways.items()):
        found[way].append(run())
    return found


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _write(folder: pathlib.Path, suffix: str, side: int, count: int) -> Sequence[str]:
    few = pictures(20, (side, side, 3), 0)
    for number in range(count):
        Image.fromarray(np.roll(few[number % 20], number, axis=1)).save(folder / f"{number}.{suffix}")
    return [str(path) for path in sorted(folder.iterdir())]


def _apart(way: str, folder: str) -> float:
    """Seconds, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'scripts'}"}
    command = [sys.executable, "-m", "speed.decoding", way, folder]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def _tf(files: Sequence[str]) -> None:
    """`tf.io.decode_image` in a parallel map, as TensorFlow's guides have it."""

    def read(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        resized = tf.image.resize(image, (SIDE, SIDE), method="lanczos3", antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    dataset = tf.data.Dataset.from_tensor_slices(list(files)).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    np.concatenate([batch.numpy() for batch in dataset.batch(256)])


def _train(config: Config, device: devices.Device) -> None:
    """Blocks of training steps from a mapped file, and from an array of the same."""
    images = pictures(TRAINED, (32, 32, 3), 1)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "images"
        images.tofile(path)
        mapped = np.memmap(path, np.uint8, "c", 0, images.shape)
        runs = {"mapped": _trainer(mapped, config, device), "in memory": _trainer(np.array(images), config, device)}
        rates = _in_turns(runs)
    ratio = statistics.median(a / b for a, b in zip(rates["mapped"], rates["in memory"], strict=True))
    words = ", ".join(f"{way} {statistics.median(found):,.0f}" for way, found in rates.items())
    print(f"steps a second of 128 x 3072-256-64: {words}; {ratio:.3f} times", flush=True)


def _trainer(images: np.ndarray, config: Config, device: devices.Device) -> Callable[[], float]:
    split = Split(images, np.zeros(len(images), np.int64)).aligned()
    few = Split(np.array(images[:10]), split.labels[:10])
    data = Data(name="x", train=split, evaluation=few, label_names=("x",), scale=255.0, source="")
    plan = planning.plan(config, data)
    state = builder.state(config, builder.network(config, data, config.compute.precision))
    block = builder.block(config, data, state, plan, device)
    options = {
        "batch_size": config.training.batch_size,
        "steps_per_block": plan.steps_per_block,
        "seed": 0,
        "start_step": 0,
    }
    blocks = pipeline.blocks(split.examples, **options)
    count = 20

    def run() -> float:
        began = time.perf_counter()
        for _ in range(count):
            block(tf.identity(next(blocks)), 0, plan.steps_per_block).numpy()
        return count * plan.steps_per_block / (time.perf_counter() - began)

    run()
    return run
