"""A small operator's own network as a ``Carrier``, over docs/reference/own-network.md. Translates; decides nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from xuka.activation.contract import Activation, Offer, Reason, Usage
from xuka.connectors.carriers.own_network import wire
from xuka.connectors.deadline import Deadline, Lost
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Outcome, Refused, Unknown

log = logging.getLogger(__name__)

T = TypeVar("T")

UNREACHABLE_AGAIN_AFTER = timedelta(seconds=30)
FULL = Refused(Reason.RATE_LIMITED, UNREACHABLE_AGAIN_AFTER, "too many calls are under way")
LARGEST_ANSWER_BYTES = 2_000_000


class OwnNetwork:
    """One operator. Safe to use from many threads. Every call is idempotent: a renewal, an eSIM and a text by key.

    Args:
        base_url: without "/v1".
        secret: what requests are signed with.
        transport: how HTTP goes out; None for the network. A transport that is handed in is called in the calling
            thread and trusted to keep the deadline (the in-process sandbox answers at once).
        call_deadline: the total time of one call, however slowly an answer drips.
        monotonic: seconds that never go back, for the deadline.
        clock: seconds since 1970, for the time in the signature.
    """

    name = "own_network"
    # A request is void a minute after its time, so later than that nothing of it can be taken; a minute for the clocks.
    absent_after = timedelta(minutes=2)
    usage_every = timedelta(minutes=5)
    can_throttle = True
    can_text = True
    # The network gives what it is told to: which period runs, and how fast it is, is said from here.
    can_start_next = True
    can_cancel = True

    def __init__(
        self,
        *,
        base_url: str,
        secret: str,
        transport: httpx.BaseTransport | None = None,
        call_deadline: timedelta = timedelta(seconds=10),
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.call_deadline = call_deadline
        self._secret = secret
        self._clock = clock
        self._deadline = Deadline(
            call_deadline, name=self.name, inline=transport is not None, full=FULL, log=log, monotonic=monotonic
        )
        self._client = httpx.Client(base_url=base_url, transport=transport, headers={"Accept": "application/json"})

    # -- the contract -----------------------------------------------------------------------------------------

    def offers(self, *, iccid: str) -> Outcome[tuple[Offer, ...]]:
        """What can be put on this card now; ``Done(())`` when it cannot be renewed. Changes nothing."""
        return self._reading(f"offers of {ids.masked(iccid)}", f"{_card(iccid)}/offers", wire.offers_of)

    def renew(self, *, key: str, iccid: str, package: str) -> Outcome[Activation]:
        """Put the package on the card. Idempotent by key: the same again is answered as before, and not done again."""
        return self._writing(
            f"renew of {ids.masked(iccid)}",
            "POST",
            f"{_card(iccid)}/periods",
            {"package": package},
            lambda answer: wire.activation_of(answer, key=key, iccid=iccid, package=package),
            key=key,
        )

    def find(self, *, key: str, iccid: str, package: str) -> Outcome[tuple[Activation, ...]]:
        """Everything taken under exactly this key, card and package, oldest first. Changes nothing.

        A look that fails in any way is ``Unknown``: never ``Refused``, never an empty ``Done``.
        """
        return _look(
            self._reading(
                f"find on {ids.masked(iccid)}",
                "/v1/periods",
                lambda answer: wire.found_of(answer, key=key, iccid=iccid, package=package),
                params={"key": key},
            )
        )

    def issue(self, *, key: str, package: str) -> Outcome[Activation]:
        """Sell one new eSIM. Idempotent by key: the same again is answered with the eSIM that was sold."""
        return self._writing(
            f"issue of {package}",
            "POST",
            "/v1/esims",
            {"package": package},
            lambda answer: wire.issued_of(answer, key=key, package=package),
            key=key,
        )

    def find_issued(self, *, key: str, package: str) -> Outcome[tuple[Activation, ...]]:
        """Every new eSIM sold under exactly this key and package, oldest first. A look that fails is ``Unknown``."""
        return _look(
            self._reading(
                f"find of a new {package}",
                "/v1/esims",
                lambda answer: wire.found_issued_of(answer, key=key, package=package),
                params={"key": key},
            )
        )

    def usage(self, *, iccid: str) -> Outcome[Usage]:
        """What is left on the card; volumes are None for unlimited packages. Changes nothing."""
        return self._reading(f"usage of {ids.masked(iccid)}", f"{_card(iccid)}/usage", wire.usage_of)

    def balance(self) -> Outcome[Money]:
        """The seller's credit at the operator; an operator that sells itself tells what it likes. Changes nothing."""
        return self._reading("balance", "/v1/balance", wire.balance_of)

    def throttle(self, *, iccid: str, kbps: int | None) -> Outcome[int | None]:
        """Set the most speed of the card; 0 is blocked, None is without a limit. Idempotent."""
        return self._writing(
            f"throttle of {ids.masked(iccid)}",
            "PUT",
            f"{_card(iccid)}/speed",
            {"kbps": kbps},
            lambda answer: wire.speed_of(answer, iccid=iccid),
        )

    def speed(self, *, iccid: str) -> Outcome[int | None]:
        """The most speed that is set for the card now. Changes nothing."""
        return self._reading(
            f"speed of {ids.masked(iccid)}", _card(iccid), lambda answer: wire.speed_of(answer, iccid=iccid)
        )

    def text(self, *, key: str, iccid: str, words: str) -> Outcome[str]:
        """Send an SMS to the card. Idempotent by key: the same again sends nothing more."""
        return self._writing(
            f"text to {ids.masked(iccid)}", "POST", f"{_card(iccid)}/texts", {"words": words}, wire.text_of, key=key
        )

    def cancel(self, *, reference: str, iccid: str) -> Outcome[None]:
        """Take a period back. Idempotent: taking back what was taken back before is done."""
        return self._writing(
            f"cancel on {ids.masked(iccid)}",
            "PUT",
            f"{_card(iccid)}/periods/{quote(reference, safe='')}/cancelled",
            {},
            lambda answer: wire.cancelled_of(answer, reference=reference),
        )

    # -- the wire -----------------------------------------------------------------------------------------------

    def _reading(
        self,
        what: str,
        path: str,
        read: Callable[[wire.Answer], Outcome[T]],
        *,
        params: Mapping[str, str] | None = None,
    ) -> Outcome[T]:
        def work(until: float) -> Outcome[T]:
            answer = self._send("GET", path, until, params=params)
            return read(answer) if isinstance(answer, wire.Answer) else Unknown(answer.why)

        return self._deadline.keep(work, what)

    def _writing(
        self,
        what: str,
        method: str,
        path: str,
        payload: Mapping[str, Any],
        read: Callable[[wire.Answer], Outcome[T]],
        *,
        key: str | None = None,
    ) -> Outcome[T]:
        """``Refused`` only for what surely did not happen, being unreachable included."""

        def work(until: float) -> Outcome[T]:
            answer = self._send(method, path, until, payload=payload, key=key)
            if isinstance(answer, wire.Answer):
                return read(answer)
            return Unknown(answer.why) if answer.sent else _unreachable(answer)

        return self._deadline.keep(work, what)

    def _send(
        self,
        method: str,
        path: str,
        until: float,
        *,
        payload: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> wire.Answer | Lost:
        """One signed call."""
        request = self._client.build_request(
            method,
            path,
            params=params,
            json=payload,
            headers={"Idempotency-Key": key} if key else {},
        )
        self._sign(request)
        heard = self._deadline.exchange(self._client, request, until, largest_bytes=LARGEST_ANSWER_BYTES)
        if isinstance(heard, Lost):
            return heard
        return wire.answer_of(status=heard.status, content=heard.content, headers=heard.headers)

    def _sign(self, request: httpx.Request) -> None:
        timestamp = str(int(self._clock() * 1000))
        request.headers["X-Timestamp"] = timestamp
        request.headers["X-Signature"] = wire.signature(
            self._secret,
            method=request.method,
            target=request.url.raw_path.decode("ascii"),
            timestamp=timestamp,
            body=request.read(),
        )


def _card(iccid: str) -> str:
    assert iccid.isascii(), "an ICCID is validated where it comes in"
    assert iccid.isdigit(), "an ICCID is validated where it comes in"
    return f"/v1/cards/{iccid}"


def _unreachable(lost: Lost) -> Refused:
    return Refused(Reason.MAINTENANCE, UNREACHABLE_AGAIN_AFTER, lost.why)


def _look(outcome: Outcome[T]) -> Outcome[T]:
    """A look that was refused tells nothing."""
    if isinstance(outcome, Refused):
        return Unknown(f"could not look: {outcome.reason} {outcome.detail}")
    return outcome
