"""Downloads from a local server that can misbehave."""

import hashlib
import http.server
import threading

import pytest

from trainer.data.builtin.archives import Archive, Mirror
from trainer.data.options import DataOptions
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError
from trainer.system import progress

CONTENT = bytes(range(256)) * 4_000  # about 1 MB
ARCHIVE = Archive("data.tar.gz", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        behavior = self.server.behaviors.get(self.path, "valid")
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.requests.append((self.path, start))
        content = CONTENT
        if behavior == "missing":
            self.send_error(404)
            return
        if behavior == "a web page":
            content, start = b"<html>Please log in</html>", 0
        if behavior.startswith("another file"):
            content = bytes(len(CONTENT))
        if behavior in ("ignores ranges", "another file, whole"):
            start = 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        self.wfile.write(body[:300_000] if behavior == "breaks off" else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.behaviors, server.requests = {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(server, tmp_path):
    """Returns a function that downloads from mirrors with the given behaviors, in this order."""

    def run(*behaviors, archives=(ARCHIVE,), log=lambda line: None):
        mirrors = []
        for number, behavior in enumerate(behaviors):
            server.behaviors[f"/{number}/data.tar.gz"] = behavior
            mirrors.append(Mirror(f"{server.url}/{number}/data.tar.gz", archives))
        return Sources(DataOptions(data_dir=str(tmp_path)), log=log).download(mirrors)

    return run


def test_a_download_is_verified_and_named(fetch, tmp_path):
    assert fetch("valid").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["data.tar.gz"]


def test_next_mirror_is_tried_and_each_failure_is_logged(fetch):
    lines = []
    assert fetch("missing", "a web page", "another file", "valid", log=lines.append).read_bytes() == CONTENT
    failures = [line for line in lines if line.startswith("cannot download")]
    assert all(reason in line for reason, line in zip(("404", "sends 26 bytes", "SHA-256"), failures, strict=True))


def test_error_lists_the_reason_for_every_mirror_and_the_remedy(fetch, tmp_path):
    with pytest.raises(DataError) as error:
        fetch("missing", "a web page")
    assert len(str(error.value).splitlines()) == 3
    for part in ("404", "sends 26 bytes", "--data_dir", "--data_url"):
        assert part in str(error.value)
    assert not (tmp_path / "data.tar.gz").exists()


def test_broken_connection_is_resumed(fetch, server):
    assert fetch("breaks off").read_bytes() == CONTENT
    assert [start for _, start in server.requests] == [0, 300_000, 600_000, 900_000]


def test_interrupted_download_is_resumed(fetch, server, tmp_path):
    (tmp_path / "data.tar.gz.part").write_bytes(CONTENT[:700_000])
    assert fetch("valid").read_bytes() == CONTENT
    assert server.requests == [("/0/data.tar.gz", 700_000)]


@pytest.mark.parametrize("behavior", ["valid", "ignores ranges"])
def test_part_file_of_another_file_is_replaced(behavior, fetch, tmp_path):
    (tmp_path / "data.tar.gz.part").write_bytes(b"x" * 700_000)
    assert fetch(behavior).read_bytes() == CONTENT


def test_login_page_does_not_delete_the_part_file(fetch, tmp_path):
    (tmp_path / "data.tar.gz.part").write_bytes(CONTENT[:700_000])
    with pytest.raises(DataError):
        fetch("a web page")
    assert (tmp_path / "data.tar.gz.part").read_bytes() == CONTENT[:700_000]


def test_wrong_file_is_not_downloaded_twice_from_a_server_that_cannot_resume(fetch, server, tmp_path):
    (tmp_path / "data.tar.gz.part").write_bytes(b"x" * 700_000)
    with pytest.raises(DataError):
        fetch("another file, whole")
    assert server.requests == [("/0/data.tar.gz", 700_000)]


@pytest.mark.parametrize("num_bytes", [len(CONTENT), len(CONTENT) + 5])
def test_complete_or_too_long_part_file_is_handled(num_bytes, fetch, tmp_path):
    (tmp_path / "data.tar.gz.part").write_bytes((CONTENT + b"xxxxx")[:num_bytes])
    assert fetch("valid").read_bytes() == CONTENT


def test_data_url_may_have_any_of_the_published_archives(server, tmp_path):
    other = Archive("other.tar.gz", "0" * 64, 5)
    sources = Sources(DataOptions(data_dir=str(tmp_path), data_url=f"{server.url}/mine"), log=lambda line: None)
    path = sources.download(
        [Mirror("http://unused.invalid/x", (other,)), Mirror("http://unused.invalid/y", (ARCHIVE,))]
    )
    assert path.name == "data.tar.gz"
    assert path.read_bytes() == CONTENT


def test_data_url_that_ends_in_a_slash_is_a_folder(server, tmp_path):
    sources = Sources(DataOptions(data_dir=str(tmp_path), data_url=f"{server.url}/folder/"), log=lambda line: None)
    sources.download([Mirror("http://unused.invalid/x", (ARCHIVE,))])
    assert server.requests == [("/folder/data.tar.gz", 0)]


def test_data_url_with_another_scheme_is_rejected(tmp_path):
    with pytest.raises(UsageError, match="not an http"):
        Sources(DataOptions(data_dir=str(tmp_path), data_url="ftp://host/data.tar.gz")).download(
            [Mirror("http://unused.invalid/x", (ARCHIVE,))]
        )


def test_two_simultaneous_downloads_send_one_request(fetch, server):
    results = []
    threads = [threading.Thread(target=lambda: results.append(fetch("valid"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1]
    assert len(server.requests) == 1
    assert results[0].read_bytes() == CONTENT


def test_rate_and_remaining_time_are_logged_without_a_terminal():
    now, lines = iter([0.0, 20.0, 40.0]), []
    with progress.Meter("data.tar.gz", 10_000_000, lines.append, now=lambda: next(now)) as meter:
        meter.advance(2_000_000)
        meter.advance(2_000_000)
    assert lines[0] == "downloading data.tar.gz, 10.0 MB"
    assert lines[-1] == "downloading data.tar.gz: 40%, 0.1 MB/s, 120 s left"
