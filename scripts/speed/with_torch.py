"""PyTorch, eager or compiled, with the data in one tensor and batches selected by a permutation."""

import contextlib
import pathlib
import sys

import torch
from torch import nn

from speed.protocol import serve
from speed.workloads import WORKLOADS, Inputs, Workload, activations, layers

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class Centered(nn.Module):
    """Subtracts the mean image."""

    def __init__(self, mean: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the difference."""
        return images - self.mean


class Bias(nn.Module):
    """Adds a trainable bias to each pixel."""

    def __init__(self, first: torch.Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(first)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Returns the sum."""
        return values + self.bias


def dense(workload: Workload, inputs: Inputs) -> nn.Module:
    """Returns a network from [N, D] images in [0, 1] to reconstructions."""
    parts: list[nn.Module] = [Centered(torch.tensor(inputs.mean.ravel()))]
    for (kernel, bias), activation in zip(layers(inputs.weights), activations(workload), strict=True):
        parts.append(linear(kernel, bias))
        if activation != "linear":
            parts.append(ACTIVATIONS[activation]())
    return nn.Sequential(*parts)


def linear(kernel, bias) -> nn.Linear:
    """Returns a layer with these weights, [in, out] and [out]."""
    layer = nn.Linear(*kernel.shape)
    layer.weight.data, layer.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
    return layer


def convolutional(workload: Workload, inputs: Inputs) -> nn.Module:
    """Returns a randomly initialized network from [N, C, H, W] images in [0, 1] to reconstructions."""
    first, second, code = workload.hidden
    height, width, channels = workload.shape
    smallest = (second, height // 4, width // 4)
    torch.manual_seed(0)
    numbers = second * (height // 4) * (width // 4)
    network = nn.Sequential(
        Centered(torch.tensor(inputs.mean).permute(2, 0, 1)),
        nn.Conv2d(channels, first, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(numbers, code),
        nn.Linear(code, numbers),
        nn.ReLU(),
        nn.Unflatten(1, smallest),
        nn.Conv2d(second, first * 4, 3, padding=1),
        nn.ReLU(),
        nn.PixelShuffle(2),
        nn.Conv2d(first, channels * 4, 3, padding=1, bias=False),
        nn.PixelShuffle(2),
        Bias(torch.tensor(inputs.weights["decoder/bias"]).permute(2, 0, 1).contiguous()),
    )
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network.to(memory_format=torch.channels_last)


class Loop:
    """A training loop as in PyTorch's tutorials."""

    def __init__(self, workload: Workload, inputs: Inputs, precision: str, *, compiled: bool) -> None:
        images = torch.tensor(inputs.images).float() / 255
        if workload.model == "dense":
            self._images, self._network = images.reshape(len(images), -1), dense(workload, inputs)
        else:
            images = images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
            self._images, self._network = images, convolutional(workload, inputs)
        self._workload, self._bfloat16 = workload, precision == "mixed_bfloat16"
        rate, parameters = workload.learning_rate, self._network.parameters()
        if workload.optimizer == "adam":
            self._optimizer: torch.optim.Optimizer = torch.optim.Adam(parameters, rate, eps=1e-7)
        else:
            self._optimizer = torch.optim.RMSprop(parameters, rate, alpha=0.9, eps=1e-7**0.5)
        self._forward = torch.compile(self._loss) if compiled else self._loss

    def _cast(self) -> contextlib.AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16) if self._bfloat16 else contextlib.nullcontext()

    def _loss(self, images: torch.Tensor) -> torch.Tensor:
        with self._cast():
            reconstructions = self._network(images)
        return nn.functional.mse_loss(reconstructions.float(), images)

    def epochs(self, count: int) -> None:
        """Implements `protocol.Contender`."""
        size, steps = self._workload.batch_size, self._workload.steps_per_epoch
        for _ in range(count):
            order = torch.randperm(len(self._images))
            for step in range(steps):
                loss = self._forward(self._images[order[step * size : (step + 1) * size]])
                self._optimizer.zero_grad()
                loss.backward()
                self._optimizer.step()
        loss.item()

    def loss(self) -> float:
        """Implements `protocol.Contender`."""
        with torch.no_grad():
            parts = self._images.split(len(self._images) // 10)
            return float(torch.stack([self._loss(part) for part in parts]).double().mean())


def main(name: str, folder: str, precision: str, kind: str) -> None:
    workload = WORKLOADS[name]
    serve(lambda: Loop(workload, Inputs.read(pathlib.Path(folder)), precision, compiled=kind == "compile"))


if __name__ == "__main__":
    main(*sys.argv[1:])
