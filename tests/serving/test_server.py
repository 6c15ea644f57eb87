"""TensorBoard as a process: which is used, who can look, what it gives out, how it ends."""

import base64
import http.server
import json
import os
import signal
import socket
import stat
import subprocess
import threading
import types

import pytest

from trainer.errors import UsageError
from trainer.serving import addresses, running, server

LOCAL = "127.0.0.1"
pytestmark = pytest.mark.usefixtures("registry")


class Process:
    """In the place of TensorBoard's process: has what it inherits, and ends when it is told to."""

    def __init__(self, arguments, *, pass_fds, stderr, **options):
        self.arguments, self.inherited, self.stderr = arguments, [os.dup(number) for number in pass_fds], stderr
        self.is_stopped = False

    def __getitem__(self, flag):
        return self.arguments[self.arguments.index(flag) + 1]

    def wait(self, timeout=None):
        return 0

    def terminate(self):
        self.is_stopped = True
        while self.inherited:
            os.close(self.inherited.pop())


@pytest.fixture
def started(monkeypatch):
    """What is started instead of TensorBoard."""
    processes: list[Process] = []

    def start(*arguments, **options):
        processes.append(Process(*arguments, **options))
        return processes[-1]

    ours = types.SimpleNamespace(**{**vars(subprocess), "Popen": start})  # Others may start what they need.
    monkeypatch.setattr(server, "subprocess", ours)
    yield processes
    for process in processes:
        process.terminate()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.paths.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def other(registry):
    """Somebody's TensorBoard: other.register(logdir) -> the port that it registers and answers at."""
    web = http.server.ThreadingHTTPServer((LOCAL, 0), Handler)
    web.paths = []

    def register(logdir, *, answers=None, started_in="/", prefix="", port=web.server_port, flags=None):
        environment = {"data_location": str(logdir if answers is None else answers)}
        if flags is not None:
            environment["debug"] = {"flags": flags}
        web.answer = json.dumps(environment).encode()
        key = base64.b64encode(json.dumps({"working_directory": str(started_in)}).encode()).decode()
        info = {"port": port, "path_prefix": prefix, "logdir": str(logdir), "cache_key": key}
        (registry / "pid-1.info").write_text(json.dumps(info))
        return port

    web.register = register
    threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
    yield web
    web.shutdown()
    web.server_close()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return probe.getsockname()[1]


def start(root, host=LOCAL, port=None):
    return server.start_server(root, host, port or unused_port())


def test_the_command_can_be_typed_and_keeps_every_picture(tmp_path):
    assert server.command(tmp_path / "my runs").endswith("/my runs' --samples_per_plugin images=1000")


def test_a_server_listens_where_it_is_asked_to_and_says_so(tmp_path, started, told):
    port = unused_port()
    assert start(tmp_path, "localhost", port).url == f"http://localhost:{port}/"
    assert told == [f"TensorBoard http://localhost:{port}/"]
    (process,) = started
    assert (process["--host"], process["--port"], process["--logdir"]) == ("localhost", str(port), str(tmp_path))


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "127.0.0.2"])  # TensorBoard asks localhost in any case.
def test_a_port_that_is_taken_is_replaced_by_a_free_one(host, tmp_path, started):
    with socket.socket() as taken:
        taken.bind((LOCAL, 0))
        taken.listen()
        port = taken.getsockname()[1]
        start(tmp_path, host, port)
    assert started[0]["--port"] not in (str(port), "0")
    assert started[0]["--host"] == host


def test_what_others_can_reach_is_told_to_have_no_password_and_is_called_by_the_machines_name(tmp_path, started, told):
    port = unused_port()
    start(tmp_path, "0.0.0.0", port)
    assert told == [
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
def test_only_the_machine_itself_reaches_its_loopback(host, public):
    assert addresses.is_public(host) == public


def test_an_address_of_the_sixth_version_stands_in_brackets():
    assert addresses.url("::1", 6006, "/a") == "http://[::1]:6006/a/"


@pytest.mark.parametrize("host", ["192.0.2.7", "", "a..b", "unix:///tmp/socket"])
def test_a_host_that_cannot_be_bound_is_one_line_to_training_and_an_error_to_serving(host, tmp_path, started, told):
    assert start(tmp_path, host) is None
    (line,) = told
    assert line.startswith(f"TensorBoard cannot be started: --host={host} cannot be bound (")
    with pytest.raises(UsageError, match="remedy: give localhost"):
        server.serve(tmp_path, host, 6006)
    assert started == []


def test_training_goes_on_where_no_process_can_be_started(tmp_path, monkeypatch, told):
    def refuse(*arguments, **options):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert start(tmp_path) is None
    assert told == ["TensorBoard cannot be started: Resource temporarily unavailable"]


@pytest.mark.parametrize("prefix", ["", "/a/b"])
@pytest.mark.parametrize("logdir", ["{0}/runs", "runs", "{0}/link/../link/"])
def test_one_that_serves_the_folder_already_is_used_again_whoever_has_started_it(
    logdir, prefix, tmp_path, started, other, told, monkeypatch
):
    (tmp_path / "runs").mkdir()
    for name in ("link", "mine"):
        (tmp_path / name).symlink_to(tmp_path / "runs")
    port = other.register(logdir.format(tmp_path), started_in=tmp_path, prefix=prefix)
    monkeypatch.chdir("/")
    assert start(tmp_path / "mine") is None
    assert told == [f"TensorBoard http://{LOCAL}:{port}{prefix}/ (running already)"]
    assert other.paths == [f"{prefix}/data/environment"]
    assert started == []


def test_one_that_has_gone_does_not_count(tmp_path, started, other):
    other.register(tmp_path, port=unused_port())
    assert start(tmp_path) is not None


def test_one_whose_port_serves_another_folder_now_does_not_count(tmp_path, started, other):
    other.register(tmp_path, answers=tmp_path / "others")
    assert start(tmp_path) is not None
    assert other.paths == ["/data/environment"]


def test_one_that_serves_another_folder_is_not_even_asked(tmp_path, started, other):
    other.register(tmp_path / "others", answers=tmp_path)
    assert start(tmp_path) is not None
    assert other.paths == []


def test_one_that_does_not_answer_is_not_waited_for(tmp_path, started, other, monkeypatch):
    monkeypatch.setattr(running, "PATIENCE", 0.01)
    with socket.socket() as silent:
        silent.bind((LOCAL, 0))
        silent.listen()
        other.register(tmp_path, port=silent.getsockname()[1])
        assert start(tmp_path) is not None


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"data_location": 3}', b"[" * 100_000, b"\xff"])
def test_what_answers_otherwise_is_no_tensorboard(answer, tmp_path, started, other):
    other.register(tmp_path)
    other.answer = answer
    assert start(tmp_path) is not None


@pytest.mark.parametrize("change", [{"port": "x"}, {"path_prefix": "\r\nX: y"}, {"logdir": None}, {"cache_key": "%"}])
def test_what_anybody_may_have_registered_is_no_obstacle(change, tmp_path, started, other, registry):
    other.register(tmp_path)
    info = json.loads((registry / "pid-1.info").read_text())
    (registry / "pid-1.info").write_text(json.dumps({**info, **change}))
    (registry / "pid-2.info").write_text("[" * 100_000)
    (registry / "pid-3.info").mkdir()
    os.mkfifo(registry / "pid-4.info")
    assert start(tmp_path) is not None


def test_one_for_this_machine_alone_is_not_used_where_others_are_to_look(tmp_path, started, other, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")  # As in many containers.
    other.register(tmp_path, flags={"host": "localhost", "bind_all": False})
    assert start(tmp_path, "0.0.0.0") is not None
    other.register(tmp_path, flags={"host": None, "bind_all": True})
    assert running.find(tmp_path, "0.0.0.0") == f"http://localhost:{other.server_port}/"


def test_of_two_that_start_at_once_one_starts_it_and_the_other_is_told_where(tmp_path, started, told):
    first = start(tmp_path / "runs")
    assert start(tmp_path / "link" / ".." / "runs") is None
    assert told == [f"TensorBoard {first.url}", f"TensorBoard {first.url} (running already)"]
    first.stop()
    assert start(tmp_path / "runs") is not None
    assert len(started) == 2


def test_of_two_folders_that_are_served_at_once_each_has_a_port(tmp_path, started):
    port = unused_port()
    start(tmp_path / "one", port=port)
    start(tmp_path / "two", port=port)
    assert started[0]["--port"] == str(port) != started[1]["--port"]
    started[0].terminate()
    start(tmp_path / "three", port=port)
    assert started[2]["--port"] == str(port)


def test_the_one_that_starts_it_is_not_taken_for_the_one_before(monkeypatch):
    monkeypatch.setattr(running, "ROUNDS", 1)
    with running.Claim("runs") as before:
        before.tell("http://before/")
    with running.Claim("runs"), running.Claim("runs") as second:
        assert second.url is None


def test_what_one_writes_to_be_found_is_for_nobody_else(tmp_path, started):
    start(tmp_path)
    (claim, _) = tmp_path.glob(".hourglass-*")
    assert stat.S_IMODE(claim.stat().st_mode) == 0o600


def test_a_claim_is_not_written_through_somebodys_link(tmp_path, started):
    start(tmp_path).stop()
    (tmp_path / "precious").write_text("precious")
    for path in tmp_path.glob(".hourglass-*"):
        path.unlink()
        path.symlink_to(tmp_path / "precious")
    assert start(tmp_path) is not None
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.fixture
def handlers():
    """The signals are handled after the test as they were before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("background", [False, True])
def test_a_signal_ends_the_serving_and_the_server(background, tmp_path, started, handlers):
    if background:  # A shell ignores SIGINT for what a script starts with `&`.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    serving = start(tmp_path)
    started[0].wait = lambda timeout=None: timeout or signal.raise_signal(signal.SIGTERM)
    # Without its handler this would end the tests.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    assert serving.wait() is None
    assert started[0].is_stopped


@pytest.mark.parametrize(("code", "words"), [(-9, "signal 9 (Killed)"), (1, "exit code 1: it is broken")])
def test_a_server_that_ends_by_itself_says_how(code, words, tmp_path, started, handlers, launch, monkeypatch):
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


def test_a_broken_installation_says_what_is_broken(tmp_path, instead, handlers):
    instead("raise ImportError('half of it is missing')")
    assert start(tmp_path).wait() == "exit code 1: ImportError: half of it is missing"


def test_a_server_ends_when_the_one_that_started_it_is_gone(tmp_path, instead, handlers):
    instead("import threading\n\n\ndef run_main():\n    threading.Event().wait()\n")
    serving = start(tmp_path)
    serving._process.stdin.close()
    assert serving.wait() == "exit code 0"


def test_a_run_ends_well_whatever_becomes_of_its_tensorboard(tmp_path, started, handlers, launch, other):
    command = ("--dataset=iris", "--hidden=1", "--steps=2", "--jit=off", "--tensorboard", f"--port={unused_port()}")
    code, output, error = launch(*command)
    assert (code, error) == (0, "")
    assert output.splitlines()[-1] == "TensorBoard has ended by itself: exit code 0"
    other.register(tmp_path / "runs")
    code, output, error = launch(*command)
    assert (code, error) == (0, "")
    assert output.splitlines()[-1] == f"TensorBoard http://localhost:{other.server_port}/ (running already)"
    assert len(started) == 1


def test_serving_a_folder_that_is_not_there_is_a_usage_error(tmp_path, launch):
    code, _, error = launch("--mode=serve")
    assert code == 1
    assert f"there is no folder {tmp_path}/runs" in error
    assert not (tmp_path / "runs").exists()


def test_serving_what_is_served_already_says_so_and_is_done(tmp_path, started, other, launch):
    (tmp_path / "runs").mkdir()
    port = other.register(tmp_path / "runs")
    assert launch("--mode=serve") == (0, f"TensorBoard http://localhost:{port}/ (running already)\n", "")


def test_a_host_that_cannot_be_served_on_is_a_usage_error(tmp_path, launch):
    code, _, error = launch("--mode=serve", f"--run_dir={tmp_path}", "--host=192.0.2.7")
    assert code == 1
    assert "--host=192.0.2.7 cannot be bound" in error
