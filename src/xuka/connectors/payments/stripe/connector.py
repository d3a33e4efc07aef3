"""Stripe as a ``Provider``, on its official SDK. Translates and keeps the deadline; decides nothing."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import httpx
import stripe

from xuka.connectors.deadline import Deadline, Lost, not_for_good
from xuka.connectors.payments.stripe import wire
from xuka.kernel import ids
from xuka.kernel.money import Money, step
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Event,
    Method,
    Misconfigured,
    Payment,
    PaymentState,
    Reason,
    Refund,
    Settled,
    UnreadableStatement,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

# The SDK would write a file into the home directory to tell this computer from others; only a global switch stops it.
stripe.enable_telemetry = False
# It logs addresses and whole bodies below this level, and bodies carry what buyers type on Stripe's page.
logging.getLogger("stripe").setLevel(logging.WARNING)

PAGES_AT_MOST = 50
LARGEST_ANSWER_BYTES = 8_000_000

# What goes out of the headers that the SDK makes; the others describe this computer.
HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version")

NO_REFERENCE = Refused(Reason.UNKNOWN_PAYMENT, None, "neither the id of a session nor of an intent")


class Stripe:
    """One seller's account at Stripe, in test mode or in live mode. Safe to use from many threads.

    Args:
        base_url: a setting, because the sandbox here is one too.
        key: "sk_test_…", "sk_live_…", or a restricted one ("rk_…"); its prefix says whether money really moves.
        webhook_secret: the signing secret of the webhook endpoint; while it is exchanged both, parted by a space.
        call_deadline: the total time of one call, every page included, however slowly an answer drips.
        markets: ISO 3166 codes of the markets to offer it in.
        country: of the seller's account: what can be activated, and in which currency, depends on it.
        methods: those that are activated for the account, as ``wire.WAYS`` names them.
        keeps: which of them it may keep for later payments; for "paypal" Stripe must have enabled recurring payments.
        transport: how HTTP goes out; None for the network. A transport that is handed in is called in the calling
            thread and trusted to keep the deadline (the in-process sandbox answers at once).
        monotonic: seconds that never go back, for the deadline.

    Raises:
        Misconfigured: a key of no known mode, or no webhook secret.
    """

    name = "stripe"
    webhook_answer = ""
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
        country: str = "BE",
        methods: Iterable[str] = ("card",),
        keeps: Iterable[str] = ("card",),
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
        names, self._markets = tuple(methods), tuple(markets)
        if unknown := set(names) - set(wire.WAYS):
            raise Misconfigured(f"Stripe's methods here are {', '.join(wire.WAYS)}; not {', '.join(sorted(unknown))}.")
        kept = frozenset(keeps)
        if unknown := kept - wire.KEPT:
            raise Misconfigured(f"Stripe keeps {', '.join(sorted(wire.KEPT))}; not {', '.join(sorted(unknown))}.")
        self._methods = wire.methods_of(names=names, kept=kept, country=country, markets=self._markets)
        if lost := set(names) - {one.name for one in self._methods}:
            raise Misconfigured(f"A Stripe account of {country} has no {', '.join(sorted(lost))}.")
        self._deadline = Deadline(
            call_deadline, name=self.name, inline=transport is not None, log=log, monotonic=monotonic
        )
        self._http = httpx.Client(transport=transport)

    # -- payments ---------------------------------------------------------------------------------------------------

    def methods(self) -> tuple[Method, ...]:
        """What the account has activated; Apple Pay and Google Pay are cards. No call is made."""
        return self._methods

    def start(self, ask: Ask) -> Outcome[Payment]:
        """A hosted page, or with a saved method the payment itself. Idempotent by ``ask.key`` for 24 hours.

        ``Refused(DECLINED)`` or ``(NEEDS_CUSTOMER)`` only for a saved one: nothing was taken and nothing can be.
        An amount that is not at a whole step of its currency (half a Taiwan dollar) is refused before asking.
        """

        if ask.money.minor % step(ask.money.currency):
            return Refused(Reason.BAD_REQUEST, None, f"only whole {ask.money.currency} are asked for")

        def send(client: stripe.StripeClient) -> object:
            if ask.saved_method:
                return client.v1.payment_intents.create(_as(wire.intent_asked(ask)), {"idempotency_key": ask.key})
            return client.v1.checkout.sessions.create(_as(wire.session_asked(ask)), {"idempotency_key": ask.key})

        def work(until: float) -> Outcome[Payment]:
            answer = self._ask(until, send)
            if isinstance(answer, Unknown):
                return answer
            return wire.started_of(answer, key=ask.key, is_live=self.is_live)

        return self._deadline.keep(work, f"start {ask.key}")

    def look(self, *, reference: str) -> Outcome[Payment]:
        """The payment as it is now. Changes nothing."""
        return self._deadline.keep(
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

        return not_for_good(self._deadline.keep(work, f"find {key}"))

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
            if isinstance(seen, Done) and seen.value.state == PaymentState.OPEN and reference.startswith("cs_"):
                seen = self._void_slip(until, reference)
            if isinstance(seen, Done) and seen.value.state == PaymentState.OPEN:
                return Unknown(f"could not be closed, and is still open: {wire.unknown_of(answer).why}")
            return seen

        return self._deadline.keep(work, f"close payment {ids.masked(reference)}")

    def _void_slip(self, until: float, reference: str) -> Outcome[Payment]:
        """A session is complete once the slip is made; what can still be cancelled is the intent behind it."""
        session = self._ask(until, lambda client: client.v1.checkout.sessions.retrieve(reference))
        if isinstance(session, Unknown):
            return session
        cancelled = self._ask(until, lambda client: client.v1.payment_intents.cancel(wire.intent_of(session)))
        return cancelled if isinstance(cancelled, Unknown) else self._look(until, reference)

    def capture(self, *, key: str, reference: str, money: Money) -> Outcome[Payment]:
        """Stripe captures by itself: nothing is ever left approved, so this only looks."""
        return self.look(reference=reference)

    # -- refunds ----------------------------------------------------------------------------------------------------

    def refund(self, *, key: str, charge: str, money: Money) -> Outcome[Refund]:
        """Give money back to the card it came from. Idempotent by ``key`` for 24 hours."""

        def work(until: float) -> Outcome[Refund]:
            asked = wire.refund_asked(key=key, charge=charge, money=money)
            answer = self._ask(until, lambda client: client.v1.refunds.create(_as(asked), {"idempotency_key": key}))
            return answer if isinstance(answer, Unknown) else wire.refunded_of(answer, key=key, money=money)

        return self._deadline.keep(work, f"refund {key}")

    def look_refund(self, *, reference: str) -> Outcome[Refund]:
        """The refund as it is now. Changes nothing."""

        def work(until: float) -> Outcome[Refund]:
            answer = self._ask(until, lambda client: client.v1.refunds.retrieve(reference))
            return answer if isinstance(answer, Unknown) else wire.refund_of(answer)

        return self._deadline.keep(work, f"look at refund {ids.masked(reference)}")

    def find_refund(
        self, *, key: str, charge: str, money: Money | None = None, others: Collection[str] = ()
    ) -> Outcome[Refund | None]:
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

        return not_for_good(self._deadline.keep(work, f"find refund {key}"))

    # -- customers and what they keep --------------------------------------------------------------------------------

    def make_payer(self, *, key: str) -> Outcome[str]:
        """A customer who is nobody but our key. Idempotent by ``key`` for 24 hours; a second one later is harmless."""

        def work(until: float) -> Outcome[str]:
            asked = wire.payer_asked(key)
            answer = self._ask(until, lambda client: client.v1.customers.create(_as(asked), {"idempotency_key": key}))
            return answer if isinstance(answer, Unknown) else wire.payer_of(answer, is_live=self.is_live)

        return self._deadline.keep(work, f"make payer {key}")

    def forget_method(self, *, reference: str) -> Outcome[None]:
        """Take a saved method from its customer for ever. Forgetting it again is ``Done``."""

        def work(until: float) -> Outcome[None]:
            answer = self._ask(until, lambda client: client.v1.payment_methods.detach(reference))
            if isinstance(answer, wire.Answer) and wire.was_not_in_that_state(answer):
                # Stripe refuses what is detached already, in words that have no code: so see whose it is.
                answer = self._ask(until, lambda client: client.v1.payment_methods.retrieve(reference))
            return answer if isinstance(answer, Unknown) else wire.forgotten_of(answer, is_live=self.is_live)

        return self._deadline.keep(work, f"forget {ids.masked(reference)}")

    # -- webhooks ---------------------------------------------------------------------------------------------------

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        """Verify the signature over the raw body and translate. No call is made.

        Raises:
            Forged: not signed with our secret, more than 5 minutes from ``now``, of the other mode, or no event.
        """
        signature = headers.get("stripe-signature", "")
        return wire.event_of(body=body, signature=signature, secrets=self._secrets, now=now, is_live=self.is_live)

    def settlements(self, *, day: date) -> Outcome[Sequence[Settled]]:
        """Everything that moved in the account's balance on that day, UTC. Changes nothing."""

        def work(until: float) -> Outcome[Sequence[Settled]]:
            rows: list[Settled] = []
            after = ""
            for _ in range(PAGES_AT_MOST):
                wanted = _as(wire.settled_on(day, after))
                answer = self._ask(until, lambda client, wanted=wanted: client.v1.balance_transactions.list(wanted))
                seen = answer if isinstance(answer, Unknown) else wire.settled_of(answer)
                if not isinstance(seen, Done):
                    return seen
                page, after = seen.value
                rows += page
                if not after:
                    return Done(rows)
            return Unknown(f"not seen within {PAGES_AT_MOST} pages, and there are more")

        return not_for_good(self._deadline.keep(work, f"settled on {day}"))

    def read_statement(self, *, content: bytes) -> Sequence[Settled]:
        """Stripe is asked by ``settlements``.

        Raises:
            UnreadableStatement: always.
        """
        raise UnreadableStatement("Stripe tells what it settled by itself: no file is needed.")

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

    def _ask(self, until: float, send: Callable[[stripe.StripeClient], object]) -> wire.Answer | Unknown:
        """One call through the SDK. What counts is the answer as it came, not what the SDK made of it."""
        line = _Line(self._http, until, self._deadline)
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

    def __init__(self, http: httpx.Client, until: float, deadline: Deadline) -> None:
        super().__init__()
        self._http, self._until, self._deadline = http, until, deadline
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
        request = self._http.build_request(
            method,
            url,
            content=post_data,
            headers={name: headers[name] for name in HEADERS if name in headers} | {"Accept": "application/json"},
        )
        heard = self._deadline.exchange(self._http, request, self._until, largest_bytes=LARGEST_ANSWER_BYTES)
        if isinstance(heard, Lost):
            raise stripe.APIConnectionError(heard.why)
        self.heard = wire.answer_of(status=heard.status, content=heard.content, headers=heard.headers)
        return heard.content.decode(errors="replace"), heard.status, {}


def _as(params: dict[str, Any]) -> Any:
    """What ``wire`` has made, as the SDK's own type, which a pure module cannot name."""
    return params
