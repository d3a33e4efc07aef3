"""LINE Pay (Taiwan, Thailand) as a ``Provider``: request, the person approves, we confirm. Decides nothing."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from xuka.connectors.deadline import Deadline, Lost, not_for_good
from xuka.connectors.payments.line_pay import wire
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

LIVE_HOST = "api-pay.line.me"
NOT_KEPT = Refused(Reason.BAD_REQUEST, None, "nothing is kept at LINE Pay")
NO_REFERENCE = Refused(Reason.UNKNOWN_PAYMENT, None, "no id of LINE Pay's")


class LinePay:
    """One channel of a merchant at LINE Pay. Safe to use from many threads.

    Nothing is idempotent there, so ``keys_live`` is nothing: look before asking again. What was requested and never
    heard of cannot be found, and cannot cost anybody anything: money moves only when its number is confirmed.

    Args:
        base_url: "https://api-pay.line.me", "https://sandbox-api-pay.line.me", or a stand-in.
        channel_id, channel_secret: of the merchant center, "Manage link key".
        call_deadline: of one call in total; LINE asks for 40 s, in which it may work on a confirmation.
        markets: "TW" or "TH", or both; each takes its own currency.
        transport: how HTTP goes out; None for the network. One that is handed in is trusted to keep the deadline.
        monotonic: seconds that never go back.

    Raises:
        Misconfigured: a key is missing, or a market where LINE Pay does not work.
    """

    name = "line_pay"
    webhook_answer = ""
    keys_live = timedelta(0)
    absent_after = timedelta(minutes=2)

    def __init__(
        self,
        *,
        base_url: str = f"https://{LIVE_HOST}",
        channel_id: str,
        channel_secret: str,
        call_deadline: timedelta = timedelta(seconds=40),
        markets: Iterable[str] = ("TW",),
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._markets = tuple(markets)
        if "JP" in self._markets:
            raise Misconfigured("LINE Pay ended in Japan in April 2025; PayPay took its place there.")
        if not self._markets or set(self._markets) - set(wire.CURRENCIES):
            raise Misconfigured("LINE Pay is offered in TW and TH only.")
        if not channel_id.strip() or not channel_secret.strip():
            raise Misconfigured("LINE Pay's channel id or channel secret is missing.")
        self.is_live = urlsplit(base_url).hostname == LIVE_HOST
        self.call_deadline = call_deadline
        self._base_url, self._channel, self._secret = base_url.rstrip("/"), channel_id.strip(), channel_secret.strip()
        self._deadline = Deadline(
            call_deadline, name=self.name, inline=transport is not None, log=log, monotonic=monotonic
        )
        self._http = httpx.Client(transport=transport)

    # -- payments ---------------------------------------------------------------------------------------------------

    def methods(self) -> tuple[Method, ...]:
        """LINE Pay, in the currency of each of its markets. No call is made."""
        limits = {currency: wire.LIMITS[currency] for currency in (wire.CURRENCIES[one] for one in self._markets)}
        return (Method("line_pay", frozenset(self._markets), limits),)

    def start(self, ask: Ask) -> Outcome[Payment]:
        """Request a payment. A second ask of the same key is ``Unknown``: LINE tells only that there was a first."""
        try:
            asked = wire.request_asked(ask)
        except wire.Unreadable as why:
            return Refused(Reason.BAD_REQUEST, None, str(why))

        def work(until: float) -> Outcome[Payment]:
            answer = self._ask(until, "POST", "/v3/payments/request", asked)
            if isinstance(answer, Unknown):
                return answer
            return wire.started_of(answer, key=ask.key, on_phone=ask.device == "phone")

        return self._deadline.keep(work, f"start {ask.key}")

    def look(self, *, reference: str) -> Outcome[Payment]:
        """The payment as it is now; its key only once it is paid: LINE does not tell it before."""
        return self._deadline.keep(lambda until: self._look(until, reference), f"look at {ids.masked(reference)}")

    def _look(self, until: float, reference: str) -> Outcome[Payment]:
        if not wire.is_reference(reference):
            return NO_REFERENCE
        answer = self._ask(until, "GET", f"/v3/payments/requests/{reference}/check")
        if isinstance(answer, Unknown):
            return answer
        if answer.status == 200 and answer.code in wire.CHECKED:
            state, declined = wire.CHECKED[answer.code]
            return Done(Payment(reference, "", state, declined=declined))
        if answer.code not in {wire.CHECKED_PAID, wire.NO_HISTORY}:
            return wire.refusal_of(answer) or wire.unknown_of(answer)
        row = self._transaction(until, reference)
        return _read(row, wire.paid_of) if isinstance(row, Done) else row

    def capture(self, *, key: str, reference: str, money: Money) -> Outcome[Payment]:
        """Confirm what the person approved, then look what was taken. Doing it again takes nothing more."""

        def work(until: float) -> Outcome[Payment]:
            answer = self._ask(
                until,
                "POST",
                f"/v3/payments/{reference}/confirm",
                {"amount": wire.number(money), "currency": money.currency},
            )
            if isinstance(answer, Unknown):
                return answer
            is_declined = answer.code in wire.DECLINED
            if answer.status != 200 or not (is_declined or answer.code == wire.OK or answer.code in wire.LOOK):
                return wire.refusal_of(answer) or wire.unknown_of(answer)
            seen = self._look(until, reference)
            if not isinstance(seen, Done) or not is_declined:
                is_waiting = isinstance(seen, Done) and seen.value.state == PaymentState.APPROVED
                return Unknown(f"code {answer.code}, and still approved") if is_waiting else seen
            state = PaymentState.OPEN if seen.value.state == PaymentState.APPROVED else seen.value.state
            return Done(replace(seen.value, state=state, declined=f"code {answer.code}"))

        return self._deadline.keep(work, f"capture {key}") if wire.is_reference(reference) else NO_REFERENCE

    def find(self, *, key: str, asked_at: datetime, is_hosted: bool) -> Outcome[Payment | None]:
        """The confirmed payment of exactly this key; None when there is none. Never refused for good."""

        def work(until: float) -> Outcome[Payment | None]:
            rows = self._transactions(until, f"orderId={key}")
            if not isinstance(rows, Done):
                return rows
            mine = [
                row
                for row in rows.value
                if row.get("orderId") == key and row.get("transactionType", "PAYMENT") == "PAYMENT"
            ]
            return _read(Done(mine[0]), wire.paid_of) if mine else Done(None)

        return not_for_good(self._deadline.keep(work, f"find {key}"))

    def close(self, *, reference: str) -> Outcome[Payment]:
        """How it ended. LINE has no call that ends a request: one that is not confirmed takes nothing, and dies within
        20 minutes, so it counts as closed. Again: changes nothing."""

        def work(until: float) -> Outcome[Payment]:
            seen = self._look(until, reference)
            if isinstance(seen, Done) and seen.value.state in {PaymentState.OPEN, PaymentState.APPROVED}:
                return Done(replace(seen.value, state=PaymentState.CLOSED))
            return seen

        return self._deadline.keep(work, f"close {ids.masked(reference)}")

    # -- refunds ----------------------------------------------------------------------------------------------------

    def refund(self, *, key: str, charge: str, money: Money) -> Outcome[Refund]:
        """Give money back. Not idempotent at LINE, which keeps no key of refunds: look before asking again."""
        try:
            asked = {"refundAmount": wire.number(money)}
        except wire.Unreadable as why:
            return Refused(Reason.BAD_REQUEST, None, str(why))

        def work(until: float) -> Outcome[Refund]:
            answer = self._ask(until, "POST", f"/v3/payments/{charge}/refund", asked)
            return answer if isinstance(answer, Unknown) else wire.refunded_of(answer, key=key, money=money)

        return self._deadline.keep(work, f"refund {key}") if wire.is_reference(charge) else NO_REFERENCE

    def look_refund(self, *, reference: str) -> Outcome[Refund]:
        """The refund as it is now, without our key, which LINE does not keep."""

        def work(until: float) -> Outcome[Refund]:
            row = self._transaction(until, reference)
            original = _read(row, wire.original_of) if isinstance(row, Done) else row
            payment = self._transaction(until, original.value) if isinstance(original, Done) else original
            refunds = _read(payment, wire.refunds_of) if isinstance(payment, Done) else payment
            if not isinstance(refunds, Done):
                return refunds
            found = next((one for one in refunds.value if one.reference == reference), None)
            return Done(found) if found else Unknown("a refund that its payment does not know")

        keep = wire.is_reference(reference)
        return self._deadline.keep(work, f"look at refund {ids.masked(reference)}") if keep else NO_REFERENCE

    def find_refund(
        self, *, key: str, charge: str, money: Money | None = None, others: Collection[str] = ()
    ) -> Outcome[Refund | None]:
        """The first refund of that much that is none of the ``others``: LINE keeps no key of refunds, and two of one
        payment and sum stand for each other. None when there is none, or when ``money`` is not told."""

        def work(until: float) -> Outcome[Refund | None]:
            row = self._transaction(until, charge)
            refunds = _read(row, wire.refunds_of) if isinstance(row, Done) else row
            if not isinstance(refunds, Done):
                return refunds
            found = next((one for one in refunds.value if one.money == money and one.reference not in others), None)
            return Done(replace(found, key=key) if found else None)

        keep = wire.is_reference(charge)
        return not_for_good(self._deadline.keep(work, f"find refund {key}") if keep else NO_REFERENCE)

    # -- what there is not ------------------------------------------------------------------------------------------

    def make_payer(self, *, key: str) -> Outcome[str]:
        """Refused: nothing is kept."""
        return NOT_KEPT

    def forget_method(self, *, reference: str) -> Outcome[None]:
        """Refused: nothing is kept."""
        return NOT_KEPT

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        """Raises ``Forged``: LINE Pay posts none for one-time payments."""
        raise Forged("LINE Pay posts no notices")

    def settlements(self, *, day: date) -> Outcome[Sequence[Settled]]:
        """Refused: read as a file."""
        return Refused(Reason.BY_FILE)

    def read_statement(self, *, content: bytes) -> Sequence[Settled]:
        """The rows of a CSV file with the columns that README.md names.

        Raises:
            UnreadableStatement: not such a file.
        """
        return wire.statement_of(content)

    # -- the wire ---------------------------------------------------------------------------------------------------

    def _transaction(self, until: float, reference: str) -> Outcome[Mapping[str, Any]]:
        """The one transaction of this id."""
        rows = self._transactions(until, f"transactionId={reference}")
        if not isinstance(rows, Done):
            return rows
        mine = [row for row in rows.value if row.get("transactionId") == reference]
        return Done(mine[0]) if mine else Refused(Reason.UNKNOWN_PAYMENT, None, "no such transaction")

    def _transactions(self, until: float, query: str) -> Outcome[list[Mapping[str, Any]]]:
        answer = self._ask(until, "GET", "/v3/payments", query=query)
        return answer if isinstance(answer, Unknown) else wire.rows_of(answer)

    def _ask(
        self, until: float, method: str, path: str, body: Mapping[str, Any] | None = None, *, query: str = ""
    ) -> wire.Answer | Unknown:
        """One signed call."""
        content = "" if body is None else json.dumps(body, ensure_ascii=False)
        nonce = str(uuid.uuid4())
        headers = {
            "Content-Type": "application/json",
            "X-LINE-ChannelId": self._channel,
            "X-LINE-Authorization-Nonce": nonce,
            "X-LINE-Authorization": wire.signed(self._secret, path, content or query, nonce),
        }
        url = f"{self._base_url}{path}{'?' if query else ''}{query}"
        request = self._http.build_request(method, url, content=content.encode() or None, headers=headers)
        heard = self._deadline.exchange(self._http, request, until)
        if isinstance(heard, Lost):
            return Unknown(heard.why)
        return wire.answer_of(status=heard.status, content=heard.content)


def _read(row: Done[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], T]) -> Outcome[T]:
    try:
        return Done(read(row.value))
    except wire.Unreadable as seen:
        return Unknown(str(seen))
