"""The training objective: reconstruction loss, KL divergence and sparsity penalty."""

import dataclasses
from typing import Any

import tensorflow as tf

from trainer.compute import randomness
from trainer.models.autoencoder import Autoencoder, Posterior
from trainer.training import augmentation, missing
from trainer.training.losses import ExampleErrors, Loss, summed_squared_errors
from trainer.training.noise import Noise

# Tags of the loss terms that are logged beside the loss.
RECONSTRUCTION, KL, SPARSITY = "elbo/reconstruction", "elbo/kl", "sparsity/l1"


@dataclasses.dataclass(frozen=True)
class LossTerms:
    """The terms of the objective for each of N examples, float32.

    Attributes:
      reconstruction: [N] reconstruction errors, see `Loss.per_example`.
      kl: [N, K] KL divergence of each code unit from the prior, in nats; None unless the network is variational.
      l1: [N] sum of the absolute values of the code; None without a sparsity penalty.
    """

    reconstruction: tf.Tensor
    kl: tf.Tensor | None
    l1: tf.Tensor | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """Reconstruction loss + beta x KL divergence + sparsity x L1 norm of the codes.

    Variational: the negative evidence lower bound of Kingma and Welling 2014, eq. 10, with one sample; for beta other
    than 1, Higgins et al. 2017, eq. 4. Denoising: the loss between the reconstruction of a corrupted image and the
    clean image (Vincent et al. 2008, eq. 5). Sparse: an L1 penalty on the codes (Goodfellow, Bengio and Courville 2016,
    section 14.2.1).

    Attributes:
      loss: the reconstruction loss.
      num_pixels: numbers per example.
      noise: corrupts the input of the encoder; None: no noise.
      shift: largest random shift of training images, in pixels.
      binarize: sample each pixel as 0 or 1.
      beta: weight of the KL divergence; unused unless the network is variational.
      sparsity: weight of the codes' L1 norm.
      has_missing: True if numbers of the target may be missing; see `missing`.
    """

    loss: Loss
    num_pixels: int
    noise: Noise | None = None
    shift: int = 0
    binarize: bool = False
    beta: float = 1.0
    sparsity: float = 0.0
    has_missing: bool = False

    def is_plain(self, model: Autoencoder) -> bool:
        """Returns True if the objective in evaluations is just the reconstruction loss of the original images."""
        return not (self.noise or self.binarize or self.sparsity or model.is_variational)

    def augment(self, images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Returns the reconstruction target in training: the images, shifted and binarized."""
        shifted = augmentation.shift(images, self.shift, key) if self.shift else images
        return self.target(shifted, key)

    def target(self, images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Returns the reconstruction target in evaluations: the images, binarized."""
        return augmentation.binarize(images, key) if self.binarize else images

    def corrupt(self, images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Returns the encoder's input for these images: the images with noise."""
        return self.noise(images, key) if self.noise else images

    def errors(self, images: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the reconstruction error of each example, [N]; see `Loss.per_example`."""
        return self._without_missing(self.loss.per_example, images, outputs)

    def squared_errors(self, images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
        """Returns the squared error of each example, summed over pixels: [N]."""
        return self._without_missing(summed_squared_errors, images, reconstructions)

    def _without_missing(self, per_example: ExampleErrors, images: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        if not self.has_missing:
            return per_example(images, outputs)
        return per_example(missing.fill(images, outputs), outputs) * missing.weights(images)

    def terms(self, model: Autoencoder, images: tf.Tensor, key: tf.Tensor) -> LossTerms:
        """Returns the terms of the objective for each example.

        Args:
          model: the network.
          images: [N, ...] float32, the reconstruction target.
          key: key of the random numbers.
        """
        posterior = model.posterior(self.corrupt(images, key))
        codes = sample_codes(posterior, key)
        outputs = model.logits(codes) if self.loss.takes_logits else model.decode(codes)
        with tf.name_scope("loss"):
            return LossTerms(
                self.errors(images, outputs),
                kl_divergence(posterior) if model.is_variational else None,
                tf.reduce_sum(tf.abs(posterior.mean), axis=1) if self.sparsity else None,
            )

    def combine(self, means: LossTerms) -> tuple[Any, dict[str, Any]]:
        """Returns the objective and its loss terms by tag, from the means over examples: scalars, [K] for `kl`."""
        nats = self.loss.total(means.reconstruction, self.num_pixels)
        value, terms = nats, {}
        if means.kl is not None:
            kl = tf.reduce_sum(means.kl)
            value, terms = value + self.beta * kl, {RECONSTRUCTION: -nats, KL: kl}
        if means.l1 is not None:
            # Without this control edge, TensorFlow's graph optimizer merges both additions into one AddN, which adds
            # into the first free input buffer: the order of the additions, and the last bit, depend on other threads.
            with tf.control_dependencies([value]):
                value = value + self.sparsity * means.l1
            terms[SPARSITY] = means.l1
        return value, terms

    def step_loss(
        self, model: Autoencoder, images: tf.Tensor, step: tf.Tensor, *, seed: int
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns the loss and the loss terms of training step `step` (from 0), for [N, ...] float32 images."""
        key = randomness.step_key(seed, step)
        return self.batch_loss(model, self.augment(images, key), key)

    def batch_loss(self, model: Autoencoder, images: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns the loss of a batch and its terms, in the order of `loss_term_tags`; for arguments see `terms`."""
        terms = self.terms(model, images, key)
        with tf.name_scope("loss"):
            arrays = (terms.reconstruction, terms.kl, terms.l1)
            means = LossTerms(*(None if array is None else tf.reduce_mean(array, axis=0) for array in arrays))
            value, by_tag = self.combine(means)
            return value, list(by_tag.values())


def loss_term_tags(*, variational: bool, sparsity: float) -> tuple[str, ...]:
    """Returns the tags of the loss terms that are logged beside the loss, in order."""
    elbo = (RECONSTRUCTION, KL) if variational else ()
    return (*elbo, SPARSITY) if sparsity else elbo


def sample_codes(posterior: Posterior, key: tf.Tensor) -> tf.Tensor:
    """Returns codes [N, K], sampled by the reparameterization of Kingma and Welling 2014, eq. 4, if variational."""
    if posterior.log_variance is None:
        return posterior.mean
    normal = randomness.normal(randomness.purpose_key(key, randomness.SAMPLE), tf.shape(posterior.mean))
    return posterior.mean + tf.exp(posterior.log_variance / 2) * normal


def kl_divergence(posterior: Posterior) -> tf.Tensor:
    """Returns the KL divergence of each unit from N(0, 1) in nats, [N, K] (Kingma and Welling 2014, appendix B)."""
    assert posterior.log_variance is not None
    log_variance = posterior.log_variance
    return (tf.square(posterior.mean) + tf.exp(log_variance) - log_variance - 1) / 2
