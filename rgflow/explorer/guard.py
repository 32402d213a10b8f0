"""Who may talk to the server: pages that it served itself, under its own name, in small messages."""

from __future__ import annotations

import ipaddress
import json
from typing import Any
from urllib.parse import urlsplit

LARGEST_BODY = 16_384
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses before anything is read: foreign names (DNS rebinding), foreign pages (their POSTs), large bodies.

    Parameters
    ----------
    app : ASGI application
    hosts : set of str
        Names under which the server is known. Where one of them is a wildcard address, every address is known too.
    """

    def __init__(self, app: Any, hosts: frozenset[str]):
        self.app, self.hosts = app, hosts
        self.anywhere = bool(hosts & {"0.0.0.0", "::"})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One message of the ASGI protocol."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refused(scope["method"], headers)
        if refused is not None:
            await _answer(send, *refused)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in known)]
            await send(message)

        await self.app(scope, receive, with_headers)

    def _refused(self, method: str, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._known(host):
            return 403, f"the server does not answer to the name {host[:80]!r}"
        if method not in ("GET", "HEAD", "POST"):
            return 405, f"{method[:20]} is not offered"
        if method == "POST":
            origin = headers.get("origin")
            site = headers.get("sec-fetch-site", "same-origin")
            if (origin is not None and origin != f"http://{host}") or site not in ("same-origin", "none"):
                return 403, "this comes from another page"
            if headers.get("content-type", "").split(";")[0].strip() != "application/json":
                return 415, "send JSON (content-type application/json)"
            if (
                not headers.get("content-length", "0").isdigit()
                or int(headers.get("content-length", "0")) > LARGEST_BODY
            ):
                return 413, f"at most {LARGEST_BODY} bytes are read"
        return None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.hosts or (self.anywhere and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _answer(send: Any, status: int, message: str) -> None:
    body = json.dumps({"error": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
