"""The scores of the evaluation examples in the manifests of a run."""

import numpy as np

from trainer.checkpoints import manifest as manifests
from trainer.data import datasets
from trainer.data.sources import Sources
from trainer.evaluation import scores
from trainer.evaluation.calibration import Calibration


def test_the_manifest_of_an_evaluated_step_has_the_scores_of_its_network(finished):
    import tensorflow as tf

    stored = manifests.read(finished / "checkpoints", 40).scores
    some = Calibration.from_json(stored)
    images = datasets.load("digits", Sources()).evaluation.examples / np.float32(16)
    network = tf.saved_model.load(str(finished / "export" / "40"))
    outputs = network.reconstruct(images)["reconstructions"].numpy()
    expected = scores.total(scores.parts(images, outputs, scoring=scores.RELATIVE))
    assert (some.count, some.scoring) == (297, scores.RELATIVE)
    np.testing.assert_allclose(some.scores, np.sort(expected), rtol=1e-4)
    assert all(float(f"{score:.9g}") == score for score in stored["scores"])


def test_only_evaluated_steps_have_scores(finished):
    steps = range(1, 41)
    have = [step for step in steps if manifests.read(finished / "checkpoints", step, rehash=False).scores]
    assert have == [10, 20, 30, 40]
