"""The clients: processes that wait for work, as many as pgbench has, and tell how long they took."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

CLIENTS = 2
# On which a provider delivers at a time.
CONNECTIONS = 4


def renew(wishes: Sequence[Any]) -> None:
    """Place each order and advance it as the worker does, until it is active."""
    from xuka.interfaces import clock
    from xuka.interfaces.jobs import tasks
    from xuka.renewals import operations as renewals

    for wish in wishes:
        renewals.place(order_id=wish.order, quote_id=wish.quote, customer=wish.card.customer, now=clock.now())
        tasks.advance_order(str(wish.order))


def renew_over_http(port: int, wishes: Sequence[tuple[Any, str]]) -> None:
    """Post each order to the web server as its signed-in customer; then advance it here as the worker does."""
    from benchmarks import web
    from xuka.interfaces.jobs import tasks

    with web.connection(port) as to:
        for wish, session in wishes:
            to.place(order=wish.order, quote=wish.quote, session=session)
            tasks.advance_order(str(wish.order))


def post(legs: Sequence[Any]) -> None:
    """Post each transfer in a transaction of its own."""
    from xuka.interfaces import clock
    from xuka.ledger import operations as ledger

    for leg in legs:
        ledger.post(leg, now=clock.now())


def tell_or_renew(port: int, notices: Sequence[Any], wishes: Sequence[Any]) -> list[float]:
    """Deliver signed notices on a few connections, as providers do, each answered 200; or renew meanwhile.

    Returns:
        The seconds that each answer took.
    """
    renew(wishes)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        told = threads.map(_tell, [port] * CONNECTIONS, [notices[at::CONNECTIONS] for at in range(CONNECTIONS)])
        return [seconds for part in told for seconds in part]


def _tell(port: int, notices: Sequence[Any]) -> list[float]:
    from benchmarks import web

    with web.connection(port) as to:
        return [to.tell(notice) for notice in notices]


_LOOPS = {loop.__name__: loop for loop in (renew, renew_over_http, post, tell_or_renew)}


class Clients:
    """``CLIENTS`` processes with Django set up and a connection each."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes

    def run(self, loop: str, *work: tuple[Any, ...]) -> float:
        """Give each client its own work at once; returns the seconds until the last one is done."""
        return max(self.run_apart(loop, *work))

    def run_apart(self, loop: str, *work: tuple[Any, ...]) -> list[float]:
        """The same; returns the seconds that each client took, from when the first one was told to begin."""
        return [seconds for seconds, _ in self.run_and_hear(loop, *work)]

    def run_and_hear(self, loop: str, *work: tuple[Any, ...]) -> list[tuple[float, Any]]:
        """The same, with what each client's loop returned."""
        began = time.perf_counter()
        for pipe, arguments in zip(self._pipes, work, strict=True):
            pipe.send((loop, arguments))
        said = [pipe.recv() for pipe in self._pipes]
        for one in said:
            if isinstance(one, str):
                raise RuntimeError(one)
        return [(ended_at - began, heard) for ended_at, heard in said]


def _serve(pipe: Connection) -> None:
    import django

    django.setup()
    from django.db import connection

    connection.ensure_connection()
    while (work := pipe.recv()) is not None:
        loop, arguments = work
        try:
            heard = _LOOPS[loop](*arguments)
            pipe.send((time.perf_counter(), heard))  # one clock for every process of this machine
        except Exception as error:
            pipe.send(f"{loop}: {error!r}")
            raise


@contextmanager
def started() -> Iterator[Clients]:
    """The clients, for the length of the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = zip(*(context.Pipe() for _ in range(CLIENTS)), strict=True)
    processes = [context.Process(target=_serve, args=(end,), daemon=True) for end in theirs]
    for process in processes:
        process.start()
    try:
        yield Clients(list(ours))
    finally:
        for pipe, process in zip(ours, processes, strict=True):
            pipe.send(None)
            process.join(timeout=5)
            process.terminate()
