"""What an error says, and how it calls options: by flags on the command line, by keywords in Python."""

import ast
import pathlib
import pickle
import re

import pytest

import trainer
from trainer.config import OPTIONS
from trainer.data.custom import locate
from trainer.errors import DataError, HourglassError, UsageError, as_flag, as_keyword, option, options_shown_as, shown
from trainer.models.options import ModelOptions
from trainer.system.logs import log

# Where commands are written that a person types, or flags are parsed: there they are flags.
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
def test_an_option_is_called_as_where_it_is_shown(name, value, flag, keyword):
    words = f"give {option(name, value)}, or not"
    with options_shown_as(as_flag):
        assert shown(words) == f"give {flag}, or not"
    with options_shown_as(as_keyword):
        assert shown(words) == f"give {keyword}, or not"


def test_an_error_keeps_the_name_until_it_is_shown_in_another_process_too():
    with pytest.raises(UsageError) as caught:
        ModelOptions(hidden=(0,))
    error = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(error, UsageError)
    with options_shown_as(as_keyword):
        assert str(error).startswith("hidden= holds 0\n")
        assert str(error).endswith("such as hidden='256,128,32'")
    with options_shown_as(as_flag):
        assert str(error).startswith("--hidden holds 0\n")


def test_what_is_logged_calls_options_as_errors_do(caplog):
    log.propagate, before = True, log.propagate
    with options_shown_as(as_keyword):
        log.warning(f"give another {option('run_dir')}")
    log.propagate = before
    assert set(caplog.messages) == {"give another run_dir="}


def test_a_value_that_somebody_gave_cannot_forge_an_option(tmp_path):
    with pytest.raises(DataError) as caught:
        locate.folder(f"{tmp_path}/\ue000steps\ue002", "images")
    assert "--steps" not in str(caught.value)


def test_an_error_has_three_lines_at_most():
    with options_shown_as(as_flag):
        error = HourglassError("what", found="found\nmore", remedy=f"leave {option('steps')} out")
    assert str(error).splitlines() == ["what", "found more", "remedy: leave --steps out"]


def messages(path):
    """The strings of a module, but for docstrings, each with its line."""
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
def test_below_the_command_line_no_message_says_a_flag(path):
    flags = re.compile(rf"--({'|'.join(OPTIONS)})\b")
    tensorboards_own = ("--host", "--port") if path.name == "server.py" else ()
    found = [(line, text) for line, text in messages(path) if flags.search(text) and text not in tensorboards_own]
    assert found == []
