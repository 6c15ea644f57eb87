"""Options for tables: ignored columns, missing numbers, and a file for evaluation."""

import numpy as np
import polars
import pytest
from custom_data import load, load_error, load_table

from trainer.data.limits import Limits
from trainer.data.options import DataOptions
from trainer.errors import DataError, UsageError

READERS = {
    "rows": Limits(),
    "blocks": Limits(min_parsed_bytes=0, table_block_bytes=200),
    "cache": Limits(min_parsed_bytes=0, uncached_table_bytes=0),
}
nan = np.nan


@pytest.fixture(params=READERS)
def limits(request):
    return READERS[request.param]


def written(path, text):
    path.write_text(text)
    return path


TEXT = "id,a,b,kind\n1,2,3,x\n2,5,6,y\n3,8,9,x\n"


def test_ignored_columns_are_given_by_name_or_number(tmp_path, limits):
    for given in (("id", "kind"), ("1", "4"), (" id ", "kind")):
        data = load_table(tmp_path, TEXT, ignore_columns=given, limits=limits)
        assert data.train.examples.tolist() == [[2, 3], [5, 6], [8, 9]]
        assert data.notes == ("the first line is the heading: id, a, b, kind",)
    labeled = load_table(tmp_path, TEXT, ignore_columns=("id", "kind"), label_column="kind", limits=limits)
    assert labeled.label_names == ("x", "y")


def test_ignored_columns_may_have_bad_cells_and_decimal_commas(tmp_path, limits):
    text = "a,b\n" + "".join(f'{row},"{row},5"\n' for row in range(60)) + "60,x\n"
    assert "numbers with commas" in load_error(DataError, tmp_path, "table", written(tmp_path / "t.csv", text))
    assert len(load_table(tmp_path, text, ignore_columns=("b",), limits=limits).train.examples) == 61


def test_unknown_ignored_columns_are_refused_with_the_known_names(tmp_path):
    path = written(tmp_path / "t.csv", TEXT)
    for given in ("c", "0", "5"):
        message = load_error(UsageError, tmp_path, "table", path, ignore_columns=("a", given))
        assert f"ignore_columns={given}" in message.replace("'", "")
        assert "columns: id, a, b, kind" in message
    message = load_error(DataError, tmp_path, "table", path, ignore_columns=("id", "a", "b"))
    assert "has no column of numbers" in message
    assert "ignored: 3" in message


def test_a_column_whose_name_is_a_number_that_is_no_place_is_noted(tmp_path):
    data = load_table(tmp_path, "label,0,1\n7,1.5,2\n8,2.5,9\n", label_column="0", heading="yes")
    assert data.label_names == ("1.5", "2.5")
    assert "--label_column=0 is the column with this name: column 2" in data.notes
    data = load_table(tmp_path, "label,0,1\n7,1.5,2\n8,2.5,9\n", label_column="label", heading="yes")
    assert not any("with this name" in note for note in data.notes)


def test_notes_on_columns_are_on_the_rows_of_the_kept_classes(tmp_path, limits):
    numbers = np.random.default_rng(0).normal(size=40)
    rows = [f"{'xy'[row % 2]},{row % 2},{row // 2},{1000 * (row % 2) * n:.3f},{n:.3f}" for row, n in enumerate(numbers)]
    text = "\n".join(["kind,parity,index,large,small", *rows]) + "\n"
    options = {"label_column": "kind", "eval_fraction": 0.0, "limits": limits}
    kept = load_table(tmp_path, text, classes=("x",), **options).notes
    assert "constant columns: 2: 'parity', 'large'" in kept
    assert any(note.startswith("columns that look like ids or indices are trained on: 'index'") for note in kept)
    assert not any("orders of magnitude" in note for note in kept)
    every = load_table(tmp_path, text, **options).notes
    assert not any(note.startswith(("constant", "columns that look like ids")) for note in every)
    assert any("orders of magnitude: the standard deviation of 'large'" in note for note in every)


def test_lines_of_empty_cells_are_skipped_and_noted(tmp_path, limits):
    data = load_table(tmp_path, "a,b\n1,2\n,\n\n3,4\n , \n", limits=limits)
    assert data.train.examples.tolist() == [[1, 2], [3, 4]]
    assert "skipped lines of empty cells: 2" in data.notes
    assert not any("empty cells" in note for note in load_table(tmp_path, "a,b\n1,2\n\n3,4\n", limits=limits).notes)


def test_columns_of_the_same_name_are_noted(tmp_path, limits):
    notes = load_table(tmp_path, "a,b,a\n1,2,3\n4,6,5\n", limits=limits).notes
    assert "columns of the same name are trained on: 'a'" in notes


def test_columns_that_are_constant_in_training_but_not_in_evaluation_are_noted(tmp_path, limits):
    train = written(tmp_path / "a.csv", "a,b,c\n1,5,7\n2,5,7\n")
    test = written(tmp_path / "b.csv", "a,b,c\n1,6,7\n")
    notes = load(tmp_path, "table", train, eval_file=str(test), limits=limits).notes
    assert "constant columns: 2: 'b', 'c'" in notes
    assert "columns that are constant in the training rows, but not in the evaluation rows: 'b'" in notes


def test_number_of_an_ignored_column_that_is_also_a_name_is_noted(tmp_path):
    data = load_table(tmp_path, "x,1\n5,6\n7,9\n", heading="yes", ignore_columns=("1",))
    assert data.train.examples.tolist() == [[6], [9]]
    assert "--ignore_columns=1 is the number of the column 'x', not the column named 1" in data.notes


def test_remedy_for_ids_keeps_the_ignored_columns(tmp_path):
    rows = [f"{row},{row % 7}.5,{row + 100},{row}.5" for row in range(30)]
    text = "\n".join(["my id,a,user_id,b", *rows])
    (note,) = [note for note in load_table(tmp_path, text, ignore_columns=("b",)).notes if "ids or indices" in note]
    assert "give --ignore_columns=b,1,user_id, unless they are measurements" in note
    data = load_table(tmp_path, text, ignore_columns=("b", "1", "user_id"))
    assert data.shape == (1,)


def test_missing_numbers_are_nan_and_counted(tmp_path, limits):
    marks = ["", " ", "?", "-", ".", "NA", "N/A", "NaN", "nan", "null", "None"]
    rows = [f"{row},{row / 2}" for row in range(60)] + [f"{mark},1.5" for mark in marks] + ["7, NA "]
    data = load_table(tmp_path, "\n".join(["a,b", *rows]), missing="mean", limits=limits)
    np.testing.assert_array_equal(data.train.examples[60:], [*[[nan, 1.5]] * len(marks), [7, nan]])
    assert data.has_missing
    assert data.train.examples.dtype == np.float32
    assert data.value_range == (0, 59)
    assert "missing numbers: 12, in 12 of 72 rows; they do not count in errors" in data.notes
    assert not load_table(tmp_path, "\n".join(rows[:60]), missing="mean", limits=limits).has_missing


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",", "has no number"),
        ("NA,nan", "has no number"),
        ("x,1", "has 'x' in the column 'a'"),
        ("1,inf", "has 'inf' in the column 'b'"),
        (",1e39", "has '1e39' in the column 'b'"),
        ('"",2,', "has 3 cells"),
    ],
)
def test_other_cells_and_rows_without_a_number_stay_bad(row, reason, tmp_path, limits):
    lines = ["a,b", *(f"{row},2" for row in range(60)), row]
    if row == ",":  # A line without any text is not a row.
        assert len(load_table(tmp_path, "\n".join(lines), missing="mean", limits=limits).train.examples) == 60
        return
    with pytest.raises(DataError) as error:
        load_table(tmp_path, "\n".join(lines), missing="mean", limits=limits)
    assert reason in str(error.value)
    assert "line 62 in" in str(error.value)


def test_columns_with_late_numbers_are_trained_on_with_missing_mean(tmp_path, limits):
    rows = [f"{row},{row if row > 60 else ''},{row if row > 80 else 'x'}" for row in range(100)]
    text = "\n".join(["a,late,text", *rows])
    data = load_table(tmp_path, text, missing="mean", limits=limits)
    expected = [[row, row if row > 60 else nan] for row in range(100)]
    np.testing.assert_array_equal(data.train.examples, expected)
    assert "columns whose first 50 lines have no number are trained on: late" in data.notes
    assert "skipped columns without numbers: text" in data.notes
    assert load_table(tmp_path, text, limits=limits).shape == (1,)


def test_means_deviations_and_offsets_do_without_missing_numbers(tmp_path, limits):
    times = [1_600_000_000 + 60 * row for row in range(80)]
    rows = [f"{'' if row % 4 == 1 else time},{row % 2}" for row, time in enumerate(times)]
    data = load_table(tmp_path, "\n".join(["time,b", *rows]), missing="mean", standardise=True, limits=limits)
    known = np.array([time for row, time in enumerate(times) if row % 4 != 1], float)
    assert data.offset[0] == known.mean()
    assert data.scale[0] == pytest.approx(known.std(), rel=1e-6)
    assert any(note.startswith("centered") and "'time' (1600000000 to 1600004740)" in note for note in data.notes)


def test_remedy_for_missing_numbers_names_the_option(tmp_path):
    path = written(tmp_path / "t.csv", "a,b\n1,2\n3,NA\n4,5\n")
    message = load_error(DataError, tmp_path, "table", path)
    assert message.endswith("to skip them, or --missing=mean to train on rows with missing numbers")
    assert load(tmp_path, "table", path, missing="mean", eval_fraction=0.0).has_missing
    message = load_error(DataError, tmp_path, "table", written(path, "a,b\n1,2\n3,x\n4,5\n"))
    assert "missing=" not in message


def evaluated(tmp_path, train, evaluation, **options):
    written(tmp_path / "train.csv", train)
    path = written(tmp_path / "eval.csv", evaluation)
    return load(tmp_path, "table", tmp_path / "train.csv", eval_file=str(path), **options)


def test_columns_of_an_evaluation_file_are_found_by_name(tmp_path, limits):
    evaluation = "kind,b,more,a,id\nz,30,1,20,7\nx,60,text,50,8\n"
    options = {"label_column": "kind", "ignore_columns": ("id",), "limits": limits}
    data = evaluated(tmp_path, TEXT, evaluation, **options)
    assert data.train.examples.tolist() == [[2, 3], [5, 6], [8, 9]]
    assert data.evaluation.examples.tolist() == [[20, 30], [50, 60]]
    assert data.label_names == ("x", "y", "z")
    assert [data.label_names[label] for label in data.evaluation.labels] == ["z", "x"]
    assert "eval.csv: columns that are not in the training data: more" in data.notes
    assert "eval.csv: the first line is the heading: kind, b, more, a, id" in data.notes
    changed = evaluated(tmp_path, TEXT, evaluation.replace("60", "61"), **options)
    assert changed.fingerprint != data.fingerprint


def test_missing_columns_of_an_evaluation_file_are_named(tmp_path):
    with pytest.raises(DataError) as error:
        evaluated(tmp_path, TEXT, "a,id\n1,2\n", label_column="kind")
    assert "eval.csv has not all columns that are trained on" in str(error.value)
    assert "missing: b, kind; columns: a, id" in str(error.value)


def test_numbers_as_names_are_the_heading_of_the_evaluation_file_too(tmp_path):
    train = "900,902,904\n" + "".join(f"0.{row},0.3,0.{9 - row}\n" for row in range(9))
    data = evaluated(tmp_path, train, "904,900,902\n1,2,3\n4,5,6\n")
    assert data.evaluation.examples.tolist() == [[2, 3, 1], [5, 6, 4]]


def test_tables_without_headings_and_equal_names_are_compared_by_their_places(tmp_path):
    data = evaluated(tmp_path, "7,8,9\n4,5,6\n", "1,2,3\n3,4,4\n")
    assert data.evaluation.examples.tolist() == [[1, 2, 3], [3, 4, 4]]
    data = evaluated(tmp_path, "a,a,b\n1,2,3\n4,5,6\n", "b,a,a\n1,2,3\n4,5,7\n")
    assert data.evaluation.examples.tolist() == [[2, 3, 1], [5, 7, 4]]
    with pytest.raises(DataError, match="has not all columns"):
        evaluated(tmp_path, "7,8,9\n4,5,6\n", "1,2\n3,4\n")


def test_offset_is_that_of_the_training_rows_and_missing_numbers_may_be_in_either_file(tmp_path, limits):
    train = "time\n" + "".join(f"{1_600_000_000 + 12 * row}\n" for row in range(50))
    data = evaluated(tmp_path, train, "time\n1600000000\n", limits=limits)
    assert data.evaluation.examples.tolist() == [[-12 * 49 / 2]]
    data = evaluated(tmp_path, TEXT, "id,a,b\n,1,\n2,3,4\n", missing="mean", limits=limits)
    assert data.has_missing
    np.testing.assert_array_equal(data.evaluation.examples, [[nan, 1, nan], [2, 3, 4]])
    assert "eval.csv: missing numbers: 2, in 1 of 2 rows; they do not count in errors" in data.notes


def test_bad_rows_of_an_evaluation_file_are_named_with_it(tmp_path):
    with pytest.raises(DataError, match=r"line 2 in .*eval\.csv cannot be used"):
        evaluated(tmp_path, TEXT, "id,a,b\nx,1,2\n3,4,5\n")
    with pytest.raises(DataError, match=r"--eval_file=.*none\.csv does not exist"):
        load(tmp_path, "table", tmp_path / "train.csv", eval_file=str(tmp_path / "none.csv"))


def test_formats_may_differ(tmp_path):
    polars.DataFrame({"b": [1], "a": [2], "id": [3.5]}).write_csv(tmp_path / "eval.tsv", separator="\t")
    path = written(tmp_path / "train.csv", TEXT)
    data = load(tmp_path, "table", path, eval_file=str(tmp_path / "eval.tsv"))
    assert data.evaluation.examples.tolist() == [[3.5, 2, 1]]


def test_paths_that_a_run_stores_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = DataOptions(dataset="table", data_dir="t.csv", eval_file="e.csv")
    assert options.own_paths == {"data_dir": f"{tmp_path}/t.csv", "eval_file": f"{tmp_path}/e.csv"}
    assert DataOptions(dataset="digits", data_dir="x").own_paths == {}
