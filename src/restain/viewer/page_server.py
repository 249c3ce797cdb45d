"""A page server in a thread of this process."""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias
from urllib.parse import quote

from restain.errors import RestainError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

Hosts: TypeAlias = tuple[str, ...] | None  # names that a request may use for this machine; None: any
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


class PageServer:
    """Serves an application until it is closed; a context manager.

    Args:
        build: makes the application, for the names that a request may use.
        host: address to listen on.
        port: 0 takes any that is free.

    Raises:
        RestainError: the port is taken, or the extra ``restain[view]`` is not installed.
    """

    def __init__(self, build: Callable[[Hosts], ASGIApp], host: str, port: int) -> None:
        try:
            import uvicorn

            app = build(_LOOPBACK if host in _LOOPBACK else None)
        except ImportError:
            raise RestainError(
                "pages are served by starlette and uvicorn; install them with: pip install 'restain[view]'"
            ) from None
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", server_header=False)
        self._server = uvicorn.Server(config)
        self._ended = Event()
        Thread(target=self._serve, name="pages", daemon=True).start()
        shown = f"[{host}]" if ":" in host else socket.gethostname() if host in ("0.0.0.0", "::") else host
        self.address = f"http://{shown}:{self.port}/"

    def _serve(self) -> None:
        try:
            self._server.run([self._socket])
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Until the server is closed or the user presses Ctrl+C."""
        try:
            while not self._ended.wait(0.5):  # an interrupt in Thread.join makes a running thread count as ended
                pass
        except KeyboardInterrupt:
            self.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._ended.wait(5)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def refuse_token(token: str) -> None:
    """RestainError where a link cannot hold the token."""
    if not token.isascii() or quote(token, safe="") != token or len(token) < 8:
        raise RestainError("token has characters that a link cannot hold, or fewer than 8; expected letters and digits")


def _listen(host: str, port: int) -> socket.socket:
    if not host:  # which would be every address
        raise RestainError("host is empty; expected an address such as 127.0.0.1 or 0.0.0.0")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, or else asyncio leaves Nagle's algorithm on, which holds each tile back for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(64)
    except (OSError, OverflowError, TypeError) as error:  # TypeError: a host that is no name
        listening.close()
        raise RestainError(f"{host}, port {port}: cannot be listened on ({error}); name another --port") from None
    return listening
