"""Files that hold a table: white space, packed text, Parquet; and the cache."""

import gzip
import io
import os
import pathlib
import zipfile

import numpy as np
import polars
import pytest
from custom_data import load, load_error, load_table

from trainer.data.custom import parquet_worker, table_parquet, tables
from trainer.data.limits import Limits
from trainer.errors import DataError

TEXT = "a,b,kind\n" + "".join(f"{row}.5,{row * row},{'x' if row % 3 else 'y'}\n" for row in range(40))
CACHED = Limits(uncached_table_bytes=0)


@pytest.fixture
def in_process(monkeypatch):
    """Reads Parquet files in this process, which is faster."""

    class Pool:
        def __init__(self, *arguments):
            pass

        def submit(self, function, *arguments):
            future = table_parquet.concurrent.futures.Future()
            try:
                future.set_result(function(*arguments))
            except Exception as error:
                future.set_exception(error)
            return future

        def shutdown(self):
            pass

    monkeypatch.setattr(table_parquet.concurrent.futures, "ProcessPoolExecutor", Pool)


def same(data, expected):
    return (data.fingerprint, data.label_names, data.notes) == (
        expected.fingerprint,
        expected.label_names,
        expected.notes,
    )


@pytest.mark.parametrize("limits", [Limits(), Limits(min_parsed_bytes=0, table_block_bytes=60)], ids=["rows", "blocks"])
@pytest.mark.parametrize("name", ["t.csv", "t.txt", "t.data", "t.TSV"])
def test_a_table_with_white_space_is_read_like_one_with_commas(name, limits, tmp_path):
    rows = [f" {row}.5\t  -{row}e1   {row % 3} \t" for row in range(60)]
    (tmp_path / name).write_text("\n".join(["a b  'c'", *rows]).replace("'", '"'))
    data = load(tmp_path, "table", tmp_path / name, limits=limits, label_column="c", eval_fraction=0.0)
    assert data.train.examples.tolist() == [[row + 0.5, -10 * row] for row in range(60)]
    assert data.label_names == ("0", "1", "2")
    assert "cells are separated by white space" in data.notes


@pytest.mark.parametrize("text", ["a b\n" + "1 2\n" * 9, "1\n2\n3\n", "1\t2\n3\t4\n", "a b,c\n1,2\n3,4\n"])
def test_only_white_space_between_numbers_separates_cells(text, tmp_path):
    is_spaced = text.startswith("a b\n")
    assert ("cells are separated by white space" in load_table(tmp_path, text).notes) == is_spaced


def packed_gz(folder):
    (folder / "t.csv.gz").write_bytes(gzip.compress(TEXT.encode()))
    return folder / "t.csv.gz"


def packed_zip(folder):
    with zipfile.ZipFile(folder / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/t.csv", TEXT)
        archive.writestr("data/", "")
        archive.writestr("__MACOSX/data/._t.csv", "x")
        archive.writestr("picture.png", "x")
    return folder / "t.zip"


@pytest.mark.parametrize("limits", [Limits(), CACHED], ids=["memory", "cache"])
@pytest.mark.parametrize("pack", [packed_gz, packed_zip])
def test_packed_tables_are_read_like_unpacked_ones(pack, limits, tmp_path):
    options = {"label_column": "kind", "eval_fraction": 0.2}
    expected = load_table(tmp_path, TEXT, **options)
    assert same(load(tmp_path, "table", pack(tmp_path), limits=limits, **options), expected)


def test_an_archive_with_several_tables_or_none_is_refused_with_their_names(tmp_path):
    for names, found in ((["a.csv", "b.TXT"], "tables in it: a.csv, b.TXT"), (["a.png"], "files in it: a.png")):
        with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
            for name in names:
                archive.writestr(name, TEXT)
        message = load_error(DataError, tmp_path, "table", tmp_path / "t.zip")
        assert "does not hold one table" in message
        assert found in message


def test_damaged_and_encrypted_files_are_refused(tmp_path):
    content = packed_gz(tmp_path).read_bytes()
    for damaged in (content[:-20], content[:30] + b"x" + content[31:], b"x" + content):
        (tmp_path / "t.csv.gz").write_bytes(damaged)
        assert "t.csv.gz cannot be unpacked" in load_error(DataError, tmp_path, "table", tmp_path / "t.csv.gz")
    content = bytearray(packed_zip(tmp_path).read_bytes())
    for start in (content.find(b"PK\x03\x04") + 6, content.find(b"PK\x01\x02") + 8):
        content[start] |= 1
    (tmp_path / "t.zip").write_bytes(content)
    assert "is encrypted" in load_error(DataError, tmp_path, "table", tmp_path / "t.zip")


def test_decompression_bombs_are_refused(tmp_path):
    content = gzip.compress(b"0,0\n" * 90_000)
    (tmp_path / "t.csv.gz").write_bytes(content)
    assert len(load(tmp_path, "table", tmp_path / "t.csv.gz", eval_fraction=0).train.examples) == 90_000
    larger = gzip.compress(b"0,0\n" * 1_500_000)
    for bomb in (content, larger[:-4] + bytes(4)):  # The last bytes are the size of the contents.
        (tmp_path / "t.csv.gz").write_bytes(bomb)
        message = load_error(DataError, tmp_path, "table", tmp_path / "t.csv.gz", limits=Limits(bomb_bytes=1 << 18))
        assert "bytes would become more than 262,144" in message


def written(path, frame):
    frame.write_parquet(path)
    return path


FRAME = polars.DataFrame(
    {
        "^a.*$": [1.5, 2.5, None, float("nan"), 5.5, 1e300],
        "flag": [True, False, True, False, True, False],
        "n": [1, 2, 3, 4, 5, 6],
        "kind": ["x", "y", "x", None, "x", "y"],
        "day": polars.date_range(polars.date(2024, 1, 1), polars.date(2024, 1, 6), eager=True),
    }
)


def test_parquet_has_numbers_booleans_labels_and_missing_numbers(tmp_path, in_process):
    path = written(tmp_path / "t.parquet", FRAME)
    data = load(tmp_path, "table", path, label_column="kind", on_bad_file="skip", eval_fraction=0)
    assert data.train.examples.tolist() == [[1.5, 1, 1], [2.5, 0, 2], [5.5, 1, 5]]
    assert [data.label_names[label] for label in data.train.labels] == ["x", "y", "x"]
    assert data.notes[0] == (
        "skipped 3 of 6 rows: row 3 has nothing in the column '^a.*$', not a finite number; row 4 has 'nan' in the"
        " column '^a.*$', not a finite number; row 6 has '1e+300' in the column '^a.*$', not a finite number"
    )
    assert "skipped columns that are not of numbers: day (Date)" in data.notes
    kept = load(tmp_path, "table", path, ignore_columns=("n",), missing="mean", on_bad_file="skip", eval_fraction=0)
    np.testing.assert_array_equal(kept.train.examples, [[1.5, 1], [2.5, 0], [np.nan, 1], [np.nan, 0], [5.5, 1]])
    assert "missing numbers: 2, in 2 of 5 rows; they do not count in errors" in kept.notes


@pytest.mark.parametrize("limits", [Limits(in_memory_bytes=1_000), CACHED], ids=["parts", "cache"])
def test_parquet_is_read_like_the_same_text(limits, tmp_path, in_process):
    frame = polars.read_csv(io.StringIO(TEXT))
    options = {"label_column": "kind", "eval_fraction": 0.2}
    data = load(tmp_path, "table", written(tmp_path / "t.parquet", frame), limits=limits, **options)
    expected = load_table(tmp_path, TEXT, **options)
    assert (data.fingerprint, data.label_names) == (expected.fingerprint, expected.label_names)
    np.testing.assert_array_equal(data.train.labels, expected.train.labels)


def test_parquet_that_cannot_be_used_is_refused(tmp_path, in_process):
    path = written(tmp_path / "t.parquet", FRAME.select("kind", "day"))
    assert "has no column of numbers" in load_error(DataError, tmp_path, "table", path)
    path = written(path, FRAME.select(polars.lit(None, polars.Float64).alias("a")))
    assert "has no row that can be used" in load_error(DataError, tmp_path, "table", path)
    path.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    assert "is not a Parquet file that can be read" in load_error(DataError, tmp_path, "table", path)
    path = written(path, polars.DataFrame({"a": np.zeros(100_000)}))
    assert load(tmp_path, "table", path, eval_fraction=0).shape == (1,)
    message = load_error(DataError, tmp_path, "table", path, limits=Limits(bomb_bytes=1 << 17))
    assert "is packed too tightly for a table" in message


def crash(path):
    os.abort()


def test_parquet_that_crashes_its_reader_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "t.parquet", FRAME)
    monkeypatch.setattr(parquet_worker, "describe", crash)
    assert "it crashes the Parquet reader" in load_error(DataError, tmp_path, "table", path)


def test_a_large_table_is_read_once(tmp_path, monkeypatch):
    text = TEXT + "".join(f"{1e9 + row},0,x\n" for row in range(3))
    options = {"label_column": "kind", "eval_fraction": 0.2, "limits": CACHED}
    first = load_table(tmp_path, text.replace("0.5,", "1e9,"), **options)
    monkeypatch.setattr(tables, "_convert", None)
    again = load(tmp_path, "table", tmp_path / "t.csv", **options)
    assert same(again, first)
    assert again.value_range == first.value_range
    assert isinstance(again.train.examples, np.memmap)
    for changed in ({"eval_fraction": 0.3}, {"heading": "yes"}, {"ignore_columns": ("b",)}, {"missing": "mean"}):
        with pytest.raises(TypeError):  # It is read again.
            load(tmp_path, "table", tmp_path / "t.csv", **{**options, **changed})
    (tmp_path / "t.csv").touch()
    with pytest.raises(TypeError):
        load(tmp_path, "table", tmp_path / "t.csv", **options)


def test_the_cache_keeps_offset_missing_numbers_and_notes(tmp_path):
    text = "time,b\n" + "".join(f"{1_600_000_000 + row * 12},{'' if row % 5 == 3 else row / 3}\n" for row in range(99))
    for options in ({"missing": "mean"}, {"missing": "mean", "standardise": True}):
        expected = load_table(tmp_path, text, **options)
        for _ in range(2):
            data = load_table(tmp_path, text, limits=CACHED, **options) if _ == 0 else None
            data = load(tmp_path, "table", tmp_path / "t.csv", limits=CACHED, eval_fraction=0.0, **options)
        assert same(data, expected)
        np.testing.assert_array_equal(data.offset, expected.offset)
        np.testing.assert_array_equal(data.train.examples, expected.train.examples)
        np.testing.assert_array_equal(data.scale, expected.scale)
        assert data.has_missing


def test_a_table_that_cannot_be_used_leaves_nothing_in_the_cache(tmp_path):
    with pytest.raises(DataError):
        load_table(tmp_path, "1,2\n3,x\n4,5\n", limits=CACHED)
    assert [path.name for path in pathlib.Path(tmp_path / "cache").iterdir() if not path.name.endswith(".lock")] == []
