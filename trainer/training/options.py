"""The options of training: the objective, the optimizer, the length. No NumPy, no TensorFlow."""

import dataclasses

from trainer.errors import option
from trainer.system.options import DURATION, MATHEMATICS, PRESENTATION, Options, declare

LOSSES = ("bernoulli", "gaussian", "mse", "rmse", "sse")
LIKELIHOODS = ("bernoulli", "gaussian")  # losses in nats, which a variational network weighs against others
NOISES = ("none", "gaussian", "masking", "salt_and_pepper")
SHARES = ("masking", "salt_and_pepper")  # noises whose level is a share of the numbers
OPTIMIZERS = ("adam", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine")
DEFAULT_STEPS = 10_000
MAX_STEPS = 10**12
TRAINING, LENGTH, KINDS_OF_TRAINING = "Training", "Length", "Denoising, sparse, variational, pretrained"  # themes


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options):
    """What training makes small, how, and for how long."""

    loss: str = declare(
        "auto",
        MATHEMATICS,
        TRAINING,
        "of reconstruction. mse and rmse: over all pixels of the batch; sse, bernoulli and gaussian (the last two in"
        " nats): summed over pixels, mean over examples; auto: mse, variational gaussian",
        choices=("auto", *LOSSES),
        is_common=True,
        is_column=True,
    )
    optimizer: str = declare(
        "adam", MATHEMATICS, TRAINING, "as in Keras, with its defaults", choices=OPTIMIZERS, is_column=True
    )
    learning_rate: float = declare(
        2e-3, MATHEMATICS, TRAINING, "the largest", low=0.0, high=1e6, is_common=True, is_column=True
    )
    schedule: str = declare(
        "cosine",
        MATHEMATICS,
        TRAINING,
        "of the learning rate; cosine falls to 0 at the end",
        choices=SCHEDULES,
        is_column=True,
    )
    warmup: int = declare(
        0,
        MATHEMATICS,
        TRAINING,
        "steps in which the learning rate rises to its largest first; of each stage of pretraining too",
        low=0,
        high=MAX_STEPS,
    )
    batch_size: int = declare(
        64, MATHEMATICS, TRAINING, "examples a step", low=1, high=10**9, is_common=True, is_column=True
    )
    epochs: float | None = declare(
        None, DURATION, LENGTH, f"passes over the data; or give {option('steps')}", low=0.0, high=1e9, is_common=True
    )
    steps: int | None = declare(
        None,
        DURATION,
        LENGTH,
        f"steps of the whole run (default {DEFAULT_STEPS:,}); or give {option('epochs')}",
        low=1,
        high=MAX_STEPS,
        is_common=True,
        is_column=True,
    )
    seed: int = declare(
        0,
        MATHEMATICS,
        TRAINING,
        "of the initial weights and the order of the data",
        low=0,
        high=2**31 - 1,
        is_column=True,
    )
    noise: str = declare(
        "none",
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "denoising: what corrupts the input; the target stays clean",
        choices=NOISES,
    )
    noise_level: float = declare(
        0.25,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "gaussian: standard deviation, pictures being in [0, 1]; else: the share of the pixels",
        low=0.0,
        high=1e6,
    )
    shift: int = declare(
        0,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "move each training picture, input and target alike, by up to so many pixels",
        low=0,
        high=64,
    )
    binarise: bool = declare(
        False,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "draw pixels anew as 0 or 1 at each step, their values being chances",
    )
    beta: float = declare(
        1.0, MATHEMATICS, KINDS_OF_TRAINING, "variational: weight of the KL divergence", low=0.0, high=1e6
    )
    sparsity: float = declare(
        0.0, MATHEMATICS, KINDS_OF_TRAINING, "weight of the sum of a code's absolute values", low=0.0, high=1e6
    )
    pretrain: str = declare(
        "none",
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "train one layer after the other before all (dense only)",
        choices=("none", "layerwise"),
    )
    pretrain_steps: int = declare(
        1_000,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        f"steps for each layer, the first of the run's {option('steps')}",
        low=1,
        high=MAX_STEPS,
    )
    on_divergence: str = declare(
        "stop",
        PRESENTATION,
        TRAINING,
        "rollback: back to the last checkpoint with a quarter of the learning rate, at most three times",
        choices=("stop", "rollback"),
    )
