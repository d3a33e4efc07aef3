"""The shop as it runs in earnest: real workers, real web servers, a real carrier's stand-in, on the test's database."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from django.db import connection
from django.test import Client
from psycopg.conninfo import make_conninfo

from tests.journeys import web_world
from xuka.accounts.models import User
from xuka.activation import operations as activation
from xuka.activation.rules import key_of, words_of
from xuka.interfaces import clock
from xuka.lines.models import Line
from xuka.project import postgres
from xuka.renewals.models import Order

PATIENCE_SECONDS = 60
CSRF = "c" * 32
XUKA = (sys.executable, "-m", "xuka.interfaces.cli.main")
PLAN = "be-week-3gb-day"
PRICE_MINOR = 12_90


class House:
    """Processes by name, and the world they live in.

    Args:
        folder: for logs, the clock's offset, and whatever the processes keep.
        deadline_seconds: how long the carrier may take to answer.
    """

    def __init__(self, folder: Path, *, deadline_seconds: float) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._sessions_before = _other_sessions()
        self._environment = os.environ | {
            "DATABASE_URL": _url_of_the_tests_database(),
            "XUKA_VAR": str(folder),
            "XUKA_DEMO": "1",  # for its clock, which can be pushed
            "XUKA_AIRALO_CLIENT_ID": "sandbox",
            "XUKA_AIRALO_CLIENT_SECRET": "sandbox-secret",
            "XUKA_AIRALO_DEADLINE_SECONDS": str(deadline_seconds),
            # Dozens of processes are started: what the first one compiles, the others need not.
            "PYTHONPYCACHEPREFIX": str(Path(os.environ["XUKA_VAR"]) / "compiled"),
        }
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)

    # -- processes ------------------------------------------------------------------------------------------------

    def start(self, name: str, *command: str, listens: bool = False) -> str:
        """Start a process in a group of its own. With ``listens`` returns the first line it prints."""
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE if listens else log,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,
                preexec_fn=postgres.dies_with(os.getpid(), signal.SIGKILL),
            )
        self._running[name] = process
        return process.stdout.readline() if listens and process.stdout else ""

    def kill(self, name: str) -> None:
        """``kill -9``, of the process and of all it started."""
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Everybody is gone, and the database has noticed."""
        for name in list(self._running):
            self.kill(name)
        wait_until(lambda: _other_sessions() <= self._sessions_before, "the database lets go of the dead")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One ``xuka`` command, to its end."""
        return subprocess.run(
            [*XUKA, *arguments], env=self._environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )

    def start_world(self) -> None:
        """The carrier's stand-in and the inbox."""
        offset = ("--clock-offset-file", str(self.folder / "clock-offset"))
        module = (sys.executable, "-m")
        said = self.start("carrier", *module, "sandbox.carrier", "--port", "0", "--no-limits", *offset, listens=True)
        self.carrier_url = said.split()[-1]
        said = self.start(
            "mail", *module, "sandbox.mail", "--smtp-port", "0", "--http-port", "0", *offset, listens=True
        )
        smtp = said.split("smtp://")[1].split(",")[0]
        self._environment |= {
            "XUKA_AIRALO_URL": self.carrier_url,
            "XUKA_SMTP_HOST": smtp.split(":")[0],
            "XUKA_SMTP_PORT": smtp.split(":")[1],
        }

    def start_worker(self, name: str, *, jobs_at_a_time: int = 4) -> None:
        """A worker; returns before it is ready."""
        self.start(name, *XUKA, "work", "--concurrency", str(jobs_at_a_time))

    def start_web(self, name: str, port: int) -> str:
        """A web server; returns its address before it is ready."""
        self.start(name, *XUKA, "serve", "--port", str(port))
        return f"http://127.0.0.1:{port}"

    def push_clock(self, by: timedelta) -> None:
        """Everybody's clock but the test's goes forward."""
        path = self.folder / "clock-offset"
        there = int(path.read_text()) if path.exists() else 0
        draft = path.with_suffix(".draft")
        draft.write_text(str(there + int(by.total_seconds())))
        draft.replace(path)

    def now(self) -> datetime:
        """The time by the clock of these processes."""
        path = self.folder / "clock-offset"
        return clock.now() + timedelta(seconds=int(path.read_text()) if path.exists() else 0)

    # -- the carrier ----------------------------------------------------------------------------------------------

    def control(self, path: str, sent: Any = None, **query: str) -> Any:
        """The carrier's control face."""
        answer = httpx.request(
            "GET" if sent is None else "POST", f"{self.carrier_url}/control/{path}", json=sent, params=query, timeout=30
        )
        return answer.raise_for_status().json()

    def seed_card(self, *, expires_at: datetime | None = None, **card: Any) -> None:
        self.control("sims", card | {"expires_at": expires_at.isoformat() if expires_at else None})

    def truth(self, order_id: UUID) -> int:
        """How often the carrier really activated something for this order."""
        return self.control("truth", description=words_of(key_of(cause=order_id, ordinal=0)))["count"]


def wait_until(true: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS) -> Any:
    """Look again and again until it is so, and return what was seen; an error that says what it waited for if not."""
    until = time.monotonic() + seconds
    while not (seen := true()):
        assert time.monotonic() < until, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)
    return seen


def at_work() -> set[int]:
    """The workers that have an order in hand."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select distinct worker_id from procrastinate_jobs"
            " where status = 'doing' and task_name in ('advance_order', 'sweep')"
        )
        return {worker for (worker,) in cursor.fetchall()}


def everything_ends(house: House) -> None:
    """Leases run out, absence becomes sure, each success is counted once more: whenever nothing is due and nobody is
    on the wire, the clock is pushed towards that. The promise of ten minutes lasts longer than all of it.
    """
    for _ in range(4):
        wait_until(lambda: not _is_busy(house), "what is due is done")
        if not Order.objects.filter(next_step_at__isnull=False).exists():
            return
        house.push_clock(timedelta(seconds=100))
    wait_until(lambda: not Order.objects.filter(next_step_at__isnull=False).exists(), "every order ends")


def _is_busy(house: House) -> bool:
    """Whether an order waits for its next step, or a worker has one in hand."""
    return bool(at_work()) or Order.objects.filter(next_step_at__lte=house.now()).exists()


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url, timeout=5).status_code == 200
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def browser_of(user: User, url: str) -> httpx.Client:
    """A signed-in browser; each has a session of its own."""
    signed_in = Client()
    signed_in.force_login(user)
    cookies = {"sessionid": signed_in.cookies["sessionid"].value, "csrftoken": CSRF}
    return httpx.Client(base_url=url, cookies=cookies, headers={"X-CSRFToken": CSRF}, timeout=30)


@contextmanager
def open_house(
    folder: Path, settings: Any, *, deadline_seconds: float, cards: int
) -> Iterator[tuple[House, list[Line]]]:
    """A house with the world outside running, and a customer with that many cards and the money to renew each once."""
    house = House(folder, deadline_seconds=deadline_seconds)
    try:
        house.start_world()
        airalo = settings.CARRIERS["airalo"] | {
            "base_url": house.carrier_url, "client_id": "sandbox", "client_secret": "sandbox-secret",
        }  # fmt: skip
        settings.CARRIERS = {"airalo": airalo}
        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        activation.carrier.cache_clear()
        shop = web_world.open_shop(now=clock.now(), seed_card=house.seed_card)
        shop.person("buyer", language="en", money=cards * PRICE_MINOR)
        shop.people |= {f"buyer {number}": shop.people["buyer"] for number in range(cards)}
        yield house, [shop.card(f"buyer {number}", 100 + number, PLAN) for number in range(cards)]
    finally:
        house.close()
        activation.carrier.cache_clear()


def _other_sessions() -> set[int]:
    """Who else is connected, by process id of the database. A browser's test may have left a thread that still is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )
        return {pid for (pid,) in cursor.fetchall()}


def _url_of_the_tests_database() -> str:
    there = connection.settings_dict
    wanted = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return make_conninfo(**{name: there[key] for name, key in wanted.items() if there[key]}, **there["OPTIONS"])
