"""The examples of CONTRIBUTING work as they are printed."""

import pathlib
import re
import sys
import types

import pytest
from absl import flags as absl_flags
from checkout import ROOT
from readers import scalars

from trainer.system.options import MATHEMATICS, options_of

EXAMPLE = re.compile(r"```python\n# (\S+)\n(.*?)```", re.DOTALL)
EXAMPLES = dict(EXAMPLE.findall((ROOT / "CONTRIBUTING.md").read_text()))
SHORT = ("--steps=4", "--batch_size=20", "--run_dir=run")


@pytest.fixture
def example(monkeypatch):
    """Executes the example of a file: example("trainer/models/shallow.py") -> a module of that name."""

    def execute(path: str) -> types.ModuleType:
        module = types.ModuleType(path.removesuffix(".py").replace("/", "."))
        exec(compile(EXAMPLES[path], path, "exec"), vars(module))
        if module.__name__ not in sys.modules:
            monkeypatch.setitem(sys.modules, module.__name__, module)
        return module

    return execute


def test_every_example_is_tested_here():
    text = (ROOT / "tests" / "test_contributing.py").read_text()
    assert len(EXAMPLES) == 5
    assert all(f'example("{path}")' in text for path in EXAMPLES)


@pytest.mark.whole
def test_the_example_of_a_data_set_trains(example, launch, monkeypatch, tmp_path):
    from trainer.data.datasets import LOADERS

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(LOADERS, "stripes", example("trainer/data/builtin/stripes.py").load_stripes)
    code, output, error = launch("--dataset=stripes", *SHORT)
    assert (code, error) == (0, "")
    assert "stripes: 80 train, 20 eval, 8x8x1, generated" in output


@pytest.mark.whole
def test_the_example_of_a_network_trains(example, launch, monkeypatch, tmp_path):
    from trainer.models.networks import MODELS

    monkeypatch.chdir(tmp_path)
    example("trainer/models/shallow.py")
    monkeypatch.setitem(MODELS, "shallow", "trainer.models.shallow:shallow")
    code, output, error = launch("--model=shallow", "--hidden=6", *SHORT)
    assert (code, error) == (0, "")
    assert "shallow 64 -> 6 -> 12 -> 64" in output


def test_the_example_of_a_noise_adds_that_noise(example):
    import tensorflow as tf

    from trainer.compute import randomness

    key = randomness.step_key(0, tf.constant(1, tf.int64))
    noisy = example("trainer/training/noise.py").uniform(tf.ones([50, 40]), 0.5, 0.0, 1.0, key).numpy()
    assert 0.5 <= noisy.min() < 0.51
    assert 1.49 < noisy.max() <= 1.5
    assert abs(noisy.mean() - 1) < 0.02


def test_the_example_of_a_flag_is_a_flag(example):
    from trainer.config.flags import _define, describe

    (option,) = options_of(example("trainer/training/options.py").TrainingOptions)
    values = absl_flags.FlagValues()
    _define(option, values)
    values(["", "--clip_norm=2"])
    assert values.clip_norm == 2.0
    assert option.kind == MATHEMATICS
    assert describe(option) == "Clip the gradient to this Euclidean norm. 0: do not clip. Default: 0.0"


def test_the_example_of_a_tag_appears_in_tensorboard(example, launch, monkeypatch, tmp_path):
    from trainer.evaluation.metrics import Metrics
    from trainer.summaries.tags import TAGS

    code_norm, diagnostics = example("trainer/evaluation/statistics.py").code_norm, Metrics.diagnostics
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TAGS, "latent/code_norm", "Mean Euclidean norm of the codes.")
    monkeypatch.setattr(
        Metrics,
        "diagnostics",
        lambda self, errors, result: diagnostics(self, errors, result) | code_norm(result.codes),
    )
    assert launch(*SHORT)[0] == 0
    points = scalars(pathlib.Path("run/eval"))["latent/code_norm"]
    assert list(points) == [0, 1, 2, 3, 4]
    assert min(points.values()) > 0
