"""PayPay's words (Open Payment API) <-> ours. Pure. Whatever is not listed here is ``Unknown``.

Sources: see README.md. Amounts are whole yen, which is our minor unit.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from xuka.kernel.money import Money
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

# A person who showed who they are pays 500,000 yen within 24 hours; others 20,000, which PayPay sees to itself.
LIMITS: Mapping[str, tuple[int, int]] = {"JPY": (1, 500_000)}
PER_DAY: Mapping[str, int] = {"JPY": 500_000}
JST = timezone(timedelta(hours=9))

STATES: Mapping[str, PaymentState] = {
    "CREATED": PaymentState.OPEN,
    "COMPLETED": PaymentState.PAID,
    "REFUNDED": PaymentState.PAID,
    "FAILED": PaymentState.CLOSED,
    "CANCELED": PaymentState.CLOSED,
    "EXPIRED": PaymentState.CLOSED,
}
# PayPay tries a refund again and again until it arrives: "REFUND_FAILED" is not the end of it.
REFUND_STATES: Mapping[str, RefundState] = {
    "CREATED": RefundState.PENDING,
    "REFUND_FAILED": RefundState.PENDING,
    "REFUNDED": RefundState.DONE,
}

NO_PAYMENT = "DYNAMIC_QR_PAYMENT_NOT_FOUND"  # the code is dead and nobody paid it
NO_CODE = "DYNAMIC_QR_NOT_FOUND"
NO_REFUND = "NO_SUCH_REFUND_ORDER"
ASKED_BEFORE = "DUPLICATE_DYNAMIC_QR_REQUEST"

# What surely did not happen, and when it may be asked again.
REFUSALS: Mapping[str, tuple[Reason, timedelta | None]] = {
    "INVALID_REQUEST_PARAMS": (Reason.BAD_REQUEST, None),
    "MISSING_REQUEST_PARAMS": (Reason.BAD_REQUEST, None),
    "INVALID_PARAMS": (Reason.BAD_REQUEST, None),  # also: more than is left to be refunded
    "DYNAMIC_QR_BAD_REQUEST": (Reason.BAD_REQUEST, None),
    "UNAUTHORIZED": (Reason.NOT_AUTHORISED, None),
    "OP_OUT_OF_SCOPE": (Reason.NOT_AUTHORISED, None),
    "MERCHANT_MULTIPLE_REFUND_REJECTED": (Reason.NOT_AUTHORISED, None),
    "RATE_LIMIT": (Reason.RATE_LIMITED, timedelta(seconds=5)),
    "MAINTENANCE_MODE": (Reason.RATE_LIMITED, timedelta(minutes=5)),
    "THROTTLED_MULTIPLE_REFUND_REJECTED": (Reason.RATE_LIMITED, timedelta(minutes=1)),
    "UNACCEPTABLE_OP": (Reason.DECLINED, None),
    "CANCELED_USER": (Reason.DECLINED, None),
    "USER_STATE_IS_NOT_ACTIVE": (Reason.DECLINED, None),
    "REFUND_LIMIT_EXCEEDED": (Reason.ALREADY_REFUNDED, None),
    "REFUND_WINDOW_EXCEED": (Reason.REFUND_TOO_LATE, None),
    "ORDER_NO_LONGER_AVAILABLE": (Reason.REFUND_TOO_LATE, None),
    "RESOURCE_NOT_FOUND": (Reason.UNKNOWN_PAYMENT, None),
}

# The transaction file for shops that take the money at once, and the download of PayPay for Business.
ID_COLUMNS, KEY_COLUMNS = ("決済番号", "取引番号"), ("マーチャント決済ID", "加盟店決済ID")
COLUMNS = ("加盟店ID", "取引ステータス", "取引日時", "取引金額")
MOVED: Mapping[str, SettledKind] = {"取引完了": SettledKind.PAYMENT, "返金完了": SettledKind.REFUND}
NOT_MOVED = frozenset({"取引失敗", "返金失敗", "取引処理中", "返金処理中"})


class Unreadable(ValueError):
    """Not of a documented shape; the sentence says what was seen, free of their words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: ``code`` is that of its ``resultInfo``, "" when it was none of theirs."""

    status: int
    code: str
    data: Mapping[str, Any]


def answer_of(*, status: int, content: bytes) -> Answer:
    """The answer taken apart; never raises."""
    try:
        body = json.loads(content.decode())
    except (ValueError, RecursionError):
        body = None
    result = body.get("resultInfo") if isinstance(body, dict) else None
    code = result.get("code") if isinstance(result, dict) else None
    data = body.get("data") if isinstance(body, dict) else None
    known = isinstance(code, str) and re.fullmatch(r"[A-Z_]{1,80}", code)
    return Answer(status, str(code) if known else "", data if isinstance(data, dict) else {})


def is_done(answer: Answer) -> bool:
    """Whether it is what was asked for, and not a refusal."""
    return answer.status in {200, 201, 202} and answer.code in {"SUCCESS", "REQUEST_ACCEPTED"}


def refusal_of(answer: Answer) -> Refused | None:
    """What the answer surely refuses; None when it does not."""
    listed = REFUSALS.get(answer.code)
    if listed is None or not (400 <= answer.status < 500 or answer.code == "MAINTENANCE_MODE"):
        return None
    return Refused(listed[0], listed[1], f"status {answer.status} {answer.code}")


def unknown_of(answer: Answer) -> Unknown:
    """An answer that nobody listed, in a few words for staff."""
    return Unknown(f"status {answer.status} {answer.code or 'without a code'}")


def code_asked(ask: Ask) -> dict[str, Any]:
    """POST /v2/codes: captured at once when the person pays."""
    return {
        "merchantPaymentId": ask.key,
        "codeType": "ORDER_QR",
        "amount": {"amount": ask.money.minor, "currency": ask.money.currency},
        "orderDescription": ask.description[:255],
        "isAuthorization": False,
        "redirectUrl": ask.return_url,
        "redirectType": "WEB_LINK",
        "requestedAt": int(ask.asked_at.timestamp()),
    }


def refund_asked(*, key: str, charge: str, money: Money, at: int) -> dict[str, Any]:
    """POST /v2/refunds; ``at`` in whole seconds of the epoch."""
    amount = {"amount": money.minor, "currency": money.currency}
    return {"merchantRefundId": key, "paymentId": charge, "amount": amount, "requestedAt": at}


def reference_of(key: str, other: str) -> str:
    """Our reference: PayPay looks at a payment by our key and ends it by its code's id; at a refund by our key and the
    payment's id."""
    return f"{key}/{other}"


def parts_of(reference: str) -> tuple[str, str] | None:
    """Key and the other id, "" where it was never heard; None when it is no reference of ours."""
    found = re.fullmatch(r"([A-Za-z0-9_-]{1,64})/([A-Za-z0-9_-]{0,64})", reference)
    return (found[1], found[2]) if found else None


def started_of(answer: Answer, *, ask: Ask) -> Outcome[Payment]:
    """The code just made; on a phone its address opens the app."""
    if refused := refusal_of(answer):
        return refused
    if not is_done(answer):
        return unknown_of(answer)
    try:
        if answer.data.get("merchantPaymentId") != ask.key or _money(answer.data) != ask.money:
            raise Unreadable("a code of something else than was asked")
        url = _text(answer.data, "deeplink" if ask.device == "phone" else "url")
        return Done(Payment(reference_of(ask.key, _text(answer.data, "codeId")), ask.key, PaymentState.OPEN, url=url))
    except Unreadable as seen:
        return Unknown(str(seen))


def payment_of(answer: Answer, *, key: str, code: str) -> Outcome[Payment | None]:
    """GET /v2/codes/payments/{key}; None when the code is dead and nothing was paid, or there never was one."""
    if answer.status in {400, 404} and answer.code == NO_PAYMENT:
        return Done(None)
    if refused := refusal_of(answer):
        return refused
    status = str(answer.data.get("status"))
    state, reference = STATES.get(status), reference_of(key, code)
    if not is_done(answer) or state is None:
        return unknown_of(answer)
    try:
        if answer.data.get("merchantPaymentId", key) != key:
            raise Unreadable("a payment of another key")
        if state != PaymentState.PAID:
            return Done(Payment(reference, key, state, declined="FAILED" if status == "FAILED" else ""))
        return Done(Payment(reference, key, state, charge=_text(answer.data, "paymentId"), paid=_money(answer.data)))
    except Unreadable as seen:
        return Unknown(str(seen))


def refund_of(answer: Answer, *, key: str, charge: str) -> Outcome[Refund | None]:
    """A refund asked for or looked at; None when there is none of this key."""
    if answer.status in {400, 404} and answer.code == NO_REFUND:
        return Done(None)
    if refused := refusal_of(answer):
        return refused
    state = REFUND_STATES.get(str(answer.data.get("status")))
    if not is_done(answer) or state is None:
        return unknown_of(answer)
    try:
        if (answer.data.get("merchantRefundId"), answer.data.get("paymentId")) != (key, charge):
            raise Unreadable("a refund of something else")
        return Done(Refund(reference_of(key, charge), key, state, _money(answer.data)))
    except Unreadable as seen:
        return Unknown(str(seen))


def statement_of(content: bytes, *, merchant: str) -> Sequence[Settled]:
    """The rows that moved money, in a CSV in Shift_JIS or UTF-8; raises ``UnreadableStatement``."""
    try:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp932")
        return list(_rows(csv.DictReader(io.StringIO(text)), merchant))
    except (UnicodeDecodeError, csv.Error, ValueError) as seen:
        raise UnreadableStatement(str(seen)) from None


def _rows(table: csv.DictReader[str], merchant: str) -> Iterator[Settled]:
    names = table.fieldnames or ()
    id_column = next((one for one in ID_COLUMNS if one in names), "")
    key_column = next((one for one in KEY_COLUMNS if one in names), "")
    if not id_column or not key_column or any(one not in names for one in COLUMNS):
        raise Unreadable("not the columns of PayPay's transactions")
    for row in table:
        status = row["取引ステータス"]
        if row["加盟店ID"] != merchant:
            raise Unreadable("a row of another merchant")
        if status in NOT_MOVED:
            continue
        if status not in MOVED:
            raise Unreadable("a row of an unlisted status")
        yield _settled(row, MOVED[status], row[id_column], row[key_column])


def _settled(row: Mapping[str, str], kind: SettledKind, charge: str, key: str) -> Settled:
    minor = int(row["取引金額"].replace(",", ""))
    at = datetime.fromisoformat(row["取引日時"].replace("/", "-"))
    is_payment = kind == SettledKind.PAYMENT
    reference = reference_of(key, charge)
    return Settled(
        id=charge if is_payment else reference,
        kind=kind,
        money=Money(minor if is_payment else -abs(minor), "JPY"),
        fee=Money(0, "JPY"),
        at=(at if at.tzinfo else at.replace(tzinfo=JST)).astimezone(UTC),
        key=key,
        charge=charge,
        reference="" if is_payment else reference,
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"no {name}")
    return value


def _money(row: Mapping[str, Any]) -> Money:
    said = row.get("amount")
    amount = said.get("amount") if isinstance(said, dict) else None
    currency = said.get("currency") if isinstance(said, dict) else None
    if not isinstance(amount, int) or isinstance(amount, bool) or amount <= 0:
        raise Unreadable("no amount")
    if not isinstance(currency, str) or not re.fullmatch(r"[A-Z]{3}", currency):
        raise Unreadable("an amount without a currency")
    return Money(amount, currency)
