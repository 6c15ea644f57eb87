"""The HParams row of a run, and the table that TensorBoard makes of the rows of all runs."""

import pytest
from hparams_reader import read_row, read_table

from trainer import config
from trainer.summaries import hparams, tags
from trainer.summaries import writer as board

COLUMNS = config.table_columns()
# The columns of runs of the first versions, which had all other flags in `other_flags`.
OLD_COLUMNS = {name: kind for name, kind in COLUMNS.items() if name in ("dataset", "learning_rate", "other_flags")}
OLD_ROW = {"dataset": "digits", "learning_rate": 0.5, "other_flags": "--variational=true --beta=3.0"}


def row(*arguments):
    return config.table_row(config.parse(list(arguments))[0], 10)


def start(folder, name="my-run", columns=COLUMNS, values=None) -> None:
    hparams.start(folder, name, columns, row("--learning_rate=0.5") if values is None else values)


def test_the_row_has_the_flags_in_fixed_columns(tmp_path):
    start(tmp_path, values=row("--learning_rate=0.5", "--warmup=7"))
    experiment, started, status = read_row(tmp_path)
    assert [info.name for info in experiment.hparam_infos] == list(COLUMNS)
    assert [metric.name.tag for metric in experiment.metric_infos] == [tag for tag, _ in hparams.METRICS]
    assert all(tag in tags.TAGS for tag, _ in hparams.METRICS)
    assert started.group_name == "my-run"
    assert set(started.hparams) == set(COLUMNS)
    assert started.hparams["learning_rate"].number_value == 0.5
    assert started.hparams["dataset"].string_value == "digits"
    assert started.hparams["variational"].WhichOneof("kind") == "bool_value"
    # A flag without a column.
    assert started.hparams["other_flags"].string_value == "--warmup=7"
    assert status is None  # The run is running, or stopped.


@pytest.mark.parametrize(("succeeded", "status"), [(True, 1), (False, 2)])
def test_the_final_status_is_written_and_removed_when_the_run_is_resumed(succeeded, status, tmp_path):
    start(tmp_path)
    hparams.end(tmp_path, succeeded=succeeded)
    assert read_row(tmp_path)[2] == status
    start(tmp_path, values=row("--learning_rate=0.25"))
    _, started, status = read_row(tmp_path)
    assert (started.hparams["learning_rate"].number_value, status) == (0.25, None)
    assert [path.name for path in tmp_path.iterdir()] == [hparams.FILE]


def test_truncating_event_files_keeps_the_row_whose_file_name_sorts_first(tmp_path):
    start(tmp_path)
    for last in (3, 2):
        writer = board.Writer(tmp_path, 0)
        for step in range(last):
            writer.scalars(step, {"loss": 0.5})
        writer.close()
    assert read_row(tmp_path)[1].group_name == "my-run"
    assert min(path.name for path in tmp_path.iterdir()) == hparams.FILE


@pytest.fixture
def write_rows(tmp_path):
    """Writes rows to a log folder: write_rows(folder=(columns, row))."""

    def write(**rows):
        for name, (columns, values) in rows.items():
            folder = tmp_path / name / "eval"
            folder.mkdir(parents=True)
            start(folder, name, columns, values)
        return tmp_path

    return write


def test_tensorboard_has_an_axis_for_each_property_of_an_autoencoder(write_rows):
    folder = write_rows(
        plain=(COLUMNS, row()),
        vae=(COLUMNS, row("--variational", "--beta=4")),
        denoising=(COLUMNS, row("--noise=masking", "--noise_level=0.5", "--sparsity=0.125")),
    )
    columns, rows = read_table(folder)
    kinds = {
        "beta": "FLOAT64",
        "noise_level": "FLOAT64",
        "sparsity": "FLOAT64",
        "noise": "STRING",
        "variational": "BOOL",
    }
    assert {name: columns[name] for name in kinds} == {name: f"DATA_TYPE_{kind}" for name, kind in kinds.items()}
    assert {name: tuple(values[column] for column in kinds) for name, values in rows.items()} == {
        "plain": (0, 0, 0, "none", False),
        "vae": (4, 0, 0, "none", True),
        "denoising": (0, 0.5, 0.125, "masking", False),
    }


def test_tensorboard_filters_and_sorts_runs_by_these_columns(write_rows):
    from google.protobuf import struct_pb2
    from tensorboard.plugins.hparams import api_pb2

    betas = {"none": [], "two": ["--variational", "--beta=2"], "ten": ["--variational", "--beta=10"]}
    folder = write_rows(**{name: (COLUMNS, row(*arguments)) for name, arguments in betas.items()})
    by_beta = api_pb2.ColParams(hparam="beta", order=api_pb2.ORDER_DESC)
    assert list(read_table(folder, by_beta)[1]) == ["ten", "two", "none"]
    true = struct_pb2.ListValue(values=[struct_pb2.Value(bool_value=True)])
    variational = api_pb2.ColParams(hparam="variational", filter_discrete=true)
    assert set(read_table(folder, variational)[1]) == {"two", "ten"}
    wide = api_pb2.ColParams(hparam="beta", filter_interval=api_pb2.Interval(min_value=5, max_value=20))
    assert set(read_table(folder, wide)[1]) == {"ten"}


def test_a_run_of_an_older_version_and_a_new_run_show_their_flags_beside_each_other(write_rows):
    new_row = row("--variational", "--beta=4")
    columns, rows = read_table(write_rows(old=(OLD_COLUMNS, OLD_ROW), new=(COLUMNS, new_row)))
    assert rows == {"old": OLD_ROW, "new": new_row}
    # TensorBoard shows the columns of one of the two runs, whichever it finds first.
    assert set(columns) in (set(OLD_COLUMNS), set(COLUMNS))
    assert {values["other_flags"] for values in rows.values()} == {
        "--variational=true --beta=3.0",
        "--variational=true --beta=4.0",
    }
