"""Contracts that every network keeps, and every data set, and both together: a new entry needs no new test."""

import numpy as np
import pytest
import tensorflow as tf
from formats import binary_batch, cifar_folder, idx_folder, mnist_arrays

from trainer import config, datasets, models
from trainer.datasets import cifar, mnist


@pytest.fixture
def everything(tmp_path, monkeypatch):
    """A folder in which every data set finds its files, small ones."""
    monkeypatch.setattr(cifar, "ROWS_A_BATCH", 20)
    monkeypatch.setattr(mnist, "NUM_TRAIN", 30)
    monkeypatch.setattr(mnist, "NUM_EVALUATION", 10)
    cifar_folder(tmp_path / "cifar-10-batches-bin", cifar.BINARY_BATCHES, binary_batch, 20)
    idx_folder(tmp_path, mnist.IDX_FILES, mnist_arrays(30, 10), packed=False)
    return datasets.Sources(str(tmp_path))


def build(name="dense", mean=None, **changes):
    flags = {
        "hidden": (6, 3),
        "activation": "swish",
        "code_activation": "linear",
        "output_activation": "linear",
        "precision": "float32",
        "seed": 0,
    }
    mean = np.full((4, 4, 1), 0.5) if mean is None else mean
    return models.build(name, mean=mean, **{**flags, **changes})


@pytest.mark.parametrize("name", datasets.LOADERS)
def test_every_data_set_keeps_the_contract(name, everything):
    data = datasets.load(name, everything)
    assert data.name == name
    for split in (data.train, data.evaluation):
        assert len(split.examples) == len(split.labels) > 0
        assert split.examples.shape[1:] == data.shape
        assert split.labels.dtype == np.int64
        assert set(split.labels) <= set(range(len(data.label_names)))
        if data.is_pictures:
            assert split.examples.dtype == np.uint8
            assert split.examples.max() <= data.scale
        else:
            assert split.examples.dtype == np.float32
    assert len(data.fingerprint) == 64
    assert datasets.load(name, everything).fingerprint == data.fingerprint


# Every network sees every data set; the other choices take turns.
PAIRS = [
    (dataset, model, config.PRECISIONS[i % 3], config.ACTIVATIONS[i % len(config.ACTIVATIONS)])
    for model in models.MODELS
    for i, dataset in enumerate(datasets.LOADERS)
]


@pytest.mark.parametrize(("dataset", "model", "precision", "activation"), PAIRS)
def test_every_network_takes_every_data_set(dataset, model, precision, activation, everything):
    data = datasets.load(dataset, everything)
    mean = data.train.examples.mean(axis=0) / data.scale
    network = build(model, mean, precision=precision, activation=activation)
    images = data.train.examples[:5].astype(np.float32) / data.scale
    codes = network.encode(images)
    reconstructions = network(images)
    assert codes.shape == (5, 3)
    assert reconstructions.shape == images.shape
    assert codes.dtype == reconstructions.dtype == tf.float32
    assert np.isfinite(reconstructions).all()
    assert all(variable.dtype == "float32" for variable in network.variables)
    np.testing.assert_allclose(network.decode(codes), reconstructions, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", models.MODELS)
def test_initial_weights_depend_on_the_seed_alone(name):
    first, same, other = (build(name, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(first.variables, same.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [v for v in first.trainable_variables if len(v.shape) == 2]
    others = [v for v in other.trainable_variables if len(v.shape) == 2]
    assert not any(np.array_equal(a, b) for a, b in zip(kernels, others, strict=True))
    assert len({np.asarray(k).tobytes() for k in kernels}) == len(kernels)


@pytest.mark.parametrize("name", models.MODELS)
@pytest.mark.parametrize(("output_activation", "tolerance"), [("linear", 1e-6), ("sigmoid", 1e-6)])
def test_an_image_that_is_the_mean_is_reconstructed_before_any_training(name, output_activation, tolerance):
    mean = np.random.default_rng(0).uniform(0.1, 0.9, (4, 4, 1))
    network = build(name, mean, output_activation=output_activation)
    np.testing.assert_allclose(network(np.float32(mean[np.newaxis]))[0], mean, atol=tolerance)


def test_the_decoder_mirrors_the_encoder():
    network = build(hidden=(7, 5, 2))
    kernels = [tuple(v.shape) for v in network.trainable_variables if v.path.endswith("kernel")]
    assert kernels == [(16, 7), (7, 5), (5, 2), (2, 5), (5, 7), (7, 16)]


def test_the_reconstruction_is_the_formula():
    network = build(hidden=(6, 3), activation="tanh", code_activation="sigmoid", output_activation="linear")
    images = np.random.default_rng(0).random((2, 4, 4, 1)).astype(np.float32)
    w = [np.asarray(v, np.float64) for v in network.encoder.trainable_variables]
    code = 1 / (1 + np.exp(-(np.tanh((images - 0.5).reshape(2, 16) @ w[0] + w[1]) @ w[2] + w[3])))
    np.testing.assert_allclose(network.encode(images), code, rtol=1e-5)
    decoder = network.decoder
    v, b = np.asarray(decoder.hidden[0].kernel), np.asarray(decoder.hidden[0].bias)
    pixels = np.tanh(code @ v + b) @ np.asarray(decoder.pixels.kernel)
    np.testing.assert_allclose(network(images), pixels.reshape(2, 4, 4, 1) + 0.5, rtol=1e-5, atol=1e-6)


def test_every_activation_and_optimizer_of_the_flags_exists():
    import keras

    from trainer import steps

    assert all(callable(keras.activations.get(name)) for name in config.ACTIVATIONS)
    assert set(steps.OPTIMIZERS) == set(config.OPTIMIZERS)


@pytest.mark.parametrize(
    ("name", "precision", "loss", "optimizer"),
    [
        (name, config.PRECISIONS[i % 3], config.LOSSES[i % 4], config.OPTIMIZERS[i % 3])
        for name in models.MODELS
        for i in range(4)
    ],
)
def test_every_network_trains_is_restored_and_exported(name, precision, loss, optimizer, tmp_path):
    from trainer import devices, export, losses, steps

    output = "sigmoid" if loss == "bernoulli" else "linear"
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 4, 4, 1), dtype=np.uint8)

    def make(precision=precision):
        network = build(name, precision=precision, output_activation=output)
        return network, steps.make_state(network, optimizer, precision=precision)

    network, state = make()
    step = steps.make_step(
        state,
        losses.LOSSES[loss],
        steps.make_schedule("cosine", 1e-3, 6),
        scale=255.0,
        is_logged=lambda step: step > 0,
    )
    block = steps.make_block(
        step,
        jit=devices.uses_jit("auto", kind="cpu", precision=precision, model=name),
    )
    reports = block(tf.constant(images), 0, 6).numpy()
    assert np.isfinite(reports).all()
    assert (reports[:, steps.GRADIENT_NORM] > 0).all()
    assert state.is_sound()

    path = state.checkpoint().save("ckpt")
    restored, other = make("float32")
    other.checkpoint().restore(path).assert_consumed()
    folder = export.export(restored, tmp_path / "export", 6, input_name="images")
    exported = tf.saved_model.load(str(folder))
    some = images[0].astype(np.float32) / 255
    found = exported.signatures["serving_default"](images=tf.constant(some))["reconstructions"]
    np.testing.assert_allclose(found, restored(some), atol=1e-6)
    np.testing.assert_allclose(found, network(some), atol=0.05 if precision != "float32" else 1e-6)
    codes = exported.signatures["encode"](images=tf.constant(some))["codes"]
    np.testing.assert_allclose(codes, restored.encode(some), atol=1e-6)
