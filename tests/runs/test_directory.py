import os

import pytest

from trainer import config
from trainer.errors import LockedError, StorageError, UsageError
from trainer.runs import directory as rundir
from trainer.runs.directory import RunDirectory
from trainer.runs.naming import checkpoint_name


def parse(*arguments):
    return config.parse(arguments)[0]


def test_the_name_contains_dataset_model_and_widths():
    assert checkpoint_name(parse("--dataset=cifar_horse", "--hidden=100")) == "cifar_horse-dense-100"
    assert checkpoint_name(parse("--dataset=mnist", "--hidden=256,128,32")) == "mnist-dense-256-128-32"


def test_other_mathematical_flags_add_eight_hex_digits():
    plain, hashed = checkpoint_name(parse()), checkpoint_name(parse("--loss=sse"))
    assert hashed.startswith(plain + "-")
    assert len(hashed) == len(plain) + 9
    assert hashed != checkpoint_name(parse("--loss=rmse"))


@pytest.mark.parametrize(
    "argument", ["--steps=5", "--precision=mixed_bfloat16", "--log_every=3", "--port=9", "--keep=1"]
)
def test_flags_that_may_change_do_not_change_the_name(argument):
    assert checkpoint_name(parse(argument)) == checkpoint_name(parse())


def test_the_name_of_a_very_deep_network_is_shortened():
    assert len(checkpoint_name(parse("--hidden=" + ",".join(["1000"] * 100)))) < 120


def test_the_error_for_a_locked_directory_names_the_owner(tmp_path):
    directory = RunDirectory(parse(f"--run_dir={tmp_path / 'run'}"))
    with directory.locked(), pytest.raises(LockedError) as error, directory.locked():
        pass
    assert "locked by process" in str(error.value)


def test_the_home_of_an_unknown_user_is_a_usage_error():
    with pytest.raises(UsageError):
        RunDirectory(parse("--run_dir=~nobody-of-this-name/run"))


def test_the_lock_is_released_on_exit(tmp_path):
    directory = RunDirectory(parse(f"--run_dir={tmp_path / 'run'}"))
    for _ in range(2):
        with directory.locked():
            directory.write_flags(parse())
            assert f"process {os.getpid()} on" in (directory.path / ".lock").read_text()


def test_a_created_directory_that_stays_empty_is_deleted(tmp_path):
    directory = RunDirectory(parse(f"--run_dir={tmp_path / 'a' / 'run'}"))
    with directory.locked():
        assert directory.path.exists()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_empty_directory_is_not_deleted(tmp_path):
    with RunDirectory(parse(f"--run_dir={tmp_path}")).locked():
        pass
    assert tmp_path.exists()


def test_a_directory_with_other_files_is_refused(tmp_path):
    for name in ("checkpoints", "train", "export"):
        (tmp_path / name).mkdir()
    directory = RunDirectory(parse(f"--run_dir={tmp_path}"))
    with pytest.raises(UsageError, match=r"contains train, checkpoints, export, but no flags\.txt"):
        directory.check_is_run_directory()
    (tmp_path / "flags.txt").write_text("")
    directory.check_is_run_directory()


@pytest.mark.parametrize("path", ["file/run", "/dev/null/run", "/proc/run", "a" * 300])
def test_a_directory_that_cannot_be_written_is_a_storage_error(path, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError), RunDirectory(parse(f"--run_dir={path}")).locked():
        pass


@pytest.mark.parametrize("url", ["gs://bucket/run", "S3://bucket/run"])
def test_a_url_is_refused(url):
    with pytest.raises(UsageError, match="mount"):
        RunDirectory(parse(f"--run_dir={url}"))


def test_a_lock_file_that_was_deleted_after_it_was_opened_is_refused(tmp_path):
    directory = RunDirectory(parse(f"--run_dir={tmp_path / 'run'}"))
    lock_file = directory._lock

    def lock_and_delete(lock):
        lock_file(lock)
        (directory.path / ".lock").unlink()

    directory._lock = lock_and_delete
    with pytest.raises(LockedError), directory.locked():
        pass


def test_all_stored_flags_may_change_with_restart(tmp_path):
    (tmp_path / "flags.txt").write_text("--dataset=iris\n--hidden=2\n--learning_rate=0.5\n")
    given, names = config.parse([f"--run_dir={tmp_path}", "--restart", "--learning_rate=0.1"])
    adopted = RunDirectory(given).resolve_config(given, names)
    assert (adopted.data.dataset, adopted.model.hidden, adopted.training.learning_rate) == ("iris", (2,), 0.1)
    (tmp_path / "flags.txt").write_text("--nonsense")
    assert RunDirectory(given).resolve_config(given, names) == given
    with pytest.raises(UsageError, match="there is no run"):  # The default flags would be those of another run.
        RunDirectory(given).resolve_config(given, names - {"learning_rate"})


def test_setting_aside_keeps_all_runs_and_does_not_move_other_files(tmp_path):
    directory = RunDirectory(parse(f"--run_dir={tmp_path}"))
    (tmp_path / "thesis.tex").write_text("the owner's")
    with directory.locked():
        for content in ("first", "second"):
            (tmp_path / "result.json").write_text(content)
            rundir.set_aside(directory)
        assert rundir.set_aside(directory) is None
    assert (tmp_path / "thesis.tex").read_text() == "the owner's"
    results = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("result.json")}
    assert results == {"set_aside/run/result.json": "first", "set_aside/run-2/result.json": "second"}


@pytest.mark.parametrize("content", [b"--nonsense=3\n", b"\xff\xfe", b"--hidden=x"])
def test_the_error_for_a_damaged_flags_txt_names_the_file(tmp_path, content):
    (tmp_path / "flags.txt").write_bytes(content)
    with pytest.raises(UsageError, match=r"flags\.txt"):
        RunDirectory(parse(f"--run_dir={tmp_path}")).resolve_config(parse(), frozenset())
