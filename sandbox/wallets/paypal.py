"""A stand-in for PayPal: tokens, orders, captures, what it keeps, refunds, transactions, and notices that it verifies.

Own code throughout, independent of any client's. Its notices are signed with a secret that nobody else has: whoever
gets one has to ask, as at the real one.
"""

from __future__ import annotations

import base64
import hmac
import json
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.wallets.app import application, served
from sandbox.wallets.app import till as running
from sandbox.wallets.till import Bill, GivenBack, Notice, Till

CLIENT, SECRET, WEBHOOK = "AeSandboxClientOfTheShop", "EKsandboxSecretOfTheShop", "8PT597110X687430LKGECATA"
ORDER_LIVES, TOKEN_LIVES = timedelta(hours=3), timedelta(hours=9)
WHOLE = {"JPY", "TWD", "HUF"}
DECIMALS = {"JPY": 0}
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
STATUS = {"open": "PAYER_ACTION_REQUIRED", "approved": "APPROVED", "paid": "COMPLETED"}
# The one person who pays here.
PAYER = "buyer@sandbox.test"
REFUND_STATUS = {"pending": "PENDING", "done": "COMPLETED", "failed": "FAILED"}


class PayPalTill(Till):
    """PayPal: the person approves, the shop captures.

    Attributes:
        may_vault: PayPal has allowed the shop to have accounts kept.
        vault: what is kept: the shop's own word for the customer, by the token.
        answered: what a charge was answered with, by its request id.
    """

    name = "PayPal"
    captures_by_itself = False

    def __init__(
        self, *, client: str = CLIENT, secret: str = SECRET, webhook: str = WEBHOOK, signs_with: str = "x", **more: Any
    ) -> None:
        super().__init__(**more)
        self.client, self.secret, self.webhook, self.signs_with = client, secret, webhook, signs_with
        self.tokens: dict[str, datetime] = {}
        self.asked: dict[str, str] = {}
        self.invoices: set[str] = set()
        self.may_vault = True
        self.vault: dict[str, str] = {}
        self.answered: dict[str, tuple[dict[str, Any], int]] = {}

    def id(self) -> str:
        """A new id of PayPal's kind."""
        return "".join(self.chance.choice(LETTERS) for _ in range(17))

    def charge_of(self, bill: Bill) -> str:
        return self.id()

    def keep(self, bill: Bill) -> None:
        """Keep the account that this bill was paid with, if that was asked; the one it has already, unless the shop
        wants one for each of its customers."""
        wanted = bill.told["keeps"]
        if wanted and not bill.told.get("kept"):
            there = None if wanted["many"] else next(iter(self.vault), None)
            bill.told["kept"] = there or self.id().lower()
            self.vault[bill.told["kept"]] = wanted["customer"]

    def signed(self, id: str, at: str, body: bytes, *, secret: str = "") -> str:
        """The signature over a notice's id, time, webhook and CRC32, as PayPal takes it."""
        text = f"{id}|{at}|{self.webhook}|{zlib.crc32(body)}"
        made = hmac.digest((secret or self.signs_with).encode(), text.encode(), "sha256")
        return base64.b64encode(made).decode()

    def notice(self, what: str, bill: Bill, refund: GivenBack | None, *, forged: bool, at: datetime) -> Notice | None:
        kinds = {
            "approved": ("CHECKOUT.ORDER.APPROVED", "checkout-order"),
            "paid": ("PAYMENT.CAPTURE.COMPLETED", "capture"),
            "refunded": ("PAYMENT.CAPTURE.REFUNDED", "refund"),
        }
        if what not in kinds or (refund and refund.state != "done"):
            return None
        about = as_refund(self, bill, refund) if refund else as_capture(self, bill)
        event = {
            "id": f"WH-{self.id()}-{self.id()}",
            "event_version": "1.0",
            "create_time": _time(at),
            "resource_type": kinds[what][1],
            "event_type": kinds[what][0],
            "resource": as_order(self, bill) if what == "approved" else about,
        }
        body, id, sent = json.dumps(event).encode(), f"69cd13f0-{self.digits(12)}", _time(at)
        return body, {
            "Content-Type": "application/json",
            "PAYPAL-TRANSMISSION-ID": id,
            "PAYPAL-TRANSMISSION-TIME": sent,
            "PAYPAL-TRANSMISSION-SIG": self.signed(id, sent, body, secret="another" if forged else ""),
            "PAYPAL-CERT-URL": "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270",
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        }


def paypal(till: PayPalTill, **more: Any) -> Any:
    """The WSGI application."""
    return application(till, api, **more)


def there() -> PayPalTill:
    """The provider of the running application."""
    found = running()
    assert isinstance(found, PayPalTill)
    return found


api = Blueprint("paypal", __name__)


def _said(body: dict[str, Any], status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response


def _wrong(name: str, status: int, issue: str = "") -> Response:
    details = [{"issue": issue, "description": "-"}] if issue else []
    return _said({"name": name, "message": "-", "debug_id": "90957fca61718", "details": details}, status)


def _call(endpoint: str, work: Callable[[], Response]) -> Response:
    def checked() -> Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        known = there().tokens.get(token)
        return work() if known and there().now() < known else _wrong("AUTHENTICATION_FAILURE", 401)

    return served(endpoint, checked, busy=lambda: _wrong("RATE_LIMIT_REACHED", 429))


@api.post("/v1/oauth2/token")
def token() -> Response:
    """A bearer token for the shop's id and secret."""

    def work() -> Response:
        said = request.authorization
        if said is None or (said.username, said.password) != (there().client, there().secret):
            return _said({"error": "invalid_client", "error_description": "Client Authentication failed"}, 401)
        if request.form.get("grant_type") != "client_credentials":
            return _said({"error": "unsupported_grant_type"}, 400)
        made = f"A21AA{there().digits(40)}"
        there().tokens[made] = there().now() + TOKEN_LIVES
        seconds = int(TOKEN_LIVES.total_seconds())
        return _said({"access_token": made, "token_type": "Bearer", "expires_in": seconds, "nonce": "x"})

    return served("token", work, busy=lambda: _wrong("RATE_LIMIT_REACHED", 429))


@api.post("/v2/checkout/orders")
def create() -> Response:
    """An order; the same request id again is the same order."""

    def work() -> Response:
        told, now, asked = request.get_json(), there().now(), request.headers.get("PayPal-Request-Id", "")
        if asked and asked in there().asked:
            return _said(as_order(there(), there().bills[there().asked[asked]]), 200)
        if told.get("intent") != "CAPTURE" or len(told.get("purchase_units", [])) != 1:
            return _wrong("INVALID_REQUEST", 400)
        unit = told["purchase_units"][0]
        currency, value = unit["amount"]["currency_code"], Decimal(unit["amount"]["value"])
        if currency in WHOLE and "." in unit["amount"]["value"]:
            return _wrong("UNPROCESSABLE_ENTITY", 422, "DECIMALS_NOT_SUPPORTED")
        minor = value.scaleb(DECIMALS.get(currency, 2))
        if minor != int(minor) or minor <= 0:
            return _wrong("UNPROCESSABLE_ENTITY", 422, "CANNOT_BE_ZERO_OR_NEGATIVE")
        account = told.get("payment_source", {}).get("paypal")
        keeps = _instruction(account or {})
        if isinstance(keeps, Response):
            return keeps
        bill = Bill(there().id(), unit["custom_id"], int(minor), currency, now, now + ORDER_LIVES)
        bill.told = {"invoice_id": unit.get("invoice_id", ""), "has_page": bool(account), "keeps": keeps, "asked": told}
        bill.told["return_url"] = account["experience_context"]["return_url"] if account else ""
        there().bills[bill.id] = bill
        there().asked[asked] = bill.id
        return _said(as_order(there(), bill), 200 if account else 201)

    return _call("start", work)


def _instruction(account: dict[str, Any]) -> dict[str, Any] | Response | None:
    """For whom the account is to be kept, and whether each of them has their own; or why it cannot be."""
    attributes = account.get("attributes", {})
    vault = attributes.get("vault")
    if vault is None:
        return None
    if not there().may_vault:
        return _wrong("NOT_AUTHORIZED", 403, "NOT_ENABLED_TO_VAULT_PAYMENT_SOURCE")
    if (vault.get("store_in_vault"), vault.get("usage_type")) != ("ON_SUCCESS", "MERCHANT"):
        return _wrong("UNPROCESSABLE_ENTITY", 422, "VAULT_INSTRUCTION_REQUIRED")
    many = vault.get("permit_multiple_payment_tokens", False)
    return {"customer": attributes["customer"]["merchant_customer_id"], "many": many}


@api.get("/v2/checkout/orders/<id>")
def look(id: str) -> Response:
    """An order; one that nobody captured in time is not there any more."""

    def work() -> Response:
        bill = there().bills.get(id)
        if bill is None or there().current(bill).state == "closed":
            return _wrong("RESOURCE_NOT_FOUND", 404, "INVALID_RESOURCE_ID")
        return _said(as_order(there(), bill))

    return _call("look", work)


@api.post("/v2/checkout/orders/<id>/capture")
def capture(id: str) -> Response:
    """Take the money of an order, once: as it was approved, or with what is kept."""
    told = request.get_json(silent=True) or {}
    account = told.get("payment_source", {}).get("paypal")

    def work() -> Response:
        bill = there().bills.get(id)
        if bill is None or there().current(bill).state == "closed":
            return _wrong("RESOURCE_NOT_FOUND", 404, "INVALID_RESOURCE_ID")
        if account:
            return _charge(bill, account, request.headers.get("PayPal-Request-Id", ""))
        if bill.state not in {"approved", "paid"}:
            return _wrong("UNPROCESSABLE_ENTITY", 422, "ORDER_NOT_APPROVED")
        return _take(bill)

    return _call("charge" if account else "capture", work)


def _charge(bill: Bill, account: dict[str, Any], asked: str) -> Response:
    """Nobody has to approve it; the same request id is answered as it was before."""
    if asked in there().answered:
        return _said(*there().answered[asked])
    credential = account.get("stored_credential", {})
    if credential.get("payment_initiator") not in {"CUSTOMER", "MERCHANT"} or credential.get("usage") != "SUBSEQUENT":
        return _wrong("INVALID_REQUEST", 400)
    if account.get("vault_id") not in there().vault:
        response = _wrong("UNPROCESSABLE_ENTITY", 422, "TOKEN_ID_NOT_FOUND")
    elif there().strikes("charge", {"saved_needs_3ds": ""}):
        response = _wrong("UNPROCESSABLE_ENTITY", 422, "PAYER_ACTION_REQUIRED")
    elif there().strikes("charge", {"decline_saved": ""}):
        response = _wrong("UNPROCESSABLE_ENTITY", 422, "INSTRUMENT_DECLINED")
    else:
        response = _take(bill)
    if asked:
        there().answered[asked] = response.get_json(), response.status_code
    return response


def _take(bill: Bill) -> Response:
    if bill.state == "paid":
        return _wrong("UNPROCESSABLE_ENTITY", 422, "ORDER_ALREADY_CAPTURED")
    if bill.told["invoice_id"] in there().invoices:
        return _wrong("UNPROCESSABLE_ENTITY", 422, "DUPLICATE_INVOICE_ID")
    if not there().capture(bill):
        return _wrong("UNPROCESSABLE_ENTITY", 422, "INSTRUMENT_DECLINED")
    there().invoices.add(bill.told["invoice_id"])
    there().keep(bill)
    return _said(as_order(there(), bill), 201)


@api.delete("/v3/vault/payment-tokens/<token>")
def forget(token: str) -> Response:
    """Keep an account no longer."""

    def work() -> Response:
        known = there().vault.pop(token, None)
        return Response(status=204) if known else _wrong("RESOURCE_NOT_FOUND", 404, "INVALID_RESOURCE_ID")

    return _call("forget", work)


@api.get("/v2/payments/captures/<id>")
def captured(id: str) -> Response:
    """A capture, with the order it belongs to."""

    def work() -> Response:
        bill = _of_charge(id)
        return _said(as_capture(there(), bill)) if bill else _wrong("RESOURCE_NOT_FOUND", 404, "INVALID_RESOURCE_ID")

    return _call("find", work)


@api.post("/v2/payments/captures/<id>/refund")
def refund(id: str) -> Response:
    """Money back; the same request id again is the same refund."""

    def work() -> Response:
        bill, told, asked = _of_charge(id), request.get_json(), request.headers.get("PayPal-Request-Id", "")
        if bill is None:
            return _wrong("RESOURCE_NOT_FOUND", 404, "INVALID_RESOURCE_ID")
        if told["amount"]["currency_code"] != bill.captured_currency:
            return _wrong("UNPROCESSABLE_ENTITY", 422, "REFUND_CAPTURE_CURRENCY_MISMATCH")
        minor = int(Decimal(told["amount"]["value"]).scaleb(DECIMALS.get(bill.captured_currency, 2)))
        known = any(one.key == asked for one in bill.refunds)
        if not known and bill.left == 0:
            return _wrong("UNPROCESSABLE_ENTITY", 422, "CAPTURE_FULLY_REFUNDED")
        if not known and not 1 <= minor <= bill.left:
            return _wrong("UNPROCESSABLE_ENTITY", 422, "REFUND_AMOUNT_EXCEEDED")
        given = there().give_back(bill, key=asked, amount=minor)
        if given is None:
            return _wrong("UNPROCESSABLE_ENTITY", 422, "REFUND_FAILED_INSUFFICIENT_FUNDS")
        if not known:
            given.id = there().id()
        return _said(as_refund(there(), bill, given), 200 if known else 201)

    return _call("refund", work)


@api.get("/v2/payments/refunds/<id>")
def look_refund(id: str) -> Response:
    """A refund."""

    def work() -> Response:
        for bill in there().bills.values():
            for one in bill.refunds:
                if one.id == id:
                    return _said(as_refund(there(), bill, one))
        return _wrong("RESOURCE_NOT_FOUND", 404, "INVALID_RESOURCE_ID")

    return _call("look_refund", work)


@api.post("/v1/notifications/verify-webhook-signature")
def verify() -> Response:
    """Whether a notice is ours, over the bytes of the event as they were sent here."""

    def work() -> Response:
        raw = request.get_data(as_text=True)
        begin = raw.index('"webhook_event":') + len('"webhook_event":')
        while raw[begin] == " ":
            begin += 1
        _, end = json.JSONDecoder().raw_decode(raw, begin)
        told = request.get_json()
        made = there().signed(told["transmission_id"], told["transmission_time"], raw[begin:end].encode())
        is_ours = told["webhook_id"] == there().webhook and hmac.compare_digest(
            made.encode(), told["transmission_sig"].encode()
        )
        return _said({"verification_status": "SUCCESS" if is_ours else "FAILURE"})

    return _call("verify", work)


@api.get("/v1/reporting/transactions")
def transactions() -> Response:
    """Everything that moved between two moments."""

    def work() -> Response:
        begin, end = (datetime.fromisoformat(request.args[name]) for name in ("start_date", "end_date"))
        rows = [row for row in _moved() if begin <= datetime.fromisoformat(row["transaction_initiation_date"]) <= end]
        size, page = int(request.args["page_size"]), int(request.args["page"])
        shown = [{"transaction_info": row} for row in rows[(page - 1) * size : page * size]]
        pages = -(-len(rows) // size)
        return _said(
            {
                "transaction_details": shown,
                "last_refreshed_datetime": there().now().strftime("%Y-%m-%dT%H:%M:%S+0000"),
                "page": page,
                "total_items": len(rows),
                "total_pages": pages,
            }
        )

    return _call("statement" if request.args["start_date"].endswith("T00:00:00Z") else "find", work)


def _moved() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for bill in there().bills.values():
        if bill.paid_at is None:
            continue
        money = _amount(bill.captured, bill.captured_currency)
        fee = _amount(-min(35, bill.captured), bill.captured_currency)
        common = {"invoice_id": bill.told["invoice_id"], "transaction_status": "S"}
        paid = {"transaction_id": bill.charge, "transaction_event_code": "T0006", "custom_field": bill.key}
        amounts = {"transaction_amount": money, "fee_amount": fee}
        at = {"transaction_initiation_date": bill.paid_at.strftime("%Y-%m-%dT%H:%M:%S+0000")}
        rows.append(common | paid | amounts | at)
        for one in bill.refunds:
            back = {"transaction_id": one.id, "transaction_event_code": "T1107", "custom_field": one.key}
            whose = {"paypal_reference_id": bill.charge, "paypal_reference_id_type": "TXN"}
            amounts = {"transaction_amount": _amount(-one.amount, bill.captured_currency)}
            at = {"transaction_initiation_date": one.at.strftime("%Y-%m-%dT%H:%M:%S+0000")}
            state = {"transaction_status": {"done": "S", "pending": "P", "failed": "D"}[one.state]}
            rows.append(common | back | whose | amounts | at | state)
    return rows


def _of_charge(id: str) -> Bill | None:
    return next((one for one in there().bills.values() if one.charge == id), None)


# -- their objects --------------------------------------------------------------------------------------------------


def as_order(till: PayPalTill, bill: Bill) -> dict[str, Any]:
    """An order."""
    unit: dict[str, Any] = {
        "reference_id": bill.told["asked"]["purchase_units"][0].get("reference_id", "default"),
        "amount": _amount(bill.amount, bill.currency),
        "custom_id": bill.key,
        "invoice_id": bill.told["invoice_id"],
    }
    if bill.state == "paid":
        refunds = [as_refund(till, bill, one) for one in bill.refunds]
        unit["payments"] = {"captures": [as_capture(till, bill)]} | ({"refunds": refunds} if refunds else {})
    links = [{"rel": "self", "href": f"{till.url}/v2/checkout/orders/{bill.id}", "method": "GET"}]
    if bill.state == "open":
        rel = "payer-action" if bill.told["has_page"] else "approve"
        links.append({"rel": rel, "href": f"{till.url}/pay/{bill.id}", "method": "GET"})
    is_new = bill.state == "open" and not bill.told["has_page"]
    return {
        "id": bill.id,
        "intent": "CAPTURE",
        "status": "CREATED" if is_new else STATUS.get(bill.state, "VOIDED"),
        "purchase_units": [unit],
        "payment_source": _source(bill),
        "create_time": _time(bill.made_at),
        "links": links,
    }


def _source(bill: Bill) -> dict[str, Any]:
    """Who paid, once they did, and what is kept of them."""
    if bill.state not in {"approved", "paid"}:
        return {}
    account: dict[str, Any] = {"email_address": PAYER, "account_id": "QYR5Z8XDVJNXQ"}
    if token := bill.told.get("kept"):
        customer = {"id": "BJzKQgaSPy", "merchant_customer_id": bill.told["keeps"]["customer"]}
        account["attributes"] = {"vault": {"id": token, "status": "VAULTED", "customer": customer}}
    return {"paypal": account}


def as_capture(till: PayPalTill, bill: Bill) -> dict[str, Any]:
    """The money taken of an order."""
    back = sum(one.amount for one in bill.refunds if one.state == "done")
    status = "COMPLETED" if not back else "REFUNDED" if back == bill.captured else "PARTIALLY_REFUNDED"
    return {
        "id": bill.charge,
        "status": status,
        "amount": _amount(bill.captured, bill.captured_currency or bill.currency),
        "final_capture": True,
        "custom_id": bill.key,
        "invoice_id": bill.told["invoice_id"],
        "supplementary_data": {"related_ids": {"order_id": bill.id}},
        "links": [{"rel": "up", "href": f"{till.url}/v2/checkout/orders/{bill.id}", "method": "GET"}],
    }


def as_refund(till: PayPalTill, bill: Bill, given: GivenBack) -> dict[str, Any]:
    """Money given back of a capture."""
    return {
        "id": given.id,
        "status": REFUND_STATUS[given.state],
        "amount": _amount(given.amount, bill.captured_currency),
        "custom_id": given.key,
        "create_time": _time(given.at),
        "links": [{"rel": "up", "href": f"{till.url}/v2/payments/captures/{bill.charge}", "method": "GET"}],
    }


def _amount(minor: int, currency: str) -> dict[str, str]:
    value = Decimal(minor).scaleb(-DECIMALS.get(currency, 2))
    whole = currency in WHOLE and value == value.to_integral_value()
    return {"currency_code": currency, "value": str(int(value)) if whole else str(value)}


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
