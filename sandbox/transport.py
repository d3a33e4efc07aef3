"""An httpx transport that calls a WSGI application in this process: no sockets, no sleeping."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import httpx
from werkzeug.test import EnvironBuilder, run_wsgi_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# In the WSGI environment of every call that comes this way.
IN_PROCESS = "sandbox.in_process"


class TimedOut(Exception):
    """The other side stays silent; becomes httpx.ReadTimeout."""


class Dropped(Exception):
    """The connection breaks; becomes httpx.RemoteProtocolError."""


class InProcess(httpx.BaseTransport):
    """Calls the application in the calling thread. Time-outs and drops become httpx's own errors at once.

    Args:
        app: the WSGI application of a sandbox.
        on_wire: called while a call is on the wire: once before the other side acts and once after. A test runs
            another worker there, or raises (a kill is a BaseException). Calls made from inside it do not call it again.

    Attributes:
        requests: method and path of every call so far, oldest first.
    """

    def __init__(self, app: WSGIApplication, on_wire: Callable[[], None] | None = None) -> None:
        self.app, self.on_wire = app, on_wire
        self.requests: list[tuple[str, str]] = []
        self._inside = threading.local()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, request.url.path))
        self._hook()
        try:
            return self._answer(request)
        except TimedOut as fault:
            self._hook()
            raise httpx.ReadTimeout("timed out", request=request) from fault
        except Dropped as fault:
            self._hook()
            raise httpx.RemoteProtocolError(
                "Server disconnected without sending a response.", request=request
            ) from fault

    def _answer(self, request: httpx.Request) -> httpx.Response:
        environ = EnvironBuilder(
            path=request.url.path,
            query_string=request.url.query.decode(),
            method=request.method,
            headers=list(request.headers.multi_items()),
            data=request.read(),
            base_url=f"http://{request.url.host}/",
            environ_base={"REMOTE_ADDR": "127.0.0.1", IN_PROCESS: True},
        ).get_environ()
        body, status, headers = run_wsgi_app(self.app, environ)
        content = _whole(body)
        self._hook()
        return httpx.Response(int(status.split()[0]), headers=list(headers), content=content, request=request)

    def _hook(self) -> None:
        if self.on_wire is None or getattr(self._inside, "yes", False):
            return
        self._inside.yes = True
        try:
            self.on_wire()
        finally:
            self._inside.yes = False


def _whole(body: Iterable[bytes]) -> bytes:
    try:
        return b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close:
            close()
