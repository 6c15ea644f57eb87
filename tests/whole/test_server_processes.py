"""A real TensorBoard process: the files that it serves, and the files that it must not serve."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
from browser import wait_until_served
from checkout import ROOT
from servers import start, unused_port

from trainer import config as configs
from trainer.runs.directory import RunDirectory
from trainer.summaries import writer as board

SECRET = "SECRET"


PROJECTOR = """
embeddings {
  tensor_name: "codes" tensor_path: "codes.tsv" metadata_path: "metadata.tsv"
  sprite { image_path: "sprite.png" single_image_dim: 8 single_image_dim: 8 }
}
"""


OUTSIDE = """
embeddings {{
  tensor_name: "outside{0}" tensor_path: "{1}" metadata_path: "{1}" bookmarks_path: "{1}"
  sprite {{ image_path: "{1}" single_image_dim: 8 single_image_dim: 8 }}
}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory whose projector configuration also names files outside the directory."""
    run = tmp_path_factory.mktemp("served") / "run"
    writer = board.Writer(run / "eval", 0)
    writer.scalars(1, {"loss": 0.5})
    writer.close()
    for name in ("flags.txt", "checkpoints/ckpt-1.index", "eval/plugins/secret.tsv"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(f"{SECRET}\t1\n{SECRET}\t2\n")
    folder = run / "eval" / "plugins" / "org_tensorflow_tensorboard_projector"
    folder.mkdir()
    (folder / "codes.tsv").write_text("1\t2\n3\t4\n")
    (folder / "metadata.tsv").write_text("label\terror\ncat\t0.5\ndog\t0.25\n")
    (folder / "sprite.png").write_bytes(b"\x89PNG\r\n\x1a\n sprite")
    (folder / "link.tsv").symlink_to(run / "flags.txt")
    outside = ["../../../flags.txt", "../../../checkpoints/ckpt-1.index", "../secret.tsv", "link.tsv"]
    places = enumerate([*outside, str(run / "flags.txt")])
    (folder / "projector_config.pbtxt").write_text(PROJECTOR + "".join(OUTSIDE.format(*place) for place in places))
    return run


@pytest.fixture(scope="module")
def served(run):
    """The URL at which `--mode=serve`, in a process of its own, serves it; the run is being trained meanwhile."""
    directory = RunDirectory(configs.parse([f"--run_dir={run}"])[0])
    command = [sys.executable, str(ROOT / "launch.py"), "--mode=serve", f"--run_dir={run}", f"--port={unused_port()}"]
    environment = {**os.environ, "TMPDIR": str(run.parent)}
    with directory.locked():
        files = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            # A shell ignores SIGINT for background jobs, such as these tests, and their children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        url = process.stdout.readline().split()[1]
        deadline = time.monotonic() + 120
        while "eval" not in fetched(f"{url}data/runs")[1]:
            assert time.monotonic() < deadline
            with contextlib.suppress(subprocess.TimeoutExpired):
                assert process.wait(0.1) is None, "it has ended"
        yield url
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("", "")
    assert process.returncode == 0
    assert fetched(url) == (0, "")  # The server has ended with it.
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == files


def fetched(url: str) -> tuple[int, str]:
    """The status and the text of what is at an address; (0, "") if nobody is there."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as response:
            return response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (urllib.error.URLError, ConnectionError):
        return 0, ""


def test_the_projector_is_given_its_own_files(served):
    base = f"{served}data/plugin/projector"
    assert json.loads(fetched(f"{base}/runs")[1]) == ["eval"]
    embeddings = json.loads(fetched(f"{base}/info?run=eval")[1])["embeddings"]
    assert embeddings[0]["tensorShape"] == [2, 2]
    with urllib.request.urlopen(f"{base}/tensor?run=eval&name=codes", timeout=60) as response:
        assert np.frombuffer(response.read(), np.float32).tolist() == [1, 2, 3, 4]
    assert fetched(f"{base}/metadata?run=eval&name=codes") == (200, "label\terror\ncat\t0.5\ndog\t0.25\n")
    assert fetched(f"{base}/sprite_image?run=eval&name=codes")[1].endswith(" sprite")


@pytest.mark.parametrize("route", ["tensor", "metadata", "sprite_image", "bookmarks"])
def test_the_projector_gives_out_nothing_that_lies_outside_its_folder(route, served, run):
    names = [*(f"outside{number}" for number in range(5)), "../../../flags.txt", str(run / "flags.txt")]
    for name in names:
        status, text = fetched(f"{served}data/plugin/projector/{route}?run=eval&name={urllib.parse.quote(name)}")
        assert 400 <= status < 500, (name, text)
        assert SECRET not in text
    for folder in ("..", "../run/checkpoints", str(run), "checkpoints"):
        status, text = fetched(f"{served}data/plugin/projector/{route}?name=codes&run={urllib.parse.quote(folder)}")
        assert status == 400, (folder, text)


@pytest.mark.parametrize("up", ["", "../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..\\", "//"])
@pytest.mark.parametrize("path", ["", "data/", "data/plugin/projector/", "data/plugin/projector/eval/"])
def test_no_path_leads_to_a_file(path, up, served, run):
    for name in ("flags.txt", "checkpoints/ckpt-1.index", "eval/plugins/secret.tsv", f"{run}/flags.txt"):
        for levels in (1, 3):
            status, text = fetched(served + path + up * levels + name)
            assert SECRET not in text
            assert status == 404


def test_a_second_server_uses_another_port_and_both_serve(run, log_lines):
    with contextlib.ExitStack() as stack:
        servers, port = [], unused_port()
        for _ in range(2):
            servers.append(start(run, "localhost", port))
            stack.callback(servers[-1].stop)
            wait_until_served(servers[-1].url)
        urls = [server.url for server in servers]
        assert urls[0] == f"http://localhost:{port}/" != urls[1]
        assert log_lines == [f"TensorBoard {url}" for url in urls]
        assert [json.loads(fetched(f"{url}data/runs")[1]) for url in urls] == [["eval"], ["eval"]]


def test_serving_needs_no_tensorflow(python, run):
    code = """
import sys, launch
from trainer.serving.server import Server
Server.wait = Server.stop
assert launch.main(["--mode=serve", f"--run_dir={sys.argv[1]}", f"--port={sys.argv[2]}"]) == 0
print({"tensorflow", "keras", "tensorboard"} & set(sys.modules))
"""
    port = unused_port()
    result = python(code, str(run), str(port))
    assert result.stdout == f"TensorBoard http://localhost:{port}/\nset()\n", result.stderr
