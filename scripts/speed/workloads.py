"""What is trained to be timed: plain data, and what its data set and first weights are."""

import dataclasses
import pathlib

import numpy as np

INPUTS = "inputs.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """A network, its data and how it is trained; the loss is the mean squared error, the last layer linear.

    Attributes:
      dataset: Hourglass's name of the data.
      shape: of one example.
      classes: of them; empty: all.
      examples: how many there are.
      batch_size: examples a step.
      model: dense or conv.
      hidden: widths, or filters and the code, of the encoder; the decoder mirrors it.
      activation, code_activation: of hidden layers, of the code.
      optimizer: rmsprop or adam, with Keras's default constants.
      learning_rate: constant.
      check_epochs: after so many of them losses are compared.
    """

    dataset: str
    shape: tuple[int, ...]
    classes: str = ""
    examples: int
    batch_size: int
    model: str = "dense"
    hidden: tuple[int, ...]
    activation: str
    code_activation: str = "linear"
    optimizer: str
    learning_rate: float
    check_epochs: int = 1

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the data."""
        return self.examples // self.batch_size

    @property
    def widths(self) -> tuple[int, ...]:
        """Of a dense network, from an example's numbers to an example's numbers."""
        pixels = int(np.prod(self.shape))
        return (pixels, *self.hidden, *self.hidden[-2::-1], pixels)

    def flags(self, precision: str) -> list[str]:
        """Hourglass's."""
        return [
            f"--dataset={self.dataset}",
            f"--classes={self.classes}",
            f"--model={self.model}",
            f"--hidden={','.join(map(str, self.hidden))}",
            f"--activation={self.activation}",
            f"--code_activation={self.code_activation}",
            "--loss=mse",
            f"--optimizer={self.optimizer}",
            f"--learning_rate={self.learning_rate}",
            "--schedule=constant",
            f"--batch_size={self.batch_size}",
            f"--precision={precision}",
        ]


MNIST = {"dataset": "mnist", "shape": (28, 28, 1), "examples": 60_000}
WORKLOADS = {
    "book": Workload(
        dataset="cifar_horse",
        shape=(32, 32, 1),
        examples=5_000,
        batch_size=10,
        hidden=(100,),
        activation="relu",
        code_activation="tanh",
        optimizer="rmsprop",
        learning_rate=1e-3,
    ),
    "ibm": Workload(
        **MNIST,
        batch_size=256,
        hidden=(256, 128, 32),
        activation="sigmoid",
        code_activation="relu",
        optimizer="rmsprop",
        learning_rate=1e-3,
        check_epochs=2,
    ),
    "unist": Workload(
        **MNIST,
        batch_size=500,
        hidden=(500, 300, 2),
        activation="tanh",
        optimizer="adam",
        learning_rate=1e-4,
    ),
    "hinton": Workload(
        **MNIST,
        batch_size=1_000,
        hidden=(1_000, 500, 250, 30),
        activation="relu",
        optimizer="adam",
        learning_rate=1e-3,
    ),
    "conv": Workload(
        dataset="cifar10",
        classes="horse",  # so that an epoch is no longer than a turn
        shape=(32, 32, 3),
        examples=5_000,
        batch_size=100,
        model="conv",
        hidden=(32, 64, 256),
        activation="relu",
        optimizer="adam",
        learning_rate=1e-3,
        check_epochs=5,
    ),
}


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What every contender begins with.

    Attributes:
      images: [N, ...] uint8.
      mean: of the training images in [0, 1], the shape of one.
      weights: by Hourglass's names, such as encoder/code/kernel; float32.
    """

    images: np.ndarray
    mean: np.ndarray
    weights: dict[str, np.ndarray]

    @classmethod
    def read(cls, folder: pathlib.Path) -> "Inputs":
        """As `prepare` wrote them."""
        with np.load(folder / INPUTS) as stored:
            arrays = dict(stored)
        return cls(arrays.pop("images"), arrays.pop("mean"), arrays)

    def write(self, folder: pathlib.Path) -> None:
        """For other processes."""
        np.savez(folder / INPUTS, images=self.images, mean=self.mean, **self.weights)


def layers(weights: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(kernel, bias) of each dense layer, from the image to the reconstruction; the last bias is flat."""
    hidden = sum(name.startswith("encoder/hidden") for name in weights) // 2
    names = [*(f"encoder/hidden_{i + 1}" for i in range(hidden)), "encoder/code"]
    names += [f"decoder/hidden_{i + 1}" for i in range(hidden)]
    pairs = [(weights[f"{name}/kernel"], weights[f"{name}/bias"]) for name in names]
    return [*pairs, (weights["decoder/pixels/kernel"], weights["decoder/bias"].reshape(-1))]


def activations(workload: Workload) -> list[str]:
    """Of each dense layer, in the order of `layers`."""
    before = [workload.activation] * (len(workload.hidden) - 1)
    return [*before, workload.code_activation, *before, "linear"]
