"""What every page server here has in common: secret links, security headers, and files of packages only."""

from __future__ import annotations

from collections.abc import Collection
from hmac import compare_digest
from importlib import resources

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OPENSEADRAGON_STYLE = "'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='"  # a rule that it adds to the page
HEADERS = {
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
_FRESH = "no-store"


class Guard:
    """Refuses what lacks a token or comes under another name, and adds the headers to every answer.

    Args:
        app: what is guarded.
        tokens: each may be the first part of an address; without one everything is 404.
        hosts: names that a request may use for this machine, against pages elsewhere that make their own name point
            here; None allows every name.
    """

    def __init__(self, app: ASGIApp, tokens: Collection[str], hosts: tuple[str, ...] | None) -> None:
        self._app, self._hosts = app, hosts
        self._tokens = [token.encode() for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
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
        return any(compare_digest(given.encode("utf-8", "replace"), token) for token in self._tokens)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("not found", 404)(scope, receive, send)


async def missing(_: Request, __: Exception) -> Response:
    """What is answered where there is nothing."""
    return PlainTextResponse("not found", 404)


def packaged(*packages: str) -> dict[str, bytes]:
    """Files of the packages' ``static`` folders by the name in their address: no address is ever made a path."""
    found = {}
    for package in packages:
        root = resources.files(package) / "static"
        for folder, prefix in ((root, ""), (root / "vendor", "vendor/")):
            for file in folder.iterdir() if folder.is_dir() else ():
                if file.is_file():
                    found[prefix + file.name] = file.read_bytes()
    return found


async def static(request: Request) -> Response:
    """A file of the page, of ``app.state.files``; its entry "" is the page itself."""
    name = request.path_params.get("name", "")
    content = request.app.state.files.get(name)
    if content is None:
        return PlainTextResponse("not found", 404)
    ending = name.rsplit(".", 1)[-1] if name else "html"
    return Response(content, media_type=_TYPES.get(ending, "application/octet-stream"))
