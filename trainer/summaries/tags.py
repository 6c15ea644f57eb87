"""What every tag in TensorBoard is, in Markdown: what, in which unit, how to read it. Data only.

A tag keeps its meaning for ever. Where one has to change, its `meaning` is counted up: a run that goes on then drops
its old points of that tag, rather than to mix the two.
"""

import dataclasses
import re

from trainer.evaluation.statistics import NOISE_MULTIPLES


@dataclasses.dataclass(frozen=True)
class Tag:
    """A tag.

    Attributes:
      text: Markdown.
      meaning: which one it has now; event files tell it by their descriptions.
    """

    text: str
    meaning: int = 1

    @property
    def description(self) -> str:
        """As TensorBoard shows it."""
        return self.text if self.meaning == 1 else f"{self.text} [meaning {self.meaning}]"


def meaning_in(description: str) -> int:
    """The meaning that a description in an event file tells."""
    match = re.search(r" \[meaning (\d+)\]$", description)
    return int(match[1]) if match else 1


_FLOORS = "The straight lines of the runs `floor/mean` and `floor/pca` are the errors of the training mean and of PCA"

TAGS = {
    # Training, at every logged step.
    "loss": Tag(
        "The loss: in `train` the mean over the steps since the last point, in `eval` over all evaluation examples, "
        "with noise and sampling, where there is any, as in training (shifts excepted). "
        "Variational: the KL divergence times beta less "
        "the likelihood, in nats; with beta 1 minus the ELBO. "
        f"{_FLOORS}, where the loss is a squared error and nothing else."
    ),
    "pretrain": Tag(
        "The loss of one layer, trained with the layer that mirrors it to reconstruct its own input: of the first "
        "layer the loss of images, of the others the mean squared error of the layer below."
    ),
    "learning_rate": Tag("Learning rate of the step."),
    "loss_scale": Tag(
        "What the loss is multiplied by under float16. Falls when gradients overflow; below 1 is the end."
    ),
    "gradient_norm": Tag("Euclidean norm of all gradients of the step together."),
    "update_norm": Tag(
        "Euclidean norm of what the step has added to the weights. About a thousandth of `weight_norm` is usual; much "
        "more is wild, much less is slow. 0 where the step was skipped, its gradients being too large."
    ),
    "weight_norm": Tag("Euclidean norm of all trained weights together, after the step."),
    "perf/steps_per_second": Tag("Training steps a second; evaluation, pictures and checkpoints are not counted."),
    "perf/examples_per_second": Tag(
        "Examples (pictures, or rows of a table) a second: steps a second times the batch."
    ),
    "perf/input_wait": Tag("Share of the training time, 0 to 1, spent waiting for data. Near 0 is as it should be."),
    "perf/checkpoint_seconds": Tag(
        "Seconds that saving this checkpoint took, verified and forced to the disk, event files included."
    ),
    "perf/checkpoint_bytes": Tag("Bytes of this checkpoint's files."),
    # Reconstruction error.
    "reconstruction/mse": Tag(
        "Squared error, mean over pixels; pictures lie in [0, 1], tables are in their own units. Less is better. "
        f"{_FLOORS} with as many components as the code has numbers: below PCA is what no linear code can do."
    ),
    "reconstruction/rmse": Tag(f"Root of the mean squared error over pixels, in the data's units. {_FLOORS}."),
    "reconstruction/sse": Tag(f"Squared error summed over pixels, mean over examples. {_FLOORS}."),
    "reconstruction/psnr": Tag(
        f"Peak signal-to-noise ratio of the mean squared error in dB, the peak being 1; more is better. {_FLOORS}."
    ),
    "reconstruction/ssim": Tag(
        "Structural similarity (Wang et al. 2004), at most 1, which is the original; mean over up to 250 evaluation "
        "examples spread evenly. Sees blur that a squared error forgives."
    ),
    "best/rmse": Tag("The lowest `reconstruction/rmse` of all evaluations so far."),
    "best/step": Tag("The step of the evaluation with the lowest error so far. Where it stands still, more is no use."),
    "error/p10": Tag("A tenth of the evaluation examples has at most this root mean squared error."),
    "error/p50": Tag("Half of the evaluation examples has at most this root mean squared error: the median."),
    "error/p90": Tag("Nine tenths of the evaluation examples have at most this root mean squared error."),
    # What an objective has beside reconstruction.
    "elbo/elbo": Tag(
        "Evidence lower bound in nats an example (Kingma and Welling 2014, eq. 10): `elbo/reconstruction` less "
        "`elbo/kl`, one sample of each code; more is better. A lower bound of the log-likelihood, where that is one: "
        "of `bernoulli`, of pixels that are 0 or 1 (`binarise`)."
    ),
    "elbo/reconstruction": Tag(
        "Log-likelihood of the images in nats an example, their codes being drawn; under `loss=gaussian` with the "
        "variance that makes it greatest for just these images (in training, for the batch)."
    ),
    "elbo/kl": Tag(
        "KL divergence in nats an example between the codes' distribution and the prior: what the codes say, at most. "
        "0: the decoder has learnt to ignore them."
    ),
    "elbo/active_units": Tag(
        "Code units whose mean varies over examples with a variance above 0.01 (Burda, Grosse and Salakhutdinov 2015, "
        "section 5); the others are the prior, whatever the image is."
    ),
    "kl/units": Tag("`elbo/kl` of each code unit, in nats. At 0, a unit is not used."),
    "sparsity/l1": Tag("Sum of a code's absolute values, mean over examples; the loss has it times `sparsity`."),
    "denoising/corrupted": Tag(
        "Root mean squared error of the corrupted images themselves, at the training level: what doing nothing gives. "
        "Of up to 2,000 evaluation examples."
    ),
    **{
        f"denoising/rmse_{times}x": Tag(
            f"Root mean squared error of restored images, corrupted at {times} times the training level, against the "
            "clean ones; always the same noise, shares being at most 1. Of up to 2,000 evaluation examples."
        )
        for times in NOISE_MULTIPLES
    },
    # Codes of up to 2,000 evaluation examples.
    "latent/active_units": Tag(
        "Code units that are in use: their standard deviation over examples is more than a hundredth of the widest "
        "unit's. Fewer than `hidden` promises are dead units."
    ),
    "latent/effective_rank": Tag(
        "How many directions the codes really fill (Roy and Vetterli 2007): e to the entropy of the normalised "
        "singular values of the centred codes. From 1, all on a line, to the number of units, all directions alike; 0 "
        "where nothing varies. Of more than 256 units it is estimated from 500 examples."
    ),
    "latent/mean_correlation": Tag(
        "Mean absolute correlation between pairs of active units, 0 to 1; of up to 256, those that vary most. Near 1 "
        "the units repeat each other."
    ),
    # Histograms.
    "weights": Tag("A layer's weights. Where a tensor has more than 20,000, as many spread evenly, and its extremes."),
    "gradients": Tag(
        "The loss's gradients by a layer's weights, of a batch of training examples (at most 256), always the same; "
        "sampled like `weights`. All at 0: nothing is learnt there any more."
    ),
    "codes": Tag("All numbers in the codes of up to 2,000 evaluation examples; at most 20,000 of them."),
    "error/examples": Tag("Root mean squared error of each evaluation example. A long tail: some are not learnt."),
    # Pictures.
    "reconstruction": Tag(
        "Originals, reconstructions, and their absolute difference times 2, always of the same evaluation examples."
    ),
    "examples/worst": Tag(
        "Of up to 2,000 evaluation examples those with the largest error, the worst first: originals, "
        "reconstructions, absolute difference times 2. What does the network not see?"
    ),
    "examples/best": Tag("Like `examples/worst`, those with the smallest error, the best first."),
    "denoising/restored": Tag(
        "Corrupted, restored, and original pictures, always of the same evaluation examples with the same noise."
    ),
    "weights/first_layer": Tag(
        "What the first units look at: each tile is one unit's (or one filter's) weights, grey 0, white its largest, "
        "black the negative of that. Noise is untrained, or useless."
    ),
    "latent/interpolation": Tag(
        "Between two evaluation examples: a row begins and ends with an original; between them, what the decoder makes "
        "of codes on the straight line from the first's to the second's, both ends included."
    ),
    "prior/samples": Tag("What the decoder makes of 64 codes drawn from the prior, always the same ones."),
    "latent/scatter": Tag(
        "The codes of up to 2,000 evaluation examples; a colour is a class. After ten classes the colours come again."
    ),
    "latent/manifold": Tag(
        "What the decoder makes of a grid of 20 x 20 codes, from the 1st to the 99th percentile of each unit over "
        "evaluation examples: the first unit from left to right, the second from bottom to top."
    ),
    "latent/traversal": Tag(
        "What single units do: a row is one of the most active units, from the most active down; from left to right it "
        "goes from 3 standard deviations below its mean to 3 above, the others staying at theirs."
    ),
    "data/sample": Tag("64 training examples, spread evenly over all of them, as the network sees them."),
    # Texts.
    "history": Tag(
        "Starts, stops, and whatever went otherwise than planned: damaged checkpoints, divergences, rollbacks."
    ),
    "run/command": Tag("The command line, how to go on and how to repeat it, and what it runs on."),
    "run/flags": Tag("Every flag's value, and whether it may change within the run."),
    "run/network": Tag("The layers, their shapes, and how many weights they have."),
    "run/data": Tag("What it is trained and evaluated on."),
}


def of(tag: str) -> Tag:
    """A tag's entry; of `weights/...` and `gradients/...`, of which a network decides, that of their kind."""
    return TAGS[tag] if tag in TAGS else TAGS[tag.split("/")[0]]


def is_current(tag: str, meaning: int) -> bool:
    """Whether that is what the tag means now; of tags that are used no more, yes."""
    try:
        return of(tag).meaning == meaning
    except KeyError:
        return True
