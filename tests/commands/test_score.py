"""`--mode=score`: scores of new rows and images."""

import csv
import gzip
import io
import json

import numpy as np
import pytest
from PIL import Image

from trainer.evaluation import scores
from trainer.evaluation.calibration import Calibration

SHORT = ("--steps=30", "--batch_size=10", "--eval_every=0", "--image_every=0", "--jit=off")
HEADING = "id,x,y,z,label\n"
ADDED = ["anomaly_score", "is_anomaly", "anomaly_p", "anomaly_columns", "anomaly_note"]


def line(number):
    return f"a{number},{number * 0.5},{number % 7},{3 + number % 3},{'bad' if number % 10 == 0 else 'ok'}\n"


LINES = [line(number) for number in range(60)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run on a table, one on an array of the same numbers, and one on images."""
    import launch

    folder = tmp_path_factory.mktemp("runs")
    (folder / "train.csv").write_text(HEADING + "".join(LINES))
    np.save(folder / "train.npy", np.array([text.split(",")[1:4] for text in LINES], np.float32))
    table = ("--dataset=table", f"--data_dir={folder / 'train.csv'}", "--label_column=label", "--hidden=2")
    array = ("--dataset=array", f"--data_dir={folder / 'train.npy'}", "--hidden=2")
    for name, flags in {"table": table, "array": array, "digits": ("--hidden=2",)}.items():
        standardise = () if name == "digits" else ("--standardise", "--eval_fraction=0.4")
        assert launch.main([*SHORT, *flags, *standardise, f"--run_dir={folder / name}"]) == 0
    return folder


@pytest.fixture
def score(runs, launch, working_folder):
    """Scores a text or a path: score(text, *flags) -> (lines of the table, messages)."""

    def run(content, *flags, code=0, name="table", file="new.csv"):
        if isinstance(content, str) and content != "-":
            content = content.encode()
        if isinstance(content, bytes):
            (working_folder / file).write_bytes(content)
            content = working_folder / file
        output = () if any("--output" in flag for flag in flags) else ("--output=-",)
        exit_code, out, err = launch("--mode=score", f"--run_dir={runs / name}", f"--input={content}", *output, *flags)
        assert exit_code == code, err
        return out, err

    return run


def cells(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_every_line_keeps_its_cells_byte_for_byte_and_gets_a_score(score):
    text = HEADING + 'a,1e0,02, 3 ,ok\n"b ""q"", c",2.50,1,4,ok\n'
    out, _ = score(text)
    lines = out.splitlines()
    assert lines[0] == HEADING.strip() + "," + ",".join(ADDED)
    assert lines[1].startswith("a,1e0,02, 3 ,ok,")
    assert lines[2].startswith('"b ""q"", c",2.50,1,4,ok,')
    assert all(float(row["anomaly_score"]) > 0 and row["is_anomaly"] in "01" for row in cells(out))


def test_scores_are_those_of_the_definition_by_the_network_of_tensorflow(score, runs):
    import tensorflow as tf

    out, _ = score(HEADING + "".join(LINES), "--errors", "--reconstructions", "--contamination=0.2")
    rows = cells(out)
    examples = np.array([text.split(",")[1:4] for text in LINES], np.float32)
    served = tf.saved_model.load(str(runs / "table" / "export" / "30"))
    expected = served.signatures["serving_default"](rows=tf.constant(examples))["reconstructions"].numpy()
    actual = np.array([[row[f"expected_{name}"] for name in "xyz"] for row in rows], np.float32)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
    errors = np.array([[row[f"error_{name}"] for name in "xyz"] for row in rows], np.float64)
    totals = np.array([row["anomaly_score"] for row in rows], np.float64)
    np.testing.assert_allclose(errors.sum(axis=1), totals, rtol=1e-5)
    raw = np.square(examples - expected)
    ratios = raw / np.maximum(errors, 1e-9) / 3  # variances of the columns: error = raw / variance / 3
    np.testing.assert_allclose(ratios[0][errors[0] > 1e-3], np.median(ratios, axis=0)[errors[0] > 1e-3], rtol=0.01)


def test_rows_above_the_threshold_are_flagged_and_p_values_agree_with_the_contamination(score):
    out, err = score(HEADING + "".join(LINES), "--contamination=0.2")
    rows = cells(out)
    flagged = [row["is_anomaly"] == "1" for row in rows]
    assert 0 < sum(flagged) < 30
    assert flagged == [float(row["anomaly_p"]) <= 0.2 for row in rows]
    assert "at most 0.2 of normal rows exceed it" in err


def test_a_contamination_that_the_held_out_rows_do_not_support_is_raised_with_a_warning(score):
    out, err = score(HEADING + "".join(LINES))
    assert "held-out rows do not support --contamination=0.01: 0.0" in err
    least = min(float(row["anomaly_p"]) for row in cells(out))
    assert all((float(row["anomaly_p"]) == least) == (row["is_anomaly"] == "1") for row in cells(out))


def test_a_warning_says_that_most_rows_are_unlike_the_training_rows(score):
    text = HEADING + "".join(LINES)
    assert "most rows are flagged" in score(text, "--threshold=0")[1]
    assert "most rows are flagged" not in score(text, "--threshold=1e9")[1]


def test_the_columns_with_the_largest_errors_are_named_with_their_shares(score):
    rows = cells(score(HEADING + "".join(LINES), "--errors")[0])
    for row in rows:
        parts = {name: float(row[f"error_{name}"]) for name in "xyz"}
        order = sorted(parts, key=parts.get, reverse=True)
        named = [text.split() for text in row["anomaly_columns"].split("; ")]
        assert [name for name, _ in named] == order
        assert all(abs(100 * parts[name] / sum(parts.values()) - int(share[:-1])) < 0.51 for name, share in named)


def test_columns_in_another_order_are_matched_by_name_and_the_label_need_not_be_there(score):
    usual = cells(score(HEADING + "a,1,2,3,ok\n")[0])[0]
    out, err = score("new,z,x,y\n7,3,1,2\n")
    other = cells(out)[0]
    assert [other[name] for name in ADDED] == [usual[name] for name in ADDED]
    assert "matched by their names" in err
    assert "not in the training data: new" in err


def test_a_missing_column_is_refused_before_anything_is_written(score, working_folder):
    _, err = score("id,x,y,label\na,1,2,ok\n", "--output=out.csv", code=2)
    assert "missing: z" in err
    assert {path.name for path in working_folder.iterdir()} == {"new.csv"}


def test_rows_that_cannot_be_scored_keep_their_line_with_the_reason(score):
    out, err = score(HEADING + "a,1,n/a,3,ok\nb,1,2\n\nc,1,2,3,ok\n")
    lines = out.splitlines()
    assert len(lines) == 5
    assert lines[1] == "a,1,n/a,3,ok,,,,,\"has 'n/a' in the column 'y', not a finite number\""
    assert lines[2] == "b,1,2,,,,,,,has 3 cells; the first line has 5"
    assert lines[3] == ""
    assert lines[4].startswith("c,1,2,3,ok,")
    assert "2 cannot be scored" in err
    assert "line 2 has 'n/a'" in err


def test_bad_rows_are_left_out_or_refused_on_demand(score, working_folder):
    text = HEADING + "a,1,n/a,3,ok\nc,1,2,3,ok\n"
    out, _ = score(text, "--on_bad_file=skip")
    assert [row["id"] for row in cells(out)] == ["c"]
    _, err = score(text, "--on_bad_file=error", "--output=out.csv", code=2)
    assert "line 2 has 'n/a'" in err
    assert {path.name for path in working_folder.iterdir()} == {"new.csv"}


def test_a_table_without_a_row_that_can_be_scored_is_refused(score):
    _, err = score(HEADING + "a;1;2;3;ok\nb;1;2;3;ok\n", code=2)
    assert "remedy" in err


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("id;x;y;z\na;1;2;3\n", ';"z'),
        ("id\tx\ty\tz\na\t1\t2\t3\n", "\tz"),
        ("id x y z\na 1  2 3\nb 1 2 3\nc 1 2 3\n", ' "z'),
        ("\ufeffid,x,y,z\r\na,1,2,3\r\n", ",z"),
    ],
)
def test_the_delimiter_is_that_of_the_input(text, end, score):
    out, _ = score(text)
    heading, row, *_ = out.splitlines()
    assert heading.startswith(text.splitlines()[0].lstrip("\ufeff"))
    assert heading.endswith("anomaly_note")
    assert row.startswith(text.splitlines()[1])
    usual = cells(score(HEADING + "a,1,2,3,ok\n", "--explain=1")[0])[0]
    assert f"{usual['anomaly_score']}" in row
    assert usual["anomaly_columns"].split()[0] in "xyz"
    assert end[0] in row


def test_a_row_with_line_breaks_in_quotes_is_one_row(score):
    out, _ = score('id,x,y,z\n"two\nlines",1,2,3\nb,1,2,3\n')
    rows = cells(out)
    assert [row["id"] for row in rows] == ["two\nlines", "b"]
    assert rows[0]["anomaly_score"] == rows[1]["anomaly_score"] != ""


def test_large_tables_are_scored_like_small_ones_in_all_columns(score):
    numbers = np.random.default_rng(0).normal(10, 5, (40_000, 3)).round(3)
    lines = [f"{x},{y},{z}\n" for x, y, z in numbers.tolist()]
    lines[20_000] = "1,oops,3\n"
    lines[30_000] = "\n"
    large = score("x,y,z\n" + "".join(lines))[0].splitlines()
    assert len(large) == len(lines) + 1
    assert large[30_001] == ""
    assert large[20_001].startswith("1,oops,3,,,,,\"has 'oops'")
    places = [0, 1, 19_999, 20_001, 39_999]
    small = score("x,y,z\n" + "".join(lines[place] for place in places))[0].splitlines()
    for place, expected in zip(places, small[1:], strict=True):
        usual, same = large[place + 1].split(","), expected.split(",")
        assert usual[:3] == same[:3]
        assert usual[4:] == same[4:]
        assert float(usual[3]) == pytest.approx(float(same[3]), rel=1e-5)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", 2, "has no rows"),
        ("1,2,3\n4,5,7\n", 2, "missing: x, y, z"),
        (HEADING + '"a,1,2,3,ok\n', 2, "is not a row of a table"),
        ("id,x,y,z,anomaly_p\na,1,2,3,4\n", 1, "--columns=none"),
    ],
)
def test_unusable_tables_are_refused_and_leave_no_file(text, code, message, score, working_folder):
    _, err = score(text, "--output=out.csv", code=code)
    assert message in err
    assert {path.name for path in working_folder.iterdir()} == {"new.csv"}


def test_a_table_with_a_heading_only_gives_a_heading_only(score):
    out, err = score(HEADING)
    assert out == HEADING.strip() + "," + ",".join(ADDED) + "\n"
    assert "the input has no rows" in err


def test_chosen_columns_are_written_with_their_quotes(score):
    out, _ = score(HEADING + '"b, c",1,2,3,ok\na,1,2,oops,"x"\n', "--columns=label,1")
    assert [text.split(",", 3)[:2] for text in out.splitlines()[:1]] == [["label", "id"]]
    assert out.splitlines()[1].startswith('ok,"b, c",')
    assert out.splitlines()[2].startswith('"x",a,,')
    _, err = score(HEADING + LINES[0], "--columns=nothing", code=1)
    assert "columns: id, x, y, z, label" in err


def test_rows_are_numbered_without_columns_also_if_only_anomalies_are_written(score):
    text = HEADING + LINES[0] + "\n" + "a,1,2,900,ok\n"
    out, _ = score(text, "--columns=none", "--threshold=50", "--only_anomalies")
    (row,) = cells(out)
    assert (row["row"], row["is_anomaly"]) == ("2", "1")
    assert list(row) == ["row", *ADDED]


def test_a_row_for_which_the_network_overflows_is_an_anomaly(score):
    (row,) = cells(score(HEADING + "a,3e38,-3e38,3,ok\n")[0])
    assert (row["anomaly_score"], row["is_anomaly"]) == ("inf", "1")


def test_labels_give_metrics(score, runs, working_folder):
    score(HEADING + "".join(LINES), "--anomaly_label=bad", "--output=out.csv", "--threshold=0")
    summary = json.loads((working_folder / "out.scores.json").read_text())
    values = np.array([float(row["anomaly_score"]) for row in cells((working_folder / "out.csv").read_text())])
    is_bad = np.array(["bad" in text for text in LINES])
    pairs = values[is_bad][:, np.newaxis] - values[~is_bad]
    auroc = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert summary["metrics"]["auroc"] == pytest.approx(auroc, abs=2e-3)
    assert (summary["metrics"]["precision"], summary["metrics"]["recall"]) == (0.1, 1.0)
    assert (summary["rows"], summary["flagged"], summary["threshold"]) == (60, 60, 0)
    assert len(summary["worst"]) == 10
    assert summary["worst"][0]["name"] == f"line {values.argmax() + 2}"


def test_the_label_column_can_be_given_for_the_input(score):
    text = "id,x,y,z,kind\na,1,2,3,0\nb,1,2,900,1.0\n"
    score(text, "--label_column=kind", "--anomaly_label=1", "--output=out.csv")
    score(text, "--anomaly_label=1", code=1)
    with open("out.scores.json", encoding="utf-8") as file:
        assert json.load(file)["metrics"]["auroc"] == 1.0


def test_the_default_folder_is_in_the_run_and_gz_files_are_packed(score, runs, launch, working_folder):
    (working_folder / "new.csv").write_text(HEADING + LINES[0])
    code, out, _ = launch("--mode=score", f"--run_dir={runs / 'table'}", "--input=new.csv")
    folder = runs / "table" / "score" / "30"
    assert code == 0
    assert str(folder / "scores.csv") in out
    score(working_folder / "new.csv", "--output=out.csv.gz")
    assert gzip.decompress((working_folder / "out.csv.gz").read_bytes()) == (folder / "scores.csv").read_bytes()
    _, err = score(working_folder / "new.csv", f"--output={working_folder / 'new.csv'}", code=1)
    assert "is the input" in err


def test_standard_input_is_read_and_standard_output_has_only_the_table(score, monkeypatch):
    text = HEADING + "".join(LINES)
    expected, _ = score(text)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    out, err = score("-")
    assert out == expected
    assert "scored" in err


def test_arrays_and_parquet_have_the_scores_of_the_table(score, runs, working_folder):
    polars = pytest.importorskip("polars")
    usual = cells(score(HEADING + "".join(LINES), "--columns=none")[0])
    frame = polars.read_csv(io.BytesIO((HEADING + "".join(LINES)).encode()))
    frame.write_parquet(working_folder / "new.parquet")
    rows = cells(score(working_folder / "new.parquet")[0])
    assert rows == usual
    array = np.load(runs / "train.npy")
    np.savez(working_folder / "new.npz", array)
    for path in (runs / "train.npy", working_folder / "new.npz"):
        rows = cells(score(path)[0])
        np.testing.assert_allclose(
            [float(row["anomaly_score"]) for row in rows], [float(row["anomaly_score"]) for row in usual], rtol=1e-4
        )


def test_rows_of_arrays_that_are_not_finite_are_named(score, working_folder):
    np.save(working_folder / "new.npy", np.array([[1, 2, 3], [1, np.nan, 3]], np.float64))
    rows = cells(score(working_folder / "new.npy", name="array")[0])
    assert rows[1]["anomaly_note"] == "has 'nan' in the column 'column 2', not a finite number"
    assert rows[0]["anomaly_score"]
    assert not rows[1]["anomaly_score"]
    np.save(working_folder / "new.npy", np.zeros((2, 4)))
    _, err = score(working_folder / "new.npy", name="array", code=2)
    assert "expected real numbers of shape [N, 3]" in err


def test_pictures_have_a_line_each_by_their_path_and_relative_scores(score, working_folder):
    folder = working_folder / "photos"
    (folder / "a").mkdir(parents=True)
    for name in ("a/one.png", "two, b.png"):
        Image.effect_noise((8, 8), 90).save(folder / name)
    rows = cells(score(folder, "--output=out.csv", name="digits") and (working_folder / "out.csv").read_text())
    assert [row["path"] for row in rows] == ["a/one.png", "two, b.png"]
    assert list(rows[0]) == ["path", "anomaly_score", "is_anomaly", "anomaly_p", "anomaly_note"]
    assert json.loads((working_folder / "out.scores.json").read_text())["scoring"] == "relative"


def test_the_threshold_is_the_quantile_of_the_evaluation_examples(score, runs, working_folder):
    from trainer.data import datasets
    from trainer.data.options import DataOptions
    from trainer.data.sources import Sources

    options = DataOptions(data_dir=str(runs / "train.csv"), dataset="table", label_column="label", eval_fraction=0.4)
    held_out = datasets.load("table", Sources(options)).evaluation.examples
    lines = "".join(f"{x},{y},{z}\n" for x, y, z in held_out.tolist())
    values = [float(row["anomaly_score"]) for row in cells(score("x,y,z\n" + lines, "--columns=none")[0])]
    score("x,y,z\n" + lines, "--contamination=0.3", "--output=out.csv")
    expected = Calibration.of(np.array(values), scores.SQUARED).threshold(0.3)
    summary = json.loads((working_folder / "out.scores.json").read_text())
    assert summary["threshold"] == pytest.approx(expected, rel=1e-5)
    assert summary["held_out"] == len(held_out)


def test_options_of_scores_need_the_mode(launch, runs):
    for flag in ("--explain=2", "--columns=none", "--errors", "--contamination=0.1", "--on_bad_file=keep"):
        code, _, err = launch("--mode=evaluate", f"--run_dir={runs / 'table'}", flag)
        assert (code, "--mode=score" in err) == (1, True), flag


def test_an_interrupted_command_leaves_no_file(score, monkeypatch, working_folder):
    from trainer.runs.scoring import Scorer

    score(HEADING + LINES[0], "--output=other.csv")

    def interrupted(scorer, examples):
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "__call__", interrupted)
    score(HEADING + LINES[0], "--output=out.csv", code=130)
    assert {path.name for path in working_folder.iterdir()} == {"new.csv", "other.csv", "other.scores.json"}


def test_pictures_that_cannot_be_read_keep_their_line_with_the_reason(score, working_folder):
    folder = working_folder / "photos"
    folder.mkdir()
    for name in ("one.png", "three.png"):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / name)
    (folder / "two.png").write_bytes((folder / "one.png").read_bytes()[:50])
    out, err = score(folder, name="digits")
    rows = cells(out)
    assert [row["path"] for row in rows] == ["one.png", "three.png", "two.png"]
    assert rows[0]["anomaly_score"] == rows[1]["anomaly_score"] != ""
    assert (rows[2]["anomaly_score"], rows[2]["is_anomaly"]) == ("", "")
    assert "truncated" in rows[2]["anomaly_note"] or "decoded" in rows[2]["anomaly_note"]
    assert "two.png" in err
    score(folder, "--on_bad_file=error", name="digits", code=2)


def test_rows_with_very_large_numbers_are_scored(score):
    numbers = [f"{factor}e{exponent}" for exponent in range(14, 38) for factor in (1, 2, 4, 8)]
    rows = cells(score(HEADING + LINES[0] + "".join(f"a,{number},1,2,ok\n" for number in numbers))[0])
    assert rows[0]["anomaly_score"] != ""
    assert [row["is_anomaly"] for row in rows[1:]] == ["1"] * len(numbers)
    assert all(row["anomaly_columns"].startswith("x ") for row in rows[1:])
    values = [float(row["anomaly_score"]) for row in rows[1:]]
    assert values == sorted(values)


def test_rows_of_empty_cells_keep_their_line_and_their_number(score):
    text = HEADING + LINES[0] + ",,,,\n\n" + LINES[1]
    out, err = score(text)
    assert [row["anomaly_note"] for row in cells(out)] == ["", "has only empty cells", ""]
    assert "1 cannot be scored" in err
    numbers = [row["row"] for row in cells(score(text, "--columns=none")[0])]
    assert numbers == ["1", "2", "3"]
    score(text, "--on_bad_file=error", code=2)


def test_a_name_that_occurs_more_often_than_in_training_is_refused(score):
    _, err = score("id,x,x,y,z,label\na,1,1,2,3,ok\n", code=2)
    assert "has the column 'x' 2 times" in err


def test_the_input_is_never_replaced(score, runs, working_folder):
    (working_folder / "scores.csv").write_text(HEADING + LINES[0])
    _, err = score(working_folder / "scores.csv", f"--output={working_folder}", code=1)
    assert "is the input" in err
    assert (working_folder / "scores.csv").read_text() == HEADING + LINES[0]


def test_an_output_of_another_format_is_refused(score, working_folder):
    for name in ("scored.parquet", "scored.txt"):
        assert "is no format of tables of scores" in score(HEADING + LINES[0], f"--output={name}", code=1)[1]
        assert not (working_folder / name).exists()


def test_an_unknown_label_of_anomalies_lists_the_labels(score):
    _, err = score(HEADING + "".join(LINES), "--anomaly_label=nothing")
    assert "0 of 60 scored rows have the label of anomalies: no metrics; labels: 'bad', 'ok'" in err
