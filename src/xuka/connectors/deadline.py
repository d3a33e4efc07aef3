"""What every connector owes its caller: an outcome within a total time, and nothing sent after it.

httpx's time-outs (and a socket's) are per read: an answer that drips, or a name that is slow to be looked up, outlasts
any of them. So the waiting is done here, once for all connectors. It knows the kernel, threads and httpx; no framework.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import httpx

from xuka.kernel.outcome import Done, Outcome, Refused, Unknown

T = TypeVar("T")

CALLS_AT_ONCE = 32
"""How many calls of one connector may be under way, those that were given up and have not ended included."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole HTTP answer."""

    status: int
    content: bytes
    headers: httpx.Headers


@dataclass(frozen=True, slots=True)
class Lost:
    """An HTTP call without a whole answer. ``sent`` is False when it surely never reached the other side.

    ``why`` holds no address, no key and nobody's data: it may stand in a log and in an ``Unknown``.
    """

    why: str
    sent: bool


class _TooLate(Exception):
    """The deadline passed before the first byte of the call went out."""


class Deadline:
    """The total time that one call of a connector can take. One for each connector; safe to use from many threads.

    Example::

        self._deadline = Deadline(call_deadline, name="stripe", inline=transport is not None, log=log)
        ...
        def balance(self) -> Outcome[Money]:
            def work(until: float) -> Outcome[Money]:
                answer = self._deadline.exchange(self._client, self._client.build_request("GET", "/v1/balance"), until)
                return wire.balance_of(answer) if isinstance(answer, Heard) else Unknown(answer.why)

            return self._deadline.keep(work, "balance")

    Args:
        total: the time from the call to its outcome: connecting, a token, and every page included.
        name: the connector's, for the names of its threads.
        inline: the work is done in the calling thread and trusted to keep the deadline: for a transport that is handed
            in (the in-process sandbox answers at once).
        full: the outcome of a call for which there is no room (``CALLS_AT_ONCE``), and of which nothing was sent. None
            for an ``Unknown``, which is right wherever the contract has no word for "surely not, try later".
        log: where one line on every outcome goes; None for a connector that writes its own.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        total: timedelta,
        *,
        name: str,
        inline: bool = False,
        full: Refused | None = None,
        log: logging.Logger | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds, self._name, self._inline = total.total_seconds(), name, inline
        self._full = full or Unknown(f"not asked: {CALLS_AT_ONCE} calls are under way")
        self._log, self._monotonic = log, monotonic
        self._room = threading.BoundedSemaphore(CALLS_AT_ONCE)

    def keep(
        self, work: Callable[[float], Outcome[T]], what: str, *, late: Callable[[], Outcome[T]] | None = None
    ) -> Outcome[T]:
        """The work's outcome, or ``Unknown`` once the deadline has passed.

        Work that is given up goes on in a daemon thread until its own time-outs end it, and its outcome is thrown
        away: it must send nothing after ``until`` (``exchange`` sees to that).

        Args:
            work: is given ``until``, the end of its time by ``monotonic``.
            what: the call in a word or two, for the log and the thread's name: no secrets, whole numbers or names.
            late: what can be said when the deadline passes, where that is more than ``Unknown``; it may end the work.

        Raises:
            Whatever the work raises before its deadline: that is our own mistake, not the world's answer.
        """
        began = self._monotonic()
        until = began + self._seconds
        outcome = work(until) if self._inline else self._waited(work, what, until, late)
        self._note(what, outcome, self._monotonic() - began)
        return outcome

    def _waited(
        self,
        work: Callable[[float], Outcome[T]],
        what: str,
        until: float,
        late: Callable[[], Outcome[T]] | None,
    ) -> Outcome[T]:
        if not self._room.acquire(blocking=False):
            return self._full
        outcomes: queue.SimpleQueue[Outcome[T] | BaseException] = queue.SimpleQueue()

        def call() -> None:
            try:
                outcomes.put(work(until))
            except BaseException as error:  # raised again in the thread that waits
                outcomes.put(error)
            finally:
                self._room.release()

        threading.Thread(target=call, name=f"{self._name} {what}", daemon=True).start()
        try:
            outcome = outcomes.get(timeout=self._seconds)
        except queue.Empty:
            return late() if late else Unknown(f"no whole answer within {self._seconds:g} s")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _note(self, what: str, outcome: Outcome[T], seconds: float) -> None:
        if self._log is None:
            return
        match outcome:
            case Done():
                self._log.info("%s: done in %.3f s", what, seconds)
            case Refused():
                self._log.warning("%s: refused, %s (%s) in %.3f s", what, outcome.reason, outcome.detail, seconds)
            case Unknown():
                self._log.warning("%s: unknown, %s in %.3f s", what, outcome.why, seconds)

    def exchange(
        self, client: httpx.Client, request: httpx.Request, until: float, *, largest_bytes: int = 8_000_000
    ) -> Heard | Lost:
        """One HTTP call: the whole answer, or why there is none. Never raises for what the world did.

        Nothing goes out after ``until``, not even when looking the name up or connecting outlasted it: leases and
        ``absent_after`` count on that. An answer of more than ``largest_bytes``, or one still dripping then, is lost.
        """
        left = until - self._monotonic()
        if left <= 0:
            return Lost("the deadline had passed before the call", sent=False)

        def nothing_sent_too_late(event: str, info: object) -> None:
            if event == "http11.send_request_headers.started" and self._monotonic() > until:
                raise _TooLate

        request.extensions |= {"timeout": httpx.Timeout(left).as_dict(), "trace": nothing_sent_too_late}
        try:
            return self._read(client, request, until, largest_bytes)
        except _TooLate:
            return Lost("the deadline had passed before the call", sent=False)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return Lost(f"could not connect: {type(error).__name__}", sent=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Lost(f"no answer: {type(error).__name__}", sent=True)

    def _read(self, client: httpx.Client, request: httpx.Request, until: float, largest_bytes: int) -> Heard | Lost:
        content = bytearray()
        response = client.send(request, stream=True)
        try:
            for chunk in response.iter_bytes():
                content += chunk
                if self._monotonic() > until or len(content) > largest_bytes:
                    return Lost("the answer was too slow or too long", sent=True)
        finally:
            response.close()
        return Heard(response.status_code, bytes(content), response.headers)


def not_for_good(outcome: Outcome[T]) -> Outcome[T]:
    """The outcome of a look: one that failed is never "it is not there", and nothing that a look was refused ends a
    payment."""
    if isinstance(outcome, Refused) and outcome.retry_after is None:
        return Unknown(f"could not look: {outcome.reason} {outcome.detail}")
    return outcome
