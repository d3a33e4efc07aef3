"""WeChat Pay's words (API v3) <-> ours. Pure. Whatever is not listed here is ``Unknown``.

Sources are in README.md. Amounts are whole fen in the API and yuan with decimals in bills.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from xuka.kernel.money import Money, decimals
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Event,
    Forged,
    Payment,
    PaymentState,
    Reason,
    Refund,
    RefundState,
    Settled,
    SettledKind,
    UnreadableStatement,
)

BEIJING = timezone(timedelta(hours=8))
CURRENCY = "CNY"
# One fen at least. No maximum is documented (banks and wallets have theirs): a million yuan is ours.
LIMITS: Mapping[str, tuple[int, int]] = {CURRENCY: (1, 100_000_000)}
# time_expire lies a minute to seven days ahead.
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=7)
SIGNATURE_TOLERANCE = timedelta(minutes=5)
# Yesterday's bill is made after ten o'clock.
BILL_READY = timedelta(days=1, hours=10, minutes=30)
AFTER_TOO_MANY = timedelta(seconds=5)
LARGEST_BILL_BYTES = 100_000_000

# What is surely refused, by code; nothing was done. Of 5xx, and of all others, nobody knows.
REFUSALS: Mapping[str, Reason] = {
    "PARAM_ERROR": Reason.BAD_REQUEST,
    "INVALID_REQUEST": Reason.BAD_REQUEST,
    "SIGN_ERROR": Reason.NOT_AUTHORISED,
    "NO_AUTH": Reason.NOT_AUTHORISED,
    "APPID_MCHID_NOT_MATCH": Reason.NOT_AUTHORISED,
    "MCH_NOT_EXISTS": Reason.NOT_AUTHORISED,
    "ORDER_NOT_EXIST": Reason.UNKNOWN_PAYMENT,
    "RESOURCE_NOT_EXISTS": Reason.UNKNOWN_PAYMENT,
    "NOT_ENOUGH": Reason.BAD_REQUEST,
    "USER_ACCOUNT_ABNORMAL": Reason.BAD_REQUEST,
    "ACCOUNT_ERROR": Reason.BAD_REQUEST,
    "RULE_LIMIT": Reason.BAD_REQUEST,
}
# Asked again under a number that was paid or closed, or whose asking is still worked on.
IS_THERE = frozenset({"ORDERPAID", "ORDER_PAID", "ORDER_CLOSED", "OUT_TRADE_NO_USED"})
STATES: Mapping[str, PaymentState] = {"NOTPAY": PaymentState.OPEN, "CLOSED": PaymentState.CLOSED}
IS_PAID = frozenset({"SUCCESS", "REFUND"})  # REFUND: paid, and some of it given back
REFUND_STATES: Mapping[str, RefundState] = {
    "PROCESSING": RefundState.PENDING,
    "SUCCESS": RefundState.DONE,
    "CLOSED": RefundState.FAILED,
    "ABNORMAL": RefundState.FAILED,  # the card it came from is gone: a person goes on at WeChat's merchant platform
}
MATTERS = frozenset({"TRANSACTION.SUCCESS", "REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED"})


class Unreadable(ValueError):
    """The answer is not of a documented shape; the sentence says what was seen, free of their words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One verified HTTP answer; ``body`` is the parsed JSON, None when it was none."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """Their word of an error; "" for a success."""
        code = self.body.get("code") if isinstance(self.body, dict) and self.status >= 300 else None
        return code if isinstance(code, str) and re.fullmatch(r"[A-Z_]{1,40}", code) else ""


# -- keys, amounts, times ---------------------------------------------------------------------------------------------


def order_of(key: str) -> str:
    """Our key as their order number of at most 32 characters: its hexadecimal part."""
    assert re.fullmatch(r"xuka-[0-9a-f]{32}", key), "a key of ours"
    return key.removeprefix("xuka-")


def key_of(order: Any) -> str:
    """Our key in their order number; "" when it can be none of ours."""
    return f"xuka-{order}" if isinstance(order, str) and re.fullmatch(r"[0-9a-f]{32}", order) else ""


def order_asked(ask: Ask) -> dict[str, Any]:
    """What an order says, besides who sells; the same ask always says the same."""
    expires = min(max(ask.pay_by, ask.asked_at + SHORTEST), ask.asked_at + LONGEST)
    return {
        "description": ask.description[:127] or "-",
        "out_trade_no": order_of(ask.key),
        "amount": {"total": ask.money.minor, "currency": CURRENCY},
        "time_expire": expires.astimezone(BEIJING).isoformat(timespec="seconds"),
    }


def refusal_of_amount(money: Money) -> Refused | None:
    """Why this cannot be asked at all; None when it can."""
    least, most = LIMITS.get(money.currency, (1, 0))
    if least <= money.minor <= most:
        return None
    return Refused(Reason.BAD_REQUEST, None, "not an amount in yuan that is offered")


def _money(amount: Any, name: str) -> Money:
    minor = amount.get(name) if isinstance(amount, dict) else None
    currency = amount.get("currency", CURRENCY) if isinstance(amount, dict) else None
    if not isinstance(minor, int) or isinstance(minor, bool) or minor < 0:
        raise Unreadable("no amount")
    if not isinstance(currency, str) or not re.fullmatch(r"[A-Z]{3}", currency):
        raise Unreadable("no currency")
    return Money(minor, currency)


# -- answers ----------------------------------------------------------------------------------------------------------


def answer_of(*, status: int, text: str) -> Answer:
    """The answer taken apart; never raises, whatever was sent."""
    try:
        return Answer(status, json.loads(text) if text else None)
    except (ValueError, RecursionError):
        return Answer(status, None)


def not_done(answer: Answer) -> Refused | Unknown:
    """What an answer that is no success means. Only listed codes are a refusal."""
    told = f"status {answer.status} {answer.code}".strip()
    if answer.status == 429:
        return Refused(Reason.RATE_LIMITED, AFTER_TOO_MANY, told)
    if 400 <= answer.status < 500 and answer.code in REFUSALS:
        return Refused(REFUSALS[answer.code], None, told)
    return Unknown(told)


def started_of(answer: Answer, *, ask: Ask, back_to: str) -> Outcome[Payment]:
    """The QR code's text (``code_url``) for a desk, or the page (``h5_url``) for a phone.

    Args:
        back_to: what is put behind the page's address, so that the person comes back to the shop.
    """
    if answer.status != 200 or not isinstance(answer.body, dict):
        return not_done(answer)
    code, page = answer.body.get("code_url"), answer.body.get("h5_url")
    if isinstance(code, str) and code:
        return Done(Payment(order_of(ask.key), ask.key, PaymentState.OPEN, qr=code))
    if isinstance(page, str) and page:
        return Done(Payment(order_of(ask.key), ask.key, PaymentState.OPEN, url=page + back_to))
    return Unknown("status 200: neither a code nor a page")


def payment_of(answer: Answer, *, order: str, app_id: str, merchant: str) -> Outcome[Payment]:
    """The order of GET /v3/pay/transactions/out-trade-no/{out_trade_no}."""
    body = answer.body
    if answer.status != 200 or not isinstance(body, dict):
        return not_done(answer)
    if (body.get("out_trade_no"), body.get("appid"), body.get("mchid")) != (order, app_id, merchant):
        return Unknown("an order of another number, app or merchant")
    state = body.get("trade_state")
    if still := STATES.get(str(state)):
        return Done(Payment(order, key_of(order), still))
    charge = body.get("transaction_id")
    if state not in IS_PAID or not isinstance(charge, str) or not charge:
        return Unknown("an order of an unlisted state, or paid without a number")
    try:
        paid = _money(body.get("amount"), "total")
    except Unreadable as seen:
        return Unknown(f"paid, but {seen}")
    return Done(Payment(order, key_of(order), PaymentState.PAID, charge=charge, paid=paid))


def total_of(answer: Answer, *, charge: str, merchant: str) -> Outcome[Money]:
    """What was paid under this transaction: a refund has to repeat it."""
    body = answer.body
    if answer.status != 200 or not isinstance(body, dict):
        return not_done(answer)
    if (body.get("transaction_id"), body.get("mchid")) != (charge, merchant):
        return Unknown("a transaction of another number or merchant")
    try:
        return Done(_money(body.get("amount"), "total"))
    except Unreadable as seen:
        return Unknown(f"status 200: {seen}")


def refund_of(answer: Answer, *, key: str, charge: str | None = None, money: Money | None = None) -> Outcome[Refund]:
    """The refund just asked for, or looked at by its number; one of something else is ``Unknown``."""
    body = answer.body
    if answer.status != 200 or not isinstance(body, dict):
        return not_done(answer)
    state = REFUND_STATES.get(str(body.get("status")))
    if state is None or body.get("out_refund_no") != key or (charge and body.get("transaction_id") != charge):
        return Unknown("a refund of something else, or of an unlisted state")
    try:
        back = _money(body.get("amount"), "refund")
    except Unreadable as seen:
        return Unknown(f"a refund, but {seen}")
    if money and back != money:
        return Unknown("a refund of another amount than was asked")
    why = str(body["status"]).lower() if state == RefundState.FAILED else ""
    return Done(Refund(key, key, state, back, why))


# -- notices ----------------------------------------------------------------------------------------------------------


def event_of(told: Mapping[str, Any], *, app_id: str, merchant: str) -> Event:
    """A notice whose signature fits, with its ``resource`` opened.

    Raises:
        Forged: of another app or merchant, or no notice.
    """
    about = told.get("resource")
    kind, id = told.get("event_type"), told.get("id")
    if not isinstance(about, dict) or not isinstance(kind, str) or not isinstance(id, str) or not id:
        raise Forged("signed, but no notice")
    if about.get("mchid") != merchant or about.get("appid", app_id) != app_id:
        raise Forged("of another app or merchant")
    try:
        at = datetime.fromisoformat(str(told.get("create_time"))).astimezone(UTC)
    except ValueError:
        raise Forged("signed, but without a time") from None
    order, charge = about.get("out_trade_no"), about.get("transaction_id")
    return Event(
        id=id,
        kind=kind,
        key=key_of(order),
        reference=str(about.get("out_refund_no") or order or ""),
        charge=charge if isinstance(charge, str) else "",
        matters=kind in MATTERS,
        created_at=at,
    )


# -- the bill of a day ------------------------------------------------------------------------------------------------


def statement_of(content: bytes) -> Sequence[Settled]:
    """The rows of the bill of trades (交易账单, ALL), plain or gzip.

    Each cell of a row begins with a grave accent; two rows of sums are at the end.

    Raises:
        UnreadableStatement: no such bill.
    """
    try:
        lines = unpacked(content).decode("utf-8-sig").splitlines()
    except ValueError:
        raise UnreadableStatement("no text in UTF-8, and no gzip of it") from None
    if not lines or not lines[0].startswith("交易时间,"):
        raise UnreadableStatement("no bill that begins with 交易时间")
    names, rows = lines[0].split(","), []
    for line in lines[1:]:
        if not line.startswith("`"):
            break  # the head of the sums
        cells = [cell.strip().removeprefix("`") for cell in re.split(r",(?=`)", line)]
        rows += _settled(dict(zip(names, cells, strict=False)))
    return rows


def unpacked(content: bytes) -> bytes:
    """The file itself, where it is packed; raises ``UnreadableStatement``."""
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            plain = file.read(LARGEST_BILL_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise UnreadableStatement("a broken gzip file") from None
    if len(plain) > LARGEST_BILL_BYTES:
        raise UnreadableStatement("larger than any bill")
    return plain


def _settled(row: Mapping[str, str]) -> list[Settled]:
    try:
        is_refund = row["交易状态"] == "REFUND"
        order, charge, request = row["商户订单号"], row["微信订单号"], row["商户退款单号"]
        currency, kept = row["货币种类"], _yuan(row["手续费"], CURRENCY, rounded=True)
        money = _yuan(row["申请退款金额"] if is_refund else row["订单金额"], currency)
        at = datetime.strptime(row["交易时间"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).astimezone(UTC)
    except KeyError as missing:
        raise UnreadableStatement(f"a bill without a column {missing}") from None
    except (Unreadable, ValueError, AssertionError):
        raise UnreadableStatement("a row whose amount or time cannot be read") from None
    if row["交易状态"] not in {"SUCCESS", "REFUND"}:  # REVOKED: taken back before it was settled
        return []
    one = Settled(
        id=f"{charge}/{row['微信退款单号']}" if is_refund else charge,
        kind=SettledKind.REFUND if is_refund else SettledKind.PAYMENT,
        money=Money(-money.minor if is_refund else money.minor, money.currency),
        fee=Money(max(kept.minor, 0), money.currency),
        at=at,
        key=_refund_key(request) if is_refund else key_of(order),
        charge=charge,
        reference=request if is_refund else "",
    )
    if kept.minor >= 0:
        return [one]
    back = Money(-kept.minor, money.currency)  # part of its fee is given back with a refund
    return [one, Settled(f"{one.id}/fee", SettledKind.FEE, back, Money(0, money.currency), at, charge=charge)]


def _refund_key(request: str) -> str:
    return request if re.fullmatch(r"xuka-[0-9a-f]{32}", request) else ""


def _yuan(text: str, currency: str, *, rounded: bool = False) -> Money:
    """Fees are told to five decimals of a yuan; what is settled is whole fen."""
    try:
        scaled = Decimal(text).scaleb(decimals(currency))
        whole = scaled.quantize(Decimal(1))
    except InvalidOperation:
        raise Unreadable("no amount") from None
    if scaled != whole and not rounded:
        raise Unreadable("an amount that its currency cannot express")
    return Money(int(whole), currency)
