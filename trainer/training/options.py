"""Training options: objective, optimizer, length. No NumPy, no TensorFlow."""

import dataclasses

from trainer.errors import option
from trainer.system.options import DURATION, MATHEMATICS, PLACE, PRESENTATION, Options, declare

LOSSES = ("bernoulli", "gaussian", "mse", "rmse", "sse")
LIKELIHOODS = ("bernoulli", "gaussian")  # losses in nats: a KL divergence may be added to them
NOISES = ("none", "gaussian", "masking", "salt_and_pepper")
SHARES = ("masking", "salt_and_pepper")  # noises whose level is a fraction of the values
OPTIMIZERS = ("adam", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine")
DEFAULT_STEPS = 10_000
MAX_STEPS = 10**12
TRAINING, LENGTH, KINDS_OF_TRAINING = "Training", "Length", "Denoising, variational, sparse, stacked"  # themes


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TrainingOptions(Options):
    """Options for the objective, the optimizer and the length of training."""

    loss: str = declare(
        "auto",
        MATHEMATICS,
        TRAINING,
        "Reconstruction loss. mse, rmse: over all pixels of the batch. sse, and bernoulli and gaussian in nats: summed"
        f" over pixels, mean over examples. auto: mse; with {option('variational')}, gaussian",
        choices=("auto", *LOSSES),
        is_common=True,
        is_column=True,
    )
    optimizer: str = declare(
        "adam",
        MATHEMATICS,
        TRAINING,
        "Optimizer, with the default parameters of Keras",
        choices=OPTIMIZERS,
        is_column=True,
    )
    learning_rate: float = declare(
        2e-3, MATHEMATICS, TRAINING, "Peak learning rate", low=0.0, high=1e6, is_common=True, is_column=True
    )
    learning_rate_from_now: float | None = declare(
        None,
        PLACE,
        TRAINING,
        f"Change the peak learning rate of an existing run, from its newest checkpoint on. It is stored as"
        f" {option('learning_rate')}; the result is no longer bit-identical",
        low=0.0,
        high=1e6,
    )
    schedule: str = declare(
        "cosine",
        MATHEMATICS,
        TRAINING,
        "Learning rate schedule. cosine: falls to 0 at the end of the run",
        choices=SCHEDULES,
        is_column=True,
    )
    warmup: int = declare(
        0,
        MATHEMATICS,
        TRAINING,
        "Raise the learning rate linearly to its peak in the first N steps, and in those of each pretraining stage",
        low=0,
        high=MAX_STEPS,
    )
    batch_size: int = declare(
        64, MATHEMATICS, TRAINING, "Examples per step", low=1, high=10**9, is_common=True, is_column=True
    )
    epochs: float | None = declare(
        None,
        DURATION,
        LENGTH,
        f"Length of the whole run in passes over the training data. Use this or {option('steps')}",
        low=0.0,
        high=1e9,
        is_common=True,
    )
    steps: int | None = declare(
        None,
        DURATION,
        LENGTH,
        f"Length of the whole run in steps. Default: {DEFAULT_STEPS:,}. A larger number continues a finished run",
        low=1,
        high=MAX_STEPS,
        is_common=True,
        is_column=True,
    )
    early_stopping: int = declare(
        0,
        DURATION,
        LENGTH,
        "End the run after N evaluations in a row without a lower evaluation error, counted after pretraining. 0: off",
        low=0,
        high=10**9,
    )
    seed: int = declare(
        0,
        MATHEMATICS,
        TRAINING,
        "Seed of the initial weights, the data order and all noise",
        low=0,
        high=2**31 - 1,
        is_column=True,
    )
    noise: str = declare(
        "none",
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "Train a denoising autoencoder: corrupt the input with this noise; the target stays clean",
        choices=NOISES,
        is_column=True,
    )
    noise_level: float = declare(
        0.25,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "Noise level. gaussian: standard deviation, for images in [0, 1]. masking, salt_and_pepper: fraction of the"
        " pixels",
        low=0.0,
        high=1e6,
        is_column=True,
    )
    shift: int = declare(
        0,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "Shift each training image, input and target, by up to N pixels",
        low=0,
        high=64,
    )
    binarise: bool = declare(
        False,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "Sample each pixel as 0 or 1 at every step, with its value as the probability",
        alias="binarize",
    )
    beta: float = declare(
        1.0,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        f"Weight of the KL divergence (with {option('variational')})",
        low=0.0,
        high=1e6,
        is_column=True,
    )
    sparsity: float = declare(
        0.0,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "Train a sparse autoencoder: weight of the L1 norm of the code",
        low=0.0,
        high=1e6,
        is_column=True,
    )
    pretrain: str = declare(
        "none",
        MATHEMATICS,
        KINDS_OF_TRAINING,
        "Pretrain layer by layer, then train all layers together (dense only)",
        choices=("none", "layerwise"),
    )
    pretrain_steps: int = declare(
        1_000,
        MATHEMATICS,
        KINDS_OF_TRAINING,
        f"Pretraining steps per layer. They count toward {option('steps')}",
        low=1,
        high=MAX_STEPS,
    )
    on_divergence: str = declare(
        "stop",
        PRESENTATION,
        TRAINING,
        "If the loss is no longer finite: stop, or roll back to the last checkpoint with a quarter of the learning"
        " rate, at"
        " most three times",
        choices=("stop", "rollback"),
    )
