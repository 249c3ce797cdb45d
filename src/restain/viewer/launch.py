"""``restain view``: find the pictures, serve them, and say where."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from restain.viewer.library import Library
from restain.viewer.page_server import Hosts, PageServer, refuse_token
from restain.viewer.pictures import Case
from restain.viewer.sources import find_cases

if TYPE_CHECKING:
    from starlette.types import ASGIApp


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


class Viewer(PageServer):
    """A server in a thread of this process, until it is closed."""

    def __init__(self, cases: tuple[Case, ...], host: str, port: int, token: str) -> None:
        refuse_token(token)
        self.cases = cases

        def build(hosts: Hosts) -> ASGIApp:
            from restain.viewer.server import build_app

            return build_app(Library(cases), token, hosts=hosts, threads=min(4, os.cpu_count() or 1))

        super().__init__(build, host, port)
        self.url = f"{self.address}{token}/"
