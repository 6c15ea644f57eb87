"""The workloads of the benchmark, with their data and initial weights."""

import dataclasses
import pathlib

import numpy as np

INPUTS = "inputs.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """A network, its data and its training. The loss is the mean squared error, and the last layer is linear.

    Attributes:
      shape: shape of an example.
      examples: number of training examples.
      optimizer: rmsprop or adam, with Keras's default constants.
      check_epochs: epochs after which the losses are compared.

    All other attributes are values of flags.
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
        """The number of full batches."""
        return self.examples // self.batch_size

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of a dense network, from input to output."""
        pixels = int(np.prod(self.shape))
        return (pixels, *self.hidden, *self.hidden[-2::-1], pixels)

    def flags(self, precision: str) -> list[str]:
        """Returns the flags of Hourglass."""
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
        classes="horse",  # An epoch must not take longer than a turn.
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
    """The data and the initial weights of all contenders.

    Attributes:
      images: [N, ...] uint8.
      mean: mean of the training images in [0, 1].
      weights: float32, by Hourglass's names, such as encoder/code/kernel.
    """

    images: np.ndarray
    mean: np.ndarray
    weights: dict[str, np.ndarray]

    @classmethod
    def read(cls, folder: pathlib.Path) -> "Inputs":
        """Reads what `prepare` wrote."""
        with np.load(folder / INPUTS) as stored:
            arrays = dict(stored)
        return cls(arrays.pop("images"), arrays.pop("mean"), arrays)

    def write(self, folder: pathlib.Path) -> None:
        """Writes a file for other processes."""
        np.savez(folder / INPUTS, images=self.images, mean=self.mean, **self.weights)


def layers(weights: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns (kernel, bias) of each dense layer, from input to output; the last bias is flattened."""
    hidden = sum(name.startswith("encoder/hidden") for name in weights) // 2
    names = [*(f"encoder/hidden_{i + 1}" for i in range(hidden)), "encoder/code"]
    names += [f"decoder/hidden_{i + 1}" for i in range(hidden)]
    pairs = [(weights[f"{name}/kernel"], weights[f"{name}/bias"]) for name in names]
    return [*pairs, (weights["decoder/pixels/kernel"], weights["decoder/bias"].reshape(-1))]


def activations(workload: Workload) -> list[str]:
    """Returns the activation of each dense layer, in the order of `layers`."""
    before = [workload.activation] * (len(workload.hidden) - 1)
    return [*before, workload.code_activation, *before, "linear"]
