"""``rgflow explore``: a page in the browser on which every number moves as its hyperparameters do."""

from __future__ import annotations

from typing import Annotated

import typer

from rgflow.errors import InputError


def explore(
    link: Annotated[
        str,
        typer.Argument(metavar="LINK", help="A link copied from the page, to open what it showed.", show_default=False),
    ] = "",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Listen here; 0: any free port.")] = 0,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen on another address than this machine's own.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Explore networks in the browser: kernel, vertex, tangent kernel, their corrections, phases and criticality.

    The page is served from this machine and asks no other; Ctrl-C ends it. It needs the extra "explore".

    \b
    Examples:
      rgflow explore
      rgflow explore --port 8000 --no-browser
      rgflow explore "?activation=gelu&C_W=1.98&depth=64"
    """
    from rgflow.cli.screen import results, warn
    from rgflow.explorer import explore as serve

    query = _query(link)
    if host not in ("127.0.0.1", "localhost", "::1"):
        warn(f"--host {host}: everybody who reaches this address can use the explorer and this machine's processors")

    def ready(where: str) -> None:
        results().print(f"rgflow explorer: {where}{query}   (Ctrl-C ends it)", soft_wrap=True)

    serve(host, port, browser=browser, query=query, ready=ready)


def _query(link: str) -> str:
    """What stands behind the ? of a link, if it is a state; InputError, UnknownName, FormulaError otherwise."""
    if not link:
        return ""
    if "?" not in link:
        raise InputError(f"{link[:80]!r} holds no state; give what stands behind the ? of a link of the page")
    from rgflow.explorer.state import state_of_query

    return f"?{state_of_query(link.split('?', 1)[1]).query()}"
