"""All kinds of autoencoders, in pairs of options, and a check of the contract of each."""

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
from trainer.evaluation import scores
from trainer.evaluation.metrics import Metrics
from trainer.evaluation.probes import ProbeResult, ProbeSet
from trainer.models import networks
from trainer.runs import builder, export, planning
from trainer.summaries import gallery
from trainer.training import options as training_options
from trainer.training import pipeline, steps

STEPS = 6


@functools.cache
def blobs(channels):
    """A data set of 48 images of 8x8 pixels, with a Gaussian blob in each channel."""
    rng = np.random.default_rng(channels)
    rows, columns = np.mgrid[:8, :8]
    centers = rng.uniform(1, 6, (48, 2, channels))
    squares = (rows[..., None] - centers[:, None, None, 0]) ** 2 + (columns[..., None] - centers[:, None, None, 1]) ** 2
    images = (255 * np.exp(-squares / 6)).astype(np.uint8)
    split = Split(images, np.arange(48) % 3)
    return Dataset(
        name="blobs", train=split, evaluation=split, label_names=("a", "b", "c"), scale=255.0, source="arithmetic"
    )


DATA = {
    "table": lambda: datasets.load("iris", Sources()),
    "gray": lambda: blobs(1),
    "color": lambda: blobs(3),
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
    """Returns True if the options are valid, except for convolutions with XLA, which are slow to compile."""
    if case["data"] == "table" and (case["model"] == "conv" or case["more"] not in ("", "--pretrain=layerwise")):
        return False
    return not (case["model"] == "conv" and (case["jit"] or "--tied" in case["more"] or "--pretrain" in case["more"]))


CASES = cases(CHOICES, is_allowed)


def parse(case):
    arguments = [f"--{name}={case[name]}" for name in ("model", "noise", "variational", "precision")]
    arguments += ["--hidden=5,3", "--batch_size=8", f"--steps={STEPS}", "--pretrain_steps=1", "--log_every=1"]
    return config.parse([*arguments, *case["more"].split()])[0]


def make(case, precision=None):
    parsed, data = parse(case), DATA[case["data"]]()
    network = builder.network(parsed, data, precision or parsed.compute.precision)
    return parsed, data, builder.state(parsed, network)


def contents(state):
    return b"".join(np.asarray(v).tobytes() for v in [*state.model.variables, *state.optimizer.variables, state.step])


def tolerance(case):
    return {"rtol": 0.1, "atol": 0.1} if case["precision"] != "float32" else {"rtol": 1e-4, "atol": 1e-5}


def ids(case):
    return "-".join(str(value) for value in case.values())


def check_kind(case, tmp_path):
    """Checks that training can be resumed with the same bits, and checks evaluation, images and export."""
    parsed, data, state = make(case)
    plan = planning.plan(parsed, data)
    device = devices.Device("cpu", "/CPU:0", case["jit"], 2, "CPU")
    block = builder.block(parsed, data, state, plan, device)

    def train(first, last):
        source = pipeline.blocks(data.train.examples, batch_size=8, steps_per_block=1, seed=0, start_step=first)
        return np.concatenate([block(next(source), 0, 1).numpy() for _ in range(first, last)])

    reports = train(0, 4)
    state.checkpoint().save(str(tmp_path / "ckpt"))
    reports = np.concatenate([reports, train(4, STEPS)])
    assert np.isfinite(reports[:, steps.LOSS]).all()
    assert reports.shape[1] == steps.NUM_REPORTED + len(plan.loss_term_tags)
    assert (reports[-1, [steps.GRADIENT_NORM, steps.UPDATE_NORM]] > 0).all()
    expected = contents(state)

    # Random numbers depend only on seed and step, so the same steps after a restore have the same bits.
    for variable in state.model.trainable_variables:
        variable.assign(variable.value + 1)
    state.checkpoint().restore(str(tmp_path / "ckpt-1")).assert_consumed()
    assert train(4, STEPS).tobytes() == reports[4:].tobytes()
    assert contents(state) == expected

    evaluator = builder.evaluator(parsed, data, state.model, dataclasses.replace(device, jit=False))
    probes = ProbeSet.from_dataset(data)
    result, repeated = (evaluator.evaluate(data.evaluation.examples, probes.rows) for _ in range(2))
    assert (result.loss, result.loss_terms) == (repeated.loss, repeated.loss_terms)
    assert tuple(result.loss_terms) == plan.loss_term_tags
    originals = data.evaluation.examples / np.float32(data.scale)
    squares = np.square(originals - np.asarray(state.model(originals))).reshape(len(originals), -1).sum(axis=1)
    np.testing.assert_allclose(result.squared_errors, squares, **tolerance(case))
    errors = np.sqrt(result.squared_errors / originals[0].size)
    diagnostics = Metrics(data, probes, evaluator).diagnostics(errors, result)
    assert np.isfinite([result.loss, *result.loss_terms.values(), *diagnostics.values()]).all()
    assert ("denoising/rmse_1x" in diagnostics) == (case["noise"] != "none")
    assert ("elbo/elbo" in diagnostics) == case["variational"]
    images = gallery.render(ProbeResult(errors, result.codes, result.reconstructions), probes, evaluator, data.scale)
    assert ("denoising/restored" in images) == (case["noise"] != "none" and data.is_image)
    assert ("prior/samples" in images) == (case["variational"] and data.is_image)
    assert ("latent/interpolation" in images) == data.is_image

    _, _, float32_state = make(case, "float32")
    float32_state.checkpoint().restore(str(tmp_path / "ckpt-1")).assert_consumed()
    check_export(float32_state.model, originals, tmp_path)


def check_export(model, images, folder):
    exported = tf.saved_model.load(str(export.export(model, folder / "export", 4, input_name="images")))
    signatures = {name: exported.signatures[name] for name in exported.signatures}
    random = {"sample", "generate"} if model.is_variational else set()
    assert set(signatures) == {"serving_default", "encode", "decode", "score", *random}
    x = tf.constant(images)
    codes = signatures["encode"](images=x)["codes"]
    np.testing.assert_allclose(codes, model.encode(x), rtol=1e-5, atol=1e-6)
    for outputs in (signatures["decode"](codes=codes), signatures["serving_default"](images=x)):
        np.testing.assert_allclose(outputs["reconstructions"], model(x), rtol=1e-4, atol=1e-5)
    scored, scoring = signatures["score"](images=x), scores.resolve(scores.AUTO, is_image=images.ndim == 4)
    parts = scores.parts(images, outputs["reconstructions"].numpy(), scoring=scoring)
    np.testing.assert_allclose(scored["scores"], scores.total(parts), rtol=1e-5)
    assert scored["errors"].shape == images.shape
    np.testing.assert_allclose(
        tf.reduce_mean(tf.reshape(scored["errors"], [len(images), -1]), axis=1), scored["scores"], rtol=1e-5
    )
    if model.is_variational:
        seeds = [tf.constant(seed, tf.int64) for seed in ([1, 2], [1, 2], [1, 3])]
        first, same, other = (signatures["sample"](images=x, seed=seed)["codes"].numpy() for seed in seeds)
        np.testing.assert_array_equal(first, same)
        assert not np.array_equal(first, other)
        deviation = np.exp(np.asarray(model.posterior(x).log_variance) / 2)
        noise = (first - np.asarray(codes)) / deviation
        assert abs(noise.mean()) < 0.5
        assert 0.6 < noise.std() < 1.4
        generated = signatures["generate"](count=tf.constant(5), seed=seeds[0])["reconstructions"]
        assert generated.shape == (5, *images.shape[1:])
