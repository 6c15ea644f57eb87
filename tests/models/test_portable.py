"""Networks computed with NumPy, compared with TensorFlow."""

import numpy as np
import pytest

from trainer.checkpoints import bundle
from trainer.models import networks, options, portable
from trainer.models.options import ModelOptions
from trainer.training import steps

SHAPES = {"dense": ((5,), (4, 4, 1)), "conv": ((9, 6, 3), (8, 8, 1))}
WIDTHS = {"dense": ((3,), (6, 4, 2)), "conv": ((3, 2), (4, 3, 2))}
CASES = [
    (model, shape, hidden, activation, tied, variational)
    for model in networks.MODELS
    for shape in SHAPES[model]
    for hidden in WIDTHS[model]
    for activation in ("swish", "gelu")
    for tied in ((False, True) if model in networks.MIRRORED else (False,))
    for variational in (False, True)
]


def build(model, shape, hidden, activation, tied, variational, **statistics):
    """Returns a network of TensorFlow whose weights are all random, and its options."""
    rng = np.random.default_rng(3)
    chosen = ModelOptions(
        model=model,
        hidden=hidden,
        activation=activation,
        code_activation="tanh",
        output_activation="sigmoid",
        tied=tied,
        variational=variational,
    )
    network = networks.build(chosen, mean=rng.random(shape), precision="float32", seed=1, **statistics)
    for variable in network.trainable_variables:
        variable.assign(variable.numpy() + rng.normal(0, 0.3, variable.shape))
    return network, vars(chosen)


def portable_network(network, chosen):
    statistics = {name: getattr(network, name) for name in ("mean", "unit", "offset")}
    return portable.network(
        chosen,
        **{name: None if value is None else value.numpy() for name, value in statistics.items()},
        bias=network.decoder.bias.numpy(),
        trainable=[v.numpy() for v in network.trainable_variables if v is not network.decoder.bias],
    )


def test_every_network_has_a_portable_form():
    assert portable.PROGRAMS.keys() == networks.MODELS.keys()
    assert portable.ACTIVATIONS.keys() == set(options.ACTIVATIONS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_codes_and_reconstructions_equal_those_of_tensorflow(case):
    network, chosen = build(*case)
    same = portable_network(network, chosen)
    images = np.random.default_rng(5).random((7, *case[1])).astype(np.float32)
    codes = network.encode(images).numpy()
    np.testing.assert_allclose(same.encode(images), codes, rtol=0, atol=1e-5 * np.abs(codes).max())
    np.testing.assert_allclose(same.decode(codes), network.decode(codes), rtol=0, atol=1e-5)
    assert same.encode(images).dtype == same.decode(codes).dtype == np.float32


def test_the_cost_of_an_example_counts_products_and_numbers():
    dense = portable_network(*build("dense", (5,), (3,), "relu", False, False))
    assert dense.cost == 2 * 5 * 3 + portable.NUMBER_COST * (5 + 3 + 3 + 5)
    conv = portable_network(*build("conv", (8, 8, 1), (4, 2), "relu", False, False))
    products = 4 * 4 * 9 * 4 + 64 * 2 + 2 * 64 + 4 * 4 * 9 * 4 * 4
    assert conv.cost == products + portable.NUMBER_COST * (64 + 64 + 2 + 2 + 64 + 64 + 64 + 64)


@pytest.mark.parametrize("name", options.ACTIVATIONS)
def test_activations_equal_those_of_keras(name):
    import keras

    values = np.concatenate([np.linspace(-9, 9, 101), [-90, 90]]).astype(np.float32)
    np.testing.assert_allclose(portable.ACTIVATIONS[name](values), keras.activations.get(name)(values), atol=2e-6)


def test_standardized_rows_with_missing_numbers_equal_those_of_tensorflow():
    unit = np.float32([1, 2, 3, 4, 5])
    network, chosen = build("dense", (5,), (3,), "swish", False, False, unit=unit, fills_missing=True)
    rows = np.random.default_rng(5).normal(size=(4, 5)).astype(np.float32)
    rows[1, 2] = np.nan
    codes = network.encode(network.standardize(rows)).numpy()
    same = portable_network(network, chosen)
    np.testing.assert_allclose(same.encode(rows), codes, atol=1e-6)
    np.testing.assert_allclose(same.decode(codes), network.unstandardize(network.decode(codes)), rtol=1e-5)


def test_the_arrays_of_a_checkpoint_are_those_that_tensorflow_reads(tmp_path):
    import tensorflow as tf

    network, chosen = build("conv", (8, 8, 1), (4, 3, 2), "relu", False, True)
    state = steps.make_state(network, "adam", precision="float32")
    prefix = tmp_path / "ckpt-3"
    state.checkpoint().write(str(prefix))
    reader = tf.train.load_checkpoint(str(prefix))
    names = bundle.variables(prefix)
    expected = {name for name in reader.get_variable_to_shape_map() if name.endswith(bundle.VALUE)}
    assert {name + bundle.VALUE for name in names} == expected
    for name, array in bundle.read(prefix, list(names)).items():
        np.testing.assert_array_equal(array, reader.get_tensor(name + bundle.VALUE), name)
    assert bundle.read(prefix, ["absent"]) == {}
    loaded = portable.network(chosen, **bundle.network_arrays(prefix)._asdict())
    images = np.random.default_rng(5).random((2, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(loaded.encode(images), network.encode(images), atol=1e-5)
