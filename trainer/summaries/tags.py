"""Descriptions of all TensorBoard tags, in Markdown: quantity, unit, and how to read it."""

from trainer.evaluation.statistics import NOISE_MULTIPLES

_BASELINES = "The runs `floor/mean` and `floor/pca` show the same error of the training mean and of PCA"

TAGS: dict[str, str] = {
    # Scalars of training, at every logged step.
    "loss": (
        "Training objective; lower is better. `train`: mean over the steps since the last point. `eval`: mean over all "
        "evaluation examples, with the same noise and sampling as in training, but without shifts. For variational "
        "networks: beta times the KL divergence minus the log-likelihood, in nats; with beta 1, the negative ELBO. "
        f"{_BASELINES}, if the loss is a squared error without other terms."
    ),
    "pretrain": (
        "Loss of the layer pair in layerwise pretraining: an encoder layer and its mirrored decoder layer reconstruct "
        "the input of the encoder layer. First layer: the reconstruction loss of images. Other layers: the mean "
        "squared error of features."
    ),
    "learning_rate": "Learning rate of the step.",
    "loss_scale": (
        "Factor by which the loss is multiplied under float16. It falls when gradients overflow; training stops below "
        "1."
    ),
    "gradient_norm": "Euclidean norm of all gradients of the step.",
    "update_norm": (
        "Euclidean norm of the change of the weights in the step. About a thousandth of `weight_norm` is usual; a much "
        "larger value is unstable, a much smaller value is slow. 0 if the step was skipped because its gradients "
        "overflowed."
    ),
    "weight_norm": "Euclidean norm of all trained weights after the step.",
    "perf/steps_per_second": "Training steps per second, without evaluation, images and checkpoints.",
    "perf/examples_per_second": "Training examples per second: steps per second times the batch size.",
    "perf/input_wait": "Share of the training time spent waiting for data, 0 to 1. Near 0 is best.",
    "perf/checkpoint_seconds": (
        "Seconds to save the checkpoint, including its verification, fsync, and the flush of event files."
    ),
    "perf/checkpoint_bytes": "Size of the files of the checkpoint, in bytes.",
    # Reconstruction error.
    "reconstruction/mse": (
        "Squared error, mean over pixels and examples; lower is better. Images are in [0, 1]; tables are in the units "
        "of the columns, or in standard deviations with `standardise`. "
        f"{_BASELINES} with as many components as the code has units. No linear code is better than PCA."
    ),
    "reconstruction/rmse": (
        f"Square root of `reconstruction/mse`, in the units of the data; lower is better. {_BASELINES}."
    ),
    "reconstruction/sse": (f"Squared error summed over pixels, mean over examples; lower is better. {_BASELINES}."),
    "reconstruction/psnr": (f"Peak signal-to-noise ratio in dB, for peak 1; higher is better. {_BASELINES}."),
    "reconstruction/ssim": (
        "Structural similarity (Wang et al. 2004), mean over up to 250 evaluation examples; higher is better, 1 is a "
        "perfect reconstruction. Unlike the squared error, it penalizes blur strongly."
    ),
    "best/rmse": "Lowest `reconstruction/rmse` of all evaluations so far.",
    "best/step": (
        "Step of the evaluation with the lowest error so far. If it no longer changes, more training does not help."
    ),
    "best/age": (
        "Number of evaluations in a row, after pretraining, whose error was not below `best/rmse`. With "
        "`early_stopping`, the run ends when it reaches that number."
    ),
    "error/p10": "10th percentile of the root mean squared errors of the evaluation examples; lower is better.",
    "error/p50": "Median of the root mean squared errors of the evaluation examples; lower is better.",
    "error/p90": "90th percentile of the root mean squared errors of the evaluation examples; lower is better.",
    # Other terms of the objective.
    "elbo/elbo": (
        "Evidence lower bound in nats per example (Kingma and Welling 2014, eq. 10): `elbo/reconstruction` minus "
        "`elbo/kl`, with one sample of each code; higher is better. It bounds the log-likelihood of the data only for "
        "`loss=bernoulli` and pixels that are 0 or 1 (`binarise`)."
    ),
    "elbo/reconstruction": (
        "Log-likelihood of the images given sampled codes, in nats per example; higher is better. For `loss=gaussian`, "
        "the variance is the maximum likelihood estimate for these images (in training: for the batch)."
    ),
    "elbo/kl": (
        "KL divergence between the distribution of the codes and the prior, in nats per example: an upper bound of the "
        "information in a code. At 0, the decoder has learned to ignore the codes."
    ),
    "elbo/active_units": (
        "Number of code units whose mean has a variance above 0.01 over the examples (Burda, Grosse and Salakhutdinov "
        "2015, section 5). The other units equal the prior for every image."
    ),
    "kl/units": "Distribution over code units of the KL divergence of each unit, in nats. A unit at 0 is unused.",
    "sparsity/l1": (
        "Sum of the absolute values of a code, mean over examples. The loss contains this value times `sparsity`."
    ),
    "denoising/corrupted": (
        "Root mean squared error of the corrupted images before denoising, at the noise level of training: the error "
        "of doing nothing. Computed on up to 2,000 evaluation examples."
    ),
    **{
        f"denoising/rmse_{times}x": (
            f"Root mean squared error of images denoised by the network, at {times} times the noise level of training "
            "(a share of pixels is at most 1), compared with the clean images; lower is better. Computed on up to "
            "2,000 evaluation examples with the same noise every time."
        )
        for times in NOISE_MULTIPLES
    },
    # Codes of up to 2,000 evaluation examples.
    "latent/active_units": (
        "Number of code units in use: units whose standard deviation over the examples exceeds a hundredth of the "
        "largest one. The other units of the code are dead."
    ),
    "latent/effective_rank": (
        "Effective number of dimensions of the codes (Roy and Vetterli 2007): exp of the entropy of the normalized "
        "singular values of the centered codes. 1: all codes are on a line; number of units: all directions vary "
        "equally; 0: all codes are equal. Codes of more than 256 units: estimated from 500 examples."
    ),
    "latent/mean_correlation": (
        "Mean absolute correlation between pairs of active units, 0 to 1, of the up to 256 units that vary most. Near "
        "1, the units are redundant."
    ),
    # Histograms.
    "weights": (
        "Weights of a layer. Of a tensor with more than 20,000 weights: 20,000 evenly spaced weights, the smallest and "
        "the largest."
    ),
    "gradients": (
        "Gradients of the loss with respect to the weights of a layer, for one fixed batch of up to 256 training "
        "examples, sampled like `weights`. If all are 0, the layer no longer learns."
    ),
    "codes": "Values of the codes of up to 2,000 evaluation examples, sampled like `weights`.",
    "error/examples": (
        "Root mean squared error of each evaluation example. A long tail shows examples that the network does not "
        "reconstruct well."
    ),
    # Images.
    "reconstruction": (
        "Rows: originals, reconstructions, and their absolute difference times 2, for up to 8 fixed evaluation "
        "examples."
    ),
    "examples/worst": (
        "The up to 8 examples with the largest errors among up to 2,000 evaluation examples, the largest first. Rows: "
        "originals, reconstructions, and their absolute difference times 2."
    ),
    "examples/best": "Like `examples/worst`, for the smallest errors, the smallest first.",
    "denoising/restored": (
        "Rows: corrupted, denoised and original images of up to 8 fixed evaluation examples with fixed noise."
    ),
    "weights/first_layer": (
        "Weights of up to 100 units (or convolution filters) of the first layer, one tile each. Gray is 0, white or "
        "black is the largest absolute weight of the tile. A unit that looks like noise is untrained or unused."
    ),
    "latent/interpolation": (
        "Interpolation between two evaluation examples in each row: the first original, 8 images decoded from evenly "
        "spaced codes on the line from the first code to the second, both included, and the second original."
    ),
    "prior/samples": "Images decoded from 64 fixed codes sampled from the prior.",
    "latent/scatter": (
        "Scatter plot of the two-dimensional codes of up to 2,000 evaluation examples, colored by class. Colors repeat "
        "after ten classes."
    ),
    "latent/manifold": (
        "Images decoded from a 20 x 20 grid of codes, from the 1st to the 99th percentile of each unit over the "
        "evaluation examples. The first unit increases from left to right, the second from bottom to top."
    ),
    "latent/traversal": (
        "Images decoded while one code unit varies in each row, from 3 standard deviations below its mean to 3 above; "
        "the other units stay at their means. Rows: the up to 8 most active units, the most active first."
    ),
    "data/sample": "64 evenly spaced training examples, before noise, shifts and binarization.",
    # Texts.
    "history": "Log of the run: starts, stops, damaged checkpoints, divergences and rollbacks; newest first.",
    "run/command": "Command line, commands to resume and to repeat the run, and the software and hardware.",
    "run/flags": "Value of every flag, and whether the flag may change within the run.",
    "run/network": "Layers, their shapes, and their number of weights.",
    "run/data": "Training and evaluation data of the run.",
}


def description(tag: str) -> str:
    """Returns the description of a tag; `weights/...` and `gradients/...` share one description each.

    Raises:
      KeyError: the tag has no description.
    """
    return TAGS[tag] if tag in TAGS else TAGS[tag.split("/")[0]]
