"""Data sets of known content, written as people write them: tables, arrays, folders of images, 16-bit images."""

import csv
import dataclasses
import io
import itertools
import pathlib
import random
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from hostile.tiffs import DEFLATE, UNCOMPRESSED, tiff
from trainer.data.dataset import Dataset

TRAIN_NAMES = ("train", "Train", "training", "training_set", "train-data", "train_images", "TRAIN")
TEST_NAMES = ("test", "Test", "testing", "test_set", "val", "val_images", "validation", "valid", "eval", "test-data")


@dataclasses.dataclass
class Known:
    """A data set of known content.

    Attributes:
      flags: how it is read.
      judge: returns how loaded data differ from the truth; empty if they are equal.
      train: the training examples, in any order: [N, D] float64 rows, or [N, H, W, C] images, uint8 or float32.
      warnings: beginnings of the warnings that are right for these data.
    """

    flags: list[str]
    judge: Callable[[Dataset], str]
    train: np.ndarray | None = None
    warnings: tuple[str, ...] = ()


# Tables.


FORMS = ("int", "float", "exponent")


def _spelled(value: float | str, form: str) -> str:
    """Returns the text of a label; words have one spelling."""
    if isinstance(value, str):
        return value
    return {"int": f"{value:g}", "float": f"{value:.1f}", "exponent": f"{value:.7e}"}[form]


def _columns(count: int, width: int, draw: random.Random) -> list[list[str]]:
    """Returns the texts of random columns."""
    columns = []
    for _ in range(width):
        kind = draw.choice(("normal", "normal", "normal", "integers", "time", "binary", "pixels", "clock"))
        rng = np.random.default_rng(draw.randrange(2**32))
        values = {
            "normal": rng.normal(draw.choice((0, 5, 1000)), draw.choice((1, 30)), count),
            "integers": rng.integers(-5, 40, count),
            "time": np.cumsum(rng.random(count) + 0.1),
            "binary": rng.integers(0, 2, count),
            "pixels": rng.integers(0, 256, count),
            "clock": 1_600_000_000 + np.sort(rng.integers(0, 3600, count)),  # seconds since 1970
        }[kind]
        form = draw.choice(("%.4f", "%.6g", "%.7e")) if kind in ("normal", "time") else "%d"
        columns.append([form % value for value in values])
    return columns


def _names(width: int, draw: random.Random) -> list[str] | None:
    """Returns the heading above the columns, or None."""
    start, step = draw.choice((0, 1, 900, 1990)), draw.choice((1, 2, 5))
    return draw.choice(
        (
            None,
            None,
            [f"name {column}" for column in range(width)],
            [f"V{column + 1}" for column in range(width)],
            [str(start + step * column) for column in range(width)],
            [f"{start + step * column:.2f}" for column in range(width)],
        )
    )


@dataclasses.dataclass
class _Table:
    """A table of known content.

    Attributes:
      columns: texts of the cells, by column.
      heading: column names, or None.
      flags: how the table is read.
      label_column: index of the label column, or -1.
      labels: the labels as they are shown, by row; empty without a label column.
      kept: True for the rows of the selected class.
    """

    columns: list[list[str]]
    heading: list[str] | None
    flags: list[str]
    label_column: int
    labels: list[str]
    kept: list[bool]

    def examples(self) -> np.ndarray:
        """Returns the numbers of the kept rows, [N, D] float64."""
        numbers = [cells for column, cells in enumerate(self.columns) if column != self.label_column]
        rows = np.array([[float(cell) for cell in row] for row in zip(*numbers, strict=True)])
        return rows[np.array(self.kept)]

    def warnings(self) -> tuple[str, ...]:
        """Returns the beginnings of right warnings: the heading is a guess, a name is a number, scales differ."""
        warnings = []
        if self.heading and any(name[0].isdigit() for name in self.heading):
            warnings += ["the first line is the heading", "--label_column="]
        deviations = self.examples().std(axis=0)
        varying = deviations[deviations > 0]
        if len(varying) and 2 * (100 * varying < varying.max()).sum() >= len(varying):
            warnings.append("columns differ by orders of magnitude")
        return tuple(warnings)

    def write(self, path: pathlib.Path, draw: random.Random) -> None:
        """Writes the table with a random delimiter, line end and byte order mark."""
        text = io.StringIO()
        writer = csv.writer(text, delimiter=draw.choice(",;\t|"), lineterminator=draw.choice(("\n", "\r\n")))
        writer.writerows([*([self.heading] if self.heading else []), *zip(*self.columns, strict=True)])
        path.write_text(draw.choice(("", "\ufeff")) + text.getvalue(), encoding="utf-8", newline="")


def _random_table(draw: random.Random) -> _Table:
    count, width = draw.randint(8, 40), draw.randint(3, 7)
    flags = ["--dataset=table", "--eval_fraction=0"]
    table = _Table(_columns(count, width, draw), _names(width, draw), flags, -1, [], [True] * count)
    if draw.random() < 0.6:
        _add_labels(table, draw.choice((0, width)), draw)
    return table


def _add_labels(table: _Table, column: int, draw: random.Random) -> None:
    """Adds a label column at the index `column`, and perhaps the selection of a class."""
    pool = draw.choice(([1, 2, 3], [0, 1], [-1, 1], [0.5, 1.5, 2], ["cat", "dog"], [1.0, 10.0, 9.0]))
    values = [pool[row % len(pool)] for row in range(len(table.kept))]
    draw.shuffle(values)
    form = draw.choice(FORMS)
    table.columns.insert(column, [_spelled(value, form) for value in values])
    table.label_column, table.labels = column, [_spelled(value, "int") for value in values]
    if table.heading:
        table.heading.insert(column, draw.choice(("label", "class", "target")))
    by_name = table.heading is not None and draw.random() < 0.5
    table.flags.append(f"--label_column={table.heading[column] if by_name and table.heading else column + 1}")
    if draw.random() < 0.6:
        selected = draw.choice(pool)
        table.flags.append(f"--classes={_spelled(selected, draw.choice(FORMS))}")
        table.kept = [value == selected for value in values]


def table(folder: pathlib.Path, draw: random.Random) -> Known:
    """Writes a table."""
    made = _random_table(draw)
    made.write(folder / "t.csv", draw)
    examples = made.examples()

    def judge(data: Dataset) -> str:
        rows = examples if data.offset is None else examples - data.offset
        if not np.array_equal(data.train.examples, rows.astype(np.float32)):
            first = [cells[0] for cells in made.columns]
            shapes = f"{data.train.examples.shape} is not {examples.shape}"
            return f"{shapes}; {made.flags}; {made.heading}; {first}"
        labels = [data.label_names[label] for label in data.train.labels]
        is_equal = not made.labels or labels == list(itertools.compress(made.labels, made.kept))
        return "" if is_equal else f"labels {labels[:5]} are not those of the table; {made.flags}"

    return Known([*made.flags, f"--data_dir={folder / 't.csv'}"], judge, examples, made.warnings())


# Arrays.


def array(folder: pathlib.Path, draw: random.Random) -> Known:
    """Writes an array, most of them in a form that is refused."""
    rng = np.random.default_rng(draw.randrange(2**32))
    count, height, width = draw.randint(8, 30), draw.randint(5, 12), draw.randint(5, 12)
    pixels = rng.integers(0, 256, (count, height, width, draw.choice((1, 3))), np.uint8)
    pixels[0, 0, 0, 0], pixels[0, 0, 1, 0] = 0, 255
    unit = pixels.astype(np.float32) / np.float32(255)
    kind = draw.choice(("uint8", "unit", "first", "plus-minus", "to 255", "nan", "windows", "int16", "one"))
    stored: np.ndarray = {
        "uint8": pixels[..., 0] if draw.random() < 0.3 else pixels,
        "unit": unit,
        "first": pixels.transpose(0, 3, 1, 2),
        "plus-minus": unit * 2 - 1,
        "to 255": pixels.astype(np.float32),
        "nan": np.where(rng.random(unit.shape) < 0.01, np.nan, unit).astype(np.float32),
        "windows": rng.normal(size=(count, height * 5, 2)),
        "int16": pixels.astype(np.int16) * 8 - 500,
        "one": pixels[0],
    }[kind]
    np.save(folder / "x.npy", stored)
    truth = pixels[..., : 1 if stored.ndim == 3 else None] if kind == "uint8" else unit

    def judge(data: Dataset) -> str:
        if kind not in ("uint8", "unit"):
            return f"{kind} was read as {data.shape}"
        return "" if np.array_equal(data.train.examples, truth) else f"{kind} differs"

    return Known(["--dataset=array", "--eval_fraction=0", f"--data_dir={folder / 'x.npy'}"], judge, truth)


# Folders of images.


Color = tuple[int, int, int]


def _write_images(
    folder: pathlib.Path, splits: Sequence[tuple[str, str]], classes: Sequence[str]
) -> dict[Color, tuple[str, str]]:
    """Writes images of one color each; returns the split (empty: any) and the class of each color."""
    truth = {}
    images = itertools.product(splits, enumerate(classes), range(4))
    for number, ((split, path), (index, name), _) in enumerate(images):
        color = (number * 7 % 256, 40 * index + 20, 200 if split == "test" else 60)
        (folder / path / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 6), color).save(folder / path / name / f"{number}.png")
        truth[color] = (split, name)
    return truth


def folder(root: pathlib.Path, draw: random.Random) -> Known:
    """Writes a folder of images."""
    classes = draw.choice((("cat", "dog"), ("0", "1", "2"), ("1.0", "2.0"), ("a b", "c"), ("10", "9")))
    prefix = root.joinpath(*draw.choice(((), ("dataset",), ("archive", "dataset"))))
    splits = [("", "")]
    if draw.random() < 0.6:
        train, test = draw.choice(TRAIN_NAMES), draw.choice(TEST_NAMES)
        doubled = draw.random() < 0.2
        splits = [("train", f"{train}/{train}" if doubled else train), ("test", f"{test}/{test}" if doubled else test)]
    truth = _write_images(prefix, splits, classes)
    flags = ["--dataset=images", "--image_size=6", f"--data_dir={root}"]
    if draw.random() < 0.4:
        selected = draw.choice(classes)
        flags.append(f"--classes={selected}")
        truth = {color: (split, name) for color, (split, name) in truth.items() if name == selected}
    is_divided = len(splits) > 1

    def judge(data: Dataset) -> str:
        loaded = {
            tuple(image[0, 0].tolist()): (split if is_divided else "", data.label_names[label])
            for split, part in (("train", data.train), ("test", data.evaluation))
            for image, label in zip(part.examples, part.labels, strict=True)
        }
        return "" if loaded == truth else f"{sorted(loaded.items())} is not {sorted(truth.items())}; {splits}"

    colors = [color for color, (split, _) in truth.items() if split == "train"]
    train = np.array([np.full((6, 6, 3), color) for color in colors], np.uint8)
    return Known(flags, judge, train if is_divided else None)


# Depth.


def depth(folder: pathlib.Path, draw: random.Random) -> Known:
    """Writes 16-bit images, as files or as an array."""
    rng = np.random.default_rng(draw.randrange(2**32))
    low, high = sorted((draw.choice((0, 0, 200, 1000)), draw.choice((300, 1200, 4095, 20000, 65535))))
    values = rng.integers(low, high + 1, (6, 8, 8), dtype=np.uint16)
    values[0, 0, 0], values[0, 0, 1] = low, high
    as_files = draw.random() < 0.5
    if as_files:
        for number, image in enumerate(values):
            _save_scan(folder / str(number), image, draw)
        flags = ["--dataset=images", "--image_size=8", "--color=gray", f"--data_dir={folder}"]
    else:
        np.save(folder / "x.npy", values)
        flags = ["--dataset=array", f"--data_dir={folder / 'x.npy'}"]
    choice = draw.choice((None, "auto", "full", "stretch"))
    is_full = choice == "full" or (choice != "stretch" and high >= 65535 / 4)
    truth = values / 257.0 if is_full else (values.astype(float) - low) / (high - low) * 255.0

    def judge(data: Dataset) -> str:
        got = data.train.examples[..., 0].astype(float) * (255.0 / float(data.scale))
        off = np.abs(np.sort(got.ravel()) - np.sort(truth.ravel())).max()
        is_noted = any("16-bit" in note or "stretch" in note for note in data.notes)
        if not is_full and choice != "stretch" and not is_noted:
            return "stretched without a note"
        return "" if off <= 0.51 else f"off by {off:.2f} of 255; {low} to {high}, {choice}"

    return Known(
        [*flags, "--eval_fraction=0", *([f"--depth={choice}"] if choice else [])], judge, values[..., np.newaxis]
    )


def _save_scan(path: pathlib.Path, image: np.ndarray, draw: random.Random) -> None:
    """Writes 16-bit gray, [H, W], to a PNG or TIFF file of any layout."""
    if draw.random() < 0.5:
        Image.fromarray(image).save(path.with_suffix(".png"))
        return
    order, side, compression = draw.choice("<>"), draw.choice((0, 16)), draw.choice((UNCOMPRESSED, DEFLATE))
    content = tiff(image, order=order, side=side, compression=compression, pages=draw.choice((1, 2)))
    path.with_suffix(draw.choice((".tif", ".TIFF"))).write_bytes(content)


KINDS = (table, table, array, folder, depth)
