"""The model card of an exported network: the README.md beside its SavedModel."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

import trainer

ERRORS = {"network": "{}/reconstruction/rmse", "PCA": "floor/pca/{}", "mean": "floor/mean/{}"}
SPLITS = {"eval": "evaluation", "train": "training"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """The content of a model card.

    Attributes:
      name: name of the run.
      dataset: name of the data set, without a path.
      fingerprint: SHA-256 of the data set.
      network: one-line description of the network.
      step: number of training steps.
      errors: root mean squared errors of the network and of the baselines by tag; they may be missing.
      unit: the unit of the errors in words.
      input_name: `images` or `rows`.
      fills_missing: True if numbers of rows may be missing.
      shape: shape of an example.
      code_size: width of the code.
      is_variational: True if the network draws codes and examples.
      thresholds: threshold of the scores, or None, by the share of normal examples above it.
    """

    name: str
    dataset: str
    fingerprint: str
    network: str
    step: int
    errors: Mapping[str, float]
    unit: str
    input_name: str
    fills_missing: bool
    shape: tuple[int, ...]
    code_size: int
    is_variational: bool
    thresholds: Mapping[str, float | None]


def render(card: Card) -> str:
    """Returns the card in Markdown."""
    parts = (_summary(card), _errors(card), _python(card), _scores(card), _serving(card), _signatures(card))
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(card: Card) -> str:
    facts = {
        "network": card.network,
        "training": f"{card.step:,} steps, Hourglass {trainer.__version__}",
        "data": card.dataset,
        "fingerprint of the data": f"SHA-256 `{card.fingerprint}`",
        "run": f"`{card.name}`",
    }
    return f"# {card.name}\n\nAn autoencoder as a TensorFlow SavedModel.\n\n" + _table(("", ""), facts.items())


def _errors(card: Card) -> str:
    rows = []
    for split, name in SPLITS.items():
        values = [card.errors.get(tag.format(split)) for tag in ERRORS.values()]
        if values[0] is not None:
            rows.append([name, *("-" if value is None else f"{value:.5f}" for value in values)])
    if not rows:
        return ""
    what = f"Root mean squared errors, {card.unit}. PCA has as many components as the code; mean is the training mean."
    return f"## Errors\n\n{what}\n\n" + _table(("examples", *ERRORS), rows)


def _python(card: Card) -> str:
    shape = ", ".join(map(str, card.shape))
    values = "from 0 to 1" if card.input_name == "images" else "in their own units"
    values += "; NaN for missing numbers" if card.fills_missing else ""
    return f"""## Python

```python
import tensorflow as tf

network = tf.saved_model.load("export/{card.step}")
{card.input_name} = tf.zeros([3, {shape}])  # float32, {values}

codes = network.signatures["encode"]({card.input_name}={card.input_name})["codes"]  # [3, {card.code_size}]
outputs = network.signatures["decode"](codes=codes)["reconstructions"]  # [3, {shape}]
scores = network.signatures["score"]({card.input_name}={card.input_name})["scores"]  # [3]
```"""


def _scores(card: Card) -> str:
    definition = {
        "images": "the mean squared error over pixels, divided by the variance of the image's own pixels",
        "rows": f"the mean squared error over columns, {card.unit}",
    }[card.input_name]
    known = [(share, value) for share, value in card.thresholds.items() if value is not None]
    if not known:
        limits = "There are too few held-out scores for a threshold."
    else:
        limits = "Normal examples, like those held out for evaluation, exceed a threshold at most this often:\n\n"
        limits += _table(("share", "threshold"), [(f"{float(share):.1%}", f"{value:.6g}") for share, value in known])
    return f"## Anomaly scores\n\nThe score is {definition}. Higher is worse. {limits}\n\nMore: `assets/score.json`."


def _serving(card: Card) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", card.name)
    return f"""## TensorFlow Serving

Run it in the folder that contains `export/{card.step}/`. The number is the version.

```
docker run -p 8501:8501 -v "$PWD/export:/models/{name}" -e MODEL_NAME={name} tensorflow/serving
curl -d '{{"signature_name": "score", "instances": [EXAMPLE]}}' http://localhost:8501/v1/models/{name}:predict
```"""


def signatures(card: Card) -> list[tuple[str, str, str]]:
    """Returns name, inputs and outputs of each signature."""
    shape = ", ".join(map(str, card.shape))
    examples, codes = f"`{card.input_name}` [N, {shape}]", f"`codes` [N, {card.code_size}]"
    outputs, seed = f"`reconstructions` [N, {shape}]", "`seed` [2] int64"
    rows = [
        ("serving_default", examples, outputs),
        ("encode", examples, codes),
        ("decode", codes, outputs),
        ("score", examples, f"`scores` [N], `errors` [N, {shape}]"),
    ]
    if card.is_variational:
        rows += [
            ("sample", f"{examples}, {seed}", codes),
            ("generate", f"`count` int32, {seed}", outputs.replace("[N", "[count")),
        ]
    return rows


def _signatures(card: Card) -> str:
    return "## Signatures\n\nAll arrays without a type are float32.\n\n" + _table(
        ("signature", "input", "output"), [(f"`{name}`", *rest) for name, *rest in signatures(card)]
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
