"""PayPal's words (Orders v2, Payments v2, Payment Method Tokens v3, Webhooks v1, Transaction Search v1) <-> ours. Pure.

Whatever is not listed here is ``Unknown``. Sources: see README.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

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
    SavedMethod,
    Settled,
    SettledKind,
    masked,
)

T = TypeVar("T")

# One hundredth up to the 10,000 that PayPal takes at once in most places.
LIMITS: Mapping[str, tuple[int, int]] = {
    "EUR": (1, 1_000_000),
    "USD": (1, 1_000_000),
    "GBP": (1, 1_000_000),
    "HKD": (1, 8_000_000),
    "JPY": (1, 1_000_000),
    "TWD": (100, 30_000_000),
}
# PayPal takes no decimals of these, whatever the currency has.
WHOLE = frozenset({"HUF", "JPY", "TWD"})

AFTER_TOO_MANY = timedelta(seconds=10)
# PayPal delivers a notice again for three days; whether it is then signed anew is not documented.
DELIVERED_FOR = timedelta(days=3, minutes=5)
SENT_TOO_EARLY = timedelta(minutes=5)
LOCALES: Mapping[str, str] = {
    "zh-hans": "zh-CN",
    "zh-hant": "zh-TW",
    "ja": "ja-JP",
    "fr": "fr-FR",
    "nl": "nl-NL",
    "en": "en-GB",
}

UNTOUCHED = frozenset({"CREATED", "SAVED"})
OPEN = UNTOUCHED | {"PAYER_ACTION_REQUIRED"}
CAPTURES: Mapping[str, PaymentState] = {
    "COMPLETED": PaymentState.PAID,
    "REFUNDED": PaymentState.PAID,
    "PARTIALLY_REFUNDED": PaymentState.PAID,
    "PENDING": PaymentState.PROCESSING,
    "DECLINED": PaymentState.CLOSED,
    "FAILED": PaymentState.CLOSED,
}
REFUND_STATES: Mapping[str, RefundState] = {
    "COMPLETED": RefundState.DONE,
    "PENDING": RefundState.PENDING,
    "FAILED": RefundState.FAILED,
    "CANCELLED": RefundState.FAILED,
}

# The issue of an answer 422, or the name of any other.
REFUSALS: Mapping[str, Reason] = {
    "invalid_client": Reason.NOT_AUTHORISED,
    "AUTHENTICATION_FAILURE": Reason.NOT_AUTHORISED,
    "NOT_AUTHORIZED": Reason.NOT_AUTHORISED,
    "NOT_ENABLED_TO_VAULT_PAYMENT_SOURCE": Reason.NOT_AUTHORISED,
    "PERMISSION_DENIED": Reason.NOT_AUTHORISED,
    "PAYEE_ACCOUNT_RESTRICTED": Reason.NOT_AUTHORISED,
    "INVALID_REQUEST": Reason.BAD_REQUEST,
    "CANNOT_BE_ZERO_OR_NEGATIVE": Reason.BAD_REQUEST,
    "CURRENCY_MISMATCH": Reason.BAD_REQUEST,
    "CURRENCY_NOT_SUPPORTED": Reason.BAD_REQUEST,
    "DECIMALS_NOT_SUPPORTED": Reason.BAD_REQUEST,
    "DECIMAL_PRECISION": Reason.BAD_REQUEST,
    "INVALID_CURRENCY_CODE": Reason.BAD_REQUEST,
    "REFUND_CAPTURE_CURRENCY_MISMATCH": Reason.BAD_REQUEST,
    "RESOURCE_NOT_FOUND": Reason.UNKNOWN_PAYMENT,
    "INVALID_RESOURCE_ID": Reason.UNKNOWN_PAYMENT,
    "CAPTURE_FULLY_REFUNDED": Reason.ALREADY_REFUNDED,
    "CAPTURED_AMOUNT_FULLY_REFUNDED": Reason.ALREADY_REFUNDED,
    "REFUND_AMOUNT_EXCEEDED": Reason.ALREADY_REFUNDED,
    "MAX_NUMBER_OF_REFUNDS_EXCEEDED": Reason.ALREADY_REFUNDED,
    "REFUND_TIME_LIMIT_EXCEEDED": Reason.REFUND_TOO_LATE,
    "REFUND_FAILED_INSUFFICIENT_FUNDS": Reason.DECLINED,
    "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK": Reason.DECLINED,
}
# Why a capture took nothing: the person may choose another way to pay.
DECLINED = frozenset(
    {
        "CARD_EXPIRED",
        "COMPLIANCE_VIOLATION",
        "INSTRUMENT_DECLINED",
        "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        "PAYER_ACCOUNT_RESTRICTED",
        "PAYER_ACTION_REQUIRED",
        "PAYER_CANNOT_PAY",
        "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
        "TRANSACTION_REFUSED",
    }
)
# Of these the ones that the payer can overcome, where it was tried while they were not there.
PAYER_WANTED = frozenset({"PAYER_ACTION_REQUIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"})
# What was kept is not there any more, or its owner took the agreement back at PayPal.
GONE = frozenset(
    {
        "AGREEMENT_ALREADY_CANCELLED",
        "BILLING_AGREEMENT_NOT_FOUND",
        "IDENTIFIER_NOT_FOUND",
        "INVALID_VAULT_ID",
        "TOKEN_ID_NOT_FOUND",
    }
)
# Of an order, or of what was kept.
NOT_THERE = "RESOURCE_NOT_FOUND"
# After these only a look tells.
LOOK = frozenset({"ORDER_ALREADY_CAPTURED", "ORDER_NOT_APPROVED", "ORDER_EXPIRED", NOT_THERE})

# The id of what is kept, as PayPal describes it; no longer than where it is stored here.
VAULT_ID = r"[0-9A-Za-z_-]{1,120}"
# Charged in advance by an agreed rule, of whatever amount and whenever: what a card that renews itself does.
PATTERN = "UNSCHEDULED_PREPAID"
# Begins the ``reference_id`` of an order that is to be paid with what was kept; behind it who begins the payment, and
# the token.
KEPT = "kept"

DISPUTES = frozenset({"CUSTOMER.DISPUTE.CREATED", "PAYMENT.CAPTURE.REVERSED"})
MATTERS = DISPUTES | {
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.ORDER.COMPLETED",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.DECLINED",
    "PAYMENT.CAPTURE.DENIED",
    "PAYMENT.CAPTURE.PENDING",
    "PAYMENT.CAPTURE.REFUNDED",
    "PAYMENT.REFUND.FAILED",
    "PAYMENT.REFUND.PENDING",
}
SIGNED_WITH: Mapping[str, str] = {
    "auth_algo": "paypal-auth-algo",
    "cert_url": "paypal-cert-url",
    "transmission_id": "paypal-transmission-id",
    "transmission_sig": "paypal-transmission-sig",
    "transmission_time": "paypal-transmission-time",
}

# By the longest beginning of the transaction's event code.
KINDS: Mapping[str, SettledKind] = {
    "T00": SettledKind.PAYMENT,
    "T01": SettledKind.FEE,
    "T04": SettledKind.PAYOUT,
    "T1106": SettledKind.DISPUTE,
    "T1107": SettledKind.REFUND,
    "T12": SettledKind.DISPUTE,
}
# Succeeded; and succeeded, with a later reversal in a row of its own. Pending and denied moved nothing.
MOVED = frozenset({"S", "V"})


class Unreadable(ValueError):
    """Not of a documented shape; the sentence says what was seen, free of their words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: ``issue`` is PayPal's word for what was wrong, "" for none."""

    status: int
    body: Mapping[str, Any]
    issue: str = ""


def answer_of(*, status: int, content: bytes) -> Answer:
    """The answer taken apart, numbers as text; never raises."""
    try:
        body = json.loads(content.decode(), parse_float=str)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Answer(status, {})
    details = body.get("details")
    first = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
    is_gone = 400 <= status < 500 and str(first.get("issue")) in GONE
    named = first.get("issue") if status == 422 or is_gone else None
    issue = named or body.get("name") or body.get("error")
    is_word = isinstance(issue, str) and re.fullmatch(r"[A-Za-z0-9_.]{1,80}", issue)
    return Answer(status, body, str(issue) if is_word and status >= 400 else "")


def refusal_of(answer: Answer) -> Refused | None:
    """What the answer surely refuses; None when it does not."""
    if answer.status == 429:
        return Refused(Reason.RATE_LIMITED, AFTER_TOO_MANY, "status 429")
    reason = REFUSALS.get(answer.issue) if 400 <= answer.status < 500 else None
    return Refused(reason, None, f"status {answer.status} {answer.issue}") if reason else None


def unknown_of(answer: Answer) -> Unknown:
    """An answer that nobody listed, in a few words for staff."""
    return Unknown(f"status {answer.status} {answer.issue}".strip())


def token_of(answer: Answer) -> Outcome[tuple[str, int]]:
    """The token of POST /v1/oauth2/token, and for how many seconds it is good."""

    def read(body: Mapping[str, Any]) -> tuple[str, int]:
        seconds = body.get("expires_in")
        if not isinstance(seconds, int) or seconds <= 0:
            raise Unreadable("a token that does not say how long it is good")
        return _text(body, "access_token"), seconds

    return _read(answer, read)


def order_asked(ask: Ask) -> dict[str, Any]:
    """POST /v2/checkout/orders. Raises ``Unreadable`` for an amount, or something kept, that PayPal cannot have.

    With ``saved_method`` the order names nothing to pay with, so that it takes nothing: what was kept is named when it
    is captured. An order that names it from the beginning is captured by the very call that makes it, and one whose
    answer was lost would be found only hours later.
    """
    least, most = LIMITS.get(ask.money.currency, (1, 0))
    if not least <= ask.money.minor <= most:
        raise Unreadable("less or more than PayPal is offered for")
    unit = {
        "custom_id": ask.key,
        # PayPal takes an invoice's number once, whatever order it is on: one more wall against a second payment.
        "invoice_id": ask.key,
        "description": ask.description[:127],
        "amount": amount(ask.money),
    }
    if ask.saved_method:
        return {"intent": "CAPTURE", "purchase_units": [{"reference_id": _mandate(ask), **unit}]}
    source = {"experience_context": _shown(ask)} | ({"attributes": _to_keep(ask)} if ask.save_method else {})
    return {"intent": "CAPTURE", "purchase_units": [unit], "payment_source": {"paypal": source}}


def _shown(ask: Ask) -> dict[str, str]:
    tag = ask.language.lower()
    return {
        "return_url": ask.return_url,
        "cancel_url": ask.return_url,
        "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING",
        "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
        "locale": LOCALES.get(tag) or LOCALES.get(tag.split("-")[0], "en-GB"),
    }


def _to_keep(ask: Ask) -> dict[str, Any]:
    """The payer agrees on PayPal's page that their account is kept, and it is once the money was taken."""
    assert ask.payer, "it is kept for a customer"
    vault = {
        "store_in_vault": "ON_SUCCESS",
        "usage_type": "MERCHANT",
        "customer_type": "CONSUMER",
        "usage_pattern": PATTERN,
        # Two customers who share an account there each have their own: what one has forgotten stays the other's.
        "permit_multiple_payment_tokens": True,
    }
    return {"customer": {"merchant_customer_id": ask.payer}, "vault": vault}


def _mandate(ask: Ask) -> str:
    """By which an order tells later with what it is to be paid, and who began that."""
    if not is_token(ask.saved_method):
        raise Unreadable("no id of what PayPal keeps")
    return f"{KEPT}:{'merchant' if ask.off_session else 'customer'}:{ask.saved_method}"


def _mandate_of(unit: Mapping[str, Any]) -> tuple[str, str] | None:
    """Who began the payment of this order, "CUSTOMER" or "MERCHANT", and the token; None when it is an order like any
    other."""
    found = re.fullmatch(rf"{KEPT}:(customer|merchant):({VAULT_ID})", str(unit.get("reference_id")))
    return (found[1].upper(), found[2]) if found else None


def charge_asked(answer: Answer) -> dict[str, Any] | None:
    """POST /v2/checkout/orders/{id}/capture of this order, with what was kept; None for any order that is not to be
    paid so, or not any more."""
    units = _list(answer.body, "purchase_units")
    mandate = _mandate_of(units[0]) if answer.status == 200 and len(units) == 1 else None
    if mandate is None or answer.body.get("status") not in UNTOUCHED:
        return None
    initiator, token = mandate
    credential = {"payment_initiator": initiator, "usage": "SUBSEQUENT", "usage_pattern": PATTERN}
    return {"payment_source": {"paypal": {"vault_id": token, "stored_credential": credential}}}


def refund_asked(*, key: str, money: Money) -> dict[str, Any]:
    """POST /v2/payments/captures/{id}/refund. Raises ``Unreadable`` for an amount that PayPal cannot express."""
    return {"amount": amount(money), "custom_id": key}


def amount(money: Money) -> dict[str, str]:
    """An amount as PayPal wants it; raises ``Unreadable`` for a fraction where PayPal takes none."""
    if money.currency not in WHOLE:
        return {"currency_code": money.currency, "value": f"{money.major}"}
    if money.major != money.major.to_integral_value():
        raise Unreadable(f"{money.currency} is whole at PayPal")
    return {"currency_code": money.currency, "value": str(int(money.major))}


def is_reference(value: str) -> bool:
    """Whether this can be an id of PayPal's."""
    return re.fullmatch(r"[A-Z0-9-]{10,36}", value) is not None


def is_token(value: str) -> bool:
    """Whether this can be PayPal's id of what it keeps."""
    return re.fullmatch(VAULT_ID, value) is not None


def forgotten_of(answer: Answer) -> Outcome[None]:
    """DELETE /v3/vault/payment-tokens/{id}: gone now, or gone before."""
    if answer.status == 204 or answer.issue in GONE:
        return Done(None)
    refused = refusal_of(answer)
    if refused and refused.reason == Reason.UNKNOWN_PAYMENT:
        return Done(None)
    return refused or unknown_of(answer)


def order_of(answer: Answer, *, declined: str = "") -> Outcome[Payment]:
    """An order as PayPal has it; ``declined`` is why a capture just took nothing."""
    return _read(answer, lambda body: _order(body, declined))


def _order(body: Mapping[str, Any], declined: str) -> Payment:
    reference, unit, status = _text(body, "id"), _unit(body), body.get("status")
    key = str(unit.get("custom_id") or "")
    captures = _list(unit.get("payments"), "captures")
    if status in OPEN or (status == "APPROVED" and declined):
        if mandate := _mandate_of(unit):
            wanted = "PAYER_ACTION_REQUIRED" if status == "PAYER_ACTION_REQUIRED" else ""
            return _by_mandate(Payment(reference, key, PaymentState.APPROVED), mandate[0], declined or wanted)
        return Payment(reference, key, PaymentState.OPEN, url=_page(body), declined=declined)
    if status == "APPROVED" and not captures:
        return Payment(reference, key, PaymentState.APPROVED)
    if status == "VOIDED":
        return Payment(reference, key, PaymentState.CLOSED, declined=declined)
    if status != "COMPLETED" or len(captures) != 1:
        raise Unreadable("an order of an unlisted status, or not captured once")
    seen = _captured(reference, key, captures[0], declined)
    return replace(seen, saved_method=_saved(body)) if seen.state == PaymentState.PAID else seen


def _by_mandate(order: Payment, initiator: str, declined: str) -> Payment:
    """An order that is to be paid with what was kept: nobody has to approve it. Once that was refused it is over:
    nobody is shown a page where it could be paid."""
    if not declined:
        return order
    return replace(
        order,
        state=PaymentState.CLOSED,
        declined=declined,
        needs_customer=initiator == "MERCHANT" and declined in PAYER_WANTED,
        method_gone=declined in GONE | {NOT_THERE},
    )


def _saved(body: Mapping[str, Any]) -> SavedMethod | None:
    """What this payment kept; None when nothing was to be kept, when PayPal only took note of it (status APPROVED, its
    token comes later), or when it cannot be read: the money counts more."""
    account = _inside(_inside(body, "payment_source"), "paypal")
    vault = _inside(_inside(account, "attributes"), "vault")
    token = str(vault.get("id") or "")
    if vault.get("status") != "VAULTED" or not is_token(token):
        return None
    return SavedMethod(token, masked(str(account.get("email_address") or "")))


def _captured(reference: str, key: str, capture: Mapping[str, Any], declined: str) -> Payment:
    said = str(capture.get("status"))
    match CAPTURES.get(said):
        case PaymentState.PAID:
            paid = _money(capture.get("amount"))
            if paid.minor <= 0:
                raise Unreadable("paid, but nothing was received")
            return Payment(reference, key, PaymentState.PAID, charge=_text(capture, "id"), paid=paid)
        case PaymentState.PROCESSING:
            return Payment(reference, key, PaymentState.PROCESSING)
        case PaymentState.CLOSED:
            return Payment(reference, key, PaymentState.CLOSED, declined=declined or said)
    raise Unreadable("a capture of an unlisted status")


def order_id_of(answer: Answer) -> Outcome[str]:
    """The order that a capture (GET /v2/payments/captures/{id}) belongs to."""

    def read(body: Mapping[str, Any]) -> str:
        more = body.get("supplementary_data")
        ids = more.get("related_ids") if isinstance(more, dict) else None
        return _text(ids if isinstance(ids, dict) else {}, "order_id")

    return _read(answer, read)


def refund_ids_of(answer: Answer) -> Outcome[list[str]]:
    """The ids of everything given back of an order, newest last."""
    return _read(answer, lambda body: [_text(one, "id") for one in _list(_unit(body).get("payments"), "refunds")])


def refund_of(answer: Answer) -> Outcome[Refund]:
    """GET /v2/payments/refunds/{id}."""

    def read(body: Mapping[str, Any]) -> Refund:
        state = REFUND_STATES.get(str(body.get("status")))
        if state is None:
            raise Unreadable("a refund of an unlisted status")
        details = body.get("status_details")
        why = str(details.get("reason") or "") if isinstance(details, dict) else ""
        return Refund(_text(body, "id"), str(body.get("custom_id") or ""), state, _money(body.get("amount")), why)

    return _read(answer, read)


# -- webhooks ---------------------------------------------------------------------------------------------------------


def to_verify(*, body: bytes, headers: Mapping[str, str], webhook_id: str, now: datetime) -> bytes:
    """The question of POST /v1/notifications/verify-webhook-signature, with the event byte for byte as it came.

    Raises:
        Forged: without what PayPal signs with, of another time, or no event: that is not worth a question.
    """
    said = {name: headers.get(header, "") for name, header in SIGNED_WITH.items()}
    if not all(said.values()):
        raise Forged("without PayPal's signature")
    try:
        at = datetime.fromisoformat(said["transmission_time"])
        text = body.decode()
        is_event = isinstance(json.loads(text), dict) and at.tzinfo is not None
    except (ValueError, RecursionError):
        is_event = False
        at, text = now, ""
    if not is_event:
        raise Forged("no event, or no time")
    if not -SENT_TOO_EARLY <= now - at <= DELIVERED_FOR:
        raise Forged("sent too long ago, or in the future")
    asked = json.dumps(said | {"webhook_id": webhook_id})
    return f'{asked[:-1]}, "webhook_event": {text}}}'.encode()


def is_genuine(answer: Answer) -> bool | None:
    """Whether PayPal says that it signed it; None when it says nothing."""
    said = answer.body.get("verification_status") if answer.status == 200 else None
    return {"SUCCESS": True, "FAILURE": False}.get(said) if isinstance(said, str) else None


def event_of(body: bytes) -> Event:
    """A verified event; raises ``Forged`` for one of no documented shape."""
    told = json.loads(body.decode())
    try:
        kind, about = _text(told, "event_type"), told.get("resource")
        key, charge = _about(kind, about if isinstance(about, dict) else {})
        created = datetime.fromisoformat(_text(told, "create_time")).astimezone(UTC)
        return Event(
            id=_text(told, "id"),
            kind=kind,
            key=key,
            reference=str(about.get("id") or "") if isinstance(about, dict) else "",
            charge=charge,
            matters=kind in MATTERS,
            created_at=created,
            is_dispute=kind in DISPUTES,
        )
    except ValueError as seen:
        raise Forged(str(seen)) from None


def _about(kind: str, about: Mapping[str, Any]) -> tuple[str, str]:
    """Our key of the payment, and the capture that took its money; "" for what the resource does not name."""
    if kind.startswith("CHECKOUT."):
        units = _list(about, "purchase_units")
        return str(units[0].get("custom_id") or "") if units else "", ""
    if kind.startswith("CUSTOMER.DISPUTE."):
        disputed = _list(about, "disputed_transactions")
        return "", str(disputed[0].get("seller_transaction_id") or "") if disputed else ""
    up = next((str(one.get("href")) for one in _list(about, "links") if one.get("rel") == "up"), "")
    if found := re.search(r"/captures/([A-Z0-9-]+)$", up):
        return "", found[1]  # a refund: its own key is not the payment's
    return str(about.get("custom_id") or ""), str(about.get("id") or "")


# -- settlement -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """One page of transactions; ``until`` is how far PayPal's report goes, aware UTC."""

    rows: tuple[Mapping[str, Any], ...]
    pages: int
    until: datetime | None


def transactions_asked(start: datetime, end: datetime, page: int) -> dict[str, Any]:
    """GET /v1/reporting/transactions, as the SDK's words."""
    return {
        "start_date": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "end_date": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "fields": "transaction_info",
        "page_size": 500,
        "page": page,
    }


def day_of(day: date) -> tuple[datetime, datetime]:
    """The first and the last second of a day, UTC."""
    first = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return first, first + timedelta(days=1, seconds=-1)


def page_of(answer: Answer) -> Outcome[Page]:
    """One page of transactions."""

    def read(body: Mapping[str, Any]) -> Page:
        rows = [one.get("transaction_info") for one in _list(body, "transaction_details")]
        pages, until = body.get("total_pages"), body.get("last_refreshed_datetime")
        if not isinstance(pages, int) or not all(isinstance(one, dict) for one in rows):
            raise Unreadable("no transactions")
        return Page(tuple(one for one in rows if one), pages, _moment(until) if until else None)

    return _read(answer, read)


def is_payment_of(row: Mapping[str, Any], key: str) -> bool:
    """Whether this transaction is the payment of exactly this key."""
    return row.get("custom_field") == key and str(row.get("transaction_event_code")).startswith("T00")


def settled_of(rows: Sequence[Mapping[str, Any]]) -> Outcome[list[Settled]]:
    """The rows that moved money."""
    try:
        return Done([_settled(row) for row in rows if row.get("transaction_status") in MOVED])
    except Unreadable as seen:
        return Unknown(str(seen))


def _settled(row: Mapping[str, Any]) -> Settled:
    id, code = _text(row, "transaction_id"), _text(row, "transaction_event_code")
    begins = max((one for one in KINDS if code.startswith(one)), key=len, default="")
    kind = KINDS.get(begins, SettledKind.OTHER)
    money = _money(row.get("transaction_amount"))
    fee = _money(row["fee_amount"]) if row.get("fee_amount") else Money(0, money.currency)
    other = str(row.get("paypal_reference_id") or "") if row.get("paypal_reference_id_type") == "TXN" else ""
    is_payment = kind == SettledKind.PAYMENT
    named = is_payment or kind == SettledKind.REFUND
    return Settled(
        id=f"{id}/{code}",  # one id may be listed twice, with two codes
        kind=kind,
        money=money,
        fee=Money(abs(fee.minor), fee.currency),
        at=_moment(row.get("transaction_initiation_date")),
        key=str(row.get("custom_field") or "") if named else "",
        charge=id if is_payment else other,
        reference=id if kind == SettledKind.REFUND else "",
    )


# -- leaves -----------------------------------------------------------------------------------------------------------


def _read(answer: Answer, read: Callable[[Mapping[str, Any]], T]) -> Outcome[T]:
    if refused := refusal_of(answer):
        return refused
    if answer.status not in {200, 201}:
        return unknown_of(answer)
    try:
        return Done(read(answer.body))
    except Unreadable as seen:
        return Unknown(f"status {answer.status}: {seen}")


def _unit(body: Mapping[str, Any]) -> Mapping[str, Any]:
    units = _list(body, "purchase_units")
    if len(units) != 1:
        raise Unreadable("not one purchase unit")
    return units[0]


def _page(body: Mapping[str, Any]) -> str:
    links = {one.get("rel"): one.get("href") for one in _list(body, "links")}
    return str(links.get("payer-action") or links.get("approve") or "")


def _list(row: Any, name: str) -> list[Mapping[str, Any]]:
    found = row.get(name) if isinstance(row, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _inside(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"no {name}")
    return value


def _money(said: Any) -> Money:
    if not isinstance(said, dict):
        raise Unreadable("no amount")
    currency, value = _text(said, "currency_code"), _text(said, "value")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise Unreadable("an amount without a currency")
    try:
        minor = Decimal(value).scaleb(decimals(currency))
    except InvalidOperation:
        raise Unreadable("no amount") from None
    if not minor.is_finite() or minor != minor.to_integral_value():
        raise Unreadable(f"no amount of {currency}")
    return Money(int(minor), currency)


def _moment(said: Any) -> datetime:
    try:
        at = datetime.fromisoformat(str(said))
    except ValueError:
        raise Unreadable("no time") from None
    if at.tzinfo is None:
        raise Unreadable("a time of no zone")
    return at.astimezone(UTC)
