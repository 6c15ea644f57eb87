"""The benchmark: what it compares is the same network, and what it prints is what was measured."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from speed import __main__ as command
from speed import compare, data, floors, protocol
from speed.workloads import WORKLOADS, Inputs, Workload, activations, layers

from trainer import config
from trainer.data import datasets
from trainer.data.dataset import Data, Split
from trainer.data.sources import Sources
from trainer.runs import builder

CHECKOUT = pathlib.Path(__file__).parents[1]
SMALL = Workload(
    dataset="x",
    shape=(4, 4, 1),
    examples=20,
    batch_size=5,
    hidden=(6, 3),
    activation="tanh",
    code_activation="sigmoid",
    optimizer="adam",
    learning_rate=0.01,
)
FUNCTIONS = {
    "linear": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def images(shape, count=20):
    return data.pictures(count, shape, seed=1)


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_flags_of_a_workload_are_hourglasss(name):
    workload = WORKLOADS[name]
    for precision in ("float32", "mixed_bfloat16"):
        given, _ = config.parse(workload.flags(precision))
        assert (given.hidden, given.batch_size, given.precision) == (workload.hidden, workload.batch_size, precision)
        assert (given.optimizer, given.schedule, given.loss) == (workload.optimizer, "constant", "mse")


def test_the_others_layers_are_hourglasss_network(tmp_path):
    pictures = images(SMALL.shape)
    split = Split(pictures, np.zeros(len(pictures), np.int64))
    made = Data(name="x", train=split, evaluation=split, label_names=("x",), scale=255.0, source="")
    given, _ = config.parse([flag for flag in SMALL.flags("float32") if "dataset" not in flag])
    model = builder.network(given, made, "float32")
    weights = {v.path.removeprefix("autoencoder/"): v.numpy() for v in model.trainable_variables}
    Inputs(pictures, model.mean.numpy(), weights).write(tmp_path)
    inputs = Inputs.read(tmp_path)
    scaled = inputs.images.reshape(len(pictures), -1) / np.float32(255)
    values = scaled - inputs.mean.ravel()
    for (kernel, bias), activation in zip(layers(inputs.weights), activations(SMALL), strict=True):
        values = FUNCTIONS[activation](values @ kernel + bias)
    expected = model(pictures / np.float32(255)).numpy().reshape(len(pictures), -1)
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_pictures_made_here_are_read_as_the_data_sets_and_none_is_like_another(tmp_path, monkeypatch):
    monkeypatch.setattr(data.mnist, "NUM_TRAIN", 30)
    monkeypatch.setattr(data.mnist, "NUM_EVALUATION", 20)
    data.write(tmp_path)
    found = datasets.load("mnist", Sources(str(tmp_path)))
    assert found.train.examples.shape == (30, 28, 28, 1)
    assert len(np.unique(found.train.examples.reshape(30, -1), axis=0)) == 30
    horses = datasets.load("cifar_horse", Sources(str(tmp_path)))
    assert horses.train.examples.shape == (5_000, 32, 32, 1)


def test_ratios_are_the_median_of_rounds_and_a_contender_that_learnt_less_is_named():
    fast = compare.Row("launch.py", "fast", [10.0, 20.0, 90.0], 0.50, [0.01, 0.03, 0.02])
    slow = compare.Row("keras", "slow", [30.0, 40.0, 90.0], 0.51)
    lazy = compare.Row("lazy", "lazy", [1.0, 1.0, 1.0], 0.60)
    assert slow.against(fast) == 2.0
    assert compare.unequal([fast, slow, lazy]) == [lazy]
    lines = compare.table([fast, slow]).splitlines()
    assert lines[0] == "|  | us a step | x launch.py | loss | not training |"
    assert lines[2] == "| fast | 20 | 1.00 | 0.50000 | 2.0% |"
    assert lines[3] == "| slow | 40 | 2.00 | 0.51000 |  |"


def test_a_contender_answers_what_it_is_asked_and_nothing_that_libraries_print():
    script = (
        "from speed.protocol import serve\n"
        "class Loud:\n"
        "    done = 0\n"
        "    def epochs(self, count): self.done += count; print('noise')\n"
        "    def loss(self): return 1 / self.done\n"
        "serve(Loud)\n"
    )
    asked = [{"ask": "epochs", "epochs": 4}, {"ask": "loss"}]
    done = subprocess.run(
        [sys.executable, "-c", script],
        input="".join(json.dumps(question) + "\n" for question in asked),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(CHECKOUT / "scripts")},
    )
    ready, trained, loss = map(json.loads, done.stdout.splitlines())
    assert ready == {"ready": True}
    assert trained["seconds"] > 0
    assert loss == {"loss": 0.25}
    assert protocol.Contender


def test_the_floors_are_of_the_work_of_a_step():
    names = [name for name, _, _ in floors.floors(SMALL, "float32")]
    assert names == ["products", "optimizer", "bytes"]
    weights = 16 * 6 + 6 + 6 * 3 + 3 + 3 * 6 + 6 + 6 * 16 + 16
    assert floors.bytes_moved(SMALL) == 2 * 4 * 3 * weights + 5 * 16
    assert not floors.floors(SMALL, "mixed_bfloat16")


def test_an_unknown_workload_or_contender_names_the_known_ones(capsys):
    for arguments in (["bok"], ["--only=kears"]):
        with pytest.raises(SystemExit):
            command.parse(arguments)
    assert "there are book, ibm" in capsys.readouterr().err
