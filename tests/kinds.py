"""Every kind of autoencoder, in pairs of choices; and the contract that each of them keeps."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf
from pairwise import cases

from trainer import config
from trainer.compute import devices
from trainer.compute.options import PRECISIONS
from trainer.data import datasets
from trainer.data.dataset import Dataset, Split
from trainer.data.sources import Sources
from trainer.evaluation.metrics import Metrics
from trainer.evaluation.probes import ProbeResult, ProbeSet
from trainer.models import networks
from trainer.runs import builder, export, planning
from trainer.summaries import gallery
from trainer.training import options as training_options
from trainer.training import pipeline, steps

STEPS = 6


@functools.cache
def pictures(channels):
    """A small data set of 8x8 pictures with some structure."""
    rng = np.random.default_rng(channels)
    rows, columns = np.mgrid[:8, :8]
    centers = rng.uniform(1, 6, (48, 2, channels))
    away = (rows[..., None] - centers[:, None, None, 0]) ** 2 + (columns[..., None] - centers[:, None, None, 1]) ** 2
    images = (255 * np.exp(-away / 6)).astype(np.uint8)
    split = Split(images, np.arange(48) % 3)
    return Dataset(
        name="blobs", train=split, evaluation=split, label_names=("a", "b", "c"), scale=255.0, source="arithmetic"
    )


DATA = {
    "table": lambda: datasets.load("iris", Sources()),
    "grey": lambda: pictures(1),
    "colour": lambda: pictures(3),
}


CHOICES = {
    "data": tuple(DATA),
    "model": tuple(networks.MODELS),
    "noise": tuple(training_options.NOISES),
    "variational": (False, True),
    "precision": PRECISIONS,
    "jit": (False, True),
    "more": ("", "--shift=1 --sparsity=0.01 --binarise", "--tied --loss=bernoulli", "--pretrain=layerwise"),
}


def is_allowed(case):
    """What is not refused; and no convolution with XLA, which takes long to compile: the product by command has it."""
    if case["data"] == "table" and (case["model"] == "conv" or case["more"] not in ("", "--pretrain=layerwise")):
        return False
    return not (case["model"] == "conv" and (case["jit"] or "--tied" in case["more"] or "--pretrain" in case["more"]))


CASES = cases(CHOICES, is_allowed)


def flags(case):
    given = [f"--{name}={case[name]}" for name in ("model", "noise", "variational", "precision")]
    given += ["--hidden=5,3", "--batch_size=8", f"--steps={STEPS}", "--pretrain_steps=1", "--log_every=1"]
    return config.parse([*given, *case["more"].split()])[0]


def make(case, precision=None):
    given, data = flags(case), DATA[case["data"]]()
    network = builder.network(given, data, precision or given.compute.precision)
    return given, data, builder.state(given, network)


def contents(state):
    return b"".join(np.asarray(v).tobytes() for v in [*state.model.variables, *state.optimizer.variables, state.step])


def is_close(case):
    return {"rtol": 0.1, "atol": 0.1} if case["precision"] != "float32" else {"rtol": 1e-4, "atol": 1e-5}


def ids(case):
    return "-".join(str(value) for value in case.values())


def check_kind(case, tmp_path):
    given, data, state = make(case)
    plan = planning.plan(given, data)
    device = devices.Device("cpu", "/CPU:0", case["jit"], 2, "CPU")
    block = builder.block(given, data, state, plan, device)

    def train(first, last):
        source = pipeline.blocks(data.train.examples, batch_size=8, steps_per_block=1, seed=0, start_step=first)
        return np.concatenate([block(next(source), 0, 1).numpy() for _ in range(first, last)])

    reports = train(0, 4)
    state.checkpoint().save(str(tmp_path / "ckpt"))
    reports = np.concatenate([reports, train(4, STEPS)])
    assert np.isfinite(reports[:, steps.LOSS]).all()
    assert reports.shape[1] == steps.NUM_REPORTED + len(plan.loss_term_tags)
    assert (reports[-1, [steps.GRADIENT_NORM, steps.UPDATE_NORM]] > 0).all()
    whole = contents(state)

    # What was drawn before is not needed to go on: from the checkpoint the same steps end with the same bits.
    for variable in state.model.trainable_variables:
        variable.assign(variable.value + 1)
    state.checkpoint().restore(str(tmp_path / "ckpt-1")).assert_consumed()
    again = train(4, STEPS)
    assert again.tobytes() == reports[4:].tobytes()
    assert contents(state) == whole

    evaluator = builder.evaluator(given, data, state.model, dataclasses.replace(device, jit=False))
    shown = ProbeSet.of(data)
    found, same = (evaluator.evaluate(data.evaluation.examples, shown.rows) for _ in range(2))
    assert (found.loss, found.parts) == (same.loss, same.parts)
    assert tuple(found.parts) == plan.loss_term_tags
    originals = data.evaluation.examples / np.float32(data.scale)
    squares = np.square(originals - np.asarray(state.model(originals))).reshape(len(originals), -1).sum(axis=1)
    np.testing.assert_allclose(found.squared_errors, squares, **is_close(case))
    errors = np.sqrt(found.squared_errors / originals[0].size)
    details = Metrics(data, shown, evaluator).diagnostics(errors, found)
    assert np.isfinite([found.loss, *found.parts.values(), *details.values()]).all()
    assert ("denoising/rmse_1x" in details) == (case["noise"] != "none")
    assert ("elbo/elbo" in details) == case["variational"]
    drawn = gallery.render(ProbeResult(errors, found.codes, found.reconstructions), shown, evaluator, data.scale)
    assert ("denoising/restored" in drawn) == (case["noise"] != "none" and data.is_image)
    assert ("prior/samples" in drawn) == (case["variational"] and data.is_image)
    assert ("latent/interpolation" in drawn) == data.is_image

    _, _, plain = make(case, "float32")
    plain.checkpoint().restore(str(tmp_path / "ckpt-1")).assert_consumed()
    check_export(plain.model, originals, tmp_path)


def check_export(model, images, folder):
    exported = tf.saved_model.load(str(export.export(model, folder / "export", 4, input_name="images")))
    served = {name: exported.signatures[name] for name in exported.signatures}
    random = {"sample", "generate"} if model.is_variational else set()
    assert set(served) == {"serving_default", "encode", "decode", *random}
    x = tf.constant(images)
    codes = served["encode"](images=x)["codes"]
    np.testing.assert_allclose(codes, model.encode(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(served["decode"](codes=codes)["reconstructions"], model(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(served["serving_default"](images=x)["reconstructions"], model(x), rtol=1e-4, atol=1e-5)
    if model.is_variational:
        seeds = [tf.constant(seed, tf.int64) for seed in ([1, 2], [1, 2], [1, 3])]
        first, same, other = (served["sample"](images=x, seed=seed)["codes"].numpy() for seed in seeds)
        np.testing.assert_array_equal(first, same)
        assert not np.array_equal(first, other)
        deviation = np.exp(np.asarray(model.posterior(x).log_variance) / 2)
        drawn = (first - np.asarray(codes)) / deviation
        assert abs(drawn.mean()) < 0.5
        assert 0.6 < drawn.std() < 1.4
        made = served["generate"](count=tf.constant(5), seed=seeds[0])["reconstructions"]
        assert made.shape == (5, *images.shape[1:])
