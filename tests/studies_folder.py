"""Small images for studies, a study's files read without the package, and readers that answer over HTTP."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from restain.studies.answers import Answer, AnswerBook
from restain.studies.study_files import read_study, steps_of, study_fingerprint

SIZE = (90, 70)  # pixels
NAMES = [f"case{number:02d}" for number in range(16)]


def write_images(folder: Path, seed: int, size: tuple[int, int] = SIZE, names=NAMES) -> Path:
    """Images of soft noise, of one name in every folder."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name in names:
        coarse = random.integers(60, 250, (7, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return folder


class ServerProcess:
    """``restain study serve`` in a process of its own, that can be stopped and started again at the same address."""

    def __init__(self, folder, port=0):
        command = [sys.executable, "-m", "restain.cli", "study", "serve", str(folder), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.links = {}
        for line in self.process.stdout:
            if match := re.match(r"(reader-\d) \(\d+ of \d+ done\): (\S+)", line):
                self.links[match[1]] = match[2]
            if len(self.links) == 2:
                break
        self.port = urlsplit(self.links["reader-1"]).port

    def kill(self):
        """Without a chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def stop(self, number):
        """Exit status and error messages after a signal."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


class ReaderClient:
    """A reader's page without a browser."""

    def __init__(self, link: str) -> None:
        parts = urlsplit(link)
        self.path = parts.path
        self.connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def ask(self, method, name, body=None, **headers):
        """Status, headers and content of an answer."""
        self.connection.request(method, self.path + name, body, headers)
        answer = self.connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()

    def state(self):
        """What the page shows."""
        status, _, content = self.ask("GET", "state.json")
        assert status == 200
        return json.loads(content)

    def send(self, position, answers, *, final=True, comment="", unreadable=False, seconds=4.0):
        """Status and JSON of what the server says to an answer."""
        body = {"position": position, "answers": answers, "comment": comment, "unreadable": unreadable,
                "seconds": seconds, "final": final}  # fmt: skip
        status, _, content = self.ask("POST", "answer.json", json.dumps(body))
        return status, json.loads(content)

    def read_all(self, answer):
        """Answer every item that is open; ``answer`` gives the answers for a position."""
        while (state := self.state())["status"] == "reading":
            position = state["item"]["position"]
            status, said = self.send(position, answer(position), seconds=2.0 + position)
            assert status == 200, said
        return state


def key_of(folder: Path) -> dict[str, Any]:
    """What ``key.json`` holds."""
    return dict(json.loads((folder / "key.json").read_text()))


def arms_of(folder: Path) -> dict[str, str]:
    """The arm of each image."""
    return {picture: origin["arm"] for picture, origin in key_of(folder)["pictures"].items()}


def fill_in(folder: Path, answer: Callable[[str, str, str, bool], dict[str, Any] | None], seconds: float = 5.0) -> None:
    """Give final answers to everything, past the server.

    Args:
        folder: of the study.
        answer: of a reader, a case's name, the arm (of the left image) and whether it is read again: the answers, or
            None where the image cannot be assessed.
        seconds: of every reading.
    """
    study, key = read_study(folder), key_of(folder)
    book = AnswerBook(folder / "answers.sqlite")
    book.note_study(study_fingerprint(folder))
    for reader in study.readers:
        seen = set()
        for step in steps_of(study, reader):
            name = key["names"][study.case_of[step.item[0]]]
            again = not step.training and frozenset(step.item) in seen
            if not step.training:
                seen.add(frozenset(step.item))
            given = answer(reader, name, key["pictures"][step.item[0]]["arm"], again)
            book.save(
                reader,
                Answer(step.position, step.item, given or {}, "", given is None, seconds, True, datetime.now(UTC)),
            )
    book.close()
