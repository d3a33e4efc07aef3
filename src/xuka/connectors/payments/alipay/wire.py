"""Alipay's words <-> ours. Pure. Whatever is not listed here is ``Unknown``.

Sources are in README.md. Amounts are yuan with two decimals, always; times are Beijing's, without a zone.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

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
# Least and most of total_amount: 0.01 to 100,000,000.00 yuan.
LIMITS: Mapping[str, tuple[int, int]] = {CURRENCY: (1, 10_000_000_000)}
# time_expire lies one minute to fifteen days ahead.
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=15)
CLOCKS_DIFFER_BY = timedelta(minutes=1)
SIGNATURE_TOLERANCE = timedelta(minutes=5)
# A day's bill is made by nine o'clock of the next morning.
BILL_READY = timedelta(days=1, hours=10)
AFTER_TOO_MANY = timedelta(seconds=5)
LARGEST_BILL_BYTES = 100_000_000

PRECREATE, WAP_PAY = "alipay.trade.precreate", "alipay.trade.wap.pay"
QUERY, CLOSE = "alipay.trade.query", "alipay.trade.close"
REFUND, REFUND_QUERY = "alipay.trade.refund", "alipay.trade.fastpay.refund.query"
BILL = "alipay.data.dataservice.bill.downloadurl.query"

# What is surely refused, by sub_code; nothing was done. ACQ.SYSTEM_ERROR and all others may have been done.
REFUSALS: Mapping[str, Reason] = {
    "ACQ.INVALID_PARAMETER": Reason.BAD_REQUEST,
    "ACQ.EXIST_FORBIDDEN_WORD": Reason.BAD_REQUEST,
    "ACQ.TOTAL_FEE_EXCEED": Reason.BAD_REQUEST,
    "ACQ.ACCESS_FORBIDDEN": Reason.NOT_AUTHORISED,
    "ACQ.PARTNER_ERROR": Reason.NOT_AUTHORISED,
    "ACQ.TRADE_NOT_EXIST": Reason.UNKNOWN_PAYMENT,
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": Reason.BAD_REQUEST,
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": Reason.BAD_REQUEST,
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": Reason.BAD_REQUEST,
    "ACQ.REFUND_FEE_ERROR": Reason.BAD_REQUEST,
    "ACQ.REASON_TRADE_BEEN_FREEZEN": Reason.BAD_REQUEST,
    "ACQ.TRADE_STATUS_ERROR": Reason.BAD_REQUEST,
    "ACQ.NOT_ALLOW_PARTIAL_REFUND": Reason.BAD_REQUEST,
    "ACQ.TRADE_NOT_ALLOW_REFUND": Reason.REFUND_TOO_LATE,
    "ACQ.TRADE_HAS_FINISHED": Reason.REFUND_TOO_LATE,
    "ACQ.TRADE_HAS_CLOSE": Reason.ALREADY_REFUNDED,
}
# Of the gateway itself, before anything is done: parameters, permissions. These come without a signature.
GATEWAY: Mapping[str, Reason] = {
    "20001": Reason.NOT_AUTHORISED,
    "40001": Reason.BAD_REQUEST,
    "40002": Reason.BAD_REQUEST,
    "40003": Reason.NOT_AUTHORISED,
    "40006": Reason.NOT_AUTHORISED,
}
NOT_US = frozenset({"isv.invalid-signature", "isv.invalid-app-id", "isv.missing-signature-key"})
TOO_MANY = "40005"
IS_PAID = frozenset({"TRADE_SUCCESS", "TRADE_FINISHED"})
NOT_OPEN = frozenset({"ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS"})
MATTERS = IS_PAID | {"TRADE_CLOSED"}


class Unreadable(ValueError):
    """The answer is not of a documented shape; the sentence says what was seen, free of their words."""


# -- keys, amounts, times ---------------------------------------------------------------------------------------------


def order_of(key: str) -> str:
    """Our key as their order number, which knows letters, digits and underscores only."""
    assert re.fullmatch(r"xuka-[0-9a-f]{32}", key), "a key of ours"
    return key.replace("-", "_")


def key_of(order: str) -> str:
    """Our key in their order number; "" when it is none of ours."""
    return order.replace("_", "-") if re.fullmatch(r"xuka_[0-9a-f]{32}", order) else ""


def reference_of(key: str, expires_at: datetime) -> str:
    """Under which a payment is looked at: their order number, and until when it can be paid.

    Until the person has opened it Alipay says that the trade does not exist; only its time tells that it is over.
    """
    return f"{order_of(key)}@{int(expires_at.timestamp())}"


def read_reference(reference: str) -> tuple[str, datetime | None] | None:
    """(order number, until when), the latter None where it was found by its number; None: no reference of ours."""
    order, _, stamp = reference.partition("@")
    if not key_of(order) or not re.fullmatch(r"[0-9]{0,11}", stamp):
        return None
    return order, datetime.fromtimestamp(int(stamp), UTC) if stamp else None


def expires_at(ask: Ask) -> datetime:
    """``pay_by``, not sooner than a minute after the ask and not later than fifteen days, in whole seconds."""
    wanted = min(max(ask.pay_by, ask.asked_at + SHORTEST), ask.asked_at + LONGEST)
    return wanted.replace(microsecond=0) + timedelta(seconds=1 if wanted.microsecond else 0)


def yuan(money: Money) -> str:
    """1999 minor units of CNY -> "19.99"."""
    assert money.currency == CURRENCY, "only yuan is offered"
    return f"{money.minor // 100}.{money.minor % 100:02d}"


def money_of(text: Any, currency: str) -> Money:
    """An amount of theirs, exactly; raises ``Unreadable``."""
    try:
        scaled = Decimal(str(text)).scaleb(decimals(currency))
        if scaled != scaled.to_integral_value():
            raise Unreadable("an amount that its currency cannot express")
    except InvalidOperation:
        raise Unreadable("no amount") from None
    return Money(int(scaled), currency)


def beijing(at: datetime) -> str:
    return f"{at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def moment(text: str) -> datetime:
    """A time of theirs, aware UTC; raises ``Unreadable``."""
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError:
        raise Unreadable("no time") from None


def refusal_of_amount(money: Money) -> Refused | None:
    """Why this cannot be asked at all; None when it can."""
    least, most = LIMITS.get(money.currency, (1, 0))
    if least <= money.minor <= most:
        return None
    return Refused(Reason.BAD_REQUEST, None, "not an amount in yuan that Alipay takes")


# -- signatures -------------------------------------------------------------------------------------------------------


def sign(text: str, key: RSAPrivateKey) -> str:
    """RSA2: SHA256withRSA, base64."""
    return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def is_signed(text: str, signature: str, key: RSAPublicKey) -> bool:
    """Whether the text was signed with the private half of this key."""
    try:
        key.verify(base64.b64decode(signature, validate=True), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        return False
    return True


def in_order(params: Mapping[str, str]) -> str:
    """What is signed: names and values as they are, sorted by name."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params))


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who asks, and how answers are verified."""

    app_id: str
    seller_id: str
    private_key: RSAPrivateKey
    alipay_key: RSAPublicKey
    notify_url: str


def asked(merchant: Merchant, method: str, content: Mapping[str, Any], at: datetime, **more: str) -> dict[str, str]:
    """The signed parameters of a call; the same at the same time are the same."""
    params = {
        "app_id": merchant.app_id,
        "method": method,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": beijing(at),
        "version": "1.0",
        "biz_content": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        **more,
    }
    return params | {"sign": sign(in_order(params), merchant.private_key)}


def order_asked(ask: Ask, **more: str) -> dict[str, str]:
    """The content of ``alipay.trade.precreate``, and of ``alipay.trade.wap.pay`` with ``more``."""
    return {
        "out_trade_no": order_of(ask.key),
        "total_amount": yuan(ask.money),
        # Not allowed in it: / = &
        "subject": re.sub(r"[/=&]", " ", ask.description)[:256] or "-",
        "time_expire": beijing(expires_at(ask)),
        **more,
    }


def page_asked(merchant: Merchant, ask: Ask) -> dict[str, str]:
    """The parameters of the page where a phone pays (``alipay.trade.wap.pay``): it opens Alipay's app."""
    content = order_asked(ask, product_code="QUICK_WAP_WAY", quit_url=ask.return_url)
    more = {"return_url": ask.return_url, "notify_url": merchant.notify_url}
    return asked(merchant, WAP_PAY, content, ask.asked_at, **more)


# -- answers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified answer, or a refusal of the gateway, which signs none."""

    code: str
    sub_code: str
    body: Mapping[str, Any]


def answer_of(*, status: int, content: bytes, method: str, key: RSAPublicKey) -> Answer | Unknown:
    """The answer, when it is Alipay's. What is verified is the text as it came, and only that text is read."""
    if status != 200:
        return Unknown(f"status {status}")
    try:
        text = content.decode()
        whole = json.loads(text)
        name = method.replace(".", "_") + "_response"
        name = name if name in whole else "error_response"
        begin = re.search(rf'"{name}"\s*:\s*', text)
        if begin is None:
            return Unknown("no answer to what was asked")
        body, end = json.JSONDecoder().raw_decode(text, begin.end())
    except (ValueError, TypeError, RecursionError):
        return Unknown("no JSON of theirs")
    if not isinstance(body, dict):
        return Unknown("no answer to what was asked")
    answer = Answer(str(body.get("code")), str(body.get("sub_code", "")), body)
    signature = whole.get("sign")
    if not signature and (answer.code in GATEWAY or answer.code == TOO_MANY):
        return answer
    if not isinstance(signature, str) or not is_signed(text[begin.end() : end], signature, key):
        return Unknown("an answer that Alipay has not signed")
    return answer


def not_done(answer: Answer) -> Refused | Unknown:
    """What an answer that is no success means. Only listed codes are a refusal."""
    told = f"code {answer.code} {_word(answer.sub_code)}".strip()
    if answer.code == TOO_MANY:
        return Refused(Reason.RATE_LIMITED, AFTER_TOO_MANY, told)
    if answer.code in GATEWAY:
        return Refused(Reason.NOT_AUTHORISED if answer.sub_code in NOT_US else GATEWAY[answer.code], None, told)
    if answer.code == "40004" and answer.sub_code in REFUSALS:
        return Refused(REFUSALS[answer.sub_code], None, told)
    return Unknown(told)


def _word(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", value) else ""


def qr_of(answer: Answer, *, key: str, reference: str) -> Outcome[Payment]:
    """The QR code of ``alipay.trade.precreate``."""
    if answer.code != "10000":
        return not_done(answer)
    qr = answer.body.get("qr_code")
    if answer.body.get("out_trade_no") != order_of(key) or not isinstance(qr, str) or not qr:
        return Unknown("a QR code of something else than was asked")
    return Done(Payment(reference, key, PaymentState.OPEN, qr=qr))


def payment_of(answer: Answer, *, order: str, reference: str) -> Outcome[Payment]:
    """The trade of ``alipay.trade.query``.

    TRADE_CLOSED is said of what was never paid, and of what was paid and wholly refunded: that has a send_pay_date.
    """
    if answer.code != "10000":
        return not_done(answer)
    body, status, key = answer.body, answer.body.get("trade_status"), key_of(order)
    if body.get("out_trade_no") != order:
        return Unknown("a trade of another number")
    if status in IS_PAID or (status == "TRADE_CLOSED" and body.get("send_pay_date")):
        trade = body.get("trade_no")
        if not isinstance(trade, str) or not trade:
            return Unknown("paid, but without a number")
        try:
            paid = money_of(body.get("total_amount"), str(body.get("trans_currency") or CURRENCY))
        except (Unreadable, AssertionError):
            return Unknown("paid, but no amount can be read")
        return Done(Payment(reference, key, PaymentState.PAID, charge=trade, paid=paid))
    if status == "WAIT_BUYER_PAY":
        return Done(Payment(reference, key, PaymentState.OPEN))
    if status == "TRADE_CLOSED":
        return Done(Payment(reference, key, PaymentState.CLOSED))
    return Unknown("a trade of an unlisted status")


def unseen(reference: str, now: datetime) -> Outcome[Payment]:
    """What "there is no such trade" means: nobody has opened it yet; once its time is over, nobody can any more."""
    read = read_reference(reference)
    if read is None or read[1] is None:
        return Refused(Reason.UNKNOWN_PAYMENT, None, "no such trade")
    is_over = now >= read[1] + CLOCKS_DIFFER_BY
    return Done(Payment(reference, key_of(read[0]), PaymentState.CLOSED if is_over else PaymentState.OPEN))


# -- refunds ----------------------------------------------------------------------------------------------------------


def refund_reference(charge: str, request: str) -> str:
    return f"{charge}/{request}"


def refund_of(answer: Answer, *, charge: str, request: str) -> Outcome[Refund | None]:
    """The refund of ``alipay.trade.fastpay.refund.query``; None while Alipay has given nothing back.

    An answer without ``refund_status`` says that it was not received, or failed, or is not done yet.
    """
    if answer.sub_code == "ACQ.TRADE_NOT_EXIST":
        return Done(None)
    if answer.code != "10000":
        return not_done(answer)
    body = answer.body
    if not body.get("refund_status"):
        return Done(None)
    if body["refund_status"] != "REFUND_SUCCESS":
        return Unknown("a refund of an unlisted status")
    if (body.get("trade_no"), body.get("out_request_no")) != (charge, request):
        return Unknown("a refund of something else than was asked")
    try:
        money = money_of(body.get("refund_amount"), CURRENCY)
    except Unreadable:
        return Unknown("a refund whose amount cannot be read")
    return Done(Refund(refund_reference(charge, request), key_of(request), RefundState.DONE, money))


# -- notices ----------------------------------------------------------------------------------------------------------


def event_of(pairs: Sequence[tuple[str, str]], *, merchant: Merchant, now: datetime) -> Event:
    """Verify the notice, then translate.

    Args:
        pairs: the fields of the form, as they came.

    Raises:
        Forged: not signed by Alipay, sent more than 5 minutes from ``now``, or of another app or seller.
    """
    told = dict(pairs)
    if len(told) != len(pairs) or told.get("sign_type") != "RSA2":
        raise Forged("no readable signature")
    signed = {name: value for name, value in told.items() if name not in {"sign", "sign_type"}}
    if not is_signed(in_order(signed), told.get("sign", ""), merchant.alipay_key):
        raise Forged("signed by somebody else")
    if (told.get("app_id"), told.get("seller_id")) != (merchant.app_id, merchant.seller_id):
        raise Forged("of another app or seller")
    try:
        sent_at = moment(told.get("notify_time", ""))
    except Unreadable:
        raise Forged("signed, but without a time") from None
    if abs(now - sent_at) > SIGNATURE_TOLERANCE:
        raise Forged("sent too long ago, or in the future")
    order, status = told.get("out_trade_no", ""), told.get("trade_status", "")
    if not told.get("notify_id") or not order:
        raise Forged("signed, but no notice")
    return Event(
        id=told["notify_id"],
        kind=status,
        key=key_of(order),
        reference=order,
        charge=told.get("trade_no", ""),
        matters=status in MATTERS,
        created_at=sent_at,
    )


# -- the bill of a day ------------------------------------------------------------------------------------------------


def statement_of(content: bytes) -> Sequence[Settled]:
    """The rows of the bill of trades (业务明细), as the zip file that Alipay hands out or the CSV file in it.

    Raises:
        UnreadableStatement: no such bill.
    """
    for text in _files(content):
        lines = text.splitlines()
        head = next((n for n, line in enumerate(lines) if line.startswith("支付宝交易号")), None)
        if head is not None:
            names = [re.sub(r"[(（][^)）]*[)）]", "", name).strip() for name in next(csv.reader([lines[head]]))]
            rows = csv.reader(line for line in lines[head + 1 :] if line.strip() and not line.startswith("#"))
            return [one for row in rows for one in _settled(dict(zip(names, map(str.strip, row), strict=False)))]
    raise UnreadableStatement("no bill with a column 支付宝交易号")


def _files(content: bytes) -> list[str]:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return [content.decode("gb18030", errors="replace")]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if sum(part.file_size for part in parts) > LARGEST_BILL_BYTES:
                raise UnreadableStatement("larger than any bill")
            return [archive.read(part).decode("gb18030", errors="replace") for part in parts]
    except (zipfile.BadZipFile, RuntimeError, OSError):
        raise UnreadableStatement("a broken zip file") from None


def _settled(row: Mapping[str, str]) -> list[Settled]:
    try:
        trade, request = row["支付宝交易号"], row["退款批次号/请求号"]
        money, kept = money_of(row["商家实收"], CURRENCY), -money_of(row["服务费"], CURRENCY).minor
        at, kind = moment(row["完成时间"]), KINDS.get(row["业务类型"], SettledKind.OTHER)
        order = row["商户订单号"]
    except KeyError as missing:
        raise UnreadableStatement(f"a bill without a column {missing}") from None
    except Unreadable as seen:
        raise UnreadableStatement(f"a row with {seen}") from None
    is_refund = kind == SettledKind.REFUND
    reference = refund_reference(trade, request) if is_refund else ""
    one = Settled(
        id=reference or trade,
        kind=kind,
        money=money,
        fee=Money(max(kept, 0), CURRENCY),
        at=at,
        key=key_of(request if is_refund else order),
        charge=trade,
        reference=reference,
    )
    if kept >= 0:
        return [one]
    back = Money(-kept, CURRENCY)  # part of its fee is given back with a refund
    return [one, Settled(f"{one.id}/fee", SettledKind.FEE, back, Money(0, CURRENCY), at, charge=trade)]


KINDS: Mapping[str, SettledKind] = {"交易": SettledKind.PAYMENT, "退款": SettledKind.REFUND}
