"""Stripe as a ``Provider``, on its official SDK. Translates and keeps the deadline; decides nothing."""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx
import stripe

from xuka.connectors.payments.stripe import wire
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.payments.contract import Ask, Event, Method, Payment, PaymentState, Reason, Refund

log = logging.getLogger(__name__)

T = TypeVar("T")

# The SDK would write a file into the home directory to tell this computer from others; only a global switch stops it.
stripe.enable_telemetry = False
# It logs addresses and whole bodies below this level, and bodies carry what buyers type on Stripe's page.
logging.getLogger("stripe").setLevel(logging.WARNING)

PAGES_AT_MOST = 50
LARGEST_ANSWER_BYTES = 8_000_000
CALLS_AT_ONCE = 32

# What goes out of the headers that the SDK makes; the others describe this computer.
HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version")

NO_REFERENCE = Refused(Reason.UNKNOWN_PAYMENT, None, "neither the id of a session nor of an intent")


class Misconfigured(ValueError):
    """The connector cannot be built from these settings; the sentence says why, without the secret."""


class _TooLate(Exception):
    """The deadline passed before the first byte of the call went out."""


class Stripe:
    """One seller's account at Stripe, in test mode or in live mode. Safe to use from many threads.

    Args:
        base_url: a setting, because the sandbox here is one too.
        key: "sk_test_…", "sk_live_…", or a restricted one ("rk_…"); its prefix says whether money really moves.
        webhook_secret: the signing secret of the webhook endpoint; while it is exchanged both, parted by a space.
        call_deadline: the total time of one call, every page included, however slowly an answer drips.
        markets: ISO 3166 codes of the markets to offer it in.
        transport: how HTTP goes out; None for the network. A transport that is handed in is called in the calling
            thread and trusted to keep the deadline (the in-process sandbox answers at once).
        monotonic: seconds that never go back, for the deadline.

    Raises:
        Misconfigured: a key of no known mode, or no webhook secret.
    """

    name = "stripe"
    keys_live = wire.KEYS_LIVE
    # Stripe lists what it has made at once; two minutes cover a call still on its way when we stopped waiting.
    absent_after = timedelta(minutes=2)

    def __init__(
        self,
        *,
        base_url: str = "https://api.stripe.com",
        key: str,
        webhook_secret: str,
        call_deadline: timedelta = timedelta(seconds=20),
        markets: Iterable[str] = ("BE", "JP"),
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        mode = re.fullmatch(r"(?:sk|rk)_(test|live)_[A-Za-z0-9_]+", key)
        if mode is None:
            raise Misconfigured("Stripe's key begins with sk_test_, sk_live_, rk_test_ or rk_live_.")
        if not webhook_secret.split():
            raise Misconfigured("Stripe's webhook secret is missing: without it every webhook could be forged.")
        self.is_live = mode[1] == "live"
        self.call_deadline = call_deadline
        self._key, self._secrets = key, tuple(webhook_secret.split())
        self._base_url = base_url.rstrip("/")
        self._markets = tuple(markets)
        self._monotonic = monotonic
        self._inline = transport is not None
        self._http = httpx.Client(transport=transport)
        self._room = threading.BoundedSemaphore(CALLS_AT_ONCE)

    # -- payments ---------------------------------------------------------------------------------------------------

    def methods(self) -> tuple[Method, ...]:
        """Cards, Apple Pay and Google Pay among them. No call is made."""
        return wire.methods_of(self._markets)

    def start(self, ask: Ask) -> Outcome[Payment]:
        """A hosted page, or with a kept card the payment itself. Idempotent by ``ask.key`` for 24 hours.

        ``Refused(DECLINED)`` only for a kept card: nothing was taken and nothing can be any more.
        """

        def send(client: stripe.StripeClient) -> object:
            if ask.saved_card:
                return client.v1.payment_intents.create(_as(wire.intent_asked(ask)), {"idempotency_key": ask.key})
            return client.v1.checkout.sessions.create(_as(wire.session_asked(ask)), {"idempotency_key": ask.key})

        def work(until: float) -> Outcome[Payment]:
            answer = self._ask(until, send)
            if isinstance(answer, Unknown):
                return answer
            return wire.started_of(answer, key=ask.key, is_live=self.is_live)

        return self._within_deadline(work, f"start {ask.key}")

    def look(self, *, reference: str) -> Outcome[Payment]:
        """The payment as it is now. Changes nothing."""
        return self._within_deadline(
            lambda until: self._look(until, reference), f"look at payment {ids.masked(reference)}"
        )

    def _look(self, until: float, reference: str) -> Outcome[Payment]:
        def send(client: stripe.StripeClient) -> object:
            if reference.startswith("cs_"):
                return client.v1.checkout.sessions.retrieve(reference, {"expand": wire.SESSION_WITH})
            return client.v1.payment_intents.retrieve(reference, {"expand": wire.INTENT_WITH})

        if not reference.startswith(("cs_", "pi_")):
            return NO_REFERENCE
        answer = self._ask(until, send)
        return answer if isinstance(answer, Unknown) else wire.payment_of(answer, is_live=self.is_live)

    def find(self, *, key: str, asked_at: datetime, is_hosted: bool) -> Outcome[Payment | None]:
        """The payment of exactly this key; of several the one that moved money. None when it is not there.

        Looks through all that was made within ``keys_live`` of the first ask. Never refused for good.
        """

        def page(client: stripe.StripeClient, after: str) -> object:
            wanted = _as(wire.made_around(asked_at, after))
            if is_hosted:
                return client.v1.checkout.sessions.list(wanted)
            return client.v1.payment_intents.list(wanted)

        def work(until: float) -> Outcome[Payment | None]:
            rows = self._all(until, page, key)
            if not isinstance(rows, Done):
                return rows
            found: list[Payment] = []
            for row in rows.value:
                payment = self._look(until, wire.reference_of(row))
                if not isinstance(payment, Done):
                    return payment
                found.append(payment.value)
            return Done(wire.likeliest(found) if found else None)

        return _not_for_good(self._within_deadline(work, f"find {key}"))

    def close(self, *, reference: str) -> Outcome[Payment]:
        """Expire the page or cancel the intent, and tell how it ended: it may have been paid meanwhile.

        Closing what is closed or paid changes nothing.
        """

        def send(client: stripe.StripeClient) -> object:
            if reference.startswith("cs_"):
                return client.v1.checkout.sessions.expire(reference, {"expand": wire.SESSION_WITH})
            return client.v1.payment_intents.cancel(reference, {"expand": wire.INTENT_WITH})

        def work(until: float) -> Outcome[Payment]:
            if not reference.startswith(("cs_", "pi_")):
                return NO_REFERENCE
            answer = self._ask(until, send)
            if isinstance(answer, Unknown):
                return answer
            if not wire.was_not_in_that_state(answer):
                return wire.payment_of(answer, is_live=self.is_live)
            seen = self._look(until, reference)
            if isinstance(seen, Done) and seen.value.state == PaymentState.OPEN:
                return Unknown(f"could not be closed, and is still open: {wire.unknown_of(answer).why}")
            return seen

        return self._within_deadline(work, f"close payment {ids.masked(reference)}")

    # -- refunds ----------------------------------------------------------------------------------------------------

    def refund(self, *, key: str, charge: str, money: Money) -> Outcome[Refund]:
        """Give money back to the card it came from. Idempotent by ``key`` for 24 hours."""

        def work(until: float) -> Outcome[Refund]:
            asked = wire.refund_asked(key=key, charge=charge, money=money)
            answer = self._ask(until, lambda client: client.v1.refunds.create(_as(asked), {"idempotency_key": key}))
            return answer if isinstance(answer, Unknown) else wire.refunded_of(answer, key=key, money=money)

        return self._within_deadline(work, f"refund {key}")

    def look_refund(self, *, reference: str) -> Outcome[Refund]:
        """The refund as it is now. Changes nothing."""

        def work(until: float) -> Outcome[Refund]:
            answer = self._ask(until, lambda client: client.v1.refunds.retrieve(reference))
            return answer if isinstance(answer, Unknown) else wire.refund_of(answer)

        return self._within_deadline(work, f"look at refund {ids.masked(reference)}")

    def find_refund(self, *, key: str, charge: str) -> Outcome[Refund | None]:
        """The refund of exactly this key; None when it is not there. Never refused for good."""

        def page(client: stripe.StripeClient, after: str) -> object:
            return client.v1.refunds.list(_as(wire.refunds_of_charge(charge, after)))

        def work(until: float) -> Outcome[Refund | None]:
            rows = self._all(until, page, key)
            if not isinstance(rows, Done):
                return rows
            try:
                return Done(wire.refund_row(rows.value[-1]) if rows.value else None)
            except wire.Unreadable as seen:
                return Unknown(str(seen))

        return _not_for_good(self._within_deadline(work, f"find refund {key}"))

    # -- customers and their cards ----------------------------------------------------------------------------------

    def make_payer(self, *, key: str) -> Outcome[str]:
        """A customer who is nobody but our key. Idempotent by ``key`` for 24 hours; a second one later is harmless."""

        def work(until: float) -> Outcome[str]:
            asked = wire.payer_asked(key)
            answer = self._ask(until, lambda client: client.v1.customers.create(_as(asked), {"idempotency_key": key}))
            return answer if isinstance(answer, Unknown) else wire.payer_of(answer, is_live=self.is_live)

        return self._within_deadline(work, f"make payer {key}")

    def forget_card(self, *, card: str) -> Outcome[None]:
        """Take a kept card from its customer for ever. Forgetting it again is ``Done``."""

        def work(until: float) -> Outcome[None]:
            answer = self._ask(until, lambda client: client.v1.payment_methods.detach(card))
            if isinstance(answer, wire.Answer) and wire.was_not_in_that_state(answer):
                # Stripe refuses what is detached already, in words that have no code: so see whose it is.
                answer = self._ask(until, lambda client: client.v1.payment_methods.retrieve(card))
            return answer if isinstance(answer, Unknown) else wire.forgotten_of(answer, is_live=self.is_live)

        return self._within_deadline(work, f"forget card {ids.masked(card)}")

    # -- webhooks ---------------------------------------------------------------------------------------------------

    signature_header = "Stripe-Signature"

    def read_webhook(self, *, body: bytes, signature: str, now: datetime) -> Event:
        """Verify the signature over the raw body and translate. No call is made.

        Raises:
            Forged: not signed with our secret, more than 5 minutes from ``now``, of the other mode, or no event.
        """
        return wire.event_of(body=body, signature=signature, secrets=self._secrets, now=now, is_live=self.is_live)

    # -- the wire ---------------------------------------------------------------------------------------------------

    def _all(
        self, until: float, page: Callable[[stripe.StripeClient, str], object], key: str
    ) -> Outcome[list[Mapping[str, Any]]]:
        """Every row of exactly this key in a list, newest first."""
        rows: list[Mapping[str, Any]] = []
        after = ""
        for _ in range(PAGES_AT_MOST):
            answer = self._ask(until, lambda client, after=after: page(client, after))
            if isinstance(answer, Unknown):
                return answer
            seen = wire.page_of(answer, key=key)
            if not isinstance(seen, Done):
                return seen
            rows += seen.value.rows
            after = seen.value.after
            if not after:
                return Done(rows)
        return Unknown(f"not seen within {PAGES_AT_MOST} pages, and there are more")

    def _within_deadline(self, work: Callable[[float], Outcome[T]], what: str) -> Outcome[T]:
        """The work's outcome, or ``Unknown`` once the deadline has passed.

        httpx's time-outs are per read and do not cover looking a name up, so the waiting is done here. A call that is
        given up goes on in a daemon thread until its own time-outs end it; there is room for so many of them only.
        """
        began = self._monotonic()
        seconds = self.call_deadline.total_seconds()
        if self._inline:
            return _logged(what, work(began + seconds), self._monotonic() - began)
        if not self._room.acquire(blocking=False):
            return _logged(what, Unknown(f"not asked: {CALLS_AT_ONCE} calls are under way"), 0)
        outcomes: queue.SimpleQueue[Outcome[T] | BaseException] = queue.SimpleQueue()

        def call() -> None:
            try:
                outcomes.put(work(began + seconds))
            except BaseException as error:  # raised again in the thread that waits
                outcomes.put(error)
            finally:
                self._room.release()

        threading.Thread(target=call, name=f"stripe {what}", daemon=True).start()
        try:
            outcome = outcomes.get(timeout=seconds)
        except queue.Empty:
            outcome = Unknown(f"no whole answer within {seconds:g} s")
        if isinstance(outcome, BaseException):
            raise outcome
        return _logged(what, outcome, self._monotonic() - began)

    def _ask(self, until: float, send: Callable[[stripe.StripeClient], object]) -> wire.Answer | Unknown:
        """One call through the SDK. What counts is the answer as it came, not what the SDK made of it."""
        line = _Line(self._http, until, self._monotonic)
        client = stripe.StripeClient(
            self._key, base_addresses={"api": self._base_url}, http_client=line, max_network_retries=0
        )
        try:
            send(client)
        except stripe.APIConnectionError as lost:
            return Unknown(lost.user_message or "no answer")
        except Exception:
            if line.heard is None:  # our own mistake: nothing was asked
                raise
        assert line.heard is not None
        return line.heard


class _Line(stripe.HTTPClient):
    """The SDK's way out for one call: sends it once, gives it up at ``until``, keeps the answer as it came."""

    name = "httpx"

    def __init__(self, http: httpx.Client, until: float, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._line, self._until, self._now = http, until, monotonic
        self.heard: wire.Answer | None = None

    def request_with_retries(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        max_network_retries: int | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Raises ``stripe.APIConnectionError`` with a sentence fit for a log when no whole answer came."""
        try:
            status, content, told = self._exchange(method, url, headers, post_data)
        except _TooLate:
            raise stripe.APIConnectionError("the deadline had passed before the call") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise stripe.APIConnectionError(f"no answer: {type(error).__name__}") from None
        self.heard = wire.answer_of(status=status, content=content, headers=told)
        return content.decode(errors="replace"), status, {}

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[int, bytes, httpx.Headers]:
        left = self._until - self._now()
        if left <= 0:
            raise _TooLate
        request = self._line.build_request(
            method,
            url,
            content=post_data,
            headers={name: headers[name] for name in HEADERS if name in headers} | {"Accept": "application/json"},
            timeout=left,
            extensions={"trace": self._nothing_sent_too_late},
        )
        content = bytearray()
        response = self._line.send(request, stream=True)
        try:
            for chunk in response.iter_bytes():
                content += chunk
                if self._now() > self._until or len(content) > LARGEST_ANSWER_BYTES:
                    raise stripe.APIConnectionError("the answer was too slow or too long")
        finally:
            response.close()
        return response.status_code, bytes(content), response.headers

    def _nothing_sent_too_late(self, event: str, info: object) -> None:
        """Stops a call that was given up while it looked a name up or connected: ``absent_after`` counts on that."""
        if event == "http11.send_request_headers.started" and self._now() > self._until:
            raise _TooLate


def _as(params: dict[str, Any]) -> Any:
    """What ``wire`` has made, as the SDK's own type, which a pure module cannot name."""
    return params


def _not_for_good(outcome: Outcome[T]) -> Outcome[T]:
    """A look that failed is never "it is not there", and nothing that a look was refused ends a payment."""
    if isinstance(outcome, Refused) and outcome.retry_after is None:
        return Unknown(f"could not look: {outcome.reason} {outcome.detail}")
    return outcome


def _logged(what: str, outcome: Outcome[T], seconds: float) -> Outcome[T]:
    """The outcome; a line of it without keys, secrets or anybody's data."""
    match outcome:
        case Done():
            log.info("%s: done in %.3f s", what, seconds)
        case Refused():
            log.warning("%s: refused, %s (%s) in %.3f s", what, outcome.reason, outcome.detail, seconds)
        case Unknown():
            log.warning("%s: unknown, %s in %.3f s", what, outcome.why, seconds)
    return outcome
