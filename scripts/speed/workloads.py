"""The workloads of the benchmark, with their data and initial weights."""

import dataclasses
import pathlib

import numpy as np

INPUTS = "inputs.npz"


@dataclasses.dataclass(frozen=True)
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
    examples: int
    batch_size: int
    hidden: tuple[int, ...]
    classes: str = ""
    model: str = "dense"
    activation: str = "relu"
    code_activation: str = "linear"
    optimizer: str = "adam"
    learning_rate: float = 1e-3
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
        names = "dataset classes model activation code_activation optimizer learning_rate batch_size".split()
        flags = [f"--{name}={getattr(self, name)}" for name in names]
        hidden = ",".join(map(str, self.hidden))
        return [*flags, f"--hidden={hidden}", "--loss=mse", "--schedule=constant", f"--precision={precision}"]


MNIST = ("mnist", (28, 28, 1), 60_000)
RMSPROP = {"optimizer": "rmsprop"}
WORKLOADS = {
    "book": Workload("cifar_horse", (32, 32, 1), 5_000, 10, (100,), code_activation="tanh", **RMSPROP),
    "ibm": Workload(
        *MNIST, 256, (256, 128, 32), activation="sigmoid", code_activation="relu", check_epochs=2, **RMSPROP
    ),
    "unist": Workload(*MNIST, 500, (500, 300, 2), activation="tanh", learning_rate=1e-4),
    "hinton": Workload(*MNIST, 1_000, (1_000, 500, 250, 30)),
    # One class, because an epoch must not take longer than a turn.
    "conv": Workload("cifar10", (32, 32, 3), 5_000, 100, (32, 64, 256), classes="horse", model="conv", check_epochs=5),
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
