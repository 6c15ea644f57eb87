"""Contracts of every network and every data set, and of all pairs: new entries are tested without new tests."""

import numpy as np
import pytest
import tensorflow as tf
from formats import TFDS, binary_batch, cifar_folder, idx_folder, mnist_arrays
from PIL import Image

from trainer.compute.options import PRECISIONS
from trainer.data import datasets
from trainer.data.builtin import cifar, mnist
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.errors import UsageError
from trainer.models import networks
from trainer.models.options import ACTIVATIONS, ModelOptions
from trainer.training import optimizers
from trainer.training import options as training_options


@pytest.fixture
def sources_of(tmp_path, monkeypatch):
    """Returns a function from the name of a data set to sources with small files."""
    monkeypatch.setattr(cifar, "ROWS_PER_BATCH", 20)
    monkeypatch.setattr(mnist, "NUM_TRAIN", 30)
    monkeypatch.setattr(mnist, "NUM_EVALUATION", 10)
    cifar_folder(tmp_path / "cifar-10-batches-bin", cifar.BINARY_BATCHES, binary_batch, 20)
    idx_folder(tmp_path, mnist.IDX_FILES, mnist_arrays(30, 10), packed=False)
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 6, 3), np.uint8)
    custom = {"images": tmp_path / "images", "array": tmp_path / "a.npy", "table": tmp_path / "t.csv"}
    custom["images"].mkdir()
    for index, pixels in enumerate(images):
        Image.fromarray(pixels).save(custom["images"] / f"{index}.png")
    np.save(custom["array"], images)
    np.savetxt(custom["table"], images[:, 0, :, 0], delimiter=",")
    (tmp_path / "tensorflow_datasets.py").write_text(TFDS.format(splits={"train": 20}))
    monkeypatch.syspath_prepend(tmp_path)
    cache = str(tmp_path / "cache")
    return lambda name: Sources(
        DataOptions(data_dir=str(custom.get(name, tmp_path)), cache_dir=cache, on_bad_file="skip"),
        log=lambda line: None,
    )


def build(name="dense", mean=None, precision="float32", seed=0, **changes):
    options = ModelOptions(**{"model": name, "hidden": (6, 3), "output_activation": "linear", **changes})
    mean = np.full((4, 4, 1), 0.5) if mean is None else mean
    return networks.build(options, mean=mean, precision=precision, seed=seed)


NAMES = [f"{name}:shades" if name in datasets.WITH_VARIANTS else name for name in datasets.LOADERS]


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_fulfills_the_contract(name, sources_of):
    data = datasets.load(name, sources_of(name))
    assert data.name == name
    for split in (data.train, data.evaluation):
        assert len(split.examples) == len(split.labels) > 0
        assert split.examples.shape[1:] == data.shape
        assert split.labels.dtype == np.int64
        assert set(split.labels) <= set(range(len(data.label_names)))
        if data.is_image:
            assert split.examples.dtype == np.uint8
            assert split.examples.max() <= data.scale
        else:
            assert split.examples.dtype == np.float32
    assert len(data.fingerprint) == 64
    assert datasets.load(name, sources_of(name)).fingerprint == data.fingerprint


# Every network with every data set; the other options alternate.
PAIRS = [
    (dataset, model, PRECISIONS[i % 3], ACTIVATIONS[i % len(ACTIVATIONS)], i % 2 == 0)
    for model in networks.MODELS
    for i, dataset in enumerate(NAMES)
]


@pytest.mark.parametrize(("dataset", "model", "precision", "activation", "variational"), PAIRS)
def test_every_network_accepts_every_data_set_or_raises_an_error(
    dataset, model, precision, activation, variational, sources_of
):
    data = datasets.load(dataset, sources_of(dataset))
    if not data.is_image and model in networks.FOR_IMAGES:
        with pytest.raises(UsageError, match="needs images"):
            networks.check_fits(model, data.shape)
        return
    networks.check_fits(model, data.shape)
    mean = data.train.examples.mean(axis=0) / data.scale
    network = build(model, mean, precision=precision, activation=activation, variational=variational)
    assert (network.code_size, network.is_variational) == (3, variational)
    images = data.train.examples[:5].astype(np.float32) / data.scale
    codes = network.encode(images)
    reconstructions = network(images)
    assert codes.shape == (5, 3)
    assert reconstructions.shape == images.shape
    assert codes.dtype == reconstructions.dtype == tf.float32
    assert np.isfinite(reconstructions).all()
    assert all(variable.dtype == "float32" for variable in network.variables)
    np.testing.assert_allclose(network.decode(codes), reconstructions, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", networks.MODELS)
def test_initial_weights_depend_on_the_seed_only(name):
    first, same, other = (build(name, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(first.variables, same.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels, other_kernels = (
        [v for v in network.trainable_variables if v.path.endswith("kernel")] for network in (first, other)
    )
    assert len(kernels) > 3
    assert not any(np.array_equal(a, b) for a, b in zip(kernels, other_kernels, strict=True))
    assert len({np.asarray(kernel).tobytes() for kernel in kernels}) == len(kernels)


@pytest.mark.parametrize("name", networks.MODELS)
@pytest.mark.parametrize(("output_activation", "tolerance"), [("linear", 1e-6), ("sigmoid", 1e-6)])
def test_the_initial_network_reconstructs_the_training_mean(name, output_activation, tolerance):
    mean = np.random.default_rng(0).uniform(0.1, 0.9, (4, 4, 1))
    network = build(name, mean, output_activation=output_activation)
    np.testing.assert_allclose(network(np.float32(mean[np.newaxis]))[0], mean, atol=tolerance)


def test_the_decoder_mirrors_the_encoder():
    network = build(hidden=(7, 5, 2))
    kernels = [tuple(v.shape) for v in network.trainable_variables if v.path.endswith("kernel")]
    assert kernels == [(16, 7), (7, 5), (5, 2), (2, 5), (5, 7), (7, 16)]


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3), (5, 9, 3), (1, 1, 1)])
def test_convolutions_halve_images_and_enlarge_them_again(shape):
    network = build("conv", np.full(shape, 0.5), hidden=(4, 6, 5, 2))
    kernels = {v.path.split("/", 1)[1]: tuple(v.shape) for v in network.trainable_variables}
    smallest = (-(-shape[0] // 8), -(-shape[1] // 8))
    assert kernels["encoder/code/kernel"] == (smallest[0] * smallest[1] * 5, 2)
    assert kernels["decoder/hidden_1/kernel"] == (2, smallest[0] * smallest[1] * 5)
    assert network(np.zeros((2, *shape), np.float32)).shape == (2, *shape)


def test_tied_weights_are_transposed_encoder_weights_and_get_gradients_from_the_decoder():
    network = build(hidden=(6, 3), tied=True, activation="tanh")
    assert [v.path.split("/", 1)[-1] for v in network.trainable_variables if v.path.endswith("kernel")] == [
        "encoder/hidden_1/kernel",
        "encoder/code/kernel",
    ]
    w, v = (np.asarray(layer.kernel, np.float64) for layer in network.encoder.layers)
    codes = np.random.default_rng(0).random((2, 3)).astype(np.float32)
    pixels = np.tanh(codes @ v.T) @ w.T
    np.testing.assert_allclose(network.decode(codes), pixels.reshape(2, 4, 4, 1) + 0.5, rtol=1e-5, atol=1e-6)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(network.decode(tf.constant(codes)))
    assert float(tf.norm(tape.gradient(value, network.encoder.code.kernel.value))) > 0


@pytest.mark.parametrize(("tied", "layerwise"), [(True, False), (False, True)])
def test_tied_weights_and_pretraining_are_rejected_without_a_mirrored_decoder(tied, layerwise):
    networks.check(ModelOptions(tied=tied, hidden=(4, 4)), layerwise=layerwise)
    with pytest.raises(UsageError, match="mirrors the encoder"):
        networks.check(ModelOptions(model="conv", tied=tied, hidden=(4, 4)), layerwise=layerwise)


def test_a_convolutional_network_without_a_convolution_is_rejected():
    with pytest.raises(UsageError, match="--hidden=32,64,128"):
        networks.check(ModelOptions(model="conv", hidden=(32,)))


def test_the_reconstruction_agrees_with_the_formula():
    network = build(hidden=(6, 3), activation="tanh", code_activation="sigmoid", output_activation="linear")
    images = np.random.default_rng(0).random((2, 4, 4, 1)).astype(np.float32)
    w = [np.asarray(v, np.float64) for v in network.encoder.trainable_variables]
    code = 1 / (1 + np.exp(-(np.tanh((images - 0.5).reshape(2, 16) @ w[0] + w[1]) @ w[2] + w[3])))
    np.testing.assert_allclose(network.encode(images), code, rtol=1e-5)
    decoder = network.decoder
    v, b = np.asarray(decoder.hidden[0].kernel), np.asarray(decoder.hidden[0].bias)
    pixels = np.tanh(code @ v + b) @ np.asarray(decoder.pixels.kernel)
    np.testing.assert_allclose(network(images), pixels.reshape(2, 4, 4, 1) + 0.5, rtol=1e-5, atol=1e-6)


def test_every_activation_and_optimizer_of_the_options_exists():
    import keras

    assert all(callable(keras.activations.get(name)) for name in ACTIVATIONS)
    assert set(optimizers.OPTIMIZERS) == set(training_options.OPTIMIZERS)
