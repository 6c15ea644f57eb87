"""Fixtures of all tests: settings of TensorFlow, launching in this process, finished runs."""

import functools
import logging
import os
import subprocess
import sys

import pytest
from checkout import ROOT
from custom_data import COLORS, save

from trainer.errors import as_flag, option_style

# Hide messages of TensorFlow. Use the CPU, because the same bits are only guaranteed on a CPU.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["KERAS_BACKEND"] = "tensorflow"


WHOLE = "whole"  # the folder of tests that need minutes or separate processes


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help=f"also run {WHOLE}/, which needs minutes and other processes")


def pytest_configure(config):
    config.addinivalue_line("markers", f"{WHOLE}: runs with --all only")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        deselected = [item for item in items if item.get_closest_marker(WHOLE)]
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in deselected]


def pytest_ignore_collect(collection_path, config):
    is_named = any(WHOLE in str(argument) for argument in config.args)
    return True if collection_path.name == WHOLE and not config.getoption("--all") and not is_named else None


@functools.cache
def prepare_tensorflow():
    """Sets the number of threads, which is possible only before TensorFlow computes."""
    from trainer.compute import devices
    from trainer.compute.options import ComputeOptions

    devices.prepare(ComputeOptions(), model="dense")


@pytest.fixture(autouse=True)
def tensorflow_is_prepared():
    """Prepares TensorFlow if a test module has imported it."""
    if "tensorflow" in sys.modules:
        prepare_tensorflow()


@pytest.fixture(scope="session")
def prepared_tensorflow():
    """Prepares TensorFlow for fixtures of larger scope, which run before `tensorflow_is_prepared`."""
    prepare_tensorflow()


@pytest.fixture(scope="session")
def cached_graphs():
    """Traces the graph for TensorBoard only once for equal flags, because tracing takes longer than these runs."""
    from trainer import config
    from trainer.runs import builder

    prepare_tensorflow()
    trace, graphs = builder.graph, {}

    def graph(parsed, data, state, plan):
        key = repr((config.mathematical_options(parsed), parsed.compute.precision, plan.total_steps, data.shape))
        if key not in graphs:
            graphs[key] = trace(parsed, data, state, plan)
        return graphs[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "graph", graph)
        yield


@pytest.fixture(autouse=True)
def options_as_flags():
    """Shows options in messages as flags, such as `--hidden`. test_errors.py tests the form `hidden=`."""
    with option_style(as_flag):
        yield


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    """Gives each test its own working folder and Keras cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras_home"))
    return tmp_path


@pytest.fixture
def launch(capfd, cached_graphs):
    """Runs Hourglass in this process: launch("--steps=3") -> (exit code, stdout, stderr)."""
    import launch as program

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = program.main(list(arguments))
        output = capfd.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def folder(tmp_path):
    """Forty images in two folders, one color per folder."""
    for label, color in COLORS.items():
        for index in range(20):
            save(tmp_path / "pictures" / label / f"{index}.{'png' if index % 2 else 'bmp'}", color)
    return tmp_path / "pictures"


@pytest.fixture
def python():
    """Runs Python code in a separate process that can import the checkout."""

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
        )

    return run


@pytest.fixture(scope="session")
def small_blocks(cached_graphs):
    """Sets the length of a block to seven steps, so that runs consist of several blocks."""
    from trainer.runs import planning

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "MAX_BLOCK_STEPS", 7)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory, small_blocks):
    """The directory of an uninterrupted run with a checkpoint of every step."""
    from trained import OFTEN

    import launch

    run = tmp_path_factory.mktemp("finished") / "run"
    assert launch.main([*OFTEN, f"--run_dir={run}"]) == 0
    return run


@pytest.fixture(scope="session")
def finished_series(finished):
    """The TensorBoard data of `finished`, as each reader returns them."""
    from trained import seen

    return seen(finished)


@pytest.fixture
def log_lines():
    """The lines that the test has logged."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log = logging.getLogger("hourglass")
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    yield lines
    log.removeHandler(handler)


@pytest.fixture(scope="session")
def table_run(tmp_path_factory, cached_graphs):
    """A standardized run of rows with missing numbers, with checkpoints of steps 1 (not evaluated), 2 and 3."""
    import launch

    folder = tmp_path_factory.mktemp("table")
    cells = [[f"{n % 7 + c * 10 * n:.2f}" for c in range(3)] for n in range(40)]
    cells[3][1] = cells[35][2] = cells[38][0] = ""
    lines = ["size,weight,age,kind", *(",".join([*row, "ab"[n % 2]]) for n, row in enumerate(cells))]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    flags = ("--dataset=table", f"--data_dir={folder}/rows.csv", "--label_column=kind", "--missing=mean")
    more = ("--standardise", "--hidden=2", "--steps=3", "--batch_size=8", "--checkpoint_every=1", "--eval_every=2")
    assert launch.main([*flags, *more, "--jit=off", "--export=none", f"--run_dir={folder / 'run'}"]) == 0
    return folder / "run"
