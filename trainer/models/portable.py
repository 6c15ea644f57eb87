"""The networks without TensorFlow: the arrays of a checkpoint as a list of operations, computed with NumPy.

The results equal TensorFlow's apart from rounding. Small inputs are computed faster than TensorFlow is imported.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

KERNEL, STRIDE = 3, 2  # of convolutions
NUMBER_COST = 20  # of the bias and the activation of a number; see `Network.cost`


def _gelu(values: np.ndarray) -> np.ndarray:
    from scipy.special import erf  # Imported only for networks that need it.

    return (values * 0.5 * (1 + erf(values / np.float32(math.sqrt(2))))).astype(np.float32)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * values))  # Does not overflow.


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "elu": lambda values: np.where(values > 0, values, np.expm1(np.minimum(values, 0))),
    "gelu": _gelu,
    "linear": lambda values: values,
    "relu": lambda values: np.maximum(values, 0),
    "sigmoid": _sigmoid,
    "softplus": lambda values: np.logaddexp(values, np.float32(0)),
    "swish": lambda values: values * _sigmoid(values),
    "tanh": np.tanh,
}


@dataclasses.dataclass(frozen=True)
class Dense:
    """[N, ...] -> [N, K]: activation(x W + b), x flattened."""

    kernel: np.ndarray
    bias: np.ndarray | None
    activation: str

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Applies the layer."""
        outputs = values.reshape(len(values), math.prod(values.shape[1:])) @ self.kernel
        return ACTIVATIONS[self.activation](outputs if self.bias is None else outputs + self.bias)


@dataclasses.dataclass(frozen=True)
class Convolution:
    """[N, H, W, C] -> [N, H / stride, W / stride, K]: activation(x * W + b), padded as TensorFlow's SAME."""

    kernel: np.ndarray  # [3, 3, C, K]
    bias: np.ndarray | None
    activation: str
    stride: int

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Applies the layer."""
        padding = [(0, 0), *(self._padding(size) for size in values.shape[1:3]), (0, 0)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, padding), (KERNEL, KERNEL), axis=(1, 2))
        windows = windows[:, :: self.stride, :: self.stride]  # [N, H, W, C, 3, 3]
        outputs = np.tensordot(windows, self.kernel, axes=([4, 5, 3], [0, 1, 2]))
        return ACTIVATIONS[self.activation](outputs if self.bias is None else outputs + self.bias)

    def _padding(self, size: int) -> tuple[int, int]:
        total = max((-(-size // self.stride) - 1) * self.stride + KERNEL - size, 0)
        return total // 2, total - total // 2


@dataclasses.dataclass(frozen=True)
class Enlarge:
    """[N, H, W, 4 C] -> [N, 2 H, 2 W, C], cropped to `size`: TensorFlow's depth_to_space."""

    size: tuple[int, int]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Applies the operation."""
        count, height, width, channels = values.shape
        blocks = values.reshape(count, height, width, STRIDE, STRIDE, channels // STRIDE**2)
        images = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(
            count, STRIDE * height, STRIDE * width, channels // STRIDE**2
        )
        return images[:, : self.size[0], : self.size[1]]


@dataclasses.dataclass(frozen=True)
class Reshape:
    """[N, ...] -> [N, *shape]."""

    shape: tuple[int, ...]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Applies the operation."""
        return values.reshape(len(values), *self.shape)


Operation = Dense | Convolution | Enlarge | Reshape


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
      mean: training mean in the network's units, in the shape of one example.
      unit: [D] standard deviations of a standardized table, or None.
      offset: [D] float64, or None; see `Dataset.offset`.
      encoder, decoder: the operations, in order; those of the decoder return logits without `bias`.
      log_variance: the layer of a variational network that returns log-variances from the last hidden layer, or None.
      bias: the output bias, in the shape of one example.
      output_activation: name of the activation of the output.
    """

    mean: np.ndarray
    unit: np.ndarray | None
    offset: np.ndarray | None
    encoder: tuple[Operation, ...]
    decoder: tuple[Operation, ...]
    log_variance: Dense | None
    bias: np.ndarray
    output_activation: str

    def encode(self, examples: np.ndarray) -> np.ndarray:
        """Encodes [N, ...] float32 examples, images in [0, 1] or rows without offset, to codes [N, K] float32.

        Missing numbers (NaN) are replaced by the mean.
        """
        return self.posterior(examples)[0]

    def posterior(self, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Encodes examples as `encode`; also returns the log-variances, [N, K], or None."""
        scaled = examples if self.unit is None else examples / self.unit
        centered = scaled.astype(np.float32) - self.mean
        features = _apply(self.encoder[:-1], np.where(np.isnan(centered), np.float32(0), centered))
        codes = self.encoder[-1](features)
        return codes, None if self.log_variance is None else self.log_variance(features)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Decodes [N, K] codes to [N, ...] float32: images in [0, 1], or rows without offset."""
        values = _apply(self.decoder, codes.astype(np.float32)).reshape(len(codes), *self.bias.shape) + self.bias
        outputs = ACTIVATIONS[self.output_activation](values)
        return outputs if self.unit is None else outputs * self.unit

    @property
    def code_size(self) -> int:
        """Width of the code."""
        return self.decoder[0].kernel.shape[0] if isinstance(self.decoder[0], Dense) else 0

    @property
    def cost(self) -> int:
        """Time for the reconstruction of one example, in that of a multiplication in a matrix product."""
        return _cost(self.encoder, self.mean.shape) + _cost(self.decoder, (self.code_size,))


def _cost(operations: Sequence[Operation], shape: tuple[int, ...]) -> int:
    total, values = NUMBER_COST * math.prod(shape), np.empty((0, *shape), np.float32)
    for operation in operations:
        values = operation(values)  # An empty batch has the shapes, and takes no time.
        products = operation.kernel[..., 0].size if isinstance(operation, Dense | Convolution) else 0
        total += (products + NUMBER_COST) * math.prod(values.shape[1:])
    return total


def _apply(operations: Sequence[Operation], values: np.ndarray) -> np.ndarray:
    for operation in operations:
        values = operation(values)
    return values


class _Weights:
    """Takes the trainable variables one after the other, in the order in which a network creates them."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = list(arrays)
        self._position = 0

    def __call__(self) -> np.ndarray:
        array = self._arrays[self._position]
        self._position += 1
        return array

    def dense(self, activation: str) -> Dense:
        return Dense(self(), self(), activation)


def _dense(options: Mapping[str, Any], shape: Sequence[int], take: _Weights) -> tuple[list[Operation], Any]:
    """Returns the hidden encoder layers, and a function that returns the decoder after the code layer was taken."""
    hidden = [take.dense(options["activation"]) for _ in options["hidden"][:-1]]

    def decoder(code: Dense) -> list[Operation]:
        if not options["tied"]:
            return [*(take.dense(options["activation"]) for _ in hidden), Dense(take(), None, "linear")]
        sources = [code, *hidden[::-1]]
        mirrored: list[Operation] = [
            Dense(source.kernel.T, take(), options["activation"]) for source in sources[: len(hidden)]
        ]
        return [*mirrored, Dense(sources[-1].kernel.T, None, "linear")]

    return list(hidden), decoder


def _conv(options: Mapping[str, Any], shape: Sequence[int], take: _Weights) -> tuple[list[Operation], Any]:
    """Returns the strided convolutions, and a function that returns the decoder."""
    filters, activation = options["hidden"][:-1], options["activation"]
    hidden = [Convolution(take(), take(), activation, STRIDE) for _ in filters]
    sizes = [(shape[0], shape[1])]
    for _ in filters:
        sizes.append((-(-sizes[-1][0] // STRIDE), -(-sizes[-1][1] // STRIDE)))

    def decoder(code: Dense) -> list[Operation]:
        layers: list[Operation] = [take.dense(activation), Reshape((*sizes[-1], filters[-1]))]
        for size in sizes[-2:0:-1]:
            layers += [Convolution(take(), take(), activation, 1), Enlarge(size)]
        return [*layers, Convolution(take(), None, "linear", 1), Enlarge(sizes[0])]

    return list(hidden), decoder


PROGRAMS = {"dense": _dense, "conv": _conv}


def network(
    options: Mapping[str, Any],
    *,
    mean: np.ndarray,
    unit: np.ndarray | None,
    offset: np.ndarray | None,
    bias: np.ndarray,
    trainable: Sequence[np.ndarray],
) -> Network:
    """Builds a network.

    Args:
      options: the network options, without `auto`; see `config.network_options`.
      mean, unit, offset, bias: see `Network`.
      trainable: the trainable variables, in the order in which the network creates them, without the output bias.
    """
    take = _Weights(trainable)
    hidden, make_decoder = PROGRAMS[options["model"]](options, mean.shape, take)
    code = take.dense(options["code_activation"])
    log_variance = take.dense("linear") if options["variational"] else None
    return Network(
        mean=mean,
        unit=unit,
        offset=offset,
        encoder=(*hidden, code),
        decoder=tuple(make_decoder(code)),
        log_variance=log_variance,
        bias=bias,
        output_activation=options["output_activation"],
    )
