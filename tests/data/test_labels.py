"""Labels: how they are shown and compared."""

import numpy as np
import pytest
from custom_data import PIXELS, colors_by_label, load, load_error, save

from trainer.data import labels
from trainer.data.filters import class_labels
from trainer.errors import DataError, UsageError, option


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *(("1.0000000e+00", "1"), ("2.999999999999999889e-01", "0.3"), ("0.50", "0.5"), ("+7", "7"), ("-1.0", "-1")),
        *(("-0.0", "0"), ("1e20", "1" + "0" * 20), ("1e300", "1e+300"), ("5.", "5"), (".5", "0.5")),
        *((text, text) for text in ("1", "-1", "007", "cat", "nan", "1e999", "1_0.0", "", "v1.0", "12345678901234567")),
    ],
)
def test_numbers_are_shown_as_people_write_them(text, shown):
    assert labels.display(text) == shown


def test_numbers_are_sorted_by_value_before_texts():
    names = ["cat", "10", "9", "-1", "0.5", "1e3", "nan", "007"]
    assert sorted(names, key=labels.sort_key) == ["-1", "0.5", "007", "9", "10", "1e3", "cat", "nan"]


@pytest.mark.parametrize(
    ("names", "given", "selected"),
    [
        (("1", "2", "3"), "1", [0]),
        (("1.0", "2.0", "3.0"), "1", [0]),
        (("0.5", "1.0", "2.0"), "1", [1]),
        (("-1", "0.5", "1"), "5e-1", [1]),
        (("007", "7", "8"), "7", [1]),
        (("007", "7", "8"), "7.0", [0, 1]),
        (("9007199254740992", "9007199254740993"), "9007199254740993", [1]),
        (("0", "1", "cat"), "1", [1]),
        (("1", "2", "cat"), "1.0", [0]),
        (("1", "2", ""), "1", [0]),
        (("1", "2", "all"), "1", [0]),
        (("cat", "dog"), "1", [1]),
        (("cat", "dog"), "dog", [1]),
        (tuple("0123456789"), "7", [7]),
    ],
)
def test_class_is_selected_by_text_by_value_or_by_number_of_a_text(names, given, selected):
    assert class_labels("table", names, [given]) == selected


@pytest.mark.parametrize("given", ["0", "all", "1"])
def test_classes_of_examples_without_labels_are_refused(given):
    with pytest.raises(UsageError, match="the examples of table have no labels") as error:
        class_labels("table", ("all",), [given])
    assert error.value.remedy == f"give the column of labels, such as {option('label_column', 'class')}"


@pytest.mark.parametrize(
    ("names", "given"),
    [
        (("1.0", "2.0"), "0"),
        (("9007199254740992", "1"), "9007199254740993"),
        (("1", "cat"), "0"),
        (("cat", "dog"), "2"),
    ],
)
def test_class_that_does_not_exist_is_rejected(names, given):
    with pytest.raises(UsageError, match="has no such class"):
        class_labels("table", names, [given])


def test_number_that_is_a_name_and_the_number_of_another_class_is_rejected():
    names = ("1", "2", "cat")
    with pytest.raises(UsageError, match="the name of a class, and the place of the class 2") as error:
        class_labels("table", names, ["1"])
    assert error.value.exit_code == 1
    assert "use 1.0 for the class 1, or 2.0 for the class 2" in str(error.value)
    assert [class_labels("table", names, [text]) for text in ("1.0", "2.0")] == [[0], [1]]


def test_folders_are_compared_by_value(tmp_path):
    colors = {"0.5": (10, 20, 30), "1.0": (90, 20, 30), "2.0": (200, 20, 30)}
    for name, color in colors.items():
        for index in range(3):
            save(tmp_path / "p" / name / f"{index}.png", color)
    data = load(tmp_path, "images", tmp_path / "p", classes=("1",), eval_fraction=0.0)
    assert colors_by_label(data) == {"1.0": colors["1.0"]}


def test_float_labels_of_arrays_are_classes(tmp_path):
    values = np.repeat([1.0, 2.0, 10.0, 0.5, -1.0], 10)
    for dtype in (np.float64, np.float32, "U30", "S30"):
        np.savez(tmp_path / "a.npz", x_train=PIXELS, y_train=values.astype(dtype))
        data = load(tmp_path, "array", tmp_path / "a.npz", eval_fraction=0.0, classes=("2", "-1"))
        assert data.label_names == ("-1", "0.5", "1", "2", "10")
        np.testing.assert_array_equal(data.train.examples[..., 0], PIXELS[[*range(10, 20), *range(40, 50)]])
    values[3] = np.nan
    np.savez(tmp_path / "a.npz", x_train=PIXELS, y_train=values)
    assert "1 of 50 labels are infinite or NaN" in load_error(DataError, tmp_path, "array", tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x_train=PIXELS, y_train=np.eye(5)[np.arange(50) % 5])
    assert "save .argmax(axis=1)" in load_error(DataError, tmp_path, "array", tmp_path / "a.npz")
