"""What single flags cannot say: which values contradict each other, and what a list holds. No TensorFlow, no NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.config.flags import LIKELIHOODS, MAX_SIDE, MAX_TRACED, MAX_WIDTH
from trainer.errors import UsageError

USING = ("reconstruct", "generate", "encode", "evaluate")  # the modes that use a trained network
FOR_MODES = {
    "restart": ("train",),
    "verify": ("checkpoints",),
    "rollback": ("checkpoints",),
    "input": ("reconstruct",),
    "code": ("generate",),
    "at_step": USING,
    "output": USING,
}


def together(values: Mapping[str, Any]) -> None:
    """Refuses values, by flag, that contradict each other.

    Raises:
      UsageError: some do.
    """
    if not values["hidden"]:
        raise UsageError("--hidden is empty", remedy="give at least the width of the code: --hidden=100")
    if values["learning_rate"] == 0 or values["epochs"] == 0:
        name = "learning_rate" if values["learning_rate"] == 0 else "epochs"
        raise UsageError(f"--{name}=0 trains nothing", remedy="give a positive number")
    if values["steps"] is not None and values["epochs"] is not None:
        raise UsageError("--steps and --epochs both say how long to train", remedy="give one of them")
    for name, modes in FOR_MODES.items():
        if values[name] is not None and values[name] is not False and values["mode"] not in modes:
            raise UsageError(f"--{name} belongs to --mode={', '.join(modes)}", remedy="give both, or neither")
    _kinds(values)
    if values["loss"] == "bernoulli" and values["output_activation"] not in ("auto", "sigmoid"):
        raise UsageError(
            f"--loss=bernoulli with --output_activation={values['output_activation']}",
            found="a Bernoulli likelihood needs probabilities",
            remedy="leave --output_activation out, or give sigmoid",
        )


def _kinds(values: Mapping[str, Any]) -> None:
    if values["variational"] and values["loss"] not in LIKELIHOODS:
        raise UsageError(
            f"--variational with --loss={values['loss']}",
            found="the KL divergence is in nats, so the reconstruction has to be a likelihood",
            remedy=f"leave --loss out, or give one of {', '.join(LIKELIHOODS)}",
        )
    if values["noise"] in ("masking", "salt_and_pepper") and values["noise_level"] > 1:
        raise UsageError(
            f"--noise={values['noise']} with --noise_level={values['noise_level']:g}",
            found="the level is the share of the pixels that are corrupted, 0 to 1",
            remedy="give a share, such as --noise_level=0.25",
        )


def traced(texts: Sequence[str]) -> tuple[int, ...]:
    """--profile: nothing, or the first step and how many.

    Raises:
      UsageError: something else.
    """
    numbers = tuple(int(text) for text in texts if text.strip().isdecimal() and len(text) <= 12)
    if texts and (len(texts) != 2 or len(numbers) != 2 or 0 in numbers or numbers[1] > MAX_TRACED):
        raise UsageError(
            f"--profile={','.join(texts)}",
            found=f"the first step to trace (from 1 on) and how many (at most {MAX_TRACED:,}) are expected",
            remedy="give two whole numbers, such as --profile=100,20",
        )
    return numbers


def size(text: str) -> tuple[int, int]:
    """--image_size: a side, or height x width.

    Raises:
      UsageError: something else.
    """
    sides = text.lower().split("x")
    numbers = [int(side) for side in sides if side.strip().isdecimal() and len(side) <= 6]
    if len(sides) > 2 or len(numbers) != len(sides) or not all(1 <= number <= MAX_SIDE for number in numbers):
        raise UsageError(
            f"--image_size={text}",
            found=f"a side in pixels is expected, or height x width, each from 1 to {MAX_SIDE:,}",
            remedy="give one, such as --image_size=32 or --image_size=48x64",
        )
    return numbers[0], numbers[-1]


def width(text: str) -> int:
    """One number of --hidden.

    Raises:
      UsageError: it is none.
    """
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
