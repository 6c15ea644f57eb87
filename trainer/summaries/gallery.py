"""Renders the images of one step: examples, weights, and images decoded from chosen codes."""

import numpy as np

from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.probes import ProbeResult, ProbeSet
from trainer.summaries import images
from trainer.summaries.scatter import scatter


def render(
    result: ProbeResult, probes: ProbeSet, evaluator: Evaluator, scale: float | np.ndarray
) -> dict[str, np.ndarray]:
    """Returns all images that apply to this data set and network, by tag: [H, W, C] uint8."""
    rendered: dict[str, np.ndarray] = {}
    if len(probes.fixed):
        fixed = probes.fixed / np.float32(scale)
        rendered |= _render_examples(result, probes, fixed, evaluator) | _render_weights(probes, evaluator)
        rendered |= _render_objective(probes, fixed, evaluator)
    if result.codes.shape[1] == 2:
        rendered["latent/scatter"] = scatter(result.codes, probes.labels, probes.classes)
    if len(probes.fixed):
        rendered |= _render_codes(result.codes, fixed, evaluator)
    return rendered


def _render_examples(
    result: ProbeResult, probes: ProbeSet, fixed: np.ndarray, evaluator: Evaluator
) -> dict[str, np.ndarray]:
    worst, best = images.extremes(result.errors)
    return {
        "reconstruction": images.reconstruction_grid(fixed, evaluator.reconstruct(fixed)),
        "examples/worst": images.reconstruction_grid(probes.originals[worst], result.reconstructions[worst]),
        "examples/best": images.reconstruction_grid(probes.originals[best], result.reconstructions[best]),
    }


def _render_objective(probes: ProbeSet, fixed: np.ndarray, evaluator: Evaluator) -> dict[str, np.ndarray]:
    """Renders the images of denoising and of variational networks."""
    rendered = {}
    if evaluator.objective.noise:
        corrupted = evaluator.corrupt(probes.fixed)
        rendered["denoising/restored"] = images.denoising_grid(corrupted, evaluator.reconstruct(corrupted), fixed)
    if evaluator.is_variational:
        rendered["prior/samples"] = images.samples(evaluator.decode(evaluator.sample_prior(images.NUM_SAMPLES)))
    return rendered


def _render_weights(probes: ProbeSet, evaluator: Evaluator) -> dict[str, np.ndarray]:
    shape, kernel = probes.originals.shape[1:], evaluator.first_kernel()
    if kernel.ndim == 4:  # Convolution: the tiles are its filters.
        shape, kernel = kernel.shape[:3], kernel.reshape(-1, kernel.shape[3])
    if kernel.ndim != 2 or len(kernel) != np.prod(shape):
        return {}  # A unit does not have one weight per pixel.
    return {"weights/first_layer": images.first_layer(kernel, shape)}


def _render_codes(codes: np.ndarray, fixed: np.ndarray, evaluator: Evaluator) -> dict[str, np.ndarray]:
    interpolated = evaluator.decode(images.interpolation_codes(evaluator.encode(fixed)))
    rendered = {"latent/interpolation": images.interpolation(fixed, interpolated)}
    if codes.shape[1] == 2:
        rendered["latent/manifold"] = images.manifold(evaluator.decode(images.manifold_codes(codes)))
    else:
        rendered["latent/traversal"] = images.traversal(evaluator.decode(images.traversal_codes(codes)))
    return rendered
