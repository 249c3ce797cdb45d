"""``restain study serve``: each reader's link, until it is stopped."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from restain.errors import RestainError
from restain.studies.answers import AnswerBook
from restain.studies.desk import Desk
from restain.studies.image_store import ImageStore
from restain.studies.study_files import ANSWERS, IMAGES, read_links, read_study, study_fingerprint
from restain.viewer.page_server import Hosts, PageServer

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def serve_study(study: str | Path, *, host: str = "127.0.0.1", port: int = 8766) -> StudyServer:
    """Show a study to its readers, each by a link of their own, and keep their answers.

    The links stay the same from start to start, as long as the host and the port do. Answers are kept in
    ``answers.sqlite`` of the study; the key of the study is not opened.

    Args:
        study: folder that ``make_study`` wrote.
        host: address to listen on; others than this machine reach it only where it is named here.
        port: 0 takes any that is free.

    Returns:
        a running server; ``links`` are the addresses by reader. Use it as a context manager, or close it.

    Raises:
        RestainError: the folder is no study, the study was changed after the first answer, the port is taken, or the
            extra ``restain[view]`` is not installed.
    """
    return StudyServer(Path(study), host, port)


class StudyServer(PageServer):
    """A study in a thread of this process, until it is closed."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        study, links = read_study(folder), read_links(folder)
        if set(links.tokens) != set(study.readers):
            raise RestainError(f"{folder}: links.json and study.yaml name different readers; expected the same")
        self._images = ImageStore(folder / IMAGES, study.encoding.bytes)
        self._book = AnswerBook(folder / ANSWERS)
        try:
            current = study_fingerprint(folder)
            self._book.note_study(current)
            if self._book.fingerprint(current) != current:
                raise RestainError(
                    f"{folder}: study.yaml was changed after the first answer; expected it as it was, since what is "
                    "decided afterwards proves nothing"
                )
            self._desk = Desk(study, links, self._images, self._book)

            def build(hosts: Hosts) -> ASGIApp:
                from restain.studies.reading_room import build_app

                tokens = tuple(links.tokens.values())
                return build_app(self._desk, tokens, hosts=hosts, threads=min(4, os.cpu_count() or 1))

            super().__init__(build, host, port)
        except BaseException:
            self._release()
            raise
        self.title = study.title
        self.links = {reader: f"{self.address}{token}/" for reader, token in links.tokens.items()}

    def progress(self) -> dict[str, tuple[int, int]]:
        """Items that each reader has answered, and all."""
        return {reader: self._desk.progress(reader) for reader in self.links}

    def close(self) -> None:
        """Stop serving and release the files."""
        super().close()
        self._release()

    def _release(self) -> None:
        self._images.close()
        self._book.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
