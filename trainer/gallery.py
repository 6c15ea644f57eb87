"""The pictures of one step: of examples, of weights, of the codes' space."""

import dataclasses
from typing import Self

import numpy as np

from trainer.datasets import Data
from trainer.evaluation import Evaluator
from trainer.summaries import pictures
from trainer.summaries.projector import MAX_POINTS as MAX_SHOWN
from trainer.summaries.scatter import scatter
from trainer.summaries.statistics import spread

MAX_SHOWN_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Shown:
    """The P evaluation examples that a run is looked at in detail by, always the same.

    Attributes:
      rows: [P] their numbers, ascending.
      examples: [P, ...] as stored.
      originals: [P, ...] float32 as the network sees them, pictures in [0, 1].
      labels: [P] numbers of their classes.
      classes: [P] names of their classes.
      fixed: [8, H, W, C] float32, the few that are shown at every step; none of tables.
    """

    rows: np.ndarray
    examples: np.ndarray
    originals: np.ndarray
    labels: np.ndarray
    classes: list[str]
    fixed: np.ndarray

    @classmethod
    def of(cls, data: Data) -> Self:
        """Spread evenly over a data set's evaluation examples; fewer of large ones."""
        every, scale = data.evaluation.examples, np.float32(data.scale)
        most = max(1, min(MAX_SHOWN, MAX_SHOWN_BYTES // (4 * int(np.prod(data.shape)))))
        rows = spread(len(every), most)
        examples = every[rows]
        fixed = pictures.fixed_examples(every) if data.is_pictures else every[:0]
        labels = data.evaluation.labels[rows]
        return cls(rows, examples, examples / scale, labels, [data.class_name(label) for label in labels], fixed)


@dataclasses.dataclass(frozen=True)
class Look:
    """What the network makes of them at one step.

    Attributes:
      errors: [P] root mean squared errors.
      codes: [P, K] float32.
      reconstructions: [P, ...] float32, pictures in [0, 1].
    """

    errors: np.ndarray
    codes: np.ndarray
    reconstructions: np.ndarray

    @property
    def is_finite(self) -> bool:
        """Whether all of it can be shown."""
        return all(bool(np.isfinite(values).all()) for values in (self.errors, self.codes, self.reconstructions))


def draw(look: Look, shown: Shown, evaluator: Evaluator, scale: float | np.ndarray) -> dict[str, np.ndarray]:
    """Every picture that there can be of this data and this network, by tag, [H, W, C] uint8."""
    drawn: dict[str, np.ndarray] = {}
    if len(shown.fixed):
        fixed = shown.fixed / np.float32(scale)
        drawn |= _of_examples(look, shown, fixed, evaluator) | _of_weights(shown, evaluator)
        drawn |= _of_objective(shown, fixed, evaluator)
    if look.codes.shape[1] == 2:
        drawn["latent/scatter"] = scatter(look.codes, shown.labels, shown.classes)
    if len(shown.fixed):
        drawn |= _of_codes(look.codes, fixed, evaluator)
    return drawn


def _of_examples(look: Look, shown: Shown, fixed: np.ndarray, evaluator: Evaluator) -> dict[str, np.ndarray]:
    worst, best = pictures.extremes(look.errors)
    return {
        "reconstruction": pictures.reconstruction_grid(fixed, evaluator.reconstruct(fixed)),
        "examples/worst": pictures.reconstruction_grid(shown.originals[worst], look.reconstructions[worst]),
        "examples/best": pictures.reconstruction_grid(shown.originals[best], look.reconstructions[best]),
    }


def _of_objective(shown: Shown, fixed: np.ndarray, evaluator: Evaluator) -> dict[str, np.ndarray]:
    """What only some networks are trained for."""
    drawn = {}
    if evaluator.objective.noise:
        corrupted = evaluator.corrupted(shown.fixed)
        drawn["denoising/restored"] = pictures.restored(corrupted, evaluator.reconstruct(corrupted), fixed)
    if evaluator.is_variational:
        drawn["prior/samples"] = pictures.samples(evaluator.decode(evaluator.prior(pictures.NUM_SAMPLES)))
    return drawn


def _of_weights(shown: Shown, evaluator: Evaluator) -> dict[str, np.ndarray]:
    shape, kernel = shown.originals.shape[1:], evaluator.first_kernel()
    if kernel.ndim == 4:  # A convolution's: its filters look at a few pixels.
        shape, kernel = kernel.shape[:3], kernel.reshape(-1, kernel.shape[3])
    if kernel.ndim != 2 or len(kernel) != np.prod(shape):
        return {}  # Not one number a pixel: no picture.
    return {"weights/first_layer": pictures.first_layer(kernel, shape)}


def _of_codes(codes: np.ndarray, fixed: np.ndarray, evaluator: Evaluator) -> dict[str, np.ndarray]:
    between = pictures.interpolation(fixed, evaluator.decode(pictures.between(evaluator.encode(fixed))))
    drawn = {"latent/interpolation": between}
    if codes.shape[1] == 2:
        drawn["latent/manifold"] = pictures.manifold(evaluator.decode(pictures.manifold_codes(codes)))
    else:
        drawn["latent/traversal"] = pictures.traversal(evaluator.decode(pictures.traversal_codes(codes)))
    return drawn
