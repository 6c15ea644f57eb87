"""Error messages write options as flags on the command line and as keyword arguments in Python."""

import ast
import pathlib
import pickle
import re

import pytest

import trainer
from trainer.config import OPTIONS
from trainer.data.custom import locate
from trainer.errors import DataError, HourglassError, UsageError, as_flag, as_keyword, option, option_style, render
from trainer.models.options import ModelOptions
from trainer.system.logs import log

# Modules that parse flags or print commands. Their strings may contain flags.
COMMAND_LINE = ("config/flags.py", "config/flagfile.py", "config/config.py", "runs/description.py", "errors.py")
PACKAGE = pathlib.Path(trainer.__file__).parent


@pytest.mark.parametrize(
    ("name", "value", "flag", "keyword"),
    [
        ("data_dir", None, "--data_dir", "data_dir="),
        ("restart", True, "--restart", "restart=True"),
        ("hidden", "32,64", "--hidden=32,64", "hidden='32,64'"),
        ("steps", 7, "--steps=7", "steps=7"),
        ("learning_rate", 2e-05, "--learning_rate=2e-05", "learning_rate=2e-05"),
        ("dataset", "it's", "--dataset=it's", 'dataset="it\'s"'),
    ],
)
def test_an_option_is_rendered_in_the_current_style(name, value, flag, keyword):
    message = f"use {option(name, value)}, or not"
    with option_style(as_flag):
        assert render(message) == f"use {flag}, or not"
    with option_style(as_keyword):
        assert render(message) == f"use {keyword}, or not"


def test_a_pickled_error_keeps_its_option_references():
    with pytest.raises(UsageError) as caught:
        ModelOptions(hidden=(0,))
    error = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(error, UsageError)
    with option_style(as_keyword):
        assert str(error).startswith("hidden= holds 0\n")
        assert str(error).endswith("such as hidden='256,128,32'")
    with option_style(as_flag):
        assert str(error).startswith("--hidden holds 0\n")


def test_log_messages_render_options(caplog):
    log.propagate, before = True, log.propagate
    with option_style(as_keyword):
        log.warning(f"use another {option('run_dir')}")
    log.propagate = before
    assert set(caplog.messages) == {"use another run_dir="}


def test_a_value_cannot_forge_an_option_reference(tmp_path):
    with pytest.raises(DataError) as caught:
        locate.folder(f"{tmp_path}/\ue000steps\ue002", "images")
    assert "--steps" not in str(caught.value)


def test_an_error_message_has_at_most_three_lines():
    with option_style(as_flag):
        error = HourglassError("what", found="found\nmore", remedy=f"remove {option('steps')}")
    assert str(error).splitlines() == ["what", "found more", "remedy: remove --steps"]


def messages(path):
    """Returns (line number, text) of the strings of a module, without docstrings."""
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(PACKAGE.rglob("*.py")) if str(path.relative_to(PACKAGE)) not in COMMAND_LINE],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_messages_refer_to_options_only_by_option(path):
    flags = re.compile(rf"--({'|'.join(OPTIONS)})\b")
    tensorboard_flags = ("--host", "--port") if path.name == "server.py" else ()
    assert [(line, text) for line, text in messages(path) if flags.search(text) and text not in tensorboard_flags] == []
