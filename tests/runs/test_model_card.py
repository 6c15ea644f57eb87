"""The model card of an exported network, by value."""

import dataclasses

import trainer
from trainer.runs.model_card import Card, render

CARD = Card(
    name="digits|48",
    dataset="digits",
    fingerprint="ab" * 32,
    network="dense 64 -> 16 -> 64, 2,128 weights",
    step=5_000,
    errors={"eval/reconstruction/rmse": 0.0916649, "floor/pca/eval": 0.110193, "floor/mean/eval": 0.271888},
    unit="of pixels from 0 to 1",
    input_name="images",
    fills_missing=False,
    shape=(8, 8, 1),
    code_size=16,
    is_variational=False,
    thresholds={"0.001": None, "0.01": 1.25, "0.05": 0.875},
)


def test_the_card_says_what_the_network_is_and_how_good():
    lines = render(CARD).splitlines()
    assert lines[0] == "# digits|48"
    assert "| network | dense 64 -> 16 -> 64, 2,128 weights |" in lines
    assert f"| training | 5,000 steps, Hourglass {trainer.__version__} |" in lines
    assert f"| fingerprint of the data | SHA-256 `{'ab' * 32}` |" in lines
    assert "| run | `digits\\|48` |" in lines
    assert "| evaluation | 0.09166 | 0.11019 | 0.27189 |" in lines
    assert not any(line.startswith("| training | 0") for line in lines)


def test_errors_that_are_not_known_are_left_out():
    assert "## Errors" not in render(dataclasses.replace(CARD, errors={}))
    errors = {"train/reconstruction/rmse": 0.5}
    assert "| training | 0.50000 | - | - |" in render(dataclasses.replace(CARD, errors=errors)).splitlines()


def test_only_thresholds_that_the_held_out_examples_support_are_listed():
    lines = render(CARD).splitlines()
    assert "| 1.0% | 1.25 |" in lines
    assert "| 5.0% | 0.875 |" in lines
    assert not any(line.startswith("| 0.1%") for line in lines)
    without = render(dataclasses.replace(CARD, thresholds={"0.01": None}))
    assert "There are too few held-out scores for a threshold." in without


def test_the_commands_name_the_folder_and_a_model_without_special_characters():
    text = render(CARD)
    assert (
        'docker run -p 8501:8501 -v "$PWD/export:/models/digits_48" -e MODEL_NAME=digits_48 tensorflow/serving' in text
    )
    assert "the folder that contains `export/5000/`" in text


def test_signatures_have_their_shapes():
    lines = render(CARD).splitlines()
    assert "| `score` | `images` [N, 8, 8, 1] | `scores` [N], `errors` [N, 8, 8, 1] |" in lines
    assert "| `decode` | `codes` [N, 16] | `reconstructions` [N, 8, 8, 1] |" in lines
    assert not any(line.startswith("| `generate`") for line in lines)
    variational = render(dataclasses.replace(CARD, is_variational=True)).splitlines()
    assert "| `generate` | `count` int32, `seed` [2] int64 | `reconstructions` [count, 8, 8, 1] |" in variational
