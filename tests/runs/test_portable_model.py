"""Trained networks that NumPy computes, from a checkpoint, compared with TensorFlow."""

import numpy as np
import pytest
from kinds import CASES, ids, make

from trainer.checkpoints.catalog import Entry
from trainer.compute import devices
from trainer.runs import portable_model
from trainer.runs.portable_model import PortableModel
from trainer.runs.trained import TrainedModel

OF_NETWORK = ("data", "model", "variational", "more")  # the options that change the network, not only its training
KINDS = list({tuple(case[name] for name in OF_NETWORK): case for case in CASES}.values())


def both_models(case, folder):
    """Returns a network with random weights as TensorFlow computes it, and as read from its checkpoint."""
    config, data, state = make(case, "float32")
    rng = np.random.default_rng(1)
    for variable in state.model.trainable_variables:
        variable.assign(variable.numpy() + rng.normal(0, 0.2, variable.shape))
    state.checkpoint().write(str(folder / "ckpt-4"))
    device = devices.Device("cpu", "/CPU:0", False, 2, "CPU")
    portable = PortableModel.load(config, Entry(4, folder, None))
    return data, TrainedModel(config, device, state.model), portable


def assert_close(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("case", KINDS, ids=ids)
def test_numpy_and_tensorflow_compute_the_same_from_a_checkpoint(case, tmp_path):
    data, trained, portable = both_models(case, tmp_path)
    codes, expected = (model.encode(data.train.examples[:9], data.scale) for model in (portable, trained))
    assert codes.keys() == expected.keys() == ({"codes"} | ({"log_variances"} if case["variational"] else set()))
    for name, values in expected.items():
        assert_close(codes[name], values)
    assert_close(portable.decode(expected["codes"]), trained.decode(expected["codes"]))
    assert (portable.shape, portable.code_size) == (trained.shape, trained.code_size) == (data.shape, 3)


def test_batches_do_not_change_what_numpy_computes(tmp_path, monkeypatch):
    case = next(case for case in KINDS if case["variational"])
    data, _, portable = both_models(case, tmp_path)
    whole = portable.encode(data.train.examples, data.scale)
    images = portable.decode(whole["codes"])
    monkeypatch.setattr(portable_model, "BATCH_COST", 7 * portable.cost)
    for name, values in portable.encode(data.train.examples, data.scale).items():
        np.testing.assert_allclose(values, whole[name], atol=1e-6)
    np.testing.assert_allclose(portable.decode(whole["codes"]), images, atol=1e-6)
