"""``restain view``: find the pictures, serve them, and say where."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from types import TracebackType
from urllib.parse import quote

from restain.errors import RestainError
from restain.viewer.library import Library
from restain.viewer.pictures import Case
from restain.viewer.sources import find_cases

_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def view(
    input: str | Path | Sequence[str | Path],
    *,
    roles: Sequence[str] | None = None,
    mpp: float | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
) -> Viewer:
    """Show slides and images side by side in a browser, in step in microns.

    Args:
        input: slides or images of one tissue (H&E, virtual stain, real IHC, and the transform.json that puts the IHC
            on the H&E), or folders: results of ``restain slide``, a run, an evaluation, image pairs.
        roles: he, virtual, real or other for each file or plain folder, in their order, instead of that order.
        mpp: microns per pixel of all pictures, instead of what the files state.
        host: address to listen on; others than this machine reach it only where it is named here.
        port: 0 takes any that is free.
        token: secret part of the link; a new one by default, so that old links end with the viewer.

    Returns:
        a running viewer: ``url`` is the link. Use it as a context manager, or close it.

    Raises:
        RestainError: nothing to look at, the port is taken, or the extra ``restain[view]`` is not installed.
    """
    inputs = [input] if isinstance(input, str | Path) else list(input)
    return Viewer(find_cases(inputs, roles=roles, mpp=mpp), host, port, token or secrets.token_urlsafe(18))


class Viewer:
    """A server in a thread of this process, until it is closed."""

    def __init__(self, cases: tuple[Case, ...], host: str, port: int, token: str) -> None:
        try:
            import uvicorn

            from restain.viewer.server import build_app
        except ImportError:
            raise RestainError(
                "restain view needs starlette and uvicorn; install them with: pip install 'restain[view]'"
            ) from None
        if not token.isascii() or quote(token, safe="") != token or len(token) < 8:
            raise RestainError(
                "token has characters that a link cannot hold, or fewer than 8; expected letters and digits"
            )
        self.cases = cases
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        hosts = _LOOPBACK if host in _LOOPBACK else None
        threads = min(4, os.cpu_count() or 1)
        app = build_app(Library(cases), token, hosts=hosts, threads=threads)
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", server_header=False)
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="viewer", daemon=True)
        self._thread.start()
        shown = f"[{host}]" if ":" in host else socket.gethostname() if host in ("0.0.0.0", "::") else host
        self.url = f"http://{shown}:{self.port}/{token}/"

    def wait(self) -> None:
        """Until the viewer is closed or the user presses Ctrl+C."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.5)
        except KeyboardInterrupt:
            self.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, or else asyncio leaves Nagle's algorithm on, which holds each tile back for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(64)
    except (OSError, OverflowError) as error:
        listening.close()
        raise RestainError(f"{host}, port {port}: cannot be listened on ({error}); name another --port") from None
    return listening
