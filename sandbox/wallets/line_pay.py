"""A stand-in for LINE Pay's Online API v3: signed requests, 19-digit ids as bare numbers, no notices.

Own code for the signature, independent of any client's. Return codes as LINE documents them.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, request

from sandbox.wallets.app import application, served
from sandbox.wallets.app import till as running
from sandbox.wallets.till import Bill, GivenBack, Till

CHANNEL, SECRET = "1656789012", "0f6e3c1b5d9a4e7788aa11bb22cc33dd"
REQUEST_LIVES = timedelta(minutes=20)
DECIMALS = {"JPY": 0}


class LinePayTill(Till):
    """LINE Pay: a person approves, the shop confirms."""

    name = "LINE Pay"
    captures_by_itself = False

    def __init__(self, *, channel: str = CHANNEL, secret: str = SECRET, **more: Any) -> None:
        super().__init__(**more)
        self.channel, self.secret = channel, secret

    def as_number(self, minor: int, currency: str) -> Decimal:
        """Minor units as the decimal number that LINE writes."""
        return Decimal(minor).scaleb(-DECIMALS.get(currency, 2))


def line_pay(till: LinePayTill, **more: Any) -> Any:
    """The WSGI application."""
    return application(till, api, **more)


def there() -> LinePayTill:
    """The provider of the running application."""
    found = running()
    assert isinstance(found, LinePayTill)
    return found


api = Blueprint("line_pay", __name__)


def _said(code: str, info: Any = None, status: int = 200) -> Response:
    body = {"returnCode": code, "returnMessage": "Success." if code == "0000" else "-"}
    text = json.dumps(body | ({"info": info} if info is not None else {}), default=float)
    # Ids are bare numbers of 19 digits, as LINE sends them.
    for id in sorted(_ids(info), key=len, reverse=True):
        text = text.replace(f'"{id}"', id)
    return Response(text, status, mimetype="application/json")


def _ids(value: Any) -> set[str]:
    if isinstance(value, list):
        return {id for one in value for id in _ids(one)}
    if isinstance(value, dict):
        own = {str(one) for name, one in value.items() if name.lower().endswith("transactionid")}
        return own | {id for one in value.values() for id in _ids(one)}
    return set()


def _call(endpoint: str, work: Callable[[], Response]) -> Response:
    def checked() -> Response:
        return work() if _is_signed() else _said("1106")

    return served(endpoint, checked, busy=lambda: _said("9429", status=429))


def _is_signed() -> bool:
    nonce = request.headers.get("X-LINE-Authorization-Nonce", "")
    content = request.query_string if request.method == "GET" else request.get_data()
    text = there().secret.encode() + request.path.encode() + content + nonce.encode()
    made = base64.standard_b64encode(hmac.digest(there().secret.encode(), text, "sha256")).decode()
    is_ours = request.headers.get("X-LINE-ChannelId") == there().channel
    return bool(nonce) and is_ours and request.headers.get("X-LINE-Authorization") == made


@api.post("/v3/payments/request")
def ask() -> Response:
    """Request a payment; the same order number is refused, paid or not."""

    def work() -> Response:
        told = json.loads(request.get_data(), parse_float=Decimal)
        if told.get("currency") not in {"TWD", "THB", "USD"}:
            return _said("1178")
        minor = Decimal(str(told["amount"])) * 100
        products = sum(one["price"] * one["quantity"] for pack in told["packages"] for one in pack["products"])
        if minor != int(minor) or minor < 1 or (told["currency"] == "TWD" and minor % 100):
            return _said("1124")
        if products != told["amount"] or not told["redirectUrls"]["confirmUrl"]:
            return _said("2101")
        if there().by_key(told["orderId"]):
            return _said("1172")
        now = there().now()
        id = there().digits(19)
        urls = {"return_url": told["redirectUrls"]["confirmUrl"], "description": told["packages"][0]["products"][0]}
        bill = Bill(id, told["orderId"], int(minor), told["currency"], now, now + REQUEST_LIVES, told=urls)
        there().bills[id] = bill
        paths = {"web": f"{there().url}/pay/{id}", "app": f"line://pay/payment/{id}"}
        return _said("0000", {"paymentUrl": paths, "transactionId": id, "paymentAccessToken": "187568751124"})

    return _call("start", work)


@api.get("/v3/payments/requests/<id>/check")
def check(id: str) -> Response:
    """How far a request is."""

    def work() -> Response:
        bill = there().bills.get(id)
        if bill is None:
            return _said("1150")
        state = there().current(bill).state
        return _said({"open": "0000", "approved": "0110", "closed": "0121", "paid": "0123"}[state])

    return _call("look", work)


@api.post("/v3/payments/<id>/confirm")
def confirm(id: str) -> Response:
    """Take the money of what was approved."""

    def work() -> Response:
        told, bill = json.loads(request.get_data(), parse_float=Decimal), there().bills.get(id)
        if bill is None:
            return _said("1150")
        state = there().current(bill).state
        if state != "approved":
            return _said({"open": "1169", "closed": "1180", "paid": "1152"}[state])
        if (Decimal(str(told["amount"])) * 100, told["currency"]) != (bill.amount, bill.currency):
            return _said("1153")
        if not there().capture(bill):
            return _said("1142")
        return _said("0000", {"orderId": bill.key, "transactionId": id, "payInfo": _paid(bill)})

    return _call("capture", work)


@api.post("/v3/payments/<id>/refund")
def refund(id: str) -> Response:
    """Give money back, whole or a part; each call is a refund of its own."""

    def work() -> Response:
        told, bill = json.loads(request.get_data(), parse_float=Decimal), there().bills.get(id)
        if bill is None or bill.state != "paid":
            return _said("1150")
        decimals = DECIMALS.get(bill.captured_currency, 2)
        minor = int(Decimal(str(told["refundAmount"])).scaleb(decimals)) if "refundAmount" in told else bill.left
        if bill.left == 0:
            return _said("1165")
        if not 1 <= minor <= bill.left:
            return _said("1164")
        given = there().give_back(bill, key=there().digits(19), amount=minor)
        if given is None:
            return _said("1179")
        given.id, given.state = given.key, "done"
        return _said("0000", {"refundTransactionId": given.id, "refundTransactionDate": _time(given.at)})

    return _call("refund", work)


@api.get("/v3/payments")
def details() -> Response:
    """What was confirmed, by order number or by the id of a payment or refund; requests are not seen here."""
    orders, wanted = request.args.getlist("orderId"), request.args.getlist("transactionId")

    def work() -> Response:
        rows: list[dict[str, Any]] = []
        for bill in (one for one in there().bills.values() if one.state == "paid"):
            if bill.id in wanted or bill.key in orders:
                rows.append(_payment(bill))
            rows += [_refund(bill, one) for one in bill.refunds if one.id in wanted]
        return _said("0000", rows) if rows else _said("1150")

    return _call("find" if orders else "look_refund", work)


def _payment(bill: Bill) -> dict[str, Any]:
    assert bill.paid_at is not None
    row = {
        "transactionId": bill.id,
        "transactionDate": _time(bill.paid_at),
        "transactionType": "PAYMENT",
        "payStatus": "CAPTURE",
        "productName": "-",
        "merchantName": "Xuka",
        "currency": bill.captured_currency,
        "payInfo": _paid(bill),
        "orderId": bill.key,
    }
    backs = [
        {
            "refundTransactionId": one.id,
            "transactionType": "PAYMENT_REFUND" if one.amount == bill.captured else "PARTIAL_REFUND",
            "refundAmount": -there().as_number(one.amount, bill.captured_currency),
            "refundTransactionDate": _time(one.at),
        }
        for one in bill.refunds
    ]
    return row | ({"refundList": backs} if backs else {})


def _refund(bill: Bill, given: GivenBack) -> dict[str, Any]:
    return {
        "transactionId": given.id,
        "transactionDate": _time(given.at),
        "transactionType": "PAYMENT_REFUND" if given.amount == bill.captured else "PARTIAL_REFUND",
        "currency": bill.captured_currency,
        "payInfo": [
            {"method": "BALANCE", "amount": -there().as_number(given.amount, bill.captured_currency)},
        ],
        "originalTransactionId": bill.id,
        "orderId": bill.key,
    }


def _paid(bill: Bill) -> list[dict[str, Any]]:
    """In two parts: the person's points, and the rest."""
    points = min(100, bill.captured) if bill.captured_currency != "JPY" else 0
    rest = bill.captured - points
    parts = [("DISCOUNT", points), ("BALANCE", rest)]
    return [
        {"method": method, "amount": there().as_number(amount, bill.captured_currency)}
        for method, amount in parts
        if amount
    ]


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
