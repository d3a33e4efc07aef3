"""The real web server and worker: started, asked, weighed."""

from __future__ import annotations

import http.client
import re
import secrets
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from benchmarks import house
from benchmarks.notices import Notice

# Any token will do, if the form and the cookie agree.
_TOKEN = secrets.token_hex(16)
_LINKED = re.compile(r"""<(?:script|img|source)\b[^>]*?\bsrc="([^"]+)"|<link\b[^>]*?\bhref="([^"]+)\"""")
_URL_IN_CSS = re.compile(r"""url\(["']?([^"')]+)["']?\)""")


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of xuka's commands as a process, for the length of the block."""
    process = subprocess.Popen([sys.executable, "-m", "xuka.interfaces.cli.main", *command])
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        process.kill()


@contextmanager
def serving(*, workers: int) -> Iterator[tuple[int, int]]:
    """The web server on a free port, warm; yields its port and process id."""
    port = house.free_port()
    with running("serve", "--port", str(port), "--workers", str(workers)) as process:
        until = time.monotonic() + 30
        while True:
            try:
                with connection(port) as to:
                    for _ in range(20 * workers):
                        to.get("/")
                    break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield port, process.pid


@dataclass(frozen=True, slots=True)
class Browser:
    """One kept-alive connection to the web server."""

    to: http.client.HTTPConnection

    def get(self, path: str, session: str = "") -> tuple[str, bytes]:
        """The content type and the body as it travels, compressed if the server does."""
        cookie = {"Cookie": f"sessionid={session}"} if session else {}
        self.to.request("GET", path, headers={"Accept-Encoding": "gzip, br", **cookie})
        answer = self.to.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status)
        return answer.headers.get_content_type(), body

    def place(self, *, order: UUID, quote: UUID, session: str) -> None:
        """Press the button that buys; the answer is the way to the order's page."""
        form = urllib.parse.urlencode({"order": str(order), "quote": str(quote), "csrfmiddlewaretoken": _TOKEN})
        self.to.request("POST", "/orders/", body=form, headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"sessionid={session}; csrftoken={_TOKEN}",
        })  # fmt: skip
        answer = self.to.getresponse()
        answer.read()
        assert answer.status == 302, answer.status
        assert answer.headers["Location"] == f"/orders/{order}/", answer.headers["Location"]

    def tell(self, notice: Notice) -> float:
        """Deliver a notice as its provider does; it must be answered 200. Returns the seconds until it was."""
        began = time.perf_counter()
        self.to.request("POST", f"/webhooks/{notice.provider}/", body=notice.body, headers=notice.headers)
        answer = self.to.getresponse()
        answer.read()
        assert answer.status == 200, (notice.provider, answer.status)
        return time.perf_counter() - began


@contextmanager
def connection(port: int) -> Iterator[Browser]:
    """A connection to the server on this port of this machine."""
    to = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        yield Browser(to)
    finally:
        to.close()


def session_of(customer: UUID) -> str:
    """Sign this customer in; returns the session's key."""
    from django.conf import settings
    from django.test import Client

    from xuka.accounts.models import User

    browser = Client()
    browser.force_login(User.objects.get(id=customer))
    return browser.cookies[settings.SESSION_COOKIE_NAME].value


def weight(to: Browser, path: str, session: str) -> tuple[int, int]:
    """The page and everything it loads by itself: bytes of all bodies as they travel, and how many requests."""
    waiting, loaded = [path], {}
    while waiting:
        address = waiting.pop()
        if address in loaded:
            continue
        kind, body = to.get(address, session)
        loaded[address] = len(body)
        text = body.decode(errors="replace")
        found = []
        if kind == "text/html":
            found = [one or other for one, other in _LINKED.findall(text)]
        elif kind == "text/css":
            found = _URL_IN_CSS.findall(text)
        waiting += [urllib.parse.urljoin(address, link) for link in found if not link.startswith("data:")]
    return sum(loaded.values()), len(loaded)


def family(pid: int) -> list[int]:
    """This process and everything it started, in turn."""
    children = [
        int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
    ]
    return [pid, *(one for child in children for one in family(child))]


def pss_bytes(pids: list[int]) -> int:
    """The memory that would be free if these processes ended: shared pages are counted in part for each."""
    total = 0
    for pid in pids:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in told.splitlines() if line.startswith("Pss:")) * 1024
    return total


def cpu_seconds(pids: list[int]) -> float:
    """The processor time that these processes' threads have used, to the nanosecond, from the scheduler."""
    files = [path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(path.read_text().split()[0]) for path in files) / 1e9
