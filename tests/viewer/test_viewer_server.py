"""The server: what it answers, and what nobody can make it answer."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import quote, urlsplit

import pytest
from marked_slides import HE, IHC, marked
from small_slides import write_slide
from typer.testing import CliRunner

import restain
from restain.cli import app as cli
from restain.errors import RestainError
from restain.viewer.page_server import PageServer

TOKEN = "t0ken-of-a-test"
SECRET = "nobody may read this"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "secret.txt").write_text(SECRET)
    write_slide(folder / "he.tif", marked(800, 400, 1.0, HE), 1.0)
    write_slide(folder / "unlisted.tif", marked(800, 400, 1.0, IHC), 1.0)
    (folder / "broken.tif").write_bytes((folder / "he.tif").read_bytes()[:2000])
    return folder


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self):
        return self.content.decode()

    def json(self):
        return json.loads(self.content)


class Client:
    """Sends addresses as they are, where other clients tidy them up."""

    def __init__(self, port):
        self.port = port
        self.connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def get(self, address, **headers):
        return self.request("GET", address, **headers)

    def request(self, method, address, **headers):
        self.connection.request(method, address, headers=headers)
        answer = self.connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


@pytest.fixture(scope="module")
def client(folder):
    with restain.view([folder / "he.tif", folder / "broken.tif"], port=0, token=TOKEN) as viewer:
        yield Client(viewer.port)


def listed(client):
    (case,) = client.get(f"/{TOKEN}/cases.json").json()
    return case["pictures"]


def test_the_page_and_its_files_come_from_the_package(client):
    page = client.get(f"/{TOKEN}/")
    assert page.headers["content-type"].startswith("text/html")
    for name in ("main.js", "page.css", "icons.svg", "vendor/openseadragon.min.js", "vendor/openseadragon.LICENSE.txt"):
        assert client.get(f"/{TOKEN}/static/{name}").status == 200
    assert client.get(f"/{TOKEN}/static/vendor").status == 404


def test_every_answer_carries_the_security_headers(client):
    for address in (f"/{TOKEN}/", f"/{TOKEN}/cases.json", f"/{TOKEN}/nothing", "/", "/wrong/"):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"]


def test_without_the_token_or_under_another_name_there_is_nothing(client):
    tile = f"tile/{listed(client)[0]['id']}/image/0/0/0"
    assert client.get(f"/{TOKEN}/{tile}").status == 200
    for address in ("/", "/cases.json", f"/{tile}", f"/{TOKEN}x/{tile}", f"//{TOKEN}/{tile}", f"/static/../{TOKEN}/x"):
        assert client.get(address).status == 404, address
    assert client.get(f"/{TOKEN}/{tile}", Host="evil.example").status == 404
    assert client.request("POST", f"/{TOKEN}/cases.json").status in (404, 405)
    assert client.request("DELETE", f"/{TOKEN}/{tile}").status in (404, 405)


def test_a_broken_slide_is_a_sentence_without_its_path(client, folder):
    broken = listed(client)[1]["id"]
    for address in (
        f"picture/{broken}.json",
        f"tile/{broken}/image/0/0/0",
        f"thumbnail/{broken}",
        f"record/{broken}.json",
    ):
        answer = client.get(f"/{TOKEN}/{address}")
        assert answer.status == 422
        assert answer.json()["error"].startswith("broken.tif: ")
        assert str(folder) not in answer.text


def test_no_answer_holds_a_path(client, folder):
    first = listed(client)[0]["id"]
    for address in ("cases.json", f"picture/{first}.json", f"record/{first}.json", f"tissue/{first}.json"):
        assert str(folder) not in client.get(f"/{TOKEN}/{address}").text


def test_a_thousand_odd_requests_reach_no_other_file_and_raise_nothing(client, folder):
    random_ = random.Random(7)
    ids = [one["id"] for one in listed(client)]
    ids += ["0" * 18, "..", "%2e%2e", str(folder / "unlisted.tif"), "", "é", "\0"]
    names = ["../secret.txt", "..%2fsecret.txt", "%2e%2e/%2e%2e/secret.txt", "/etc/passwd", "vendor/../../server.py",
             str(folder / "secret.txt"), "C:\\x", "%00", "a" * 3000, "index.html%00.txt"]  # fmt: skip
    numbers = ["0", "1", "-1", "99999999999999999999", "9" * 5000, "1e3", "0x1", "٣", "", "1.5", "NaN", "%31"]
    layers = ["image", "dab", "haematoxylin", "map-x", "..", "thumbnail", "image%2f..", "é"]

    def address():
        pick = random_.choice
        kind = random_.randrange(5)
        if kind == 0:
            return f"{TOKEN}/static/{quote(pick(names), safe='/%') if random_.random() < 0.5 else pick(names)}"
        if kind == 1:
            place = "/".join(pick(numbers) for _ in range(3))
            return f"{TOKEN}/tile/{quote(pick(ids), safe='%')}/{pick(layers)}/{place}"
        if kind == 2:
            ending = pick([".json", "", ".json/", ".JSON", "/../x"])
            return f"{TOKEN}/{pick(['picture', 'record', 'tissue', 'thumbnail'])}/{quote(pick(ids), safe='%')}{ending}"
        if kind == 3:
            return pick([TOKEN, "x", ""]) + "/" + "".join(random_.choices("/.%2fae?#&;\\~", k=random_.randrange(40)))
        return f"{TOKEN}/{quote(pick(names), safe='')}"

    served = 0
    for _ in range(1000):
        headers = {"Range": random_.choice(["bytes=0-", "bytes=5-1", "bytes=-9", "x"]),
                   "Accept-Encoding": random_.choice(["gzip", "br", "identity;q=0", "*"])}  # fmt: skip
        wanted = quote("/" + address(), safe="/%.?&;=~:\\")
        answer = client.request(random_.choice(["GET", "GET", "HEAD", "POST", "OPTIONS"]), wanted, **headers)
        assert answer.status in (200, 307, 404, 405, 422), wanted
        assert SECRET.encode() not in answer.content and b"Traceback" not in answer.content
        assert b"root:" not in answer.content
        served += answer.status == 200
    assert served  # some were good


def test_view_serves_on_this_machine_alone_and_ends(folder):
    with restain.view([folder / "he.tif"], port=0, token="a-fixed-token") as viewer:
        assert viewer.url == f"http://127.0.0.1:{viewer.port}/a-fixed-token/"
        assert Client(viewer.port).get("/a-fixed-token/").status == 200
        with pytest.raises(RestainError, match=rf"port {viewer.port}: cannot be listened on"):
            restain.view([folder / "he.tif"], port=viewer.port)
    with pytest.raises(ConnectionError):
        Client(viewer.port).get("/a-fixed-token/")


def test_a_scheduler_s_signal_ends_it_as_ctrl_c_does(folder):
    command = [sys.executable, "-m", "restain.cli", "view", str(folder / "he.tif"), "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        link = next(line.strip() for line in process.stdout if line.startswith("http"))
        address = urlsplit(link)
        assert Client(address.port).get(address.path).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[1] == "" and process.returncode == 0
    finally:
        process.kill()


def test_an_interrupt_closes_the_socket_only_once_nothing_serves_it(monkeypatch):
    sockets_at_end = []

    def run(server, sockets):
        while not server.should_exit:
            time.sleep(0.01)
        time.sleep(0.2)
        sockets_at_end.append(sockets[0].fileno())

    monkeypatch.setattr("uvicorn.Server.run", run)
    with PageServer(lambda hosts: None, "127.0.0.1", 0) as server:
        main = threading.main_thread().ident
        threading.Timer(0.3, signal.pthread_kill, [main, signal.SIGINT]).start()
        server.wait()
    assert len(sockets_at_end) == 1 and sockets_at_end[0] >= 0


def test_a_token_that_a_link_cannot_hold_is_refused(folder):
    for token in ("short", "with/a/slash"):
        with pytest.raises(RestainError, match="token"):
            restain.view([folder / "he.tif"], port=0, token=token)


def test_the_command_says_what_is_wrong():
    outcome = CliRunner().invoke(cli, ["view", "/nowhere/a.svs", "--no-browser"])
    assert isinstance(outcome.exception, RestainError) and "no such file" in str(outcome.exception)


def test_the_viewer_imports_no_torch():
    names = "restain.viewer.launch, restain.viewer.server, restain.console.viewer"
    code = f"import sys, {names}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
