"""What no way of training can be faster than: its matrix products alone, its optimizer alone, its bytes alone.

Dense networks in float32 only: of others no list of products is made here.
"""

import concurrent.futures
import itertools
import os
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from speed.workloads import Workload

BANDWIDTH_BYTES = 1 << 28  # enough to be in no cache
SECONDS = 0.7  # of one measurement

Measure = Callable[[], float]


def floors(workload: Workload, precision: str) -> list[tuple[str, str, Measure]]:
    """(name, words, a function that measures seconds a step) of each."""
    if workload.model != "dense" or precision != "float32":
        return []
    in_numpy, in_tensorflow = products_in_numpy(workload), products_in_tensorflow(workload)
    moved = bytes_moved(workload)
    return [
        ("products", "floor: matrix products alone", lambda: min(in_numpy(), in_tensorflow())),
        ("optimizer", "floor: the optimizer alone", optimizer_alone(workload)),
        ("bytes", f"floor: {moved / 1e6:.1f} MB at the memory's bandwidth", lambda: moved / bandwidth()),
    ]


def _shapes(workload: Workload) -> list[tuple[int, int]]:
    return list(itertools.pairwise(workload.widths))


def _each(run: Callable[[], object]) -> float:
    """Seconds of one call, of as many as fit."""
    run()
    calls, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        run()
        calls += 1
    return (time.perf_counter() - began) / calls


def products_in_numpy(workload: Workload) -> Measure:
    """The products of a step: forward, for the weights' gradients, and for the inputs' of all layers but the first."""
    count, jobs = workload.batch_size, []
    for position, (wide, high) in enumerate(_shapes(workload)):
        inputs, kernel, gradient = (np.ones(s, np.float32) for s in ((count, wide), (wide, high), (count, high)))
        jobs.append((inputs, kernel, np.empty((count, high), np.float32)))
        jobs.append((inputs.T, gradient, np.empty((wide, high), np.float32)))
        if position:
            jobs.append((gradient, kernel.T, np.empty((count, wide), np.float32)))

    def step() -> None:
        for a, b, out in jobs:
            np.matmul(a, b, out=out)

    return lambda: _each(step)


def products_in_tensorflow(workload: Workload) -> Measure:
    """The same, one call for all."""
    count, jobs = workload.batch_size, []
    for position, (wide, high) in enumerate(_shapes(workload)):
        inputs, kernel, gradient = (tf.ones(shape) for shape in ((count, wide), (wide, high), (count, high)))
        jobs += [(inputs, kernel, {}), (inputs, gradient, {"transpose_a": True})]
        if position:
            jobs.append((gradient, kernel, {"transpose_b": True}))

    # The operands are arguments, so that no product is computed once for all.
    @tf.function(autograph=False)
    def step(pairs: list[tuple[tf.Tensor, tf.Tensor]]) -> list[tf.Tensor]:
        return [tf.matmul(a, b, **options) for (a, b), (_, _, options) in zip(pairs, jobs, strict=True)]

    pairs = [(a, b) for a, b, _ in jobs]
    return lambda: _each(lambda: step(pairs))


def optimizer_alone(workload: Workload) -> Measure:
    """What the optimizer does to the weights, given their gradients, in one loop compiled with XLA."""
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    weights = [keras.Variable(np.zeros(shape, np.float32)) for shape in _shapes(workload)]
    optimizer = kinds[workload.optimizer]()
    optimizer.build(weights)
    gradients = [tf.ones(shape) for shape in _shapes(workload)]

    @tf.function(jit_compile=True)
    def steps(gradients: list[tf.Tensor], count: tf.Tensor) -> tf.Tensor:
        while count > 0:
            optimizer.apply(gradients, weights)
            count -= 1
        return count

    count = max(1, 2_000_000 // sum(wide * high for wide, high in _shapes(workload)))
    return lambda: _each(lambda: steps(gradients, tf.constant(count)).numpy()) / count


def bytes_moved(workload: Workload) -> int:
    """At least: weights and slots read and written once, gradients neither; the batch read."""
    weights = sum((wide + 1) * high for wide, high in _shapes(workload))
    arrays = 3 if workload.optimizer == "adam" else 2
    return 2 * 4 * arrays * weights + workload.batch_size * workload.widths[0]


def bandwidth() -> float:
    """Bytes a second that all cores together copy, reading and writing counted."""
    cores = len(os.sched_getaffinity(0))
    pairs = [tuple(np.ones(BANDWIDTH_BYTES // cores, np.uint8) for _ in range(2)) for _ in range(cores)]
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        seconds = _each(lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)))
    return 2 * BANDWIDTH_BYTES / seconds
