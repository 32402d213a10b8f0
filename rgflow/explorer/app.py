"""The web application: what each address answers. Computations run in one thread or in processes, never in the loop.

    GET  /, /static/NAME      the page and its parts
    GET  /api/choices         what can be chosen
    POST /api/open            {query}: the state that an address names
    POST /api/answer          {state}: numbers at once
    POST /api/task            {task, state, ..}: lines of JSON, progress, then the answer; closing it ends the task
    POST /api/export          {kind, state, ..}: png, svg, nc or py

A network that has no answer (a flow that runs away, a formula that is none) is no error of the protocol: the answer is
200 with ``problem``. What the page never sends (unknown keys, numbers out of bounds) is 400 with ``error``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rgflow.errors import FormulaError, InputError, RgflowError, UnknownName
from rgflow.explorer.explorer import PATIENCE, Explorer, place
from rgflow.explorer.fields import choices
from rgflow.explorer.guard import LARGEST_BODY, Guard
from rgflow.explorer.snippet import snippet
from rgflow.explorer.state import Refused, State, state_of, state_of_query
from rgflow.explorer.tasks import NETWORKS, sampled_tensors
from rgflow.mathematics import math_font

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
TASKS = ("first_order", "sampled", "diagram", "reading", "tuned")
EXPORTS = {"png": "image/png", "svg": "image/svg+xml", "nc": "application/x-netcdf", "py": "text/x-python"}
MOST_SAMPLING = 2


# Requests -------------------------------------------------------------------------------------------------------------


def application(hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost", "::1"}), warm: bool = True) -> Any:
    """The application, behind its guard.

    hosts : the names under which it may be asked. warm : compile for all activations of the menu while nobody asks.
    """
    explorer = Explorer(warm)
    routes = [
        Route("/", _page),
        Route("/static/stix-two-math.woff", lambda request: Response(math_font(), media_type="font/woff")),
        Route("/static/{name}", _part),
        Route("/api/choices", lambda request: JSONResponse(choices())),
        Route("/api/open", _posted(explorer, _open), methods=["POST"]),
        Route("/api/answer", _posted(explorer, _answer), methods=["POST"]),
        Route("/api/task", _posted(explorer, _task), methods=["POST"]),
        Route("/api/export", _posted(explorer, _export), methods=["POST"]),
    ]
    handlers: Any = {404: _missing, 405: _missing, 500: _failed}
    app = Starlette(routes=routes, lifespan=explorer.life, exception_handlers=handlers)
    return Guard(app, hosts)


def _parts() -> dict[str, Any]:
    return {part.name: part for part in files("rgflow.explorer").joinpath("page").iterdir() if part.is_file()}


async def _page(request: Request) -> Response:
    return Response(_parts()["index.html"].read_bytes(), media_type="text/html")


async def _part(request: Request) -> Response:
    found = _parts().get(request.path_params["name"])
    if found is None:
        return JSONResponse({"error": "there is no such part of the page"}, 404)
    return Response(found.read_bytes(), media_type=TYPES[found.name.rsplit(".", 1)[1]])


async def _missing(request: Request, error: Any) -> Response:
    return JSONResponse({"error": "there is no such address, or it is asked in another way"}, error.status_code)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"the server could not answer ({type(error).__name__})"}, 500)


def _posted(explorer: Explorer, handler: Any) -> Any:
    """A handler of JSON objects; what is wrong with them is said."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request)
            found: Response = await handler(explorer, request, body)
        except Refused as error:
            return JSONResponse({"error": str(error)}, 400)
        except RgflowError as error:
            return JSONResponse(_problem(error))
        except TimeoutError:
            return JSONResponse({"problem": f"given up after {PATIENCE:g} s; take a smaller network"})
        return found

    return endpoint


async def _body(request: Request) -> dict[str, Any]:
    whole = bytearray()
    async for piece in request.stream():
        whole += piece
        if len(whole) > LARGEST_BODY:
            raise Refused(f"at most {LARGEST_BODY} bytes are read")
    try:
        found = json.loads(whole)
    except (ValueError, RecursionError):
        raise Refused("this is no JSON") from None
    if not isinstance(found, dict):
        raise Refused("send an object")
    return found


def _problem(error: RgflowError) -> dict[str, str]:
    """What keeps a well-formed state from having an answer, and the field of the page where it is to be said."""
    field = "activation" if isinstance(error, FormulaError | UnknownName) else ""
    return {"problem": str(error), "field": field}


def _only(body: dict[str, Any], *known: str) -> None:
    for name in body:
        if name not in known:
            raise Refused(f"unknown key {name[:40]!r}; known: {', '.join(known)}")


async def _open(explorer: Explorer, request: Request, body: dict[str, Any]) -> Response:
    _only(body, "query")
    query = body.get("query", "")
    if not isinstance(query, str):
        raise Refused("query is a text")
    try:
        state = state_of_query(query)
    except RgflowError as error:
        return JSONResponse({**_problem(error), "state": state_of({}).as_dict()})
    return JSONResponse({"state": state.as_dict(), "query": state.query()})


async def _answer(explorer: Explorer, request: Request, body: dict[str, Any]) -> Response:
    _only(body, "state")
    return JSONResponse(await explorer.quick(state_of(body.get("state", {}))))


async def _export(explorer: Explorer, request: Request, body: dict[str, Any]) -> Response:
    _only(body, "kind", "state", "networks", "seed")
    kind, state = body.get("kind"), state_of(body.get("state", {}))
    if kind not in EXPORTS:
        raise Refused(f"kind is {str(kind)[:40]!r}; known: {', '.join(EXPORTS)}")
    sampling = _sampling(body) if "networks" in body else {}
    found = await explorer.quick(state)
    order = 0 if found["first_order"] == "none" else 1
    options: dict[str, Any] = {"kind": kind, "order": order}
    if kind == "py":
        content: bytes = snippet(state, order, **sampling).encode()
    else:
        if order and not state.quick:
            options["dataset"] = (await explorer.task("first_order", state, {}))["dataset"]
        if sampling:
            mc = explorer.recall("sampled", place("sampled", state, sampling))
            options["mc"] = mc and mc["dataset"]
        content = await explorer.run("data" if kind == "nc" else "picture", state, options)
    disposition = f'attachment; filename="rgflow-{state.layer}.{kind}"'
    return Response(content, media_type=EXPORTS[kind], headers={"content-disposition": disposition})


def _sampling(body: dict[str, Any]) -> dict[str, Any]:
    found = {"networks": body.get("networks", 1000), "seed": body.get("seed", 0)}
    bounds = {"networks": NETWORKS, "seed": (0, 2**32 - 1)}
    for name, value in found.items():
        low, high = bounds[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Refused(f"{name} is {str(value)[:40]}; it is a whole number between {low} and {high}")
    return found


async def _task(explorer: Explorer, request: Request, body: dict[str, Any]) -> Response:
    _only(body, "task", "state", "networks", "seed")
    name, state = body.get("task"), state_of(body.get("state", {}))
    if name not in TASKS:
        raise Refused(f"task is {str(name)[:40]!r}; known: {', '.join(TASKS)}")
    options = _sampling(body) if name == "sampled" else {}
    if name == "sampled":
        try:
            sampled_tensors(state, options["networks"])
        except InputError as error:
            return JSONResponse(_problem(error))
        if explorer.sampling >= MOST_SAMPLING:
            return JSONResponse({"problem": f"{MOST_SAMPLING} sampling checks are running already; cancel one first"})
    return StreamingResponse(_lines(explorer, request, str(name), state, options), media_type="application/x-ndjson")


async def _lines(
    explorer: Explorer, request: Request, name: str, state: State, options: dict[str, Any]
) -> AsyncIterator[str]:
    """Progress while a task runs, then its answer; who goes away ends it."""
    shares: list[float] = []
    sampling = int(name == "sampled")
    explorer.sampling += sampling
    running = asyncio.create_task(explorer.task(name, state, options, shares.append))
    try:
        while not running.done():
            await asyncio.wait({running}, timeout=0.1)
            if await request.is_disconnected():
                return
            if not running.done():
                yield json.dumps({"progress": shares[-1] if shares else None}) + "\n"
        try:
            found = running.result()
        except TimeoutError:
            yield json.dumps({"problem": f"given up after {PATIENCE:g} s; take a smaller network"}) + "\n"
        except RgflowError as error:
            yield json.dumps({"problem": str(error)}) + "\n"
        else:
            yield json.dumps({"done": found["answer"] if "dataset" in found else found}) + "\n"
    finally:
        explorer.sampling -= sampling
        running.cancel()
