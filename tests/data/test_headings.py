"""Headings of tables: names are recognized, and no row is lost."""

import numpy as np
import pytest

from trainer.data.custom.headings import recognize

VALUES = np.random.default_rng(0).normal(size=(40, 8))


def lines(values, decimals=3):
    return [[f"{value:.{decimals}f}" for value in row] for row in values]


def is_heading(first, rows):
    return recognize([first.split(",") if isinstance(first, str) else first, *rows], "auto", None).names is not None


@pytest.mark.parametrize(
    "first",
    [
        "900,902,904,906,908,910,912,914",
        "900.0,901.7,903.3,905.0,906.7,908.3,910.0,911.7",
        "914,912,910,908,906,904,902,900",
        "1950,1960,1971,1980,1991,2000,2011,2021",
        "402.31,403.9,405.77,406.01,409.5,411.2,413.9,414.8",
        "0,1,2,3,4,5,6,7",
        "1,2,3,4,5,6,7,8",
        "sample,900,902,904,906,908,910,912",
        "900,902,904,906,908,910,912,moisture",
        "label,0,1,2,3,4,5,6",
        ",0,1,2,3,4,5,6",
        "a,b,c,d,e,f,g,",
        "a,b,c,d,NA,f,g,h",
        "0.5,0.5.1,0.5.2,0.7,0.1,0.1.1,0.2,0.2.1",
    ],
)
def test_words_and_numbers_unlike_the_rows_are_a_heading(first):
    assert is_heading(first, lines(VALUES))


def test_few_numbers_out_of_range_are_a_heading():
    assert is_heading("sample,900,902", lines(VALUES[:, :3]))
    assert is_heading("1990,2000,2011", lines(VALUES[:, :3]))


@pytest.mark.parametrize(
    "first", ["400,402,404,406,408,410,412,414", "400.0,401.7,403.3,405.0,406.7,408.3,410.0,411.7"], ids=["", "rounded"]
)
def test_numbers_that_are_evenly_spaced_are_a_heading_inside_the_ranges(first):
    assert is_heading(first, lines(VALUES * 500, decimals=1))


def test_repeated_names_with_suffixes_are_a_heading():
    rows = [["3", *"0050900"], ["1", *"0009012"]] * 9
    assert is_heading("7,0,0.1,0.2,84,0.3,185,0.4", rows)
    assert not is_heading("7,0,0.1,0.2,84,0.3,185,0.4", lines(VALUES))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(120).reshape(30, 4),
        np.arange(120).reshape(30, 4)[::-1],
        np.cumsum(np.abs(VALUES), axis=0),
        np.cumsum(np.abs(VALUES), axis=1),
        np.sort(VALUES, axis=1),
        np.exp(np.cumsum(VALUES, axis=0)),
        np.column_stack([np.arange(40), VALUES]),
        np.column_stack([np.arange(40) % 5 + 1, np.cumsum(VALUES, axis=1)]),
        np.eye(8)[np.arange(40) % 8],
        np.tile([3, 5, 9, 11], (30, 1)),
        np.tile([1, 2, 3, 4], (30, 1)),
        np.linspace(0, 1, 30)[:, np.newaxis] + np.linspace(0, 1, 7),
    ],
    ids=lambda values: f"{values.shape} {values[0, 0]:.3f} {values[-1, -1]:.3f}",
)
def test_first_row_of_a_table_without_heading_is_a_row(values):
    for decimals in (0, 2, 6):
        for rows in (values, values[:3], values[:2]):
            assert not is_heading(lines(rows, decimals)[0], lines(rows, decimals)[1:])


def test_sorted_first_row_inside_the_ranges_is_a_row():
    values = VALUES.copy()
    values[0] = np.sort(values[0]) / 3
    assert not is_heading(lines(values)[0], lines(values)[1:])


def test_random_rows_are_never_lost():
    random = np.random.default_rng(3)
    lost = 0
    for _ in range(300):
        shape = random.integers(2, 30), random.integers(1, 10)
        values = [random.normal(size=shape), np.exp(3 * random.normal(size=shape)), random.integers(0, 99, shape)]
        lost += sum(is_heading(lines(rows)[0], lines(rows)[1:]) for rows in values)
    assert lost == 0


@pytest.mark.parametrize("first", ["7,3,1,2,90,5,8,6", "-0.1,-0.05,-0.01,0.02,0.03,0.07,0.1,0.11"])
def test_doubtful_line_is_a_row_and_not_certain(first):
    heading = recognize([first.split(","), *lines(VALUES)], "auto", None)
    assert (heading.names, heading.is_certain) == (None, False)


def test_plain_row_is_certain():
    assert recognize(lines(VALUES), "auto", None).is_certain
    assert recognize([["a", "b"], ["1", "2"]], "auto", None).is_certain


def test_numbers_of_pandas_are_a_heading_above_rows_that_count():
    assert is_heading("0,1,2,3", [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9", "10", "11"]])
