"""``explore``: the server on the loopback address, and the browser that opens its page."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rgflow.checks import whole
from rgflow.errors import InputError, MissingExtra, StoreError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def explore(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    browser: bool = True,
    query: str = "",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the explorer until it is interrupted.

    Parameters
    ----------
    host : str
        The address to listen on; by default only programs of this machine reach it.
    port : int
        0: a free one.
    browser : bool
        Open the page in the user's browser.
    query : str
        The state to open, as it stands in an address: "?activation=relu&C_W=2".
    ready : function of the address, optional
        Called when the page can be opened.

    Raises
    ------
    MissingExtra
        Without Starlette, uvicorn or latex2mathml: ``pip install "rgflow[explore]"``.
    StoreError
        If the address or the port cannot be had.
    InputError
        For a port that is none.
    """
    number = whole("port", port, 0)
    if number > 65535:
        raise InputError(f"port is {number}; ports end at 65535")
    server = _server(host)
    listening = _listen(host, number)
    shown = f"[{host}]" if ":" in host else host
    where = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else shown}:{listening.getsockname()[1]}/"
    opening = threading.Timer(0.3, lambda: _open(where + query))
    opening.daemon = True
    if ready is not None:
        ready(where)
    if browser:
        opening.start()
    with listening, suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    opening.cancel()


def _open(where: str) -> None:
    with suppress(webbrowser.Error):
        webbrowser.open(where)


def _server(host: str) -> Any:
    try:
        import latex2mathml.converter  # noqa: F401
        import starlette.applications  # noqa: F401
        import uvicorn
    except ImportError:
        raise MissingExtra("the explorer", "explore") from None
    from rgflow.explorer.app import application

    hosts = LOOPBACK if host in LOOPBACK else LOOPBACK | {host.casefold(), socket.gethostname().casefold()}
    config = uvicorn.Config(
        application(hosts), log_level="critical", access_log=False, server_header=False, timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio sends small packets at once (TCP_NODELAY) only where the protocol is named: 40 ms of every answer
        found = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(64)
        except OSError:
            found.close()
            raise
    except OSError as error:
        raise StoreError(f"cannot listen on {host}, port {port}: {error.strerror or error}; try another port") from None
    return found
