"""The TensorBoard process: host, port, messages, and its end. Most tests use a fake process."""

import os
import signal
import socket
import subprocess
import types

import pytest
from servers import LOCAL, start, unused_port

from trainer.errors import UsageError
from trainer.serving import addresses, server


class Process:
    """A fake TensorBoard process that ends at once."""

    def __init__(self, arguments, *, stderr, **options):
        self.arguments, self.stderr = arguments, stderr
        self.is_stopped = False

    def __getitem__(self, flag):
        return self.arguments[self.arguments.index(flag) + 1]

    def wait(self, timeout=None):
        return 0

    def terminate(self):
        self.is_stopped = True


@pytest.fixture
def started(monkeypatch):
    """The fake processes that the test has started."""
    processes: list[Process] = []

    def start(*arguments, **options):
        processes.append(Process(*arguments, **options))
        return processes[-1]

    # Replace Popen in this module only.
    monkeypatch.setattr(server, "subprocess", types.SimpleNamespace(**{**vars(subprocess), "Popen": start}))
    return processes


def test_the_command_is_quoted_and_keeps_all_images(tmp_path):
    assert server.command(tmp_path / "my runs").endswith("/my runs' --samples_per_plugin images=1000")


def test_a_server_listens_on_the_given_host_and_port_and_logs_its_url(tmp_path, started, log_lines):
    port = unused_port()
    assert start(tmp_path, "localhost", port).url == f"http://localhost:{port}/"
    assert log_lines == [f"TensorBoard http://localhost:{port}/"]
    (process,) = started
    assert (process["--host"], process["--port"], process["--logdir"]) == ("localhost", str(port), str(tmp_path))


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "127.0.0.2"])  # TensorBoard checks localhost as well.
def test_a_port_in_use_is_replaced_by_a_free_port(host, tmp_path, started):
    with socket.socket() as taken:
        taken.bind((LOCAL, 0))
        taken.listen()
        port = taken.getsockname()[1]
        start(tmp_path, host, port)
    assert started[0]["--port"] not in (str(port), "0")
    assert started[0]["--host"] == host


@pytest.mark.parametrize(
    ("preferred", "used", "expected"),
    [
        (6006, [], 6006),
        (6006, [6006], 6007),
        (6006, [6006, 6007, 6009], 6008),
        (6006, range(6006, 6016), 40_000),
        (65_535, [65_535], 40_000),
    ],
)
def test_the_next_free_port_is_preferred(preferred, used, expected, monkeypatch):
    def bind(host, port):
        if port in used:
            raise OSError("Address already in use")
        return port or 40_000

    monkeypatch.setattr(addresses, "_is_used_on_localhost", lambda port: False)
    monkeypatch.setattr(addresses, "_bind", bind)
    assert addresses.free_port(LOCAL, preferred) == expected


def test_a_public_host_is_warned_about_and_shown_by_the_name_of_the_machine(tmp_path, started, log_lines):
    port = unused_port()
    start(tmp_path, "0.0.0.0", port)
    assert log_lines == [
        f"TensorBoard http://{socket.gethostname()}:{port}/",
        f"TensorBoard has no password: everybody who can reach port {port} of this machine sees the runs",
    ]


@pytest.mark.parametrize(
    ("host", "public"),
    [
        *((host, False) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1")),
        *((host, True) for host in ("0.0.0.0", "0", "::", "192.0.2.7", "2001:db8::7")),
    ],
)
def test_loopback_addresses_are_not_public(host, public):
    assert addresses.is_public(host) == public


def test_ipv6_addresses_are_in_brackets():
    assert addresses.url("::1", 6006) == "http://[::1]:6006/"


@pytest.mark.parametrize("host", ["192.0.2.7", "", "a..b", "unix:///tmp/socket"])
def test_a_host_that_cannot_be_bound_is_a_warning_in_training_and_an_error_in_serving(
    host, tmp_path, started, log_lines
):
    assert start(tmp_path, host) is None
    (line,) = log_lines
    assert line.startswith(f"TensorBoard cannot be started: --host={host} cannot be bound (")
    with pytest.raises(UsageError, match="remedy: give localhost"):
        server.serve(tmp_path, host, 6006)
    assert started == []


def test_training_continues_if_no_process_can_be_started(tmp_path, monkeypatch, log_lines):
    def refuse(*arguments, **options):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert start(tmp_path) is None
    assert log_lines == ["TensorBoard cannot be started: Resource temporarily unavailable"]


@pytest.fixture
def handlers():
    """The signals are handled after the test as they were before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("background", [False, True])
def test_a_signal_stops_the_server(background, tmp_path, started, handlers):
    if background:  # A shell ignores SIGINT for what a script starts with `&`.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    serving = start(tmp_path)
    started[0].wait = lambda timeout=None: timeout or signal.raise_signal(signal.SIGTERM)
    # Without its handler this would end the tests.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    assert serving.wait() is None
    assert started[0].is_stopped


@pytest.mark.parametrize(("code", "words"), [(-9, "signal 9 (Killed)"), (1, "exit code 1: it is broken")])
def test_the_end_of_a_server_is_reported(code, words, tmp_path, started, handlers, launch, monkeypatch):
    def end(process, timeout=None):
        os.write(process.stderr.fileno(), b"Traceback\nit is broken\n\n")
        return code

    monkeypatch.setattr(Process, "wait", end)
    status, _, error = launch("--mode=serve", f"--run_dir={tmp_path}", f"--port={unused_port()}")
    assert status == 8
    assert error.startswith(f"error: TensorBoard has ended by itself\n{words}\nremedy: ")


@pytest.fixture
def instead(tmp_path, monkeypatch):
    """instead(code): what TensorBoard's process runs instead of TensorBoard."""

    def write(code):
        (tmp_path / "tensorboard").mkdir()
        (tmp_path / "tensorboard" / "__init__.py").touch()
        (tmp_path / "tensorboard" / "main.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return write


def test_a_broken_installation_is_reported(tmp_path, instead, handlers):
    instead("raise ImportError('half of it is missing')")
    assert start(tmp_path).wait() == "exit code 1: ImportError: half of it is missing"


def test_a_server_ends_with_its_parent_process(tmp_path, instead, handlers):
    instead("import threading\n\n\ndef run_main():\n    threading.Event().wait()\n")
    serving = start(tmp_path)
    serving._process.stdin.close()
    assert serving.wait() == "exit code 0"


def test_a_run_succeeds_even_if_its_tensorboard_ends(tmp_path, started, handlers, launch):
    command = ("--dataset=iris", "--hidden=1", "--steps=2", "--jit=off", "--tensorboard", f"--port={unused_port()}")
    code, output, error = launch(*command)
    assert (code, error) == (0, "")
    assert output.splitlines()[-1] == "TensorBoard has ended by itself: exit code 0"


def test_serving_a_missing_folder_is_a_usage_error(tmp_path, launch):
    code, _, error = launch("--mode=serve")
    assert code == 1
    assert f"the folder {tmp_path}/runs does not exist" in error
    assert not (tmp_path / "runs").exists()


def test_serving_on_an_unusable_host_is_a_usage_error(tmp_path, launch):
    code, _, error = launch("--mode=serve", f"--run_dir={tmp_path}", "--host=192.0.2.7")
    assert code == 1
    assert "--host=192.0.2.7 cannot be bound" in error
