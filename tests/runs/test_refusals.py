"""Errors have at most three lines and the documented exit code, and change no files of a run."""

import errno
import pathlib

import pytest
from trained import killed_after, raising

from trainer.data import datasets


def test_a_changed_mathematical_flag_is_refused_and_no_file_changes(finished, launch):
    def times():
        files = (path for path in finished.rglob("*") if path.name not in (".lock", "run.log") and path.is_file())
        return {path: path.stat().st_mtime_ns for path in files}

    before = times()
    code, _, error = launch(f"--run_dir={finished}", "--hidden=6", "--loss=sse")
    assert code == 1
    assert "--hidden: 5 -> 6; --loss: mse -> sse" in error
    assert times() == before
    assert "--loss: mse -> sse" in (finished / "run.log").read_text()


def test_changed_data_are_refused(finished, tmp_path, launch, monkeypatch):
    run = tmp_path / "run"
    killed_after(finished, 30, run)

    def swap_splits(sources):
        data = datasets.digits_iris.load_digits(sources)
        return data.with_splits(data.evaluation, data.train)

    monkeypatch.setitem(datasets.LOADERS, "digits", swap_splits)
    code, _, error = launch(f"--run_dir={run}")
    assert code == 2
    assert "fingerprint" in error


def test_a_checkpoint_of_another_run_is_refused(finished, tmp_path, launch):
    run = tmp_path / "run"
    killed_after(finished, 30, run)
    (run / "run_id").write_text("0123456789abcdef\n")
    code, _, error = launch(f"--run_dir={run}")
    assert code == 1
    assert "written by another run" in error


@pytest.mark.parametrize(
    ("mode", "directory"),
    [(mode, "runs/photo") for mode in ("train", "inspect", "evaluate", "checkpoints", "serve")]
    + [(mode, "runs") for mode in ("train", "inspect", "evaluate", "checkpoints")],
)
def test_a_missing_run_is_refused_and_the_closest_names_are_listed(mode, directory, launch, tmp_path):
    for run in ("cats", "digits-dense-32", "photos", "photos2", "photos3", "x"):
        (tmp_path / "runs" / run).mkdir(parents=True)
        (tmp_path / "runs" / run / "flags.txt").write_text("--dataset=iris\n")
    (tmp_path / "runs" / "fotos").mkdir()  # not a run
    code, _, error = launch(f"--mode={mode}", f"--run_dir={directory}")
    assert code == 1
    assert str(tmp_path / directory) in error.splitlines()[0]
    names = error.splitlines()[1].removeprefix(f"runs in {tmp_path / 'runs'}: ").split(", ")
    assert names[-1] == "and 1 more"
    assert len(names) == 6
    assert directory == "runs" or (names[0], {*names[1:3]}) == ("photos", {"photos2", "photos3"})
    assert "fotos" not in error
    assert not (tmp_path / "runs" / "photo").exists()


def test_a_start_that_was_stopped_before_it_stored_its_flags_is_not_repeated_with_default_flags(launch, tmp_path):
    (tmp_path / "run").mkdir()
    for name in (".lock", "run.log"):
        (tmp_path / "run" / name).write_text("process 1\n")
    assert launch("--run_dir=run")[0] == 1
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "run.log"]


def test_flags_that_describe_a_run_start_one_in_a_new_directory(launch, monkeypatch):
    from trainer.runs import lifecycle

    monkeypatch.setattr(lifecycle, "load", raising(RuntimeError("it loads the data")))
    for flag in ("--hidden=3", "--steps=9", "--preset=iris", "--init_from=other", "--dataset=digits"):
        assert "it loads the data" in launch("--run_dir=run", flag)[2], flag
    assert "it loads the data" in launch()[2]


def test_a_divergence_exits_with_3_and_names_the_step(launch):
    code, _, error = launch(
        "--dataset=iris", "--hidden=2", "--steps=200", "--optimizer=sgd", "--learning_rate=1e6", "--run_dir=run"
    )
    assert code == 3
    assert "the loss of step" in error
    assert not list(pathlib.Path("run/checkpoints").glob("*.json"))


def test_an_infinite_error_in_the_final_evaluation_is_a_divergence(launch):
    arguments = ("--dataset=iris", "--hidden=1", "--optimizer=sgd", "--learning_rate=1e5", "--schedule=constant")
    code, _, error = launch(*arguments, "--steps=2", "--jit=off", "--run_dir=run")
    assert code == 3
    assert "the evaluation error is inf" in error
    assert not pathlib.Path("run/export").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--hiden=3",), 1),
        (("--dataset=cifar",), 1),
        (("--model=convolutional",), 1),
        (("--mode=fly",), 1),
        (("--classes=11",), 1),
        (("--batch_size=5000",), 1),
        (("--run_dir=gs://bucket/run",), 1),
        (("--run_dir=run",), 1),
        (("--run_dir=run", "--restart"), 1),
        (("--run_dir=run", "--export=none", "--device=cpu"), 1),
        (("--mode=inspect", "--run_dir=run"), 1),
        (("--dataset=mnist", "--data_dir=absent"), 2),
        (("--run_dir=/dev/null/run",), 6),
        (("--run_dir=" + "a" * 300,), 6),
        (("--dataset=mnist", "--data_dir=~nobody-of-this-name"), 2),
        (("--help",), 0),
    ],
)
def test_a_refused_command_prints_at_most_three_lines_and_writes_no_file(arguments, code, launch, tmp_path):
    exit_code, output, error = launch(*arguments)
    assert exit_code == code
    if code:
        assert error.startswith("error: ")
        assert "remedy: " in error
        assert len(error.strip().splitlines()) <= 3
    else:
        assert "--dataset" in output
    assert list(tmp_path.iterdir()) == []


def test_a_missing_gpu_exits_with_7(launch, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    code, _, error = launch("--dataset=digits", "--device=gpu", "--run_dir=run")
    assert code == 7
    assert "--device=cpu" in error


def test_a_full_disk_exits_with_6_and_the_run_can_be_resumed(launch, monkeypatch, tmp_path):
    import tensorflow as tf

    arguments = ("--dataset=iris", "--hidden=2", "--steps=6", "--jit=off", "--run_dir=run")
    for function, error in (
        ("session.Recorder.log", tf.errors.ResourceExhaustedError(None, None, "x.v2; No space left on device")),
        ("packaging.export.export", OSError(errno.ENOSPC, "No space left on device")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"trainer.runs.{function}", raising(error))
            code, _, message = launch(*arguments)
        assert code == 6
        assert "No space left" in message
    assert launch(*arguments)[0] == 0
    assert (tmp_path / "run" / "export" / "6").exists()


def test_a_device_out_of_memory_exits_with_7(launch, monkeypatch):
    import tensorflow as tf

    from trainer.runs.session import Session

    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9,9]")
    monkeypatch.setattr(Session, "train", raising(error))
    code, _, message = launch("--dataset=iris", "--hidden=2", "--run_dir=run")
    assert code == 7
    assert "OOM when allocating" in message


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9.00 TiB"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtensorflow_cc.so.2: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ],
)
def test_exhausted_memory_exits_with_7(launch, monkeypatch, error):
    from trainer.runs import builder

    monkeypatch.setattr(builder, "build", raising(error))
    code, _, message = launch("--dataset=iris", "--hidden=2", "--run_dir=run")
    assert code == 7
    assert message.startswith(f"error: out of memory\n{getattr(error, 'strerror', None) or error}\nremedy: free memory")


def test_a_bug_exits_with_70_and_its_traceback_is_in_the_log(launch, monkeypatch):
    from trainer.runs import run

    monkeypatch.setattr(run, "train", raising(RuntimeError("surprise")))
    code, _, error = launch("--dataset=digits", "--run_dir=run")
    assert code == 70
    assert "RuntimeError: surprise" in error
    assert "Traceback" not in error
    assert "Traceback" in pathlib.Path("run/run.log").read_text()
    for debug in ("--debug", "--debug=true"):
        assert "Traceback" in launch("--run_dir=run", debug)[2]
