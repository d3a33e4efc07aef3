"""A stand-in for PayPay's Open Payment API: codes, payments, refunds. It posts no notices: PayPay signs none.

Own code for the signature, independent of any client's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.wallets.app import application, served
from sandbox.wallets.app import till as running
from sandbox.wallets.till import Bill, GivenBack, Till

KEY, SECRET, MERCHANT = "a_Sandbox0Key", "sandboxSecretOfPayPay0123456789=", "580000000000000001"
CODE_LIVES = timedelta(minutes=5)
STATUS = {"pending": "CREATED", "done": "REFUNDED", "failed": "REFUND_FAILED"}


class PayPayTill(Till):
    """PayPay: the money moves when the person pays."""

    name = "PayPay"

    def __init__(self, *, key: str = KEY, secret: str = SECRET, merchant: str = MERCHANT, **more: Any) -> None:
        super().__init__(**more)
        self.key, self.secret, self.merchant = key, secret, merchant

    def charge_of(self, bill: Bill) -> str:
        return self.digits(20)


def paypay(till: PayPayTill, **more: Any) -> Any:
    """The WSGI application."""
    return application(till, api, **more)


def there() -> PayPayTill:
    """The provider of the running application."""
    found = running()
    assert isinstance(found, PayPayTill)
    return found


api = Blueprint("paypay", __name__)


def _said(code: str = "SUCCESS", data: dict[str, Any] | None = None, status: int = 200) -> Response:
    result = {"code": code, "message": code.title(), "codeId": "08100001"}
    response = jsonify({"resultInfo": result, "data": data})
    response.status_code = status
    return response


def _call(endpoint: str, work: Callable[[], Response]) -> Response:
    def checked() -> Response:
        return work() if _is_signed() else _said("UNAUTHORIZED", status=401)

    return served(endpoint, checked, busy=lambda: _said("RATE_LIMIT", status=429))


def _is_signed() -> bool:
    scheme, _, rest = request.headers.get("Authorization", "").partition(":")
    parts, body = rest.split(":"), request.get_data()
    if scheme != "hmac OPA-Auth" or len(parts) != 5 or request.headers.get("X-ASSUME-MERCHANT") != there().merchant:
        return False
    key, signature, nonce, epoch, digest = parts
    kind = request.headers["Content-Type"] if body else "empty"
    hashed = base64.b64encode(hashlib.md5(kind.encode() + body).digest()).decode() if body else "empty"  # noqa: S324
    text = f"{request.path}\n{request.method}\n{nonce}\n{epoch}\n{kind}\n{hashed}"
    made = base64.b64encode(hmac.digest(there().secret.encode(), text.encode(), "sha256")).decode()
    return key == there().key and digest == hashed and signature == made


@api.post("/v2/codes")
def create() -> Response:
    """A code; asked again while it lives, the same one."""

    def work() -> Response:
        told, now = request.get_json(), there().now()
        amount, key = told.get("amount", {}), told.get("merchantPaymentId", "")
        if amount.get("currency") != "JPY" or not isinstance(amount.get("amount"), int) or amount["amount"] < 1:
            return _said("INVALID_REQUEST_PARAMS", status=400)
        if told.get("codeType") != "ORDER_QR" or not 1 <= len(key) <= 64 or told.get("isAuthorization"):
            return _said("DYNAMIC_QR_BAD_REQUEST", status=400)
        bill = there().by_key(key)
        if bill and (there().current(bill).state != "open" or bill.told["asked"] != told):
            return _said("DUPLICATE_DYNAMIC_QR_REQUEST", status=400)
        if bill is None:
            id = f"04-{there().digits(16)}"
            bill = Bill(id, key, amount["amount"], "JPY", now, now + CODE_LIVES)
            bill.told = {"asked": told, "return_url": told.get("redirectUrl", "")}
            there().bills[id] = bill
        url = f"{there().url}/pay/{bill.id}"
        made = {"codeId": bill.id, "url": url, "expiryDate": int(bill.expires_at.timestamp())}
        return _said(data={**told, **made, "deeplink": f"paypay://payment?link_key={bill.id}"}, status=201)

    return _call("start", work)


@api.delete("/v2/codes/<id>")
def delete(id: str) -> Response:
    """Nobody can pay it any more; what was paid stays paid."""

    def work() -> Response:
        bill = there().bills.get(id)
        if bill is None or there().current(bill).state != "open":
            return _said("DYNAMIC_QR_NOT_FOUND", status=404)
        bill.state = "closed"
        return _said(data={"qrStatus": "DELETED"})

    return _call("close", work)


@api.get("/v2/codes/payments/<key>")
def details(key: str) -> Response:
    """How a payment is, by the shop's number of it."""

    def work() -> Response:
        bill = there().by_key(key)
        if bill is None or there().current(bill).state == "closed":
            return _said("DYNAMIC_QR_PAYMENT_NOT_FOUND", status=400)
        if bill.state != "paid":
            return _said(data={"status": "CREATED", "acceptedAt": 0, "requestedAt": 0})
        assert bill.paid_at is not None
        return _said(
            data={
                "paymentId": bill.charge,
                "status": "REFUNDED" if bill.refunds and not bill.left else "COMPLETED",
                "acceptedAt": int(bill.paid_at.timestamp()),
                "merchantPaymentId": key,
                "amount": {"amount": bill.captured, "currency": bill.captured_currency},
                "refunds": {"data": [_refund(bill, one) for one in bill.refunds]} if bill.refunds else None,
            }
        )

    return _call("look", work)


@api.delete("/v2/payments/<key>")
def cancel(key: str) -> Response:
    """Whatever was or is paid under this number goes back at once."""

    def work() -> Response:
        bill = there().by_key(key)
        if bill and there().current(bill).state == "open":
            bill.state = "closed"
        elif bill and bill.state == "paid":
            there().give_back(bill, key=f"cancel-{key}", amount=bill.left)
        return _said("REQUEST_ACCEPTED", status=202)

    return _call("close", work)


@api.post("/v2/refunds/")
def refund() -> Response:
    """A refund; the same number again is the same one."""

    def work() -> Response:
        told = request.get_json()
        bill = next((one for one in there().bills.values() if one.charge == told["paymentId"]), None)
        if bill is None:
            return _said("RESOURCE_NOT_FOUND", status=404)
        known = any(one.key == told["merchantRefundId"] for one in bill.refunds)
        if not known and not 1 <= told["amount"]["amount"] <= bill.left:
            return _said("INVALID_PARAMS", status=400)
        given = there().give_back(bill, key=told["merchantRefundId"], amount=told["amount"]["amount"])
        return _said(data=_refund(bill, given)) if given else _said("CANCELED_USER", status=400)

    return _call("refund", work)


@api.get("/v2/refunds/<key>")
def look_refund(key: str) -> Response:
    """How a refund is, by the shop's number of it and the payment's id."""

    def work() -> Response:
        for bill in there().bills.values():
            if bill.charge and bill.charge == request.args.get("paymentId"):
                for one in bill.refunds:
                    if one.key == key:
                        return _said(data=_refund(bill, one))
        return _said("NO_SUCH_REFUND_ORDER", status=404)

    return _call("look_refund", work)


def _refund(bill: Bill, given: GivenBack) -> dict[str, Any]:
    return {
        "status": STATUS[given.state],
        "acceptedAt": int(given.at.timestamp()),
        "merchantRefundId": given.key,
        "paymentId": bill.charge,
        "amount": {"amount": given.amount, "currency": bill.captured_currency},
        "requestedAt": int(given.at.timestamp()),
        "reason": None,
    }
