"""The server of the viewer: on this machine alone, behind a token, with nothing from elsewhere."""

from __future__ import annotations

import importlib
import secrets
import socket
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from flowkit.errors import FlowkitError, printable
from flowkit.view.pages import Pages

HOST = "127.0.0.1"

_HTML = "page.html"
_POLICY = (
    "default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_MOST = 10_000  # bytes of a request

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def application(pages: Pages, token: str) -> App:
    """Return the ASGI application, all of whose places begin with the token.

    Anything else is "not found", and so are requests that were sent to another name than this machine's,
    which a page of the web could have made its own.

    Raises:
        FlowkitError: starlette is not installed.
    """
    _needs("starlette")
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Mount, Route

    html = resources.files(__package__).joinpath(_HTML).read_text("utf-8")

    def page(request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        policy = {"Content-Security-Policy": _POLICY.format(nonce=nonce), "Cache-Control": "no-store"}
        return HTMLResponse(html.replace("NONCE", nonce), headers={**_HEADERS, **policy})

    def listed(request: Request) -> Response:
        said = {"folder": printable(str(pages.folder)), "pages": pages.shown(), "busy": pages.busy}
        return JSONResponse(said, headers=_HEADERS)

    def busy(request: Request) -> Response:
        return JSONResponse({"busy": pages.busy}, headers=_HEADERS)

    def layer(request: Request) -> Response:
        data = pages.layer(request.path_params["number"], request.path_params["layer"])
        return Response(data, media_type="image/png", headers={**_HEADERS, "Cache-Control": "no-store"})

    async def accept(request: Request) -> Response:
        said = await _body(request)
        accepted = said.get("accepted") is True
        await run_in_threadpool(pages.accept, request.path_params["number"], accepted=accepted)
        return JSONResponse({}, headers=_HEADERS)

    async def do(request: Request) -> Response:
        record = await run_in_threadpool(pages.do, request.path_params["number"], await _body(request))
        if record.error is not None:
            raise FlowkitError(record.error)
        return JSONResponse({}, headers=_HEADERS)

    def wrong(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code=400, headers=_HEADERS)

    routes = [
        Route("/", page),
        Route("/pages", listed),
        Route("/busy", busy),
        Route("/pages/{number:int}/accept", accept, methods=["POST"]),
        Route("/pages/{number:int}/do", do, methods=["POST"]),
        Route("/pages/{number:int}/{layer}", layer),
    ]
    inner = Starlette(routes=[Mount(f"/{token}", routes=routes)], exception_handlers={FlowkitError: wrong})

    async def guarded(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_ours(scope, token):
            await Response("not found", status_code=404)(scope, receive, send)
            return
        await inner(scope, receive, send)

    return guarded


def serve(pages: Pages, *, port: int, ready: Callable[[str], None]) -> None:
    """Serve pages until the process is interrupted.

    Args:
        pages: the pages.
        port: 0 for any that is free.
        ready: called with the URL, which holds the token.

    Raises:
        FlowkitError: starlette or uvicorn is not installed, or the port is taken.
    """
    uvicorn = _needs("uvicorn")
    token = secrets.token_urlsafe(16)
    app = application(pages, token)
    with listen(port) as listener:
        ready(f"http://{HOST}:{listener.getsockname()[1]}/{token}/")
        uvicorn.Server(configuration(app)).run(sockets=[listener])


def listen(port: int) -> socket.socket:
    """Return a socket of this machine alone. Raises FlowkitError where the port cannot be used."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise FlowkitError(f"--port {port}: cannot be used ({error.strerror or error})") from None


def configuration(app: App) -> Any:
    """Return uvicorn's configuration: quiet, and without an address of its own."""
    return _needs("uvicorn").Config(app, log_level="error", lifespan="off", server_header=False)


def _is_ours(scope: dict[str, Any], token: str) -> bool:
    headers = dict(scope["headers"])
    _, port = scope["server"]
    hosts = {f"{name}:{port}".encode() for name in (HOST, "localhost")}
    origin = headers.get(b"origin")
    mine = origin is None or origin.removeprefix(b"http://") in hosts
    given = scope["path"].split("/")[1].encode()
    return headers.get(b"host") in hosts and mine and secrets.compare_digest(given, token.encode())


async def _body(request: Any) -> dict[str, Any]:
    if int(request.headers.get("content-length") or _MOST + 1) > _MOST:
        raise FlowkitError(f"expected a request of {_MOST:,} bytes at most")
    try:
        said = await request.json()
    except ValueError:
        raise FlowkitError("expected JSON") from None
    if not isinstance(said, dict):
        raise FlowkitError("expected an object of JSON")
    return said


def _needs(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise FlowkitError(f"flowkit view needs {module}: pip install 'flowkit-nf[view]'") from None
