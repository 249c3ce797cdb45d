"""The viewer over HTTP: read-only, under a secret path, and nothing but the listed pictures.

GET /TOKEN/                                   the page
GET /TOKEN/static/NAME                        its files
GET /TOKEN/cases.json                         what there is
GET /TOKEN/picture/ID.json                    size, microns per pixel, overlays with legends
GET /TOKEN/tile/ID/LAYER/LEVEL/COLUMN/ROW     JPEG of the picture, PNG of an overlay
GET /TOKEN/thumbnail/ID, /tissue/ID.json, /record/ID.json
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hmac import compare_digest
from importlib import resources
from typing import TypeVar

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restain.errors import RestainError
from restain.viewer.library import Library

_OPENSEADRAGON_STYLE = "'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='"  # a rule that it adds to the page
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self' {_OPENSEADRAGON_STYLE}; "
        "img-src 'self' blob: data:; connect-src 'self'; "
        "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
_KEPT = "private, max-age=3600"  # pictures do not change while they are looked at
_FRESH = "no-store"
_NUMBER = re.compile(r"[0-9]{1,7}")

Value = TypeVar("Value")


def build_app(library: Library, token: str, *, hosts: tuple[str, ...] | None, threads: int) -> ASGIApp:
    """The viewer as an ASGI application.

    Args:
        library: what may be shown.
        token: the first part of every address; without it everything is 404.
        hosts: names that a request may use for this machine, against pages elsewhere that make their own name point
            here; None allows every name.
        threads: that read slides.
    """
    routes = [
        Route("/", _static),
        Route("/static/{name:path}", _static),
        Route("/cases.json", _cases),
        Route("/picture/{id}.json", _picture),
        Route("/tile/{id}/{layer}/{level}/{column}/{row}", _tile),
        Route("/thumbnail/{id}", _thumbnail),
        Route("/tissue/{id}.json", _tissue),
        Route("/record/{id}.json", _record),
    ]
    app = Starlette(routes=[Mount("/{token}", routes=routes)], exception_handlers={404: _missing, 405: _missing})
    app.state.library = library
    app.state.files = _packaged()
    app.state.readers = ThreadPoolExecutor(threads, thread_name_prefix="viewer")
    return _Guard(app, token, hosts)


class _Guard:
    """Refuses what lacks the token or comes under another name, and adds the headers to every answer."""

    def __init__(self, app: ASGIApp, token: str, hosts: tuple[str, ...] | None) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", _FRESH)
            await send(message)

        app = self._app if self._admits(scope) else _not_found
        await app(scope, receive, send_guarded)

    def _admits(self, scope: Scope) -> bool:
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        if self._hosts is not None and host.rsplit(":", 1)[0] not in self._hosts:
            return False
        given = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
        return compare_digest(given.encode("utf-8", "replace"), self._token.encode())


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("not found", 404)(scope, receive, send)


async def _missing(_: Request, __: Exception) -> Response:
    return PlainTextResponse("not found", 404)


def _packaged() -> dict[str, bytes]:
    """The page's files by the name in their address: no address is ever made a path."""
    root = resources.files("restain.viewer") / "static"
    found = {}
    for folder, prefix in ((root, ""), (root / "vendor", "vendor/")):
        for file in folder.iterdir():
            if file.is_file():
                found[prefix + file.name] = file.read_bytes()
    return found


async def _static(request: Request) -> Response:
    name = request.path_params.get("name", "index.html")
    content = request.app.state.files.get(name)
    if content is None:
        return PlainTextResponse("not found", 404)
    return Response(content, media_type=_TYPES.get(name.rsplit(".", 1)[-1], "application/octet-stream"))


async def _cases(request: Request) -> Response:
    return JSONResponse(request.app.state.library.listing())


async def _picture(request: Request) -> Response:
    return await _answer(request, lambda library, id: JSONResponse(library.description(id)))


async def _tile(request: Request) -> Response:
    layer = request.path_params["layer"]
    place = [request.path_params[name] for name in ("level", "column", "row")]
    kind = "image/jpeg" if layer == "image" else "image/png"

    def read(library: Library, id: str) -> Response:
        if not all(_NUMBER.fullmatch(text) for text in place):
            raise KeyError(place)
        tile = library.tile(id, layer, *map(int, place))
        return Response(tile, media_type=kind, headers={"Cache-Control": _KEPT})

    return await _answer(request, read)


async def _thumbnail(request: Request) -> Response:
    return await _answer(
        request,
        lambda library, id: Response(library.thumbnail(id), media_type="image/jpeg", headers={"Cache-Control": _KEPT}),
    )


async def _tissue(request: Request) -> Response:
    return await _answer(request, lambda library, id: JSONResponse(library.tissue(id)))


async def _record(request: Request) -> Response:
    return await _answer(request, lambda library, id: JSONResponse(library.record(id)))


async def _answer(request: Request, read: Callable[[Library, str], Response]) -> Response:
    """What a reading thread made; 404 where there is no such thing, 422 and a sentence where a file is at fault."""
    library: Library = request.app.state.library
    id = request.path_params["id"]
    try:
        return await asyncio.get_running_loop().run_in_executor(request.app.state.readers, read, library, id)
    except KeyError:
        return PlainTextResponse("not found", 404)
    except (RestainError, OSError) as error:
        return JSONResponse({"error": library.without_paths(id, str(error))}, 422)
    except Exception:  # a fault of this program: its log says all, the browser nothing
        logging.getLogger(__name__).exception("a request failed")
        return PlainTextResponse("a fault of the viewer; its log says more", 500)
