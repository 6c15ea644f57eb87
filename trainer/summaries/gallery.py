"""The pictures of one step: of examples, of weights, of the codes' space."""

import numpy as np

from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.probes import ProbeResult, ProbeSet
from trainer.summaries import images
from trainer.summaries.scatter import scatter


def render(
    look: ProbeResult, shown: ProbeSet, evaluator: Evaluator, scale: float | np.ndarray
) -> dict[str, np.ndarray]:
    """Every picture that there can be of this data and this network, by tag, [H, W, C] uint8."""
    rendered: dict[str, np.ndarray] = {}
    if len(shown.fixed):
        fixed = shown.fixed / np.float32(scale)
        rendered |= _of_examples(look, shown, fixed, evaluator) | _of_weights(shown, evaluator)
        rendered |= _of_objective(shown, fixed, evaluator)
    if look.codes.shape[1] == 2:
        rendered["latent/scatter"] = scatter(look.codes, shown.labels, shown.classes)
    if len(shown.fixed):
        rendered |= _of_codes(look.codes, fixed, evaluator)
    return rendered


def _of_examples(look: ProbeResult, shown: ProbeSet, fixed: np.ndarray, evaluator: Evaluator) -> dict[str, np.ndarray]:
    worst, best = images.extremes(look.errors)
    return {
        "reconstruction": images.reconstruction_grid(fixed, evaluator.reconstruct(fixed)),
        "examples/worst": images.reconstruction_grid(shown.originals[worst], look.reconstructions[worst]),
        "examples/best": images.reconstruction_grid(shown.originals[best], look.reconstructions[best]),
    }


def _of_objective(shown: ProbeSet, fixed: np.ndarray, evaluator: Evaluator) -> dict[str, np.ndarray]:
    """What only some networks are trained for."""
    rendered = {}
    if evaluator.objective.noise:
        corrupted = evaluator.corrupted(shown.fixed)
        rendered["denoising/restored"] = images.restored(corrupted, evaluator.reconstruct(corrupted), fixed)
    if evaluator.is_variational:
        rendered["prior/samples"] = images.samples(evaluator.decode(evaluator.prior(images.NUM_SAMPLES)))
    return rendered


def _of_weights(shown: ProbeSet, evaluator: Evaluator) -> dict[str, np.ndarray]:
    shape, kernel = shown.originals.shape[1:], evaluator.first_kernel()
    if kernel.ndim == 4:  # A convolution's: its filters look at a few pixels.
        shape, kernel = kernel.shape[:3], kernel.reshape(-1, kernel.shape[3])
    if kernel.ndim != 2 or len(kernel) != np.prod(shape):
        return {}  # Not one number a pixel: no picture.
    return {"weights/first_layer": images.first_layer(kernel, shape)}


def _of_codes(codes: np.ndarray, fixed: np.ndarray, evaluator: Evaluator) -> dict[str, np.ndarray]:
    between = images.interpolation(fixed, evaluator.decode(images.between(evaluator.encode(fixed))))
    rendered = {"latent/interpolation": between}
    if codes.shape[1] == 2:
        rendered["latent/manifold"] = images.manifold(evaluator.decode(images.manifold_codes(codes)))
    else:
        rendered["latent/traversal"] = images.traversal(evaluator.decode(images.traversal_codes(codes)))
    return rendered
