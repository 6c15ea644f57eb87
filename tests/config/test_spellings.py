"""Alternative spellings of flags and values are accepted and stored in the declared spelling."""

import pytest

from trainer import config
from trainer.config.flagfile import to_flagfile
from trainer.data.datasets import LOADERS
from trainer.data.options import DataOptions
from trainer.models.networks import MODELS

TABLE = ("--dataset=table", "--data_dir=rows.csv")


@pytest.mark.parametrize("flag", ["--standardize", "--standardize=true", "--standardise"])
def test_the_us_spelling_of_a_flag_sets_the_declared_flag(flag):
    parsed, names = config.parse([*TABLE, flag])
    assert parsed.data.standardise
    assert names == {"dataset", "data_dir", "standardise"}
    assert "--standardise=true" in to_flagfile(parsed)
    assert "standardize" not in to_flagfile(parsed)


def test_the_us_spelling_of_a_flag_can_be_negated():
    assert config.parse(["--binarize"])[0].training.binarise
    assert not config.parse(["--binarise", "--nobinarize"])[0].training.binarise


@pytest.mark.parametrize("color", ["gray", "grey"])
def test_gray_and_grey_are_the_same_color(color):
    parsed, _ = config.parse(["--dataset=images", "--data_dir=photos", f"--color={color}"])
    assert parsed.data.color == "grey"
    assert DataOptions(color=color).color == "grey"
    assert "--color=grey" in to_flagfile(parsed)


def test_the_help_names_every_data_set_and_network():
    descriptions = {name: declared.description for name, declared in config.OPTIONS.items()}
    for name in LOADERS:
        assert name in descriptions["dataset"] or name.startswith("cifar_"), name
    assert all(f"{name} (" in descriptions["model"] for name in MODELS)
