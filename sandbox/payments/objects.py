"""The provider's objects in its own shapes. Names that begin with "_" are the sandbox's and are never shown."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

API_VERSION = "2026-10-28.endive"

# Where an expandable field leads.
EXPANDS = {
    "payment_intent": "payment_intent",
    "latest_charge": "charge",
    "charge": "charge",
    "payment_method": "payment_method",
    "customer": "customer",
    "source": "charge",
}


def shown(thing: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without what is the sandbox's own. A refund does not say whose mode it is."""
    hidden = "livemode" if thing["object"] == "refund" else "_"
    return {name: copy.deepcopy(value) for name, value in thing.items() if not name.startswith("_") and name != hidden}


def session(id: str, *, live: bool, created: int, url: str, amount: int, currency: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": amount,
        "amount_total": amount,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": None,
        "client_reference_id": None,
        "client_secret": None,
        "created": created,
        "currency": currency,
        "currency_conversion": None,
        "customer": None,
        "customer_creation": "if_required",
        "customer_details": None,
        "customer_email": None,
        "expires_at": created + 24 * 3600,
        "invoice": None,
        "livemode": live,
        "locale": None,
        "metadata": {},
        "mode": "payment",
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "recovered_from": None,
        "return_url": None,
        "setup_intent": None,
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": None,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": url,
        **more,
    }


def line_item(id: str, *, name: str, unit_amount: int, quantity: int, currency: str) -> dict[str, Any]:
    return {
        "id": id,
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": unit_amount * quantity,
        "amount_tax": 0,
        "amount_total": unit_amount * quantity,
        "currency": currency,
        "description": name,
        "quantity": quantity,
        "price": {"object": "price", "currency": currency, "unit_amount": unit_amount, "type": "one_time"},
    }


def intent(id: str, *, live: bool, created: int, amount: int, currency: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{id}_secret_sandbox",
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": live,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **more,
    }


def charge(
    id: str, *, intent: Mapping[str, Any], method: Mapping[str, Any], created: int, **more: Any
) -> dict[str, Any]:
    return {
        "id": id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "billing_details": copy.deepcopy(method["billing_details"]),
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": intent["livemode"],
        "metadata": dict(intent["metadata"]),
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"type": method["type"], method["type"]: copy.deepcopy(method[method["type"]])},
        "receipt_email": None,
        "receipt_url": None,
        "refunded": False,
        "status": "failed",
        **more,
    }


def card(id: str, *, live: bool, created: int, year: int, wallet: str | None) -> dict[str, Any]:
    return {
        "id": id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "card": {
            "brand": "visa",
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "BE",
            "display_brand": "visa",
            "exp_month": 12,
            "exp_year": year + 3,
            "fingerprint": "sandbox4242",
            "funding": "credit",
            "last4": "4242",
            "networks": {"available": ["visa"], "preferred": None},
            "three_d_secure_usage": {"supported": True},
            "wallet": {"type": wallet, "dynamic_last4": "4242", wallet: {}} if wallet else None,
        },
        "created": created,
        "customer": None,
        "livemode": live,
        "metadata": {},
        "type": "card",
    }


def wallet(id: str, *, live: bool, created: int, kind: str) -> dict[str, Any]:
    """A payment method that is no card: "alipay", "wechat_pay", "paypal", "paypay", "bancontact", "konbini"."""
    account = {
        "country": "BE",
        "payer_email": "buyer@sandbox.test",
        "payer_id": "SANDBOXPAYER1",
        "verified_email": None,
    }
    return {
        "id": id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "created": created,
        "customer": None,
        "livemode": live,
        "metadata": {},
        "type": kind,
        kind: account if kind == "paypal" else {},
    }


def balance_transaction(id: str, *, source: Mapping[str, Any], kind: str, amount: int, fee: int) -> dict[str, Any]:
    """A row of the seller's balance: what a charge or a refund moved, and the fee."""
    return {
        "id": id,
        "object": "balance_transaction",
        "amount": amount,
        "currency": source["currency"],
        "created": source["created"],
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "livemode": source["livemode"],
        "net": amount - fee,
        "reporting_category": kind,
        "source": source["id"],
        "status": "pending",
        "type": kind,
    }


def refund(id: str, *, charge: Mapping[str, Any], amount: int, created: int, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "destination_details": {"card": {"type": "refund", "reference_status": "pending"}, "type": "card"},
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
        **more,
    }


def customer(id: str, *, live: bool, created: int, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "email": None,
        "invoice_settings": {"default_payment_method": None},
        "livemode": live,
        "metadata": {},
        "name": None,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        **more,
    }


def event(id: str, *, live: bool, created: int, type: str, thing: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": {"object": shown(thing)},
        "livemode": live,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
    }
