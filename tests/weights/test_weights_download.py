"""Downloads against a server on this machine: whole, resumed, broken off, wrong."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from restain.errors import RestainError
from restain.weights import WeightFile, fetch_weights
from restain.weights.download import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@dataclass
class Server:
    url: str = ""
    content: bytes = CONTENT
    stop_after: int | None = None  # bytes, then the connection is dropped
    understands_ranges: bool = True
    ranges: list[str | None] = field(default_factory=list)  # asked for, one entry per request


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            told.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and told.understands_ranges else 0
            if self.path == "/absent":
                self.send_error(404)
                return
            body = told.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if told.stop_after is None else body[: told.stop_after])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        told.url = f"http://127.0.0.1:{http.server_port}"
        yield told
        http.shutdown()


def a_file(server: Server, path: str = "/net.pth") -> WeightFile:
    return WeightFile(
        "net", "net.pth", "a test", server.url + path, len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), ""
    )


def test_a_whole_download_is_verified_and_leaves_no_part(server: Server, tmp_path: Path) -> None:
    path = download(a_file(server), tmp_path)
    assert path.read_bytes() == CONTENT
    assert [one.name for one in tmp_path.iterdir()] == ["net.pth"]


def test_a_dropped_connection_keeps_what_came_and_the_next_call_asks_for_the_rest(
    server: Server, tmp_path: Path
) -> None:
    server.stop_after = 1_200_000
    with pytest.raises(RestainError, match=r"broke off.*1200000 of 3000000 bytes are kept.*restain weights fetch net"):
        download(a_file(server), tmp_path)
    assert not (tmp_path / "net.pth").exists()
    assert (tmp_path / "net.pth.part").stat().st_size == 1_200_000
    server.stop_after = None
    assert download(a_file(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1200000-"]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(b"x" * 100)
    server.understands_ranges = False
    assert download(a_file(server), tmp_path).read_bytes() == CONTENT


def test_a_finished_part_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(CONTENT)
    assert download(a_file(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == []


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT + CONTENT], ids=["altered", "too long"])
def test_a_wrong_hash_keeps_nothing(server: Server, tmp_path: Path, content: bytes) -> None:
    server.content = content
    with pytest.raises(RestainError, match=r"sent a file with SHA-256 [0-9a-f]{64}; expected [0-9a-f]{64}"):
        download(a_file(server), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_refusals_of_the_network_are_one_sentence(server: Server, tmp_path: Path) -> None:
    with pytest.raises(RestainError, match=r"/absent: the server answered 404 Not Found$"):
        download(a_file(server, "/absent"), tmp_path)
    nobody = WeightFile("net", "net.pth", "", "http://127.0.0.1:9/net.pth", 10, "0" * 64, "")
    with pytest.raises(RestainError, match=r"no connection, or it broke off"):
        download(nobody, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_fetch_takes_only_what_is_missing(server: Server, folder: Path, register: Callable[..., None]) -> None:
    register(a_file(server))
    assert fetch_weights(["net"]) == [folder / "net.pth"]
    assert fetch_weights(["net"]) == [folder / "net.pth"]
    assert len(server.ranges) == 1
    with pytest.raises(RestainError, match="weights: 'nothing' is not known; expected one of inception-fid, "):
        fetch_weights(["nothing"])


def test_fetch_looks_at_the_disk_first(server: Server, folder: Path, register: Callable[..., None]) -> None:
    register(WeightFile("net", "net.pth", "", server.url, 10**18, "0" * 64, ""))
    with pytest.raises(RestainError, match=r"MB free; expected 1000000000000 MB"):
        fetch_weights(["net"])
    assert server.ranges == []
