"""Airalo's Partner API v2 as a ``Carrier``. Translates, keeps the deadline and the token; decides nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from xuka.activation.contract import Activation, Offer, Reason, Usage
from xuka.connectors.carriers.airalo import wire
from xuka.connectors.deadline import Deadline, Lost
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown

log = logging.getLogger(__name__)

T = TypeVar("T")

# Airalo: a token is valid for 24 hours, and 3 may be asked for in a minute. An hour is left for slow clocks.
TOKEN_LIFE = timedelta(hours=23)
TOKENS_A_MINUTE = 3

UNREACHABLE_AGAIN_AFTER = timedelta(seconds=30)
FULL = Refused(Reason.RATE_LIMITED, UNREACHABLE_AGAIN_AFTER, "too many calls are under way")
ORDERS_A_PAGE = 50
LARGEST_ANSWER_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class _Found:
    """Orders under our key: those whose row tells enough, by reference, and the others by id."""

    confirmed: dict[str, Activation]
    unconfirmed: dict[int, Mapping[str, Any]]


def _oldest_first(found: Mapping[str, Activation]) -> Done[tuple[Activation, ...]]:
    return Done(tuple(sorted(found.values(), key=lambda one: (one.activated_at, int(one.reference)))))


class Airalo:
    """One seller's account at Airalo. Safe to use from many threads.

    Args:
        base_url: without "/v2"; a setting, because the sandbox is one too.
        transport: how HTTP goes out; None for the network. A transport that is handed in is called in the calling
            thread and trusted to keep the deadline (the in-process sandbox answers at once).
        call_deadline: the total time of one call, token and every page included, however slowly an answer drips.
        monotonic: seconds that never go back, for deadlines and the age of the token.
    """

    name = "airalo"
    # Orders appear in the list at once; two minutes cover a call that was still on its way when we stopped waiting.
    absent_after = timedelta(minutes=2)
    # Airalo caches a card's usage this long.
    usage_every = timedelta(minutes=20)
    # Its partner API sets no speeds and sends no texts.
    can_throttle = False
    can_text = False
    # A package that waits begins there by itself, when the one before is over; no endpoint begins it sooner.
    can_start_next = False
    can_cancel = False

    def __init__(
        self,
        *,
        base_url: str,
        client_id: str,
        client_secret: str,
        transport: httpx.BaseTransport | None = None,
        call_deadline: timedelta = timedelta(seconds=20),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.call_deadline = call_deadline
        self._client_id, self._client_secret = client_id, client_secret
        self._monotonic = monotonic
        self._deadline = Deadline(
            call_deadline, name=self.name, inline=transport is not None, full=FULL, log=log, monotonic=monotonic
        )
        self._client = httpx.Client(base_url=base_url, transport=transport, headers={"Accept": "application/json"})
        self._token_lock = threading.RLock()
        self._token: tuple[str, float] | None = None
        self._tokens_asked: deque[float] = deque(maxlen=TOKENS_A_MINUTE)

    # -- the contract -----------------------------------------------------------------------------------------

    def offers(self, *, iccid: str) -> Outcome[tuple[Offer, ...]]:
        """What can be put on this card now; ``Done(())`` when it cannot be topped up. Changes nothing."""

        def work(until: float) -> Outcome[tuple[Offer, ...]]:
            answer = self._ask("GET", f"{_card(iccid)}/topups", until)
            return wire.offers_of(answer) if isinstance(answer, wire.Answer) else _not_read(answer)

        return self._deadline.keep(work, f"offers of {ids.masked(iccid)}")

    def renew(self, *, key: str, iccid: str, package: str) -> Outcome[Activation]:
        """Top the card up. NOT idempotent: Airalo has no such key. After ``Unknown`` call ``find`` first.

        ``Refused`` only for what surely did not happen, being unreachable included.
        """

        def work(until: float) -> Outcome[Activation]:
            payload = {"package_id": package, "iccid": iccid, "description": key}
            answer = self._ask("POST", "/v2/orders/topups", until, payload=payload)
            if isinstance(answer, wire.Answer):
                return wire.activation_of(answer, key=key, iccid=iccid, package=package)
            if isinstance(answer, Lost) and not answer.sent:
                return Refused(Reason.MAINTENANCE, UNREACHABLE_AGAIN_AFTER, answer.why)
            return _not_read(answer)

        return self._deadline.keep(work, f"renew of {ids.masked(iccid)}")

    def find(self, *, key: str, iccid: str, package: str) -> Outcome[tuple[Activation, ...]]:
        """Everything taken under exactly this key, card and package, oldest first; failed and refunded ones not.

        A look that fails in any way is ``Unknown``: never ``Refused``, never an empty ``Done``. Changes nothing.
        """

        def work(until: float) -> Outcome[tuple[Activation, ...]]:
            found = self._find(until, key=key, iccid=iccid, package=package)
            return Unknown(f"could not look: {found.reason} {found.detail}") if isinstance(found, Refused) else found

        outcome = self._deadline.keep(work, f"find on {ids.masked(iccid)}")
        return Unknown(f"could not look: {outcome.detail}") if isinstance(outcome, Refused) else outcome

    def issue(self, *, key: str, package: str) -> Outcome[Activation]:
        """Buy one new eSIM. NOT idempotent: Airalo has no such key. After ``Unknown`` call ``find_issued`` first.

        ``Refused`` only for what surely did not happen, being unreachable included.
        """

        def work(until: float) -> Outcome[Activation]:
            payload = {"package_id": package, "quantity": 1, "type": "sim", "description": key}
            answer = self._ask("POST", "/v2/orders", until, payload=payload)
            if isinstance(answer, wire.Answer):
                return wire.issued_of(answer, key=key, package=package)
            if isinstance(answer, Lost) and not answer.sent:
                return Refused(Reason.MAINTENANCE, UNREACHABLE_AGAIN_AFTER, answer.why)
            return _not_read(answer)

        return self._deadline.keep(work, f"issue of {package}")

    def find_issued(self, *, key: str, package: str) -> Outcome[tuple[Activation, ...]]:
        """Every new eSIM bought under exactly this key and package, oldest first; failed and refunded ones not.

        A look that fails in any way is ``Unknown``: never ``Refused``, never an empty ``Done``. Changes nothing.
        """

        def work(until: float) -> Outcome[tuple[Activation, ...]]:
            found = self._find_issued(until, key=key, package=package)
            return Unknown(f"could not look: {found.reason} {found.detail}") if isinstance(found, Refused) else found

        outcome = self._deadline.keep(work, f"find of a new {package}")
        return Unknown(f"could not look: {outcome.detail}") if isinstance(outcome, Refused) else outcome

    def usage(self, *, iccid: str) -> Outcome[Usage]:
        """What is left on the card; volumes are None for unlimited plans. Changes nothing."""

        def work(until: float) -> Outcome[Usage]:
            answer = self._ask("GET", f"{_card(iccid)}/usage", until)
            return wire.usage_of(answer) if isinstance(answer, wire.Answer) else _not_read(answer)

        return self._deadline.keep(work, f"usage of {ids.masked(iccid)}")

    def balance(self) -> Outcome[Money]:
        """The seller's credit at Airalo. Changes nothing."""

        def work(until: float) -> Outcome[Money]:
            answer = self._ask("GET", "/v2/balance", until)
            return wire.balance_of(answer) if isinstance(answer, wire.Answer) else _not_read(answer)

        return self._deadline.keep(work, "balance")

    def throttle(self, *, iccid: str, kbps: int | None) -> Outcome[int | None]:
        """``Refused``, with nothing sent: Airalo cannot."""
        return Refused(Reason.NOT_SUPPORTED)

    def speed(self, *, iccid: str) -> Outcome[int | None]:
        """``Refused``, with nothing sent: Airalo does not tell."""
        return Refused(Reason.NOT_SUPPORTED)

    def text(self, *, key: str, iccid: str, words: str) -> Outcome[str]:
        """``Refused``, with nothing sent: Airalo cannot."""
        return Refused(Reason.NOT_SUPPORTED)

    def cancel(self, *, reference: str, iccid: str) -> Outcome[None]:
        """``Refused``, with nothing sent: Airalo refunds by hand only."""
        return Refused(Reason.NOT_SUPPORTED)

    # -- looking for what was taken -----------------------------------------------------------------------------

    def _find(self, until: float, *, key: str, iccid: str, package: str) -> Outcome[tuple[Activation, ...]]:
        def read(answer: wire.Answer) -> wire.Listed | Unknown:
            return wire.listed_of(answer, key=key, iccid=iccid, package=package)

        listed = self._listed(until, key=key, read=read)
        if not isinstance(listed, _Found):
            return listed
        found, unconfirmed = listed.confirmed, listed.unconfirmed
        confirmed = self._confirm(until, unconfirmed, iccid=iccid, package=package) if unconfirmed else Done(())
        if not isinstance(confirmed, Done):
            return confirmed
        return _oldest_first(found | {activation.reference: activation for activation in confirmed.value})

    def _find_issued(self, until: float, *, key: str, package: str) -> Outcome[tuple[Activation, ...]]:
        def read(answer: wire.Answer) -> wire.Listed | Unknown:
            return wire.listed_issued_of(answer, key=key, package=package)

        listed = self._listed(until, key=key, read=read)
        if not isinstance(listed, _Found):
            return listed
        found = dict(listed.confirmed)
        for id in listed.unconfirmed:
            answer = self._ask("GET", f"/v2/orders/{id}", until)
            if not isinstance(answer, wire.Answer):
                return _not_read(answer)
            issued = wire.issued_order_of(answer)
            if isinstance(issued, Unknown):
                return issued
            found[issued.reference] = issued
        return _oldest_first(found)

    def _listed(
        self, until: float, *, key: str, read: Callable[[wire.Answer], wire.Listed | Unknown]
    ) -> _Found | Refused | Unknown:
        """Every page of the orders under this key, as ``read`` understands them."""
        found: dict[str, Activation] = {}
        unconfirmed: dict[int, Mapping[str, Any]] = {}
        page = last_page = 1
        while page <= last_page:
            asked = {"filter[description]": key, "include": "sims,status", "limit": ORDERS_A_PAGE, "page": page}
            answer = self._ask("GET", "/v2/orders", until, params=asked)
            if not isinstance(answer, wire.Answer):
                return _not_read(answer)
            if refused := wire.refusal_of(answer):
                return refused
            listed = read(answer)
            if isinstance(listed, Unknown):
                return listed
            found |= {activation.reference: activation for activation in listed.confirmed}
            unconfirmed |= dict(listed.unconfirmed)
            page, last_page = page + 1, listed.last_page
        return _Found(found, unconfirmed)

    def _confirm(
        self, until: float, rows: Mapping[int, Mapping[str, Any]], *, iccid: str, package: str
    ) -> Outcome[tuple[Activation, ...]]:
        """Which of these orders are for this card: by the order itself, else by what the card tells it carries."""
        ours: list[Mapping[str, Any]] = []
        nameless = 0
        for id, listed in rows.items():
            answer = self._ask("GET", f"/v2/orders/{id}", until)
            if not isinstance(answer, wire.Answer):
                return _not_read(answer)
            row = wire.order_of(answer)
            if isinstance(row, Unknown):
                return row
            cards = wire.iccids_of(row)
            nameless += not cards
            if not cards or iccid in cards:
                ours.append(listed)
        if nameless and (doubt := self._doubt(until, iccid=iccid, package=package, count=nameless)):
            return doubt
        activations: list[Activation] = []
        for row in ours:
            activation = wire.listed_activation(row, iccid=iccid)
            if isinstance(activation, Unknown):
                return activation
            activations.append(activation)
        return Done(tuple(activations))

    def _doubt(self, until: float, *, iccid: str, package: str, count: int) -> Refused | Unknown | None:
        """None when the card carries the package as often as orders under our key say; else why nobody knows."""
        answer = self._ask("GET", f"{_card(iccid)}/packages", until)
        if not isinstance(answer, wire.Answer):
            return _not_read(answer)
        if refused := wire.refusal_of(answer):
            return refused
        carried = wire.carries(answer, package=package, count=count)
        if isinstance(carried, Unknown):
            return carried
        return None if carried else Unknown("an order under our key, but the card does not carry the package")

    # -- the wire -----------------------------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        path: str,
        until: float,
        *,
        payload: Mapping[str, str | int] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> wire.Answer | Refused | Lost:
        """One authorised call. An old token is renewed once: a call answered 401 was surely not carried out."""
        token = self._token_now(until)
        if not isinstance(token, Done):
            return token if isinstance(token, Refused) else Lost(token.why, sent=False)
        answer = self._send(method, path, until, token=token.value, payload=payload, params=params)
        if not isinstance(answer, wire.Answer) or answer.status != 401:
            return answer
        token = self._token_now(until, instead_of=token.value)
        if not isinstance(token, Done):
            return token if isinstance(token, Refused) else Lost(token.why, sent=False)
        return self._send(method, path, until, token=token.value, payload=payload, params=params)

    def _send(
        self,
        method: str,
        path: str,
        until: float,
        *,
        token: str | None = None,
        payload: Mapping[str, str | int] | None = None,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> wire.Answer | Lost:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if signed := payload or form:
            headers["airalo-signature"] = wire.signature(self._client_secret, signed)
        request = self._client.build_request(
            method,
            path,
            params=params,
            json=payload,
            data=form,
            headers=headers,
        )
        heard = self._deadline.exchange(self._client, request, until, largest_bytes=LARGEST_ANSWER_BYTES)
        if isinstance(heard, Lost):
            return heard
        return wire.answer_of(status=heard.status, content=heard.content, headers=heard.headers)

    # -- the token ----------------------------------------------------------------------------------------------

    def _token_now(self, until: float, *, instead_of: str | None = None) -> Outcome[str]:
        """A token that is not ``instead_of``: the one at hand, or a fresh one. One thread at a time asks for it."""
        if not self._token_lock.acquire(timeout=max(0.0, until - self._monotonic())):
            return Unknown("nobody got a token in time")
        try:
            now = self._monotonic()
            if self._token and self._token[0] != instead_of and now < self._token[1]:
                return Done(self._token[0])
            fresh = self._fresh_token(until, now)
            if isinstance(fresh, Done):
                self._token = fresh.value, now + TOKEN_LIFE.total_seconds()
            return fresh
        finally:
            self._token_lock.release()

    def _fresh_token(self, until: float, now: float) -> Outcome[str]:
        if len(self._tokens_asked) == TOKENS_A_MINUTE and now - self._tokens_asked[0] < 60:
            wait = timedelta(seconds=60 - (now - self._tokens_asked[0]))
            return Refused(Reason.RATE_LIMITED, wait, f"{TOKENS_A_MINUTE} tokens were asked for within a minute")
        self._tokens_asked.append(now)
        form = {
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "grant_type": "client_credentials",
        }
        answer = self._send("POST", "/v2/token", until, form=form)
        return wire.token_of(answer) if isinstance(answer, wire.Answer) else Unknown(f"no token: {answer.why}")


def _card(iccid: str) -> str:
    assert iccid.isascii(), "an ICCID is validated where it comes in"
    assert iccid.isdigit(), "an ICCID is validated where it comes in"
    return f"/v2/sims/{iccid}"


def _not_read(lost: Refused | Lost) -> Refused | Unknown:
    return lost if isinstance(lost, Refused) else Unknown(lost.why)
