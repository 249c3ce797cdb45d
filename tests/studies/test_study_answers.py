"""One case at a time, answers kept whatever happens, sessions apart; and no request that gets at anything else."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from studies_folder import ReaderClient, ServerProcess

import restain
from restain.errors import RestainError
from restain.studies.answers import AnswerBook
from restain.studies.desk import Desk
from restain.studies.image_store import ImageStore
from restain.studies.questions import Choice, Intensities, Percent, Side, check_answer, design_questions
from restain.studies.study_files import read_links, read_study, steps_of


@pytest.fixture
def served(make):
    folder = make()
    with restain.serve_study(folder, port=0) as server:
        yield folder, ReaderClient(server.links["reader-1"]), server


def test_one_case_at_a_time(served):
    _, client, _ = served
    state = client.state()
    assert (state["status"], state["done"], state["item"]["position"]) == ("reading", 0, 0)
    (first,) = state["item"]["pictures"]
    assert client.ask("GET", f"picture/{first['id']}.json")[0] == 200
    status, after = client.send(0, {"her2": 2})
    assert status == 200 and after["item"]["position"] == 1
    assert client.ask("GET", f"tile/{first['id']}/image/0/0/0")[0] == 404  # it is not to be read now
    status, said = client.send(5, {"her2": 2})
    assert status == 422 and "expected the case that is to be read now" in said["error"]


def test_a_draft_comes_back_and_is_no_answer(served):
    _, client, _ = served
    assert client.send(0, {}, final=False, comment="to be looked at again", seconds=11.5)[0] == 200
    item = client.state()["item"]
    assert (item["position"], item["comment"], item["seconds"]) == (0, "to be looked at again", 11.5)
    status, said = client.send(0, {})
    assert status == 422 and said["error"] == "HER2 score: has no answer yet"


def test_a_final_answer_is_final(served):
    folder, client, server = served
    client.send(0, {"her2": 3}, comment="sure")
    for final in (True, False):
        assert client.send(0, {"her2": 0}, final=final)[0] == 200  # the page had not heard that it arrived
    kept = AnswerBook(folder / "answers.sqlite")
    assert kept.of("reader-1")[0].answers == {"her2": 3} and kept.of("reader-1")[0].comment == "sure"
    kept.close()
    assert server.progress() == {"reader-1": (1, 18), "reader-2": (0, 18)}


def test_what_cannot_be_assessed_needs_no_answer(served):
    _, client, _ = served
    status, after = client.send(0, {"her2": 1}, unreadable=True)
    assert status == 200 and after["done"] == 1


def test_a_pair_needs_a_choice(make):
    with restain.serve_study(make(design="2afc"), port=0) as server:
        client = ReaderClient(server.links["reader-1"])
        status, said = client.send(0, {}, unreadable=True)
        assert status == 422 and "expected a choice between the two images" in said["error"]
        assert client.state()["done"] == 0


def test_percentages_that_make_100_but_for_rounding_are_an_answer():
    (er,) = design_questions("score", "er")
    shares = [24.6, 39.7, 35.7]
    assert sum(shares) > 100
    assert er.values(shares)["er_percent"] == 100.0


@pytest.mark.parametrize(("secret", "token", "words"), [
    ("zz" * 32, "a" * 24, "links.json: secret: "),
    ("ab" * 32, "", "links.json: tokens.reader-1: "),
    ("ab" * 32, "../" + "a" * 24, "links.json: tokens.reader-1: "),
    ("ab" * 32, "b" * 24, "two readers have the same token"),
])  # fmt: skip
def test_links_that_nobody_made_are_refused(make, secret, token, words):
    folder = make()
    tokens = {"reader-1": token, "reader-2": "b" * 24}
    (folder / "links.json").write_text(json.dumps({"version": 1, "secret": secret, "tokens": tokens}))
    with pytest.raises(RestainError, match=words):
        restain.serve_study(folder, port=0)


@pytest.mark.parametrize("host", ["", "ü" * 80, "no.such.host.invalid"])
def test_a_host_that_is_no_address_is_one_sentence(make, host):
    with pytest.raises(RestainError, match=r"host is empty|cannot be listened on"):
        restain.serve_study(make(), port=0, host=host)


def body_of(**changes):
    """JSON of an answer, with changes."""
    good = {"position": 0, "answers": {"her2": 1}, "comment": "", "unreadable": False, "seconds": 1.0, "final": True}
    return json.dumps({**good, **changes})


@pytest.mark.parametrize("body", [
    b"", b"{}", b"[]", b"\xff", b'{"position": 0}', b'{"position": -1, "answers": {}}', b"9" * 5000, b'{"a": ' * 2000,
    body_of(answers={"her2": 9}), body_of(answers={"her2": True}), body_of(answers={"x": 1}, final=False),
    body_of(comment="c" * 5000), body_of(seconds=float("nan")), body_of(seconds=-1), body_of(other=1),
])  # fmt: skip
def test_what_is_no_answer_is_a_sentence_and_changes_nothing(served, body):
    _, client, _ = served
    status, _, content = client.ask("POST", "answer.json", body)
    assert status == 422 and json.loads(content)["error"]
    assert client.state()["done"] == 0


def test_a_body_without_end_is_cut_off(served):
    _, client, _ = served
    assert client.ask("POST", "answer.json", b" " * 40_000)[0] == 413


def test_the_second_session_opens_after_the_washout(make):
    folder = make(washout_days=14, cases=4, training_cases=0)
    study = read_study(folder)
    clock = [datetime(2026, 3, 1, 9, tzinfo=UTC)]
    images, book = ImageStore(folder / "images.sqlite", study.encoding.bytes), AnswerBook(folder / "answers.sqlite")
    desk = Desk(study, read_links(folder), images, book, now=lambda: clock[0])

    def send(position):
        body = {"position": position, "answers": {"her2": 0}, "comment": "", "unreadable": False, "seconds": 1,
                "final": True}  # fmt: skip
        return desk.save("reader-1", json.dumps(body).encode())

    for position in range(4):
        clock[0] += timedelta(hours=1)
        state = send(position)
    assert (state["status"], state["session"], state["opens"]) == ("waiting", 2, "2026-03-15T13:00:00+00:00")
    assert state["item"] is None and desk.state("reader-2")["status"] == "reading"
    with pytest.raises(RestainError, match="position: is 4"):
        send(4)
    clock[0] += timedelta(days=14) - timedelta(seconds=1)
    assert desk.state("reader-1")["status"] == "waiting"
    clock[0] += timedelta(seconds=1)
    assert desk.state("reader-1")["item"]["position"] == 4
    book.close()
    images.close()


def test_answers_outlive_a_killed_server(make):
    """Killed without warning right after it confirmed an answer: the answer is there, and the link is the same."""
    folder = make()
    process = ServerProcess(folder)
    try:
        client = ReaderClient(process.links["reader-2"])
        for position in range(3):
            assert client.send(position, {"her2": position})[0] == 200
        assert client.send(3, {"her2": 1}, final=False, comment="half")[0] == 200
    finally:
        process.kill()
    with restain.serve_study(folder, port=0) as server:
        assert server.links["reader-2"].rsplit("/", 2)[1] == process.links["reader-2"].rsplit("/", 2)[1]
        state = ReaderClient(server.links["reader-2"]).state()
    assert state["done"] == 3
    assert (state["item"]["position"], state["item"]["answers"], state["item"]["comment"]) == (3, {"her2": 1}, "half")


def test_a_scheduler_s_signal_closes_the_study(make, tmp_path):
    """As Ctrl-C does: the exit status is 0, and the file of the answers holds them alone."""
    folder = make()
    process = ServerProcess(folder)
    try:
        assert ReaderClient(process.links["reader-1"]).send(0, {"her2": 2})[0] == 200
        assert process.stop(signal.SIGTERM) == (0, "")
    finally:
        process.kill()
    assert sorted(path.name for path in folder.glob("answers.sqlite*")) == ["answers.sqlite"]
    book = AnswerBook(folder / "answers.sqlite")
    assert [answer.answers for answer in book.of("reader-1").values()] == [{"her2": 2}]
    book.close()


def test_a_study_that_was_changed_after_the_first_answer_is_not_served(make):
    folder = make()
    text = (folder / "study.yaml").read_text()
    with restain.serve_study(folder, port=0) as server:
        pass
    (folder / "study.yaml").write_text(text.replace("margin: 0.1", "margin: 0.2"))  # nobody has answered yet
    with restain.serve_study(folder, port=0) as server:
        ReaderClient(server.links["reader-1"]).send(0, {"her2": 1})
    (folder / "study.yaml").write_text(text)
    with pytest.raises(RestainError, match="was changed after the first answer"):
        restain.serve_study(folder, port=0)


@pytest.mark.parametrize("name", ["images.sqlite", "answers.sqlite", "links.json", "study.yaml"])
def test_a_damaged_file_is_one_sentence(make, name):
    folder = make()
    (folder / name).write_bytes(b"nothing of the kind")
    with pytest.raises(RestainError, match=name):
        restain.serve_study(folder, port=0)


def test_no_odd_request_reaches_a_file_or_raises(served):
    folder, client, server = served
    client.send(0, {"her2": 1}, comment="secret comment of reader one")
    other = ReaderClient(server.links["reader-2"])
    random_ = random.Random(11)
    good = [picture["id"] for picture in client.state()["item"]["pictures"]]
    ids = [*good, "0" * 18, "..", "%2e%2e", "p0001", str(folder / "key.json"), "", "é", "\0", "'; DROP TABLE answer;--"]
    names = ["../key.json", "..%2fkey.json", "%2e%2e/%2e%2e/links.json", "/etc/passwd", str(folder / "answers.sqlite"),
             "vendor/../../study.yaml", "a" * 3000, "study.html%00"]  # fmt: skip
    numbers = ["0", "1", "-1", "9" * 30, "1e3", "0x1", "٣", "", "NaN", "%31"]
    answers = 0
    for _ in range(400):
        pick = random_.choice
        name = pick([
            f"static/{pick(names)}",
            f"tile/{pick(ids)}/{pick(['image', 'dab', '..'])}/{pick(numbers)}/{pick(numbers)}/{pick(numbers)}",
            f"{pick(['picture', 'thumbnail', 'record', 'tissue'])}/{pick(ids)}{pick(['.json', '', '/..'])}",
            pick(names),
            "".join(random_.choices("/.%2fae?#&;\\~", k=random_.randrange(30))),
            "answer.json",
        ])  # fmt: skip
        headers = {
            "Range": pick(["bytes=0-", "bytes=5-1", "x"]),
            "Accept-Encoding": pick(["gzip", "br", "identity;q=0"]),
        }
        body = pick([None, b"", b"{", random_.randbytes(40)])
        method = pick(["GET", "GET", "HEAD", "POST", "PUT", "OPTIONS"])
        status, _, content = pick([client, other]).ask(method, quote(name, safe="/%.?&;=~:\\"), body, **headers)
        assert status in (200, 307, 404, 405, 422), (method, name)
        for word in (b"Traceback", b"secret comment", b"root:", b"SQLite format", b'"arms"', b"tokens"):
            assert word not in content, (method, name)
        answers += status == 200
    assert answers and client.state()["done"] == 1 and other.state()["done"] == 0
    assert other.ask("GET", f"picture/{good[0]}.json")[0] == 404  # what one reader sees is nothing to another
    with sqlite3.connect(folder / "answers.sqlite") as book:
        assert book.execute("SELECT COUNT(*) FROM answer").fetchone() == (1,)


def test_without_a_readers_token_there_is_nothing(served):
    _, client, _ = served
    client.path = "/not-a-token/"
    for name in ("", "state.json", "answer.json", "static/study.js"):
        assert client.ask("GET", name)[0] == 404


def test_questions_are_those_of_the_marker():
    (her2,) = design_questions("score", "her2")
    assert isinstance(her2, Choice) and her2.options == ("0", "1+", "2+", "3+") and her2.cutoffs == (1, 2, 3)
    (er,) = design_questions("score", "er")
    assert isinstance(er, Intensities)
    assert er.values([10, 20, 30.5]) == {"er_percent": 60.5, "er_h_score": 10 + 40 + 91.5}
    (ki67,) = design_questions("score", "ki67")
    assert isinstance(ki67, Percent)
    assert [ki67.measures()[0].class_of(value) for value in (0, 4.9, 5, 29, 30, 100)] == [0, 0, 1, 1, 2, 2]
    assert [type(question) for question in design_questions("2afc", "pr")] == [Side]
    quality = design_questions("quality", "her2")
    assert len(quality) == 4 and quality[0].values(0) == {"nuclei": 1.0}  # the worst of 1 to 5
    assert [quality[0].measures()[0].class_of(value) for value in (1, 5)] == [0, 4]


@pytest.mark.parametrize(("marker", "answer", "words"), [
    ("er", [50, 40, 20], "make 110 % together"),
    ("er", [50, 40], "expected the percentages at 1"),
    ("er", [50, -1, 0], "expected a percentage, 0 to 100"),
    ("ki67", 101, "expected a percentage"),
    ("ki67", "12", "expected a percentage"),
    ("her2", 4, "expected the place of an option"),
    ("her2", 1.0, "expected the place of an option"),
])  # fmt: skip
def test_an_answer_off_its_scale_is_refused(marker, answer, words):
    questions = design_questions("score", marker)
    with pytest.raises(RestainError, match=words):
        check_answer(questions, {questions[0].id: answer}, complete=True)


def test_serving_imports_no_torch_and_opens_no_matplotlib(make):
    names = "restain.studies.serving, restain.studies.reading_room, restain.studies.making, restain.console.studies"
    code = f"import sys, {names}; print({{'torch', 'matplotlib'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_steps_end_where_the_order_does(make):
    study = read_study(make(repeats=2))
    steps = steps_of(study, "reader-2")
    assert [step.position for step in steps] == list(range(2 + 8 + 8 + 2))
    assert steps[-1].session == 2
