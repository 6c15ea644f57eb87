"""Objectives and pretraining stages, compared with NumPy formulas."""

import math

import numpy as np
import pytest
import tensorflow as tf

from trainer.compute import randomness
from trainer.models import networks
from trainer.models.options import ModelOptions
from trainer.training import losses, pretraining, steps
from trainer.training.noise import Noise
from trainer.training.objective import Objective, loss_term_tags

IMAGES = np.random.default_rng(0).random((6, 4, 4, 1)).astype(np.float32)


def key():
    return randomness.step_key(1, tf.constant(9, tf.int64))


def network(**changes):
    options = ModelOptions(**{"hidden": (6, 3), "activation": "tanh", "output_activation": "linear", **changes})
    return networks.build(options, mean=IMAGES.mean(axis=0), precision="float32", seed=2)


def make(loss="mse", **changes):
    return Objective(loss=losses.LOSSES[loss], num_pixels=16, **changes)


def batch_loss(objective, model):
    value, terms = objective.batch_loss(model, tf.constant(IMAGES), key())
    return float(value), [float(term) for term in terms]


def test_a_variational_objective_is_the_negative_evidence_lower_bound():
    model = network(variational=True, output_activation="sigmoid")
    mean, log_variance = (np.asarray(values, np.float64) for values in model.posterior(IMAGES))
    assert np.abs(log_variance).max() > 0.1
    noise = randomness.normal(randomness.purpose_key(key(), randomness.SAMPLE), [6, 3]).numpy()
    logits = np.asarray(model.logits(np.float32(mean + np.exp(log_variance / 2) * noise)), np.float64)
    p = 1 / (1 + np.exp(-logits))
    log_likelihood = (IMAGES * np.log(p) + (1 - IMAGES) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean()
    kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(axis=1).mean()
    for beta in (1.0, 4.0):
        value, terms = batch_loss(make("bernoulli", beta=beta), model)
        assert value == pytest.approx(-log_likelihood + beta * kl, rel=1e-5)
        assert terms == pytest.approx([log_likelihood, kl], rel=1e-5)
    assert loss_term_tags(variational=True, sparsity=0) == ("elbo/reconstruction", "elbo/kl")


def test_a_denoising_objective_compares_with_the_clean_image():
    model, noise = network(), Noise("masking", 0.5, np.float32(0), np.float32(1))
    corrupted = noise(tf.constant(IMAGES), key())
    expected = np.square(np.asarray(model(corrupted)) - IMAGES).mean()
    assert batch_loss(make(noise=noise), model)[0] == pytest.approx(expected, rel=1e-5)
    assert not np.array_equal(corrupted, IMAGES)


def test_a_sparse_objective_adds_the_codes_absolute_values():
    model = network()
    reconstruction, l1 = batch_loss(make(), model)[0], np.abs(np.asarray(model.encode(IMAGES))).sum(axis=1).mean()
    assert batch_loss(make(sparsity=0.3), model) == (pytest.approx(reconstruction + 0.3 * l1), [pytest.approx(l1)])


def test_input_and_target_are_shifted_and_binarized_alike():
    objective, model = make(binarize=True, shift=1), network()
    images = objective.augment(tf.constant(IMAGES), key()).numpy()
    assert set(np.unique(images)) == {0.0, 1.0}
    value, _ = objective.step_loss(model, tf.constant(IMAGES), tf.constant(9), seed=1)
    assert float(value) == pytest.approx(np.square(np.asarray(model(images)) - images).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "variational", "is_plain"),
    [({}, False, True), ({"sparsity": 0.1}, False, False), ({}, True, False), ({"binarize": True}, False, False)],
)
def test_a_plain_objective_has_no_other_terms(changes, variational, is_plain):
    assert make(**changes).is_plain(network(variational=variational)) == is_plain


# Layerwise pretraining


def network_and_loss(stage, loss="mse", **changes):
    model = network(hidden=(6, 5, 3))
    return model, pretraining.make_loss(model, make(loss, **changes), stage, seed=1, num_loss_terms=0)


def test_a_stage_trains_one_layer_and_its_mirror():
    model = network(hidden=(6, 5, 3))
    names = [[v.path.removeprefix("autoencoder/") for v in pretraining.variables(model, i)] for i in range(3)]
    assert names == [
        ["encoder/hidden_1/kernel", "encoder/hidden_1/bias", "decoder/pixels/kernel", "decoder/bias"],
        *(
            [f"encoder/{layer}/kernel", f"encoder/{layer}/bias", f"decoder/{mirror}/kernel", f"decoder/{mirror}/bias"]
            for layer, mirror in (("hidden_2", "hidden_2"), ("code", "hidden_1"))
        ),
    ]


def test_the_first_stage_reconstructs_images_and_later_stages_features():
    model, loss = network_and_loss(0)
    w, v = model.encoder.layers[0], model.decoder.pixels
    features = np.tanh((IMAGES - IMAGES.mean(axis=0)).reshape(6, 16) @ np.asarray(w.kernel))
    pixels = (features @ np.asarray(v.kernel)).reshape(IMAGES.shape) + IMAGES.mean(axis=0)
    assert float(loss(tf.constant(IMAGES), tf.constant(0))[0]) == pytest.approx(np.square(pixels - IMAGES).mean(), 1e-5)
    model, loss = network_and_loss(1)
    code = np.tanh(features @ np.asarray(model.encoder.layers[1].kernel))
    outputs = np.tanh(code @ np.asarray(model.decoder.layers[1].kernel))
    assert float(loss(tf.constant(IMAGES), tf.constant(0))[0]) == pytest.approx(
        np.square(outputs - features).mean(), 1e-5
    )


def test_noise_corrupts_the_input_of_the_trained_layer_and_the_target_is_clean():
    noise = Noise("salt_and_pepper", 0.5, np.float32(0), np.float32(1))
    model, loss = network_and_loss(1, noise=noise)
    first, second, mirror = (model.encoder.layers[0], model.encoder.layers[1], model.decoder.layers[1])
    features = np.asarray(first(tf.reshape(model.centered(IMAGES), [6, 16])))
    extremes = features.min(axis=0), features.max(axis=0)
    corrupted = Noise("salt_and_pepper", 0.5, *extremes)(tf.constant(features), randomness.step_key(1, tf.constant(3)))
    assert (np.asarray(corrupted) == extremes[1]).sum() > 6  # Each of 6 features has one maximum without noise.
    expected = np.square(np.asarray(mirror(second(corrupted))) - features).mean()
    assert float(loss(tf.constant(IMAGES), tf.constant(3))[0]) == pytest.approx(expected, rel=1e-5)


def test_each_stage_starts_with_a_reset_optimizer():
    model = network(hidden=(6, 5, 3))
    state = steps.make_state(model, "adam", precision="float32")

    def step_of(stage):
        trained = pretraining.variables(model, stage) if stage < 3 else None
        objective = make()
        whole_loss = lambda images, step: objective.batch_loss(model, images, key())  # noqa: E731
        loss = pretraining.make_loss(model, objective, stage, seed=1, num_loss_terms=0) if stage < 3 else whole_loss
        schedule = steps.make_schedule("constant", 1e-3, 9)
        return steps.make_step(state, loss, schedule, scale=1.0, is_logged=None, variables=trained)

    block = steps.switch_by_stage([steps.make_block(step_of(i), jit=False) for i in range(4)], (2, 4, 6), state)
    data, updated = tf.constant(np.repeat(IMAGES[np.newaxis], 2, axis=0)), []
    for stage in range(4):
        before = [np.asarray(v).copy() for v in model.trainable_variables]
        report = block(data, 0, 1).numpy()[0]
        assert int(state.optimizer.iterations) == 1
        assert report[steps.UPDATE_NORM] > 0
        block(data, 1, 2)
        assert int(state.optimizer.iterations) == 2
        changed = [not np.array_equal(a, b) for a, b in zip(before, model.trainable_variables, strict=True)]
        updated.append({v.path for v, is_changed in zip(model.trainable_variables, changed, strict=True) if is_changed})
        # The first update of Adam equals the learning rate wherever the gradient is not 0.
        assert report[steps.UPDATE_NORM] == pytest.approx(1e-3 * math.sqrt(num_trained_weights(model, stage)), rel=0.05)
    assert [len(names) for names in updated] == [4, 4, 4, len(model.trainable_variables)]
    assert updated[3] == set.union(*updated[:3])


def num_trained_weights(model, stage):
    trained = pretraining.variables(model, stage) if stage < 3 else model.trainable_variables
    return sum(np.asarray(v).size for v in trained)
