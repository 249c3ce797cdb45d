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
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from restain.errors import RestainError
from restain.viewer.guard import Guard, missing, packaged, static
from restain.viewer.library import Library

_KEPT = "private, max-age=3600"  # pictures do not change while they are looked at
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
        Route("/", static),
        Route("/static/{name:path}", static),
        Route("/cases.json", _cases),
        Route("/picture/{id}.json", _picture),
        Route("/tile/{id}/{layer}/{level}/{column}/{row}", _tile),
        Route("/thumbnail/{id}", _thumbnail),
        Route("/tissue/{id}.json", _tissue),
        Route("/record/{id}.json", _record),
    ]
    app = Starlette(routes=[Mount("/{token}", routes=routes)], exception_handlers={404: missing, 405: missing})
    app.state.library = library
    files = packaged("restain.viewer")
    app.state.files = {**files, "": files["index.html"]}
    app.state.readers = ThreadPoolExecutor(threads, thread_name_prefix="viewer")
    return Guard(app, (token,), hosts)


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
