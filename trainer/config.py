"""The flags, their kinds, and the frozen `Config` made of them. No TensorFlow, no NumPy.

Every flag is of one kind, which says what becomes of it in an existing run:

* mathematics: decides what is computed. Stored in the run's `flags.txt`; a different value is refused.
* duration: how long to train. Stored; may grow.
* numerics: how it is computed (precision, XLA, threads). Stored; may change, at the price of bit-identity.
* presentation: how often to log, picture and save. Stored; may change.
* place: where things are and what to do now. Not stored.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import flags

from trainer.errors import UsageError

ACTIVATIONS = ("elu", "gelu", "linear", "relu", "sigmoid", "softplus", "swish", "tanh")
LOSSES = ("bernoulli", "mse", "rmse", "sse")
OPTIMIZERS = ("adam", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

DEFAULT_STEPS = 10_000
MAX_WIDTH = 1_000_000

MATHEMATICS = frozenset(
    "dataset classes model hidden activation code_activation output_activation loss optimizer learning_rate"
    " schedule batch_size seed".split()
)
DURATION = frozenset("epochs steps".split())
NUMERICS = frozenset("precision jit threads deterministic".split())
PRESENTATION = frozenset("log_every eval_every image_every checkpoint_every keep export".split())
PLACE = frozenset("mode data_dir data_url run_dir restart device tensorboard port debug".split())
STORED = MATHEMATICS | DURATION | NUMERICS | PRESENTATION


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """One run, fully described: a field for every flag, of the same name. `define` gives the meanings."""

    # Mathematics
    dataset: str
    classes: tuple[str, ...]
    model: str
    hidden: tuple[int, ...]
    activation: str
    code_activation: str
    output_activation: str
    loss: str
    optimizer: str
    learning_rate: float
    schedule: str
    batch_size: int
    seed: int
    # Duration
    epochs: float | None
    steps: int | None
    # Numerics
    precision: str
    jit: str
    threads: int
    deterministic: bool
    # Presentation
    log_every: int | None
    eval_every: int | None
    image_every: int | None
    checkpoint_every: int | None
    keep: int
    export: str
    # Place
    mode: str
    data_dir: str | None
    data_url: str | None
    run_dir: str | None
    restart: bool
    device: str
    tensorboard: bool
    port: int
    debug: bool

    def total_steps(self, num_train: int) -> int:
        """Steps of the whole run for `num_train` training examples."""
        if self.epochs is not None:
            return math.ceil(self.epochs * num_train / self.batch_size)
        return DEFAULT_STEPS if self.steps is None else self.steps


def define(flag_values: flags.FlagValues) -> None:
    """Defines every flag of Hourglass in `flag_values`."""
    where: Any = {"flag_values": flag_values}
    _define_mathematics(where)
    _define_duration_and_numerics(where)
    _define_presentation(where)
    _define_place(where)


def _define_mathematics(where: Any) -> None:
    flags.DEFINE_string("dataset", "digits", "what to train on; an unknown name lists the known ones", **where)
    flags.DEFINE_list("classes", [], "labels or names to keep, such as 1,5,6; empty keeps all", **where)
    flags.DEFINE_string("model", "dense", "the network; an unknown name lists the known ones", **where)
    flags.DEFINE_list("hidden", ["32"], "widths of the encoder's layers; the last is the code", **where)
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
        "mse",
        LOSSES,
        "mse and rmse: over all pixels of the batch; sse and bernoulli: summed over pixels, mean over examples",
        **where,
    )
    flags.DEFINE_enum("optimizer", "adam", OPTIMIZERS, "as in Keras, with its defaults", **where)
    flags.DEFINE_float("learning_rate", 2e-3, "at the start", lower_bound=0.0, upper_bound=1e6, **where)
    flags.DEFINE_enum("schedule", "cosine", SCHEDULES, "of the learning rate; cosine falls to 0 at the end", **where)
    flags.DEFINE_integer("batch_size", 64, "examples a step", lower_bound=1, upper_bound=10**9, **where)
    flags.DEFINE_integer(
        "seed", 0, "of the initial weights and the order of the data", lower_bound=0, upper_bound=2**31 - 1, **where
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
    flags.DEFINE_enum("jit", "auto", ("auto", "on", "off"), "compile steps with XLA; auto: where it pays", **where)
    flags.DEFINE_integer("threads", 0, "CPU threads; 0: all", lower_bound=0, upper_bound=4096, **where)
    flags.DEFINE_bool("deterministic", False, "deterministic kernels, for bit-identical runs on a GPU", **where)


def _define_presentation(where: Any) -> None:
    for name, meaning in {
        "log_every": "steps between scalars (default: about 250 points a run)",
        "eval_every": "steps between evaluations (default: about 20 a run)",
        "image_every": "steps between reconstruction pictures (default: about 10 a run)",
        "checkpoint_every": "steps between checkpoints (default: about 5 a run; besides, every 5 minutes)",
    }.items():
        flags.DEFINE_integer(name, None, meaning + "; 0: only at the end", lower_bound=0, upper_bound=10**12, **where)
    flags.DEFINE_integer("keep", 5, "checkpoints to keep", lower_bound=1, upper_bound=10**6, **where)
    flags.DEFINE_enum("export", "last", ("last", "none"), "which weights become a SavedModel at the end", **where)


def _define_place(where: Any) -> None:
    flags.DEFINE_string("mode", "train", "what to do; an unknown name lists the known ones", **where)
    flags.DEFINE_string("data_dir", None, "where data files are and go (default: Keras's own cache)", **where)
    flags.DEFINE_string("data_url", None, "download the data set's archive from here, not from the mirrors", **where)
    flags.DEFINE_string("run_dir", None, "the run's folder (default: runs/<dataset>-<model>-<hidden>)", **where)
    flags.DEFINE_bool("restart", False, "begin again at step 0; what was there is set aside, not deleted", **where)
    flags.DEFINE_enum("device", "auto", ("auto", "cpu", "gpu"), "gpu without a usable GPU is an error", **where)
    flags.DEFINE_bool("tensorboard", False, "serve TensorBoard during the run and after it, until Ctrl-C", **where)
    flags.DEFINE_integer("port", 6006, "TensorBoard's port", lower_bound=1, upper_bound=65535, **where)
    flags.DEFINE_bool("debug", False, "show tracebacks", **where)


def parse(arguments: Sequence[str]) -> tuple[Config, frozenset[str]]:
    """Command-line arguments (without the program's name) -> the config and the names of the flags given.

    Raises:
      UsageError: an unknown flag, a value out of bounds, a positional argument, flags that contradict each other.
    """
    flag_values = flags.FlagValues()
    define(flag_values)
    try:
        positional = flag_values(["launch.py", *arguments])[1:]
    except flags.Error as error:
        raise UsageError(str(error), remedy="python launch.py --help lists every flag") from error
    except UnicodeDecodeError as error:
        raise UsageError("the flagfile is not a text file", found=str(error), remedy="give a UTF-8 file") from error
    if positional:
        # `--tensorboard false` would silently mean true.
        raise UsageError(f"unexpected argument {positional[0]!r}", remedy="write flags as --name=value")
    config = _freeze({name: flag_values[name].value for name in flag_values})
    return config, frozenset(name for name in flag_values if flag_values[name].present)


def help_text() -> str:
    """Every flag with its meaning, bounds and default."""
    flag_values = flags.FlagValues()
    define(flag_values)
    body = flag_values.module_help(__name__)
    return f"python launch.py [--flagfile=FILE] [--name=value ...]\n{body}\n"


def names() -> tuple[str, ...]:
    """Every flag's name."""
    return tuple(field.name for field in dataclasses.fields(Config))


def to_flagfile(config: Config) -> str:
    """The stored flags as an absl flagfile that repeats the run."""
    lines = ["# The flags of this run: python launch.py --flagfile=THIS_FILE repeats it."]
    for name in names():
        value = getattr(config, name)
        if name in STORED and value is not None:
            lines.append(f"--{name}={_serialize(value)}")
    return "\n".join(lines) + "\n"


def from_flagfile(text: str) -> Config:
    """The inverse of `to_flagfile`. Flags that it does not name take their defaults."""
    lines = (line.strip() for line in text.splitlines())
    return parse([line for line in lines if line and not line.startswith("#")])[0]


def adopt(stored: Config, given: Config, given_names: Iterable[str], *, guarded: bool = True) -> Config:
    """The stored config of an existing run, with the flags that were given now on top.

    Args:
      stored: the run's; given: as parsed now; given_names: the names of those that were given.
      guarded: mathematical flags may not change.

    Raises:
      UsageError: a mathematical flag was given a different value; all such flags are named.
    """
    given_names = set(given_names)
    changed = [n for n in names() if n in MATHEMATICS & given_names and getattr(given, n) != getattr(stored, n)]
    if changed and guarded:
        table = "; ".join(
            f"--{n}: {_serialize(getattr(stored, n))} -> {_serialize(getattr(given, n))}" for n in changed
        )
        raise UsageError(
            f"this run was started with other flags: {table} (stored -> given)",
            found="these decide what is computed, so they may not change within a run",
            remedy="leave the flag out to go on, give another --run_dir, or --restart to begin again",
        )
    values = {n: getattr(given if n in given_names or n in PLACE else stored, n) for n in names()}
    # The two say the same thing: the one given now replaces the one stored.
    if "steps" in given_names:
        values["epochs"] = given.epochs
    if "epochs" in given_names:
        values["steps"] = given.steps
    return Config(**values)


def mathematics(config: Config) -> dict[str, Any]:
    """The flags that decide what is computed, as JSON has them."""
    values = ((name, getattr(config, name)) for name in names() if name in MATHEMATICS)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values}


def _serialize(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _freeze(values: Mapping[str, Any]) -> Config:
    """Checks what single flags cannot say, and freezes."""
    values = dict(values)
    values["classes"] = tuple(str(name).strip() for name in values["classes"])
    values["hidden"] = tuple(_width(text) for text in values["hidden"])
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name}={value} is not a finite number", remedy="give a number")
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and not text.isprintable() for text in texts):
            raise UsageError(f"--{name} holds a character that cannot be printed", remedy="give one line of text")
    if not values["hidden"]:
        raise UsageError("--hidden is empty", remedy="give at least the width of the code: --hidden=100")
    if values["learning_rate"] == 0 or values["epochs"] == 0:
        name = "learning_rate" if values["learning_rate"] == 0 else "epochs"
        raise UsageError(f"--{name}=0 trains nothing", remedy="give a positive number")
    if values["steps"] is not None and values["epochs"] is not None:
        raise UsageError("--steps and --epochs both say how long to train", remedy="give one of them")
    if values["loss"] == "bernoulli" and values["output_activation"] not in ("auto", "sigmoid"):
        raise UsageError(
            f"--loss=bernoulli with --output_activation={values['output_activation']}",
            found="a Bernoulli likelihood needs probabilities",
            remedy="leave --output_activation out, or give sigmoid",
        )
    return Config(**values)


def _width(text: str) -> int:
    try:
        width = int(text)
    except ValueError:
        width = 0
    if not 1 <= width <= MAX_WIDTH:
        raise UsageError(
            f"--hidden holds {text!r}",
            found=f"a layer's width is a whole number from 1 to {MAX_WIDTH:,}",
            remedy="give the encoder's widths, such as --hidden=256,128,32",
        )
    return width
