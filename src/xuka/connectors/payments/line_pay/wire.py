"""LINE Pay's words (Online API v3) <-> ours. Pure. Whatever is not listed here is ``Unknown``.

Sources: see README.md. Their amounts are decimal numbers of the currency; their ids have 19 digits, more than many a
reader of JSON keeps, and stay text here.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from xuka.kernel.money import Money, decimals
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Payment,
    PaymentState,
    Reason,
    Refund,
    RefundState,
    Settled,
    SettledKind,
    UnreadableStatement,
)

# One account takes one currency. LINE names no maximum; what an account may not take is refused by it (1124).
CURRENCIES: Mapping[str, str] = {"TW": "TWD", "TH": "THB"}
LIMITS: Mapping[str, tuple[int, int]] = {"TWD": (100, 99_999_900), "THB": (100, 99_999_900)}
# Decimals that LINE Pay takes, where they are fewer than the currency has.
WHOLE = frozenset({"TWD"})

AFTER_TOO_MANY = timedelta(seconds=5)
LOCALES: Mapping[str, str] = {
    "zh-hans": "zh_CN", "zh-cn": "zh_CN", "zh-hant": "zh_TW", "zh": "zh_TW", "ja": "ja", "th": "th", "ko": "ko"
}  # fmt: skip

OK = "0000"
# The check of a request answers with these instead of OK.
CHECKED: Mapping[str, tuple[PaymentState, str]] = {
    "0000": (PaymentState.OPEN, ""),
    "0110": (PaymentState.APPROVED, ""),
    "0121": (PaymentState.CLOSED, ""),  # cancelled, or not approved within 20 minutes
    "0122": (PaymentState.CLOSED, "0122 payment failed"),
}
CHECKED_PAID = "0123"
NO_HISTORY = "1150"

REFUSALS: Mapping[str, Reason] = {
    "1104": Reason.NOT_AUTHORISED,  # no such merchant
    "1105": Reason.NOT_AUTHORISED,  # the merchant may not use LINE Pay now
    "1106": Reason.NOT_AUTHORISED,  # header: the channel or its signature
    "1124": Reason.BAD_REQUEST,  # amount
    "1150": Reason.UNKNOWN_PAYMENT,
    "1153": Reason.BAD_REQUEST,  # another amount than was requested
    "1155": Reason.BAD_REQUEST,  # not a kind that can be refunded
    "1163": Reason.REFUND_TOO_LATE,
    "1164": Reason.ALREADY_REFUNDED,  # more than is left
    "1165": Reason.ALREADY_REFUNDED,
    "1178": Reason.BAD_REQUEST,  # currency
    "1179": Reason.DECLINED,  # cannot be processed
    "1183": Reason.BAD_REQUEST,
    "1194": Reason.BAD_REQUEST,
    "2101": Reason.BAD_REQUEST,
    "2102": Reason.BAD_REQUEST,
}
# Why a confirmation took nothing: the person's account, balance or card.
DECLINED = frozenset({"1101", "1102", "1110", "1141", "1142", "1170", *(str(code) for code in range(1280, 1299))})
# After these only a look tells: confirmed before, being worked on, expired, or not approved yet.
LOOK = frozenset({"1150", "1152", "1159", "1169", "1172", "1180", "1198"})

# The columns that a statement must have. LINE's own file was not to be had: see README.md.
COLUMNS = ("Transaction ID", "Order ID", "Transaction Type", "Transaction Date", "Currency", "Amount", "Fee")
KINDS: Mapping[str, SettledKind] = {
    "PAYMENT": SettledKind.PAYMENT,
    "PAYMENT_REFUND": SettledKind.REFUND,
    "PARTIAL_REFUND": SettledKind.REFUND,
}


class Unreadable(ValueError):
    """Not of a documented shape; the sentence says what was seen, free of their words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: ``code`` is "" when it was none of theirs."""

    status: int
    code: str
    info: Any = None


def signed(secret: str, path: str, content: str, nonce: str) -> str:
    """X-LINE-Authorization: ``content`` is the query without "?", or the body."""
    mac = hmac.new(secret.encode(), f"{secret}{path}{content}{nonce}".encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def answer_of(*, status: int, content: bytes) -> Answer:
    """The answer taken apart, numbers as text; never raises."""
    try:
        body = json.loads(content.decode(), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return Answer(status, "")
    code = body.get("returnCode") if isinstance(body, dict) else None
    if not isinstance(code, str) or not re.fullmatch(r"[0-9]{4}", code):
        return Answer(status, "")
    return Answer(status, code, body.get("info"))


def request_asked(ask: Ask) -> dict[str, Any]:
    """POST /v3/payments/request. Raises ``Unreadable`` for an amount that LINE Pay cannot express."""
    amount = number(ask.money)
    least, most = LIMITS[ask.money.currency]
    if not least <= ask.money.minor <= most:
        raise Unreadable("less or more than LINE Pay is offered for")
    product = {"name": ask.description, "quantity": 1, "price": amount}
    tag = ask.language.lower()
    return {
        "amount": amount,
        "currency": ask.money.currency,
        "orderId": ask.key,
        "packages": [{"id": "1", "amount": amount, "products": [product]}],
        "redirectUrls": {"confirmUrl": ask.return_url, "cancelUrl": ask.return_url},
        "options": {"display": {"locale": LOCALES.get(tag) or LOCALES.get(tag.split("-")[0], "en")}},
    }


def number(money: Money) -> int | float:
    """An amount as LINE Pay wants it: a JSON number, exact (a float only where its shortest form is the amount).

    Raises ``Unreadable``: of another currency, or with a fraction where there is none.
    """
    if money.currency not in LIMITS:
        raise Unreadable(f"LINE Pay takes no {money.currency}")
    major = money.major
    if major == major.to_integral_value():
        return int(major)
    if money.currency in WHOLE:
        raise Unreadable(f"{money.currency} is whole at LINE Pay")
    return float(major)


def refusal_of(answer: Answer) -> Refused | None:
    """What the answer surely refuses; None when it does not."""
    if answer.status == 429:
        return Refused(Reason.RATE_LIMITED, AFTER_TOO_MANY, "status 429")
    reason = REFUSALS.get(answer.code) if answer.status == 200 else None
    return Refused(reason, None, f"code {answer.code}") if reason else None


def unknown_of(answer: Answer) -> Unknown:
    """An answer that nobody listed, in a few words for staff."""
    return Unknown(f"status {answer.status} {f'code {answer.code}' if answer.code else 'without a code'}")


def started_of(answer: Answer, *, key: str, on_phone: bool) -> Outcome[Payment]:
    """The request just made: on a phone its address opens the app, else a page with a QR code of LINE's own."""
    if refused := refusal_of(answer):
        return refused
    if answer.status != 200 or answer.code != OK:
        return unknown_of(answer)
    try:
        info = answer.info if isinstance(answer.info, dict) else {}
        urls = info.get("paymentUrl")
        url = _text(urls if isinstance(urls, dict) else {}, "app" if on_phone else "web")
        return Done(Payment(_digits(info, "transactionId"), key, PaymentState.OPEN, url=url))
    except Unreadable as seen:
        return Unknown(str(seen))


def rows_of(answer: Answer) -> Outcome[list[Mapping[str, Any]]]:
    """The transactions of GET /v3/payments; none when there is no history."""
    if answer.status == 200 and answer.code == NO_HISTORY:
        return Done([])
    if refused := refusal_of(answer):
        return refused
    rows = answer.info
    if answer.status != 200 or answer.code != OK or not isinstance(rows, list):
        return unknown_of(answer)
    return Done(rows) if all(isinstance(row, dict) for row in rows) else Unknown("no transactions")


def paid_of(row: Mapping[str, Any]) -> Payment:
    """A payment that was confirmed; raises ``Unreadable``. All of ``payInfo`` together is what was paid."""
    if row.get("transactionType") != "PAYMENT" or row.get("payStatus", "CAPTURE") != "CAPTURE":
        raise Unreadable("a transaction that is no captured payment")
    reference, parts = _digits(row, "transactionId"), row.get("payInfo")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise Unreadable("paid, but nobody says how much")
    paid = Money(sum(_money(part, "amount", row).minor for part in parts), _currency(row))
    if paid.minor <= 0:
        raise Unreadable("paid, but nothing was received")
    return Payment(reference, _text(row, "orderId"), PaymentState.PAID, charge=reference, paid=paid)


def refunds_of(row: Mapping[str, Any]) -> list[Refund]:
    """What was given back of a payment, without our keys, which LINE Pay does not keep; raises ``Unreadable``."""
    rows = row.get("refundList") or []
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise Unreadable("no refunds")
    found: list[Refund] = []
    for one in rows:
        money = _money(one, "refundAmount", row)  # some of their own examples have it negative
        money = Money(abs(money.minor), money.currency)
        found.append(Refund(_digits(one, "refundTransactionId"), "", RefundState.DONE, money))
    return found


def refunded_of(answer: Answer, *, key: str, money: Money) -> Outcome[Refund]:
    """The refund just asked for: taken and gone, or refused."""
    if refused := refusal_of(answer):
        return refused
    if answer.status != 200 or answer.code != OK:
        return unknown_of(answer)
    try:
        info = answer.info if isinstance(answer.info, dict) else {}
        return Done(Refund(_digits(info, "refundTransactionId"), key, RefundState.DONE, money))
    except Unreadable as seen:
        return Unknown(str(seen))


def original_of(row: Mapping[str, Any]) -> str:
    """The payment that a refund's own transaction belongs to; raises ``Unreadable``."""
    return _digits(row, "originalTransactionId")


def statement_of(content: bytes) -> Sequence[Settled]:
    """The rows of a CSV in UTF-8 with ``COLUMNS``; raises ``UnreadableStatement``."""
    try:
        table = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
        if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
            raise UnreadableStatement(f"no columns {', '.join(missing)}")
        return [_settled(row) for row in table]
    except (UnicodeDecodeError, csv.Error, Unreadable, ValueError) as seen:
        raise UnreadableStatement(str(seen)) from None


def _settled(row: Mapping[str, Any]) -> Settled:
    kind = KINDS.get(str(row["Transaction Type"]), SettledKind.OTHER)
    id, currency = _digits(row, "Transaction ID"), {"currency": row["Currency"]}
    money, fee = _money(row, "Amount", currency), _money(row, "Fee", currency)
    if kind == SettledKind.REFUND:
        money = Money(-abs(money.minor), money.currency)
    is_payment, at = kind == SettledKind.PAYMENT, datetime.fromisoformat(str(row["Transaction Date"]))
    if at.tzinfo is None:
        raise Unreadable("a time of no zone")
    return Settled(
        id=id,
        kind=kind,
        money=money,
        fee=Money(abs(fee.minor), fee.currency),
        at=at.astimezone(UTC),
        key=str(row["Order ID"]) if is_payment else "",
        charge=id if is_payment else "",
        reference=id if kind == SettledKind.REFUND else "",
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"no {name}")
    return value


def _digits(row: Mapping[str, Any], name: str) -> str:
    value = _text(row, name)
    if not is_reference(value):
        raise Unreadable(f"{name} is no number")
    return value


def is_reference(value: str) -> bool:
    """Whether this can be an id of theirs."""
    return re.fullmatch(r"[0-9]{1,30}", value) is not None


def _currency(row: Mapping[str, Any]) -> str:
    currency = _text(row, "currency")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise Unreadable("no currency")
    return currency


def _money(row: Mapping[str, Any], name: str, of: Mapping[str, Any]) -> Money:
    currency = _currency(of)
    try:
        minor = Decimal(_text(row, name)).scaleb(decimals(currency))
    except InvalidOperation:
        raise Unreadable(f"{name} is no amount") from None
    if not minor.is_finite() or minor != minor.to_integral_value():
        raise Unreadable(f"{name} is no amount of {currency}")
    return Money(int(minor), currency)
