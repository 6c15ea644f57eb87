"""What training makes small: reconstruction, and whatever else is asked of a code."""

import dataclasses
from typing import Any

import tensorflow as tf

from trainer.compute import randomness
from trainer.models.autoencoder import Autoencoder, Posterior
from trainer.training import augmentation
from trainer.training.losses import Loss
from trainer.training.noise import Noise

# The parts of an objective that are told beside it, by their tags.
RECONSTRUCTION, KL, SPARSITY = "elbo/reconstruction", "elbo/kl", "sparsity/l1"


@dataclasses.dataclass(frozen=True)
class LossTerms:
    """What an objective consists of, for each of N examples; float32.

    Attributes:
      reconstruction: [N] shares of the reconstruction loss.
      kl: [N, K] nats between the distribution of each code unit and the prior; None where codes are not random.
      l1: [N] sum of the codes' absolute values; None where nobody asks for it.
    """

    reconstruction: tf.Tensor
    kl: tf.Tensor | None
    l1: tf.Tensor | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """Reconstruction loss + beta x KL divergence + sparsity x L1 norm of the codes.

    Variational: the negative evidence lower bound of Kingma and Welling 2014, eq. 10, with one sample; beta other than
    1: Higgins et al. 2017, eq. 4. Denoising: the loss between what is made of a corrupted image and the clean one
    (Vincent et al. 2008, eq. 5). Sparse: an L1 penalty on the codes (Goodfellow, Bengio and Courville 2016, section
    14.2.1).

    Attributes:
      loss: of reconstruction.
      num_pixels: numbers in an example.
      noise: corrupts what the encoder sees; None: nothing does.
      shift: pixels by which pictures are moved at most, while training.
      binarise: pixels are drawn as 0 or 1.
      beta: weight of the KL divergence; idle unless the network is variational.
      sparsity: weight of the codes' L1 norm.
    """

    loss: Loss
    num_pixels: int
    noise: Noise | None = None
    shift: int = 0
    binarise: bool = False
    beta: float = 1.0
    sparsity: float = 0.0

    def is_plain(self, model: Autoencoder) -> bool:
        """Whether it is the reconstruction loss of the images as they are, and nothing else."""
        return not (self.noise or self.binarise or self.sparsity or model.is_variational)

    def augment(self, images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """The images that training is to reconstruct: moved and drawn."""
        moved = augmentation.shift(images, self.shift, key) if self.shift else images
        return self.target(moved, key)

    def target(self, images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """The images that are to be reconstructed."""
        return augmentation.binarize(images, key) if self.binarise else images

    def corrupted(self, images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """What the encoder is to see of them."""
        return self.noise(images, key) if self.noise else images

    def terms(self, model: Autoencoder, images: tf.Tensor, key: tf.Tensor) -> LossTerms:
        """What it consists of.

        Args:
          model: a network.
          images: [N, ...] float32, to be reconstructed.
          key: of what is random.
        """
        posterior = model.posterior(self.corrupted(images, key))
        codes = sample(posterior, key)
        outputs = model.logits(codes) if self.loss.takes_logits else model.decode(codes)
        with tf.name_scope("loss"):
            return LossTerms(
                self.loss.examplewise(images, outputs),
                kl_divergence(posterior) if model.is_variational else None,
                tf.reduce_sum(tf.abs(posterior.mean), axis=1) if self.sparsity else None,
            )

    def combine(self, means: LossTerms) -> tuple[Any, dict[str, Any]]:
        """Means of terms over examples: scalars, of KL [K] -> the objective, and its parts by tag."""
        nats = self.loss.total(means.reconstruction, self.num_pixels)
        value, parts = nats, {}
        if means.kl is not None:
            kl = tf.reduce_sum(means.kl)
            value, parts = value + self.beta * kl, {RECONSTRUCTION: -nats, KL: kl}
        if means.l1 is not None:
            # Without this control edge, TensorFlow's graph optimizer merges both additions into one AddN. That adds
            # into whichever input's buffer is free by then: its order, and the last bit, depend on other threads.
            with tf.control_dependencies([value]):
                value = value + self.sparsity * means.l1
            parts[SPARSITY] = means.l1
        return value, parts

    def step_loss(
        self, model: Autoencoder, images: tf.Tensor, step: tf.Tensor, *, seed: int
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """What the step after `step` others makes small, and its parts; [N, ...] images as the data set has them."""
        key = randomness.step_key(seed, step)
        return self.batch_loss(model, self.augment(images, key), key)

    def batch_loss(self, model: Autoencoder, images: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The objective of a batch and its parts, in the order of `loss_term_tags`; images as `terms`."""
        terms = self.terms(model, images, key)
        with tf.name_scope("loss"):
            found = (terms.reconstruction, terms.kl, terms.l1)
            value, parts = self.combine(LossTerms(*(None if t is None else tf.reduce_mean(t, axis=0) for t in found)))
            return value, list(parts.values())


def loss_term_tags(*, variational: bool, sparsity: float) -> tuple[str, ...]:
    """The tags of an objective's parts, in order."""
    elbo = (RECONSTRUCTION, KL) if variational else ()
    return (*elbo, SPARSITY) if sparsity else elbo


def sample(posterior: Posterior, key: tf.Tensor) -> tf.Tensor:
    """Codes [N, K] drawn from their distribution by the reparameterisation of Kingma and Welling 2014, eq. 4."""
    if posterior.log_variance is None:
        return posterior.mean
    normal = randomness.normal(randomness.purpose_key(key, randomness.SAMPLE), tf.shape(posterior.mean))
    return posterior.mean + tf.exp(posterior.log_variance / 2) * normal


def kl_divergence(posterior: Posterior) -> tf.Tensor:
    """Nats from each code unit's Gaussian to the standard normal prior, [N, K]: Kingma and Welling 2014, appendix B."""
    assert posterior.log_variance is not None
    log_variance = posterior.log_variance
    return (tf.square(posterior.mean) + tf.exp(log_variance) - log_variance - 1) / 2
