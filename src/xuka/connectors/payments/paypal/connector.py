"""PayPal as a ``Provider``, on its official SDK. Translates and keeps the deadline; decides nothing."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from xuka.connectors.deadline import Deadline, Lost, not_for_good
from xuka.connectors.payments.paypal import sdk, wire
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    CannotVerify,
    Event,
    Forged,
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

LIVE_HOST = "api-m.paypal.com"
PAGES_AT_MOST = 20
WHOLE_ORDER = "return=representation"
NOT_KEPT = Refused(Reason.BAD_REQUEST, None, "nothing is kept at PayPal")
NO_TOKEN = Refused(Reason.METHOD_GONE, None, "no id of what PayPal keeps")
NO_REFERENCE = Refused(Reason.UNKNOWN_PAYMENT, None, "no id of PayPal's")


class PayPal:
    """One REST app of a business account at PayPal, live or in the sandbox. Safe to use from many threads.

    Args:
        base_url: "https://api-m.paypal.com", "https://api-m.sandbox.paypal.com", or a stand-in.
        client_id, client_secret: of the app, which needs the feature "Transaction Search"; with ``keeps`` also "Save
            payment methods".
        webhook_id: PayPal's own id of the webhook, as its dashboard shows it.
        call_deadline: of one call in total, a token and every page included.
        markets: ISO 3166 codes of the markets to offer it in.
        keeps: whether a customer may have their account kept here. PayPal has to allow it to the seller first: else
            it refuses whoever wants that.
        transport: how HTTP goes out; None for the network. One that is handed in is trusted to keep the deadline.
        now: aware UTC, for what is searched up to now.
        monotonic: seconds that never go back.

    Raises:
        Misconfigured: a key or a market is missing, or ``keeps`` is neither true nor false.
    """

    name = "paypal"
    webhook_answer = ""
    # PayPal keeps a PayPal-Request-Id for 6 hours.
    keys_live = timedelta(hours=6)
    absent_after = timedelta(minutes=2)

    def __init__(
        self,
        *,
        base_url: str = f"https://{LIVE_HOST}",
        client_id: str,
        client_secret: str,
        webhook_id: str,
        call_deadline: timedelta = timedelta(seconds=30),
        markets: Iterable[str] = ("BE", "JP"),
        keeps: bool = False,
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._markets = frozenset(markets)
        if not self._markets:
            raise Misconfigured("PayPal is offered in no market.")
        if not client_id.strip() or not client_secret.strip():
            raise Misconfigured("PayPal's client id or client secret is missing.")
        if not webhook_id.strip():
            raise Misconfigured("PayPal's webhook id is missing: without it no notice can be verified.")
        if keeps not in (True, False):
            raise Misconfigured("Whether PayPal keeps accounts is true or false.")
        self._keeps = keeps
        self.is_live = urlsplit(base_url).hostname == LIVE_HOST
        self.call_deadline = call_deadline
        self._base_url, self._webhook = base_url.rstrip("/"), webhook_id.strip()
        self._id, self._secret = client_id.strip(), client_secret.strip()
        self._now, self._monotonic = now, monotonic
        self._token, self._token_until, self._guard = "", 0.0, threading.Lock()
        self._deadline = Deadline(
            call_deadline, name=self.name, inline=transport is not None, log=log, monotonic=monotonic
        )
        self._http = httpx.Client(transport=transport)

    # -- payments ---------------------------------------------------------------------------------------------------

    def methods(self) -> tuple[Method, ...]:
        """PayPal. No call is made."""
        return (Method("paypal", self._markets, wire.LIMITS, can_be_saved=self._keeps),)

    def start(self, ask: Ask) -> Outcome[Payment]:
        """An order and the page where the person approves it. Idempotent by ``ask.key`` for 6 hours.

        With ``saved_method`` there is no page and nothing is taken: the order is approved by its mandate, and what
        was kept is charged, or declined, when it is captured.
        """
        try:
            asked = wire.order_asked(ask)
        except wire.Unreadable as why:
            return Refused(Reason.BAD_REQUEST, None, str(why))
        options = {"body": asked, "paypal_request_id": ask.key, "prefer": WHOLE_ORDER}

        def work(until: float) -> Outcome[Payment]:
            seen = self._read(until, lambda client: client.orders.create_order(options), wire.order_of)
            if isinstance(seen, Done) and seen.value.key != ask.key:
                return Unknown("an order of another key than was asked")
            return seen

        return self._deadline.keep(work, f"start {ask.key}")

    def look(self, *, reference: str) -> Outcome[Payment]:
        """The payment as it is now; an order that PayPal does not know any more died unpaid. Changes nothing."""
        return self._deadline.keep(lambda until: self._look(until, reference), f"look at {ids.masked(reference)}")

    def _look(self, until: float, reference: str, *, declined: str = "") -> Outcome[Payment]:
        if not wire.is_reference(reference):
            return NO_REFERENCE
        answer = self._order(until, reference)
        return self._seen(answer, reference, declined) if isinstance(answer, wire.Answer) else answer

    def _order(self, until: float, reference: str) -> wire.Answer | Refused | Unknown:
        return self._ask(until, lambda client: client.orders.get_order({"id": reference}))

    def _seen(self, answer: wire.Answer, reference: str, declined: str = "") -> Outcome[Payment]:
        seen = wire.order_of(answer, declined=declined)
        if isinstance(seen, Refused) and seen.reason == Reason.UNKNOWN_PAYMENT:
            return Done(Payment(reference, "", PaymentState.CLOSED, declined=declined))
        return seen

    def capture(self, *, key: str, reference: str, money: Money) -> Outcome[Payment]:
        """Take the money of an order that the person approved, or that is to be paid with what was kept. Doing it
        again takes nothing more.

        An order is captured once, whoever asks. No request id goes with what the person approved: PayPal would answer
        a capture after a second approval with the decline of the first.
        """
        if not wire.is_reference(reference):
            return NO_REFERENCE

        def work(until: float) -> Outcome[Payment]:
            options = {"id": reference, "prefer": WHOLE_ORDER}
            answer = self._ask(until, lambda client: client.orders.capture_order(options))
            if isinstance(answer, wire.Answer) and answer.issue == "ORDER_NOT_APPROVED":
                return self._charge(until, reference, answer, options | {"paypal_request_id": f"{key}-charge"})
            return self._taken(until, reference, answer)

        return self._deadline.keep(work, f"capture {key}")

    def _charge(
        self, until: float, reference: str, not_approved: wire.Answer, options: dict[str, Any]
    ) -> Outcome[Payment]:
        """Nobody approved it: charge what was kept, if that is what the order says. The order tells it and not the
        shop, for whoever captures knows it by its id alone."""
        order = self._order(until, reference)
        if not isinstance(order, wire.Answer):
            return order
        asked = wire.charge_asked(order)
        if asked is None:
            return _unless_waiting(self._seen(order, reference), not_approved)
        answer = self._ask(until, lambda client: client.orders.capture_order(options | {"body": asked}))
        seen = self._taken(until, reference, answer)
        if isinstance(answer, wire.Answer) and answer.issue == wire.NOT_THERE and isinstance(seen, Unknown):
            return self._look(until, reference, declined=answer.issue)  # the order is there: what was kept is not
        return seen

    def _taken(self, until: float, reference: str, answer: wire.Answer | Refused | Unknown) -> Outcome[Payment]:
        """What a capture came to; where its answer does not tell, the order does."""
        if not isinstance(answer, wire.Answer):
            return answer
        if answer.issue in wire.DECLINED | wire.GONE:
            return self._look(until, reference, declined=answer.issue)
        if answer.issue in wire.LOOK:
            return _unless_waiting(self._look(until, reference), answer)
        return wire.order_of(answer)

    def find(self, *, key: str, asked_at: datetime, is_hosted: bool) -> Outcome[Payment | None]:
        """The captured payment of exactly this key; None when there is none. Never refused for good.

        An order that was never heard of cannot be found, nor cost anybody anything: money moves when it is captured,
        by its id. PayPal shows a transaction within 3 hours.
        """

        def work(until: float) -> Outcome[Payment | None]:
            end = max(min(self._now(), asked_at + self.keys_live), asked_at) + timedelta(minutes=10)
            rows = self._transactions(until, asked_at - timedelta(minutes=10), end)
            if not isinstance(rows, Done):
                return rows
            mine = [row for row in rows.value[0] if wire.is_payment_of(row, key)]
            if not mine:
                return Done(None)
            order = self._order_of(until, str(mine[0].get("transaction_id")))
            return self._look(until, order.value) if isinstance(order, Done) else order

        return not_for_good(self._deadline.keep(work, f"find {key}"))

    def close(self, *, reference: str) -> Outcome[Payment]:
        """How it ended. PayPal has no call that ends an order: one that is not captured takes nothing, and dies within
        3 hours, so it counts as closed. Again: changes nothing."""

        def work(until: float) -> Outcome[Payment]:
            seen = self._look(until, reference)
            if isinstance(seen, Done) and seen.value.state in {PaymentState.OPEN, PaymentState.APPROVED}:
                return Done(replace(seen.value, state=PaymentState.CLOSED, url=""))
            return seen

        return self._deadline.keep(work, f"close {ids.masked(reference)}")

    # -- refunds ----------------------------------------------------------------------------------------------------

    def refund(self, *, key: str, charge: str, money: Money) -> Outcome[Refund]:
        """Give money back. Idempotent by ``key`` for 6 hours."""
        try:
            asked = wire.refund_asked(key=key, money=money)
        except wire.Unreadable as why:
            return Refused(Reason.BAD_REQUEST, None, str(why))
        options = {"capture_id": charge, "body": asked, "paypal_request_id": key, "prefer": WHOLE_ORDER}

        def work(until: float) -> Outcome[Refund]:
            seen = self._read(until, lambda client: client.payments.refund_captured_payment(options), wire.refund_of)
            if isinstance(seen, Done) and (seen.value.key, seen.value.money) != (key, money):
                return Unknown("a refund of something else than was asked")
            return seen

        return self._deadline.keep(work, f"refund {key}") if wire.is_reference(charge) else NO_REFERENCE

    def look_refund(self, *, reference: str) -> Outcome[Refund]:
        """The refund as it is now. Changes nothing."""
        if not wire.is_reference(reference):
            return NO_REFERENCE
        return self._deadline.keep(
            lambda until: self._refund(until, reference), f"look at refund {ids.masked(reference)}"
        )

    def _refund(self, until: float, reference: str) -> Outcome[Refund]:
        return self._read(until, lambda client: client.payments.get_refund({"refund_id": reference}), wire.refund_of)

    def find_refund(
        self, *, key: str, charge: str, money: Money | None = None, others: Collection[str] = ()
    ) -> Outcome[Refund | None]:
        """The refund of exactly this key, among those of its order; None when it is not there. Never refused for
        good."""

        def work(until: float) -> Outcome[Refund | None]:
            order = self._order_of(until, charge)
            if not isinstance(order, Done):
                return order
            there = self._read(until, lambda client: client.orders.get_order({"id": order.value}), wire.refund_ids_of)
            if not isinstance(there, Done):
                return there
            for id in there.value:
                seen = self._refund(until, id)
                if not isinstance(seen, Done) or seen.value.key == key:
                    return seen
            return Done(None)

        keep = wire.is_reference(charge)
        return not_for_good(self._deadline.keep(work, f"find refund {key}") if keep else NO_REFERENCE)

    def _order_of(self, until: float, charge: str) -> Outcome[str]:
        return self._read(
            until, lambda client: client.payments.get_captured_payment({"capture_id": charge}), wire.order_id_of
        )

    # -- what is kept -----------------------------------------------------------------------------------------------

    def make_payer(self, *, key: str) -> Outcome[str]:
        """Our own key: PayPal makes its customer by itself when it keeps something, and takes our word for them (1 to
        64 letters, digits, hyphens …). No call is made. Refused where nothing is kept."""
        return Done(key) if self._keeps else NOT_KEPT

    def forget_method(self, *, reference: str) -> Outcome[None]:
        """Have PayPal forget what it kept, also where nothing is kept any more. Forgetting it again is ``Done``."""
        if not wire.is_token(reference):
            return NO_TOKEN

        def work(until: float) -> Outcome[None]:
            answer = self._ask(until, lambda client: client.vault.delete_payment_token(reference))
            return wire.forgotten_of(answer) if isinstance(answer, wire.Answer) else answer

        return self._deadline.keep(work, f"forget {ids.masked(reference)}")

    # -- what is told -----------------------------------------------------------------------------------------------

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        """Have PayPal verify its signature over the raw body, then translate.

        Raises:
            Forged: PayPal says so, or it lacks what PayPal signs with, or is more than three days old.
            CannotVerify: PayPal did not say.
        """
        asked = wire.to_verify(body=body, headers=headers, webhook_id=self._webhook, now=now)

        def work(until: float) -> Outcome[bool]:
            answer = self._ask(until, None, verify=asked)
            if not isinstance(answer, wire.Answer):
                return answer
            said = wire.is_genuine(answer)
            return wire.refusal_of(answer) or wire.unknown_of(answer) if said is None else Done(said)

        outcome = self._deadline.keep(work, "verify a webhook")
        if not isinstance(outcome, Done):
            raise CannotVerify("PayPal did not say whether it signed this")
        if not outcome.value:
            raise Forged("PayPal says that it did not sign this")
        return wire.event_of(body)

    def settlements(self, *, day: date) -> Outcome[Sequence[Settled]]:
        """Everything that moved on this day, UTC. ``Unknown`` while PayPal's report does not reach its end."""

        def work(until: float) -> Outcome[Sequence[Settled]]:
            start, end = wire.day_of(day)
            rows = self._transactions(until, start, end)
            if not isinstance(rows, Done):
                return rows
            reaches = rows.value[1]
            if reaches is None or reaches < end:
                return Unknown("PayPal's report does not reach the end of the day yet")
            return wire.settled_of(rows.value[0])

        return self._deadline.keep(work, "settlements")

    def read_statement(self, *, content: bytes) -> Sequence[Settled]:
        """Raises ``UnreadableStatement``: PayPal is asked instead."""
        raise UnreadableStatement("PayPal's transactions are asked for, not read from a file")

    def _transactions(
        self, until: float, start: datetime, end: datetime
    ) -> Outcome[tuple[list[Mapping[str, Any]], datetime | None]]:
        """Every transaction between, and how far PayPal's report goes."""
        rows: list[Mapping[str, Any]] = []
        for page in range(1, PAGES_AT_MOST + 1):
            asked = wire.transactions_asked(start, end, page)
            seen = self._read(
                until,
                lambda client, asked=asked: client.transaction_search.search_transactions(asked),
                wire.page_of,
            )
            if not isinstance(seen, Done):
                return seen
            rows += seen.value.rows
            if page >= seen.value.pages:
                return Done((rows, seen.value.until))
        return Unknown(f"more than {PAGES_AT_MOST} pages of transactions")

    # -- the wire ---------------------------------------------------------------------------------------------------

    def _read(
        self,
        until: float,
        send: Callable[[Any], object],
        read: Callable[[wire.Answer], Outcome[T]],
    ) -> Outcome[T]:
        answer = self._ask(until, send)
        return read(answer) if isinstance(answer, wire.Answer) else answer

    def _ask(
        self, until: float, send: Callable[[Any], object] | None, *, verify: bytes = b""
    ) -> wire.Answer | Refused | Unknown:
        """One call with a good token; once more with a fresh one when PayPal took the kept one back."""
        token = self._good_token(until)
        if not isinstance(token, Done):
            return token
        answer = self._sent(until, token.value, send, verify)
        if isinstance(answer, Unknown) or answer.status != 401:
            return answer
        with self._guard:
            self._token = "" if self._token == token.value else self._token
        fresh = self._good_token(until)
        return self._sent(until, fresh.value, send, verify) if isinstance(fresh, Done) else fresh

    def _sent(
        self, until: float, token: str, send: Callable[[Any], object] | None, verify: bytes
    ) -> wire.Answer | Unknown:
        line = sdk.Line(self._http, until, self._deadline)
        if send is None:  # the SDK does not know how webhooks are verified
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            line.send("POST", f"{self._base_url}/v1/notifications/verify-webhook-signature", headers, verify)
        else:
            self._through(line, token, send)
        if isinstance(line.heard, Lost):
            return Unknown(line.heard.why)
        assert line.heard is not None
        return wire.answer_of(status=line.heard.status, content=line.heard.content)

    def _good_token(self, until: float) -> Outcome[str]:
        """The token, asked for when there is none or a tenth of its time is left."""
        with self._guard:
            if self._token and self._monotonic() < self._token_until:
                return Done(self._token)
        line = sdk.Line(self._http, until, self._deadline)
        basic = base64.b64encode(f"{self._id}:{self._secret}".encode()).decode()
        self._through(
            line, "", lambda client: client.o_auth_authorization.request_token({"authorization": f"Basic {basic}"})
        )
        if isinstance(line.heard, Lost):
            return Unknown(line.heard.why)
        assert line.heard is not None
        seen = wire.token_of(wire.answer_of(status=line.heard.status, content=line.heard.content))
        if not isinstance(seen, Done):
            return seen
        token, seconds = seen.value
        with self._guard:
            self._token, self._token_until = token, self._monotonic() + seconds * 0.9
        return Done(token)

    def _through(self, line: sdk.Line, token: str, send: Callable[[Any], object]) -> None:
        client = sdk.client(line, base_url=self._base_url, client_id=self._id, secret=self._secret, token=token)
        try:
            send(client)
        except sdk.Over:
            return
        raise AssertionError("the SDK did not send anything")


def _unless_waiting(seen: Outcome[Payment], answer: wire.Answer) -> Outcome[Payment]:
    """An order that still waits to be captured tells nothing of why it was not: it is looked at again later."""
    is_waiting = isinstance(seen, Done) and seen.value.state == PaymentState.APPROVED
    return wire.unknown_of(answer) if is_waiting else seen
