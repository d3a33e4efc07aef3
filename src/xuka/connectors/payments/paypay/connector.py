"""PayPay (Japan) as a ``Provider``, on its official SDK. Translates and keeps the deadline; decides nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from xuka.connectors.deadline import Deadline, Heard, Lost, not_for_good
from xuka.connectors.payments.paypay import wire
from xuka.connectors.payments.paypay.sdk import Client
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Event,
    Forged,
    Method,
    Misconfigured,
    Payment,
    PaymentState,
    Reason,
    Refund,
    Settled,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

LIVE_HOST = "apigw.paypay.ne.jp"
NOT_KEPT = Refused(Reason.BAD_REQUEST, None, "nothing is kept at PayPay")
NO_REFERENCE = Refused(Reason.UNKNOWN_PAYMENT, None, "no reference of a payment at PayPay")


class PayPay:
    """One merchant at PayPay, in production or in its sandbox. Safe to use from many threads.

    Args:
        base_url: "https://apigw.paypay.ne.jp", "https://apigw.sandbox.paypay.ne.jp", or a stand-in.
        api_key, api_secret, merchant_id: of PayPay for Developers.
        call_deadline: of one call in total; PayPay asks for 30 s.
        markets: JP only.
        transport: how HTTP goes out; None for the network. One that is handed in is trusted to keep the deadline.
        monotonic: seconds that never go back.

    Raises:
        Misconfigured: a key is missing, or another market than Japan.
    """

    name = "paypay"
    webhook_answer = ""
    # Our key is PayPay's own number of the payment or refund: it never makes a second of one.
    keys_live = timedelta(days=1)
    absent_after = timedelta(minutes=2)

    def __init__(
        self,
        *,
        base_url: str = f"https://{LIVE_HOST}",
        api_key: str,
        api_secret: str,
        merchant_id: str,
        call_deadline: timedelta = timedelta(seconds=30),
        markets: Iterable[str] = ("JP",),
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if set(markets) != {"JP"}:
            raise Misconfigured("PayPay is offered in JP only.")
        if not api_key.strip() or not api_secret.strip() or not merchant_id.strip():
            raise Misconfigured("PayPay's API key, API secret or merchant id is missing.")
        self.is_live = urlsplit(base_url).hostname == LIVE_HOST
        self.call_deadline = call_deadline
        self._base_url, self._merchant = base_url.rstrip("/"), merchant_id.strip()
        self._auth = (api_key.strip(), api_secret.strip())
        self._deadline = Deadline(
            call_deadline, name=self.name, inline=transport is not None, log=log, monotonic=monotonic
        )
        self._http = httpx.Client(transport=transport)

    # -- payments ---------------------------------------------------------------------------------------------------

    def methods(self) -> tuple[Method, ...]:
        """PayPay, in yen. No call is made."""
        return (Method("paypay", frozenset({"JP"}), wire.LIMITS, per_day=wire.PER_DAY),)

    def start(self, ask: Ask) -> Outcome[Payment]:
        """A code of PayPay's own page, or on a phone the address that opens the app. Idempotent by ``ask.key``; of a
        code that PayPay does not tell again only the state is known, and no address."""
        least, most = wire.LIMITS["JPY"]
        if ask.money.currency != "JPY" or not least <= ask.money.minor <= most:
            return Refused(Reason.BAD_REQUEST, None, "PayPay takes 1 to 500,000 yen")

        def work(until: float) -> Outcome[Payment]:
            answer = self._ask(until, lambda client: client.Code.create_qr_code(wire.code_asked(ask)))
            if isinstance(answer, Unknown) or answer.code != wire.ASKED_BEFORE:
                return answer if isinstance(answer, Unknown) else wire.started_of(answer, ask=ask)
            return self._look(until, ask.key, "")

        return self._deadline.keep(work, f"start {ask.key}")

    def look(self, *, reference: str) -> Outcome[Payment]:
        """The payment as it is now. Changes nothing."""
        parts = wire.parts_of(reference)
        if parts is None:
            return NO_REFERENCE
        return self._deadline.keep(lambda until: self._look(until, *parts), f"look at {ids.masked(parts[0])}")

    def _look(self, until: float, key: str, code: str) -> Outcome[Payment]:
        """A code that is not there any more is closed: it cannot be paid, and was not."""
        seen = self._seen(until, key, code)
        if isinstance(seen, Done):
            return Done(seen.value or Payment(wire.reference_of(key, code), key, PaymentState.CLOSED))
        return seen

    def _seen(self, until: float, key: str, code: str) -> Outcome[Payment | None]:
        answer = self._ask(until, lambda client: client.Code.get_payment_details(key))
        return answer if isinstance(answer, Unknown) else wire.payment_of(answer, key=key, code=code)

    def capture(self, *, key: str, reference: str, money: Money) -> Outcome[Payment]:
        """PayPay captures by itself: nothing is ever left approved, so this only looks."""
        return self.look(reference=reference)

    def find(self, *, key: str, asked_at: datetime, is_hosted: bool) -> Outcome[Payment | None]:
        """The payment of exactly this key; None when there is none, or its code died unpaid. Never refused for good."""
        return not_for_good(self._deadline.keep(lambda until: self._seen(until, key, ""), f"find {key}"))

    def close(self, *, reference: str) -> Outcome[Payment]:
        """Delete the code and tell how it ended. Closing what is closed or paid changes nothing.

        Where the code's id was never heard, PayPay is told to send back at once whatever is paid on it.
        """
        parts = wire.parts_of(reference)
        if parts is None:
            return NO_REFERENCE
        key, code = parts

        def work(until: float) -> Outcome[Payment]:
            before = self._look(until, key, code)
            if not isinstance(before, Done) or before.value.state != PaymentState.OPEN:
                return before
            answer = self._ask(
                until,
                lambda client: client.Code.delete_qr_code(code) if code else client.Payment.cancel_payment(key),
            )
            if isinstance(answer, Unknown):
                return answer
            is_gone = wire.is_done(answer) or answer.code == wire.NO_CODE
            if not is_gone and (refused := wire.refusal_of(answer)):
                return refused
            after = self._look(until, key, code)
            if isinstance(after, Done) and after.value.state == PaymentState.OPEN:
                closed = replace(after.value, state=PaymentState.CLOSED)
                return Done(closed) if is_gone else wire.unknown_of(answer)
            return after

        return self._deadline.keep(work, f"close {ids.masked(key)}")

    # -- refunds ----------------------------------------------------------------------------------------------------

    def refund(self, *, key: str, charge: str, money: Money) -> Outcome[Refund]:
        """Give money back. Idempotent by ``key``. It is on its way until a look says that it arrived."""
        if money.currency != "JPY":
            return Refused(Reason.BAD_REQUEST, None, "PayPay takes yen only")

        def work(until: float) -> Outcome[Refund]:
            asked = wire.refund_asked(key=key, charge=charge, money=money, at=int(time.time()))
            answer = self._ask(until, lambda client: client.Payment.refund_payment(asked))
            if isinstance(answer, Unknown):
                return answer
            seen = wire.refund_of(answer, key=key, charge=charge)
            if isinstance(seen, Done) and (seen.value is None or seen.value.money != money):
                return Unknown("a refund of something else than was asked")
            return _there(seen)

        return self._deadline.keep(work, f"refund {key}")

    def look_refund(self, *, reference: str) -> Outcome[Refund]:
        """The refund as it is now. Changes nothing."""
        parts = wire.parts_of(reference)
        if parts is None:
            return NO_REFERENCE
        return self._deadline.keep(
            lambda until: _there(self._refund_seen(until, *parts)), f"look at refund {ids.masked(parts[0])}"
        )

    def find_refund(
        self, *, key: str, charge: str, money: Money | None = None, others: Collection[str] = ()
    ) -> Outcome[Refund | None]:
        """The refund of exactly this key; None when it is not there. Never refused for good."""
        return not_for_good(
            self._deadline.keep(lambda until: self._refund_seen(until, key, charge), f"find refund {key}")
        )

    def _refund_seen(self, until: float, key: str, charge: str) -> Outcome[Refund | None]:
        # The SDK's own method leaves the payment's id out, without which a refund is not found.
        query = {"paymentId": charge}
        answer = self._ask(
            until, lambda client: client.Payment.fetch(None, f"/v2/refunds/{key}", query, api_id="v2_getRefundDetails")
        )
        return answer if isinstance(answer, Unknown) else wire.refund_of(answer, key=key, charge=charge)

    # -- what there is not ------------------------------------------------------------------------------------------

    def make_payer(self, *, key: str) -> Outcome[str]:
        """Refused: nothing is kept."""
        return NOT_KEPT

    def forget_method(self, *, reference: str) -> Outcome[None]:
        """Refused: nothing is kept."""
        return NOT_KEPT

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        """Raises ``Forged``: PayPay's notices carry no signature; the payment is looked at instead."""
        raise Forged("PayPay signs no notices")

    def settlements(self, *, day: date) -> Outcome[Sequence[Settled]]:
        """Refused: read as a file."""
        return Refused(Reason.BY_FILE)

    def read_statement(self, *, content: bytes) -> Sequence[Settled]:
        """The rows of PayPay's transaction file; fees are not in it.

        Raises:
            UnreadableStatement: not such a file, or of another merchant.
        """
        return wire.statement_of(content, merchant=self._merchant)

    # -- the wire ---------------------------------------------------------------------------------------------------

    def _ask(self, until: float, send: Callable[[Any], object]) -> wire.Answer | Unknown:
        """One call through the SDK. What counts is the answer as it came, not what the SDK made of it."""
        line = _Line(self._http, until, self._deadline)
        client = Client(session=line, auth=self._auth, base_url=self._base_url)
        client.set_assume_merchant(self._merchant)
        send(client)
        assert line.heard is not None
        if isinstance(line.heard, Lost):
            return Unknown(line.heard.why)
        return wire.answer_of(status=line.heard.status, content=line.heard.content)


class _Line:
    """The SDK's session for one call: sends it once, gives it up at ``until``, keeps the answer as it came.

    The SDK is told of a success without content, whatever came: of anything else it prints what it cannot read.
    """

    status_code = 200

    def __init__(self, http: httpx.Client, until: float, deadline: Deadline) -> None:
        self._http, self._until, self._deadline = http, until, deadline
        self.heard: Heard | Lost | None = None

    def json(self) -> dict[str, Any]:
        return {}

    def get(self, url: str, *, headers: Mapping[str, str], params: Mapping[str, str] | None = None) -> _Line:
        return self._send("GET", url, headers, params, None)

    def post(self, url: str, *, headers: Mapping[str, str], data: str) -> _Line:
        return self._send("POST", url, headers, None, data)

    def delete(self, url: str, *, headers: Mapping[str, str], data: str | None = None) -> _Line:
        return self._send("DELETE", url, headers, None, data)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str] | None, data: str | None
    ) -> _Line:
        content = data.encode() if data else None
        request = self._http.build_request(method, url, headers=headers, params=params, content=content)
        self.heard = self._deadline.exchange(self._http, request, self._until)
        return self


def _there(outcome: Outcome[Refund | None]) -> Outcome[Refund]:
    if isinstance(outcome, Done):
        return Done(outcome.value) if outcome.value else Refused(Reason.UNKNOWN_PAYMENT, None, "no such refund")
    return outcome
