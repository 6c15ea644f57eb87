"""The flags and their kinds. No TensorFlow, no NumPy.

Every flag is of one kind, which says what becomes of it in an existing run:

* mathematics: decides what is computed. Stored in the run's `flags.txt`; a different value is refused.
* duration: how long to train. Stored; may grow.
* numerics: how it is computed (precision, XLA, threads). Stored; may change, at the price of bit-identity.
* presentation: what is written and kept, and how often; what to do when things go wrong. Stored; may change.
* place: where things are and what to do now. Not stored.
"""

from typing import Any

from absl import flags

ACTIVATIONS = ("elu", "gelu", "linear", "relu", "sigmoid", "softplus", "swish", "tanh")
LOSSES = ("bernoulli", "gaussian", "mse", "rmse", "sse")
LIKELIHOODS = ("bernoulli", "gaussian")  # losses in nats, which a variational network weighs against others
NOISES = ("none", "gaussian", "masking", "salt_and_pepper")
OPTIMIZERS = ("adam", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

DEFAULT_STEPS = 10_000
MAX_WIDTH = 1_000_000
MAX_SIDE = 4_096  # of a picture
MAX_TRACED = 1_000  # steps: a trace is kept in memory

MATHEMATICS = frozenset(
    "dataset classes model hidden activation code_activation output_activation loss optimizer learning_rate"
    " schedule warmup batch_size seed init_from noise noise_level shift binarise variational beta sparsity tied"
    " pretrain pretrain_steps image_size color fit label_column standardise eval_fraction".split()
)
# Those of them that weights are for.
NETWORK = ("model", "hidden", "activation", "code_activation", "output_activation", "tied", "variational")
DURATION = frozenset("epochs steps".split())
NUMERICS = frozenset("precision tf32 jit threads deterministic".split())
PRESENTATION = frozenset(
    "log_every eval_every image_every checkpoint_every keep keep_every export on_divergence on_bad_file".split()
)
PLACE = frozenset(
    "mode verify rollback input code at_step output data_dir data_url cache_dir run_dir mirror_dir restart device"
    " tensorboard host port profile debug".split()
)
STORED = MATHEMATICS | DURATION | NUMERICS | PRESENTATION


def define(flag_values: flags.FlagValues) -> None:
    """Defines every flag of Hourglass in `flag_values`."""
    where: Any = {"flag_values": flag_values}
    _define_mathematics(where)
    _define_own_data(where)
    _define_kinds(where)
    _define_duration_and_numerics(where)
    _define_presentation(where)
    _define_place(where)


def _define_mathematics(where: Any) -> None:
    flags.DEFINE_string("dataset", "digits", "what to train on; an unknown name lists the known ones", **where)
    flags.DEFINE_list("classes", [], "labels or names to keep, such as 1,5,6; empty keeps all", **where)
    flags.DEFINE_string("model", "dense", "the network; an unknown name lists the known ones", **where)
    flags.DEFINE_list(
        "hidden",
        ["32"],
        "widths of the encoder's layers, the last is the code; conv: filters of each convolution, then the code",
        **where,
    )
    flags.DEFINE_enum("activation", "swish", ACTIVATIONS, "of the hidden layers", **where)
    flags.DEFINE_enum("code_activation", "linear", ACTIVATIONS, "of the code", **where)
    flags.DEFINE_enum(
        "output_activation",
        "auto",
        ("auto", *ACTIVATIONS),
        "of the reconstruction; auto: sigmoid with the bernoulli loss, else linear",
        **where,
    )
    flags.DEFINE_enum(
        "loss",
        "auto",
        ("auto", *LOSSES),
        "of reconstruction. mse and rmse: over all pixels of the batch; sse, bernoulli and gaussian (the last two in"
        " nats): summed over pixels, mean over examples; auto: mse, variational gaussian",
        **where,
    )
    flags.DEFINE_enum("optimizer", "adam", OPTIMIZERS, "as in Keras, with its defaults", **where)
    flags.DEFINE_float("learning_rate", 2e-3, "the largest", lower_bound=0.0, upper_bound=1e6, **where)
    flags.DEFINE_enum("schedule", "cosine", SCHEDULES, "of the learning rate; cosine falls to 0 at the end", **where)
    flags.DEFINE_integer(
        "warmup",
        0,
        "steps in which the learning rate rises to its largest first; of each stage of pretraining too",
        lower_bound=0,
        upper_bound=10**12,
        **where,
    )
    flags.DEFINE_integer("batch_size", 64, "examples a step", lower_bound=1, upper_bound=10**9, **where)
    flags.DEFINE_integer(
        "seed", 0, "of the initial weights and the order of the data", lower_bound=0, upper_bound=2**31 - 1, **where
    )
    flags.DEFINE_string(
        "init_from", None, "begin with the weights of this run's folder, or of this checkpoint (.../ckpt-N)", **where
    )


def _define_own_data(where: Any) -> None:
    """What is made of a person's own data."""
    flags.DEFINE_string(
        "image_size",
        "32",
        "of pictures of one's own: the side in pixels, or height x width, such as 48x64",
        **where,
    )
    flags.DEFINE_enum("color", "rgb", ("grey", "rgb"), "of the same; grey: the mean of red, green and blue", **where)
    flags.DEFINE_enum(
        "fit",
        "crop",
        ("crop", "pad", "resize"),
        "of pictures of other proportions: cropped to their middle, padded with black, or pressed into shape",
        **where,
    )
    flags.DEFINE_string(
        "label_column", None, "of --dataset=table: the column that labels the rows: its name, or number", **where
    )
    flags.DEFINE_bool(
        "standardise", False, "divide each column of a table by its standard deviation, within the network", **where
    )
    flags.DEFINE_float(
        "eval_fraction",
        0.1,
        "of one's own data that evaluates, where they have no split; 0: all of them do both",
        lower_bound=0.0,
        upper_bound=0.9,
        **where,
    )


def _define_kinds(where: Any) -> None:
    """What kind of an autoencoder it is: all of these can be combined."""
    flags.DEFINE_enum("noise", "none", NOISES, "denoising: what corrupts the input; the target stays clean", **where)
    flags.DEFINE_float(
        "noise_level",
        0.25,
        "gaussian: standard deviation, pictures being in [0, 1]; else: the share of the pixels",
        lower_bound=0.0,
        upper_bound=1e6,
        **where,
    )
    flags.DEFINE_integer(
        "shift",
        0,
        "move each training picture, input and target alike, by up to so many pixels",
        lower_bound=0,
        upper_bound=64,
        **where,
    )
    flags.DEFINE_bool("binarise", False, "draw pixels anew as 0 or 1 at each step, their values being chances", **where)
    flags.DEFINE_bool(
        "variational", False, "codes are drawn, and their distribution is kept near a normal one", **where
    )
    flags.DEFINE_float(
        "beta", 1.0, "variational: weight of the KL divergence", lower_bound=0.0, upper_bound=1e6, **where
    )
    flags.DEFINE_float(
        "sparsity", 0.0, "weight of the sum of a code's absolute values", lower_bound=0.0, upper_bound=1e6, **where
    )
    flags.DEFINE_bool("tied", False, "the decoder's weights are the encoder's, transposed (dense only)", **where)
    flags.DEFINE_enum(
        "pretrain", "none", ("none", "layerwise"), "train one layer after the other before all (dense only)", **where
    )
    flags.DEFINE_integer(
        "pretrain_steps",
        1_000,
        "steps for each layer, the first of the run's --steps",
        lower_bound=1,
        upper_bound=10**12,
        **where,
    )


def _define_duration_and_numerics(where: Any) -> None:
    flags.DEFINE_float(
        "epochs", None, "passes over the data; or give --steps", lower_bound=0.0, upper_bound=1e9, **where
    )
    flags.DEFINE_integer(
        "steps",
        None,
        f"steps of the whole run (default {DEFAULT_STEPS:,}); or give --epochs",
        lower_bound=1,
        upper_bound=10**12,
        **where,
    )
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "of the arithmetic; weights stay float32", **where)
    flags.DEFINE_bool("tf32", False, "let a GPU round float32 numbers to 10 bits before it multiplies them", **where)
    flags.DEFINE_enum("jit", "auto", ("auto", "on", "off"), "compile steps with XLA; auto: where it pays", **where)
    flags.DEFINE_integer(
        "threads", 0, "CPU threads; 0: as the run began, at first all", lower_bound=0, upper_bound=4096, **where
    )
    flags.DEFINE_bool("deterministic", False, "deterministic kernels, for bit-identical runs on a GPU", **where)


def _define_presentation(where: Any) -> None:
    for name, meaning in {
        "log_every": "steps between scalars (default: about 250 points a run)",
        "eval_every": "steps between evaluations (default: about 20 a run, in long ones fewer)",
        "image_every": "steps between pictures (default: 1, 2, 5, 10, 20, ...: ten in all, fewer as it goes on)",
        "checkpoint_every": "steps between checkpoints (default: about 5 a run; besides, every 5 minutes)",
    }.items():
        flags.DEFINE_integer(name, None, meaning + "; 0: only at the ends", lower_bound=0, upper_bound=10**12, **where)
    flags.DEFINE_integer("keep", 5, "checkpoints to keep", lower_bound=1, upper_bound=10**6, **where)
    flags.DEFINE_integer(
        "keep_every",
        0,
        "steps between checkpoints that are kept for good, in checkpoints/kept; 0: none",
        lower_bound=0,
        upper_bound=10**12,
        **where,
    )
    flags.DEFINE_enum(
        "export",
        "last",
        ("last", "best", "none"),
        "which weights become a SavedModel at the end; best: of the checkpoint with the lowest evaluation error",
        **where,
    )
    flags.DEFINE_enum(
        "on_divergence",
        "stop",
        ("stop", "rollback"),
        "rollback: back to the last checkpoint with a quarter of the learning rate, at most three times",
        **where,
    )
    flags.DEFINE_enum(
        "on_bad_file", "error", ("error", "skip"), "files and rows of one's own data that cannot be used", **where
    )


def _define_place(where: Any) -> None:
    flags.DEFINE_string("mode", "train", "what to do; an unknown name lists the known ones", **where)
    flags.DEFINE_bool("verify", False, "with --mode=checkpoints: read all of every checkpoint again", **where)
    flags.DEFINE_integer(
        "rollback", None, "with --mode=checkpoints: make the checkpoint of this step the newest", lower_bound=0, **where
    )
    flags.DEFINE_string(
        "input",
        None,
        "with --mode=reconstruct: a picture, a folder of pictures, an .npy file, or numbers such as 8,4,6,2",
        **where,
    )
    flags.DEFINE_string(
        "code", None, "with --mode=generate: the numbers of a code, such as 5,5; several: 5,5;0,1", **where
    )
    flags.DEFINE_integer(
        "at_step",
        None,
        "with the modes that use a trained network: the checkpoint of this step (default: the newest)",
        lower_bound=0,
        **where,
    )
    flags.DEFINE_string(
        "output", None, "with the same modes: the folder to write to (default: <mode>/<step> in the run's)", **where
    )
    flags.DEFINE_string(
        "data_dir", None, "where data files are, and go (default: Keras's cache); or one's own folder, or file", **where
    )
    flags.DEFINE_string(
        "cache_dir", None, "where decoded data are kept (default: hourglass in the folder of Keras's cache)", **where
    )
    flags.DEFINE_string("data_url", None, "download the data set's archive from here, not from the mirrors", **where)
    flags.DEFINE_string("run_dir", None, "the run's folder (default: runs/<dataset>-<model>-<hidden>)", **where)
    flags.DEFINE_string(
        "mirror_dir",
        None,
        "also copy checkpoints and event files to <mirror_dir>/<name of run_dir>, and take them from there when run_dir"
        " is empty or gone",
        **where,
    )
    flags.DEFINE_bool("restart", False, "begin again at step 0; what was there is set aside, not deleted", **where)
    flags.DEFINE_enum("device", "auto", ("auto", "cpu", "gpu"), "gpu without a usable GPU is an error", **where)
    flags.DEFINE_bool("tensorboard", False, "serve TensorBoard during the run and after it, until Ctrl-C", **where)
    flags.DEFINE_string(
        "host", "localhost", "what TensorBoard listens on; 0.0.0.0: everything, so that others can look", **where
    )
    flags.DEFINE_integer(
        "port", 6006, "TensorBoard's port; a free one where it is taken", lower_bound=1, upper_bound=65535, **where
    )
    flags.DEFINE_list(
        "profile", [], "START,COUNT: trace so many steps from that one on, for TensorBoard's Profile tab", **where
    )
    flags.DEFINE_bool("debug", False, "show tracebacks", **where)
