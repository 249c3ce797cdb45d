"""The study over HTTP: a link for each reader, and no answer in which real and virtual differ but in their pixels.

GET  /TOKEN/                                      the page
GET  /TOKEN/static/NAME                           its files
GET  /TOKEN/state.json                            where the reader is, and the item to read
GET  /TOKEN/picture/ID.json                       size and scale of an image of that item
GET  /TOKEN/tile/ID/image/LEVEL/COLUMN/ROW        JPEG, padded to one length
GET  /TOKEN/thumbnail/ID                          the same
POST /TOKEN/answer.json                           an answer or a draft
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from restain.errors import RestainError
from restain.studies.desk import Desk
from restain.viewer.guard import Guard, missing, packaged, static

_NUMBER = re.compile(r"[0-9]{1,7}")
_LARGEST = 32 * 1024  # bytes of what a page may send
_BLOCK = 4096  # bytes: JSON is padded to a multiple, so that a digit more or less does not show
_KEPT = "private, max-age=3600"


def build_app(desk: Desk, tokens: tuple[str, ...], *, hosts: tuple[str, ...] | None, threads: int) -> ASGIApp:
    """The study as an ASGI application.

    Args:
        desk: what the readers see.
        tokens: of the readers' links.
        hosts: names that a request may use for this machine; None allows every name.
        threads: that read images and answers.
    """
    routes = [
        Route("/", static),
        Route("/static/{name:path}", static),
        Route("/state.json", _state),
        Route("/picture/{id}.json", _picture),
        Route("/tile/{id}/image/{level}/{column}/{row}", _tile),
        Route("/thumbnail/{id}", _thumbnail),
        Route("/answer.json", _save, methods=["POST"]),
    ]
    app = Starlette(routes=[Mount("/{token}", routes=routes)], exception_handlers={404: missing, 405: missing})
    files = packaged("restain.viewer", "restain.studies")
    app.state.files = {**files, "": files["study.html"]}
    app.state.desk = desk
    app.state.threads = ThreadPoolExecutor(threads, thread_name_prefix="study")
    return Guard(app, tokens, hosts)


async def _state(request: Request) -> Response:
    return await _answer(request, lambda desk, reader: _padded(desk.state(reader)))


async def _picture(request: Request) -> Response:
    id = request.path_params["id"]
    return await _answer(request, lambda desk, reader: _padded(desk.description(reader, id)))


async def _tile(request: Request) -> Response:
    given = request.path_params
    place = [given[name] for name in ("level", "column", "row")]
    if not all(_NUMBER.fullmatch(text) for text in place):
        return PlainTextResponse("not found", 404)
    level, column, row = map(int, place)
    return await _answer(request, lambda desk, reader: _jpeg(desk.tile(reader, given["id"], level, column, row)))


async def _thumbnail(request: Request) -> Response:
    id = request.path_params["id"]
    return await _answer(request, lambda desk, reader: _jpeg(desk.overview(reader, id)))


async def _save(request: Request) -> Response:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _LARGEST:
            return JSONResponse({"error": f"answer: has more than {_LARGEST // 1024} KB"}, 413)
    return await _answer(request, lambda desk, reader: _padded(desk.save(reader, bytes(content))))


def _padded(value: dict[str, Any]) -> Response:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return Response(text.ljust(-(-len(text) // _BLOCK) * _BLOCK), media_type="application/json")


def _jpeg(content: bytes) -> Response:
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": _KEPT})


async def _answer(request: Request, read: Callable[[Desk, str], Response]) -> Response:
    """What a thread made; 404 where there is no such thing, 422 and a sentence where what was sent is at fault."""
    desk: Desk = request.app.state.desk

    def work() -> Response:
        return read(desk, desk.reader(request.path_params["token"]))

    try:
        return await asyncio.get_running_loop().run_in_executor(request.app.state.threads, work)
    except KeyError:
        return PlainTextResponse("not found", 404)
    except RestainError as error:
        return JSONResponse({"error": str(error)}, 422)
    except Exception:  # a fault of this program: its log says all, the browser nothing
        logging.getLogger(__name__).exception("a request failed")
        return PlainTextResponse("a fault of the study's server; its log says more", 500)
