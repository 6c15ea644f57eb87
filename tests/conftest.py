"""What several tests need: launching in this process, and reading back what was written."""

import functools
import logging
import os
import subprocess
import sys

import pytest
from checkout import ROOT
from own_data import COLOURS, save

from trainer.errors import as_flag, options_shown_as

# TensorFlow's greetings are of no interest here, and what is claimed to the bit is claimed of a CPU.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["KERAS_BACKEND"] = "tensorflow"


WHOLE = "whole"  # the folder of tests that need processes of their own, or minutes


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help=f"the tests in {WHOLE}/ too: processes of their own, minutes")


def pytest_configure(config):
    config.addinivalue_line("markers", f"{WHOLE}: runs with --all only")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        left_out = [item for item in items if item.get_closest_marker(WHOLE)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_ignore_collect(collection_path, config):
    named = any(WHOLE in str(argument) for argument in config.args)
    return True if collection_path.name == WHOLE and not config.getoption("--all") and not named else None


@functools.cache
def prepare_tensorflow():
    """Threads are settled once a process: before the first test that computes something."""
    from trainer.compute import devices
    from trainer.compute.options import ComputeOptions

    devices.prepare(ComputeOptions(), model="dense")


@pytest.fixture(autouse=True)
def tensorflow_as_runs_want_it():
    """Only where a test has imported TensorFlow, or one before it: most need none."""
    if "tensorflow" in sys.modules:
        prepare_tensorflow()


@pytest.fixture(scope="session")
def prepared_tensorflow():
    """For fixtures of more than one test: they come before `tensorflow_as_runs_want_it`."""
    prepare_tensorflow()


@pytest.fixture(scope="session")
def one_graph_a_network():
    """Tracing what the Graphs tab shows takes longer than these runs: of runs of the same flags it is done once."""
    from trainer import config
    from trainer.runs import builder

    prepare_tensorflow()
    trace, traced = builder.graph, {}

    def graph(given, data, state, plan):
        key = repr((config.guarded(given), given.compute.precision, plan.total_steps, data.shape))
        if key not in traced:
            traced[key] = trace(given, data, state, plan)
        return traced[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "graph", graph)
        yield


@pytest.fixture(autouse=True)
def at_the_command_line():
    """Messages call options as the command line does: `--hidden`; that it is `hidden=` in Python is test_errors'."""
    with options_shown_as(as_flag):
        yield


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test has a working folder and a Keras cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras_home"))
    return tmp_path


@pytest.fixture
def launch(capfd, one_graph_a_network):
    """Launches in this process: launch("--steps=3") -> (exit code, stdout, stderr)."""
    import launch as program

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = program.main(list(arguments))
        output = capfd.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def folder(tmp_path):
    """Forty pictures in two folders, of one colour each."""
    for label, color in COLOURS.items():
        for number in range(20):
            save(tmp_path / "pictures" / label / f"{number}.{'png' if number % 2 else 'bmp'}", color)
    return tmp_path / "pictures"


@pytest.fixture
def python():
    """Runs Python code in a process of its own, where the checkout can be imported from."""

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
        )

    return run


@pytest.fixture(scope="session")
def small_blocks(one_graph_a_network):
    """Blocks of seven steps: these runs have several."""
    from trainer.runs import planning

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "MAX_BLOCK_STEPS", 7)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory, small_blocks):
    """An uninterrupted run with a checkpoint at every step."""
    from trained import OFTEN

    import launch

    run = tmp_path_factory.mktemp("finished") / "run"
    assert launch.main([*OFTEN, f"--run_dir={run}"]) == 0
    return run


@pytest.fixture(scope="session")
def seen_of_finished(finished):
    from trained import seen

    return seen(finished)


@pytest.fixture
def told():
    """The log lines of this test."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log = logging.getLogger("hourglass")
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    yield lines
    log.removeHandler(handler)
