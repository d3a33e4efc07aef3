"""Alipay's own interface (openapi) as a ``Provider``. Translates and keeps the deadline; decides nothing."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from xuka.connectors.deadline import Deadline, Lost, not_for_good
from xuka.connectors.payments.alipay import wire
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
    RefundState,
    Settled,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

LIVE = "openapi.alipay.com"
NO_REFERENCE = Refused(Reason.UNKNOWN_PAYMENT, None, "no reference of ours")
NO_CARDS = Refused(Reason.BAD_REQUEST, None, "Alipay keeps nothing to pay with later")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Alipay:
    """One app of a seller at Alipay, with RSA2 keys. Safe to use from many threads.

    Args:
        base_url: the whole address of the gateway; money moves only at openapi.alipay.com.
        app_id: of the app at open.alipay.com.
        seller_id: the seller's own id there ("2088…"); notices of others are not believed.
        private_key: the app's, PEM or base64 as Alipay's key tool writes it (PKCS#1 or PKCS#8).
        alipay_public_key: Alipay's key for this app (not the app's own public key), PEM or base64.
        notify_url: where Alipay posts its notices.
        call_deadline: the total time of one call.
        markets: ISO 3166 codes of the markets to offer it in.
        transport: how HTTP goes out; None for the network. One that is handed in is called in the calling thread and
            trusted to keep the deadline.
        now: aware UTC; calls carry a time, and a QR code that nobody has opened is over at one.
        monotonic: seconds that never go back, for the deadline.

    Raises:
        Misconfigured: an id is missing, or a key cannot be read.
    """

    name = "alipay"
    webhook_answer = "success"
    # An order number is the payment's for ever; a year is longer than anything can be refunded.
    keys_live = timedelta(days=365)
    # A refund may not be seen until ten seconds after it was asked.
    absent_after = timedelta(minutes=2)

    def __init__(
        self,
        *,
        base_url: str = f"https://{LIVE}/gateway.do",
        app_id: str,
        seller_id: str,
        private_key: str,
        alipay_public_key: str,
        notify_url: str,
        call_deadline: timedelta = timedelta(seconds=20),
        markets: Iterable[str] = ("CN",),
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not app_id or not seller_id or not notify_url:
            raise Misconfigured("Alipay needs an app_id, the seller's own id, and an address for its notices.")
        mine, theirs = _private(private_key), _public(alipay_public_key)
        self.is_live = urlsplit(base_url).hostname == LIVE
        self.call_deadline = call_deadline
        self._base_url, self._markets, self._now = base_url, frozenset(markets), now
        self._merchant = wire.Merchant(app_id, seller_id, mine, theirs, notify_url)
        self._deadline = Deadline(
            call_deadline, name=self.name, inline=transport is not None, log=log, monotonic=monotonic
        )
        self._http = httpx.Client(transport=transport)

    # -- payments ---------------------------------------------------------------------------------------------------

    def methods(self) -> tuple[Method, ...]:
        """Alipay, in yuan. No call is made."""
        return (Method("alipay", self._markets, wire.LIMITS),)

    def start(self, ask: Ask) -> Outcome[Payment]:
        """A QR code for a desk; for a phone an address, which is made here without a call.

        Idempotent by ``ask.key``: the same ask is the same code or address. What was paid or closed is told so.
        """
        if refused := wire.refusal_of_amount(ask.money):
            return refused
        reference = wire.reference_of(ask.key, wire.expires_at(ask))
        if ask.device == "phone":
            url = f"{self._base_url}?{urlencode(wire.page_asked(self._merchant, ask))}"
            return Done(Payment(reference, ask.key, PaymentState.OPEN, url=url))

        def work(until: float) -> Outcome[Payment]:
            answer = self._ask(until, wire.PRECREATE, wire.order_asked(ask), notify_url=self._merchant.notify_url)
            if isinstance(answer, Unknown):
                return answer
            if answer.sub_code in {"ACQ.TRADE_HAS_SUCCESS", "ACQ.TRADE_HAS_CLOSE"}:
                return self._look(until, reference)
            return wire.qr_of(answer, key=ask.key, reference=reference)

        return self._deadline.keep(work, f"start {ask.key}")

    def look(self, *, reference: str) -> Outcome[Payment]:
        """The payment as it is now; its code or address is not told again. Changes nothing."""
        return self._deadline.keep(lambda until: self._look(until, reference), f"look at {ids.masked(reference)}")

    def _look(self, until: float, reference: str) -> Outcome[Payment]:
        read = wire.read_reference(reference)
        if read is None:
            return NO_REFERENCE
        answer = self._ask(until, wire.QUERY, {"out_trade_no": read[0]})
        if isinstance(answer, Unknown):
            return answer
        if answer.sub_code == "ACQ.TRADE_NOT_EXIST":
            return wire.unseen(reference, self._now())
        return wire.payment_of(answer, order=read[0], reference=reference)

    def find(self, *, key: str, asked_at: datetime, is_hosted: bool) -> Outcome[Payment | None]:
        """The payment of this key, once somebody has opened it; None before: then nobody can pay it either, for the
        code or address was never shown. Never refused for good."""

        def work(until: float) -> Outcome[Payment | None]:
            found = self._look(until, wire.order_of(key))
            is_absent = isinstance(found, Refused) and found.reason == Reason.UNKNOWN_PAYMENT
            return Done(None) if is_absent else found

        return not_for_good(self._deadline.keep(work, f"find {key}"))

    def close(self, *, reference: str) -> Outcome[Payment]:
        """Close what was opened. A code or address that nobody has opened yet cannot be closed: it is told as open
        until its time is over. Closing what is closed or paid changes nothing."""

        def work(until: float) -> Outcome[Payment]:
            read = wire.read_reference(reference)
            if read is None:
                return NO_REFERENCE
            answer = self._ask(until, wire.CLOSE, {"out_trade_no": read[0]})
            if isinstance(answer, Unknown):
                return answer
            if answer.sub_code == "ACQ.TRADE_NOT_EXIST":
                return wire.unseen(reference, self._now())
            if answer.code != "10000" and answer.sub_code not in wire.NOT_OPEN:
                return wire.not_done(answer)
            seen = self._look(until, reference)
            is_open = isinstance(seen, Done) and seen.value.state == PaymentState.OPEN
            return Unknown("could not be closed, and is still open") if is_open else seen

        return self._deadline.keep(work, f"close {ids.masked(reference)}")

    def capture(self, *, key: str, reference: str, money: Money) -> Outcome[Payment]:
        """Alipay captures by itself: nothing is ever left approved, so this only looks."""
        return self.look(reference=reference)

    # -- refunds ----------------------------------------------------------------------------------------------------

    def refund(self, *, key: str, charge: str, money: Money) -> Outcome[Refund]:
        """Give money back. Idempotent by ``key``. ``Unknown`` where Alipay took it and nothing has moved yet: it is
        to be looked for, and asked again under the same key."""
        if refused := wire.refusal_of_amount(money):
            return refused
        request = wire.order_of(key)

        def work(until: float) -> Outcome[Refund]:
            content = {"trade_no": charge, "refund_amount": wire.yuan(money), "out_request_no": request}
            answer = self._ask(until, wire.REFUND, content)
            if isinstance(answer, Unknown):
                return answer
            if answer.code != "10000":
                return wire.not_done(answer)
            if answer.body.get("trade_no") != charge:
                return Unknown("a refund of something else than was asked")
            if answer.body.get("fund_change") == "Y":
                reference = wire.refund_reference(charge, request)
                return Done(Refund(reference, key, RefundState.DONE, money))
            seen = self._look_refund(until, charge, request)  # it was given back before, or not yet
            if not isinstance(seen, Done):
                return seen if isinstance(seen, Unknown) else Unknown(f"taken, but not seen: {seen.detail}")
            if seen.value is None or seen.value.money != money:
                return Unknown("taken, but nothing of this amount was given back yet")
            return Done(seen.value)

        return self._deadline.keep(work, f"refund {key}")

    def look_refund(self, *, reference: str) -> Outcome[Refund]:
        """The refund as it is now. Changes nothing."""
        charge, _, request = reference.partition("/")
        if not charge or not wire.key_of(request):
            return NO_REFERENCE

        def work(until: float) -> Outcome[Refund]:
            seen = self._look_refund(until, charge, request)
            if not isinstance(seen, Done):
                return seen
            return Done(seen.value) if seen.value else Refused(Reason.UNKNOWN_PAYMENT, None, "nothing was given back")

        return self._deadline.keep(work, f"look at refund {ids.masked(reference)}")

    def find_refund(
        self, *, key: str, charge: str, money: Money | None = None, others: Collection[str] = ()
    ) -> Outcome[Refund | None]:
        """The refund of exactly this key; None while nothing was given back. Never refused for good."""
        found = self._deadline.keep(
            lambda until: self._look_refund(until, charge, wire.order_of(key)), f"find refund {key}"
        )
        return not_for_good(found)

    def _look_refund(self, until: float, charge: str, request: str) -> Outcome[Refund | None]:
        answer = self._ask(until, wire.REFUND_QUERY, {"trade_no": charge, "out_request_no": request})
        return answer if isinstance(answer, Unknown) else wire.refund_of(answer, charge=charge, request=request)

    # -- nothing is kept ----------------------------------------------------------------------------------------------

    def make_payer(self, *, key: str) -> Outcome[str]:
        """Refused: nothing can be kept here."""
        return NO_CARDS

    def forget_method(self, *, reference: str) -> Outcome[None]:
        """Refused: nothing can be kept here."""
        return NO_CARDS

    # -- notices and bills --------------------------------------------------------------------------------------------

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        """Verify the notice and translate. No call is made.

        Raises:
            Forged: not signed by Alipay, sent more than 5 minutes from ``now``, or of another app or seller.
        """
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=200)
        except ValueError:
            raise Forged("no form") from None
        return wire.event_of(pairs, merchant=self._merchant, now=now)

    def settlements(self, *, day: date) -> Outcome[Sequence[Settled]]:
        """All trades and refunds of this day in Beijing. Refused until the next morning at ten."""
        ready_at = datetime(day.year, day.month, day.day, tzinfo=wire.BEIJING) + wire.BILL_READY
        if (left := ready_at - self._now()) > timedelta():
            return Refused(Reason.BAD_REQUEST, left, "the bill of this day is not made yet")

        def work(until: float) -> Outcome[Sequence[Settled]]:
            answer = self._ask(until, wire.BILL, {"bill_type": "trade", "bill_date": day.isoformat()})
            if isinstance(answer, Unknown):
                return answer
            if answer.sub_code.lower() in {"isp.bill_not_exist", "bill_not_exist"}:
                return Done(())
            if answer.code != "10000":
                return wire.not_done(answer)
            url = str(answer.body.get("bill_download_url"))
            heard = self._deadline.exchange(self._http, self._http.build_request("GET", url), until)
            if isinstance(heard, Lost):
                return Unknown(heard.why)
            if heard.status != 200:
                return Unknown(f"status {heard.status} for the bill")
            try:
                return Done(wire.statement_of(heard.content))
            except wire.UnreadableStatement as seen:
                return Unknown(str(seen))

        return self._deadline.keep(work, f"bill of {day}")

    def read_statement(self, *, content: bytes) -> Sequence[Settled]:
        """The rows of a bill of trades, zip or CSV, as it is downloaded from Alipay.

        Raises:
            UnreadableStatement: not such a file.
        """
        return wire.statement_of(content)

    # -- the wire -----------------------------------------------------------------------------------------------------

    def _ask(self, until: float, method: str, content: Mapping[str, Any], **more: str) -> wire.Answer | Unknown:
        form = wire.asked(self._merchant, method, content, self._now(), **more)
        request = self._http.build_request("POST", self._base_url, params={"charset": "utf-8"}, data=form)
        heard = self._deadline.exchange(self._http, request, until)
        if isinstance(heard, Lost):
            return Unknown(heard.why)
        return wire.answer_of(status=heard.status, content=heard.content, method=method, key=self._merchant.alipay_key)


@lru_cache(maxsize=4)
def _private(text: str) -> RSAPrivateKey:
    """The key, read once: that checks it, which takes a tenth of a second."""
    try:
        if "-----" in text:
            key = serialization.load_pem_private_key(text.encode(), password=None)
        else:
            key = serialization.load_der_private_key(base64.b64decode("".join(text.split())), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise Misconfigured("The private key of the Alipay app is no RSA key in PEM or base64.")
    return key


def _public(text: str) -> RSAPublicKey:
    try:
        if "-----" in text:
            key = serialization.load_pem_public_key(text.encode())
        else:
            key = serialization.load_der_public_key(base64.b64decode("".join(text.split())))
    except ValueError:
        key = None
    if not isinstance(key, RSAPublicKey):
        raise Misconfigured("Alipay's public key is no RSA key in PEM or base64.")
    return key
