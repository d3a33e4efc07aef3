"""Stripe's words <-> ours. Pure. Whatever is not listed here is ``Unknown``.

Source of every rule: the official SDK ``stripe`` 16.1.0, its types and their descriptions (see README.md). An amount
in Stripe's "smallest currency unit" is our minor unit for every currency offered here: EUR has cents, JPY has none,
TWD has two decimals of which nobody uses any: only whole dollars are asked for (``kernel.money.step``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Event,
    Forged,
    Method,
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

# Least and most that Stripe charges, minor units: half a euro, 50 yen, 20 New Taiwan dollars; eight digits at most.
LIMITS: Mapping[str, tuple[int, int]] = {"EUR": (50, 99_999_999), "JPY": (50, 99_999_999), "TWD": (2000, 99_999_999)}
EUROZONE = frozenset(
    {"AT", "BE", "CY", "DE", "EE", "ES", "FI", "FR", "GR", "HR"}
    | {"IE", "IT", "LT", "LU", "LV", "MT", "NL", "PT", "SI", "SK"}
)


@dataclass(frozen=True, slots=True)
class Way:
    """One of Stripe's payment method types, named as it names them.

    Args:
        currencies: in which it is charged, by the country of the seller's account; None: like cards, anywhere.
        at_most: per currency the most at once where it is less than Stripe's own.
        at_least: the same for the least.
    """

    currencies: Callable[[str], frozenset[str]] | None = None
    at_least: Mapping[str, int] = field(default_factory=dict)
    at_most: Mapping[str, int] = field(default_factory=dict)
    per_day: Mapping[str, int] = field(default_factory=dict)
    pays_within: timedelta | None = None


def _of_the_account(country: str) -> frozenset[str]:
    return frozenset({"EUR"} if country in EUROZONE else {"JPY"} if country == "JP" else ())


def _euros(country: str) -> frozenset[str]:
    return frozenset({"EUR"} if country in EUROZONE else ())


def _yen(country: str) -> frozenset[str]:
    return frozenset({"JPY"} if country == "JP" else ())


# Accounts and currencies: docs.stripe.com/payments/{alipay,wechat-pay,paypal,bancontact,konbini}, and its changelog of
# 2026-09-30 for PayPay (Japan only). A slip is paid in a shop within three days, the default of Stripe's.
WAYS: Mapping[str, Way] = {
    "card": Way(),
    "alipay": Way(_of_the_account),
    "wechat_pay": Way(_of_the_account),
    "paypal": Way(_euros),
    "bancontact": Way(_euros),
    "paypay": Way(_yen, at_least={"JPY": 1}, at_most={"JPY": 500_000}, per_day={"JPY": 500_000}),
    "konbini": Way(_yen, at_least={"JPY": 120}, at_most={"JPY": 300_000}, pays_within=timedelta(days=3)),
}
# What Stripe charges again while nobody is there: cards, and PayPal once "recurring payments" is enabled for an account
# (docs.stripe.com/payments/paypal/set-up-future-payments). Bancontact becomes a SEPA debit, whose money is certain only
# days later; the others want their owner there each time.
KEPT = frozenset({"card", "paypal"})
# Where only people of one market use it.
ONLY_IN: Mapping[str, str] = {"bancontact": "BE", "paypay": "JP", "konbini": "JP"}

# A session can be paid for 30 minutes at least and 24 hours at most, counted from when Stripe makes it. The margin is
# for clocks that differ, and for the second ask of the same key, which must be word for word the first.
SHORTEST_SESSION = timedelta(minutes=30)
LONGEST_SESSION = timedelta(hours=24)
SESSION_MARGIN = timedelta(minutes=5)

# Stripe forgets an idempotency key after so long. Until then a payment may have been made, counted from the first ask.
KEYS_LIVE = timedelta(hours=24)
CLOCKS_DIFFER_BY = timedelta(minutes=10)

AFTER_TOO_MANY = timedelta(seconds=5)
ROWS_A_PAGE = 100
SIGNATURE_TOLERANCE = timedelta(seconds=300)

LOCALES: Mapping[str, str] = {
    "zh-hans": "zh", "zh-hant": "zh-TW", "zh": "zh", "ja": "ja", "fr": "fr", "nl": "nl", "en": "en"
}  # fmt: skip

SESSION_WITH = ["payment_intent", "payment_intent.payment_method"]
INTENT_WITH = ["payment_method"]

# Events after which a payment or a refund may be another than before. Each is only a hint where to look.
DISPUTED = "charge.dispute.created"
MATTERS = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.expired",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "payment_intent.processing",
        "charge.refunded",
        "refund.created",
        "refund.updated",
        "refund.failed",
        DISPUTED,
    }
)

# Why a wallet's own provider took nothing; a card's declines are told by the error's type.
DECLINES = frozenset(
    {
        "payment_intent_payment_attempt_failed",
        "payment_method_customer_decline",
        "payment_method_provider_decline",
    }
)

REFUND_STATES: Mapping[str, RefundState] = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.DONE,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}


class Unreadable(ValueError):
    """The answer is not of a documented shape; the sentence says what was seen, free of their words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, taken apart.

    Args:
        body: the parsed JSON, None when it was no JSON.
        retry_after: from the ``Retry-After`` header.
        request: Stripe's own id of the request, by which its dashboard finds it; "" when it told none.
    """

    status: int
    body: Any
    retry_after: timedelta | None = None
    request: str = ""


def answer_of(*, status: int, content: bytes, headers: Mapping[str, str]) -> Answer:
    """The answer taken apart; never raises, whatever was sent."""
    return Answer(
        status, _json(content), _retry_after(headers.get("retry-after", "")), _word(headers.get("request-id"))
    )


def methods_of(
    *, names: Sequence[str], kept: Collection[str], country: str, markets: Sequence[str]
) -> tuple[Method, ...]:
    """What an account of this country offers in these markets, of the methods that were activated for it.

    Apple Pay and Google Pay arrive as cards.
    """
    return tuple(
        Method(
            name,
            frozenset(one for one in markets if ONLY_IN.get(name, one) == one),
            limits,
            can_be_saved=name in kept,
            per_day=WAYS[name].per_day,
            pays_within=WAYS[name].pays_within,
        )
        for name in names
        if (limits := _limits(WAYS[name], country))
    )


def _limits(way: Way, country: str) -> dict[str, tuple[int, int]]:
    currencies = frozenset(LIMITS) if way.currencies is None else way.currencies(country)
    return {
        currency: (way.at_least.get(currency, least), way.at_most.get(currency, most))
        for currency, (least, most) in LIMITS.items()
        if currency in currencies
    }


# -- what is asked ----------------------------------------------------------------------------------------------------
# The same ask always gives the same words: Stripe refuses a key that comes again with others.


def session_asked(ask: Ask) -> dict[str, Any]:
    """A hosted page (POST /v1/checkout/sessions)."""
    assert ask.payer or not ask.save_method, "it is kept for a customer"
    price = {
        "currency": ask.money.currency.lower(),
        "unit_amount": ask.money.minor,
        "product_data": {"name": ask.description},
    }
    intent: dict[str, Any] = {"metadata": {"key": ask.key}}
    if ask.save_method:
        intent["setup_future_usage"] = "off_session"
    asked: dict[str, Any] = {
        "mode": "payment",
        "client_reference_id": ask.key,
        "metadata": {"key": ask.key},
        "payment_method_types": [ask.method],
        "line_items": [{"quantity": 1, "price_data": price}],
        "payment_intent_data": intent,
        # Else Stripe may offer another currency than was asked for.
        "adaptive_pricing": {"enabled": False},
        "locale": _locale(ask.language),
        "success_url": ask.return_url,
        "cancel_url": ask.return_url,
        "expires_at": _seconds(_expires_at(ask)),
    }
    match ask.method:
        case "wechat_pay":  # a QR code on a desk, the app on a phone: their page sees to it
            asked["payment_method_options"] = {"wechat_pay": {"client": "web"}}
        case "konbini":
            asked["payment_method_options"] = {"konbini": {"expires_after_days": _days_to_pay(ask)}}
    return asked | ({"customer": ask.payer} if ask.payer else {})


def _days_to_pay(ask: Ask) -> int:
    """Whole days after which a slip is void, at the end of a day in Japan; 1 to 60."""
    japan = timedelta(hours=9)
    return min(max(((ask.pay_by + japan).date() - (ask.asked_at + japan).date()).days, 1), 60)


def intent_asked(ask: Ask) -> dict[str, Any]:
    """A payment with a saved method, while its owner is there or by their mandate (POST /v1/payment_intents)."""
    assert ask.payer, "what is kept is a customer's"
    return {
        "amount": ask.money.minor,
        "currency": ask.money.currency.lower(),
        "customer": ask.payer,
        "payment_method": ask.saved_method,
        "payment_method_types": [ask.method],
        "confirm": True,
        "off_session": ask.off_session,
        "description": ask.description,
        "return_url": ask.return_url,
        "metadata": {"key": ask.key},
        "expand": INTENT_WITH,
    }


def refund_asked(*, key: str, charge: str, money: Money) -> dict[str, Any]:
    """Money back (POST /v1/refunds). Stripe takes no currency here: it is that of the charge."""
    return {"payment_intent": charge, "amount": money.minor, "metadata": {"key": key}}


def payer_asked(key: str) -> dict[str, Any]:
    """A customer who is nobody but our key (POST /v1/customers)."""
    return {"metadata": {"key": key}}


def made_around(asked_at: datetime, after: str = "") -> dict[str, Any]:
    """A page of everything made while a payment first asked then can have been made, from ``after`` on."""
    made = {"gte": _seconds(asked_at - CLOCKS_DIFFER_BY), "lte": _seconds(asked_at + KEYS_LIVE + CLOCKS_DIFFER_BY)}
    return {"created": made} | _page_after(after)


def refunds_of_charge(charge: str, after: str = "") -> dict[str, Any]:
    """A page of everything given back of this charge, from ``after`` on."""
    return {"payment_intent": charge} | _page_after(after)


def _page_after(after: str) -> dict[str, Any]:
    return {"limit": ROWS_A_PAGE} | ({"starting_after": after} if after else {})


def _expires_at(ask: Ask) -> datetime:
    wanted = max(ask.pay_by, ask.asked_at + SHORTEST_SESSION) + SESSION_MARGIN
    return min(wanted, ask.asked_at + LONGEST_SESSION - SESSION_MARGIN)


def _locale(language: str) -> str:
    tag = language.lower()
    return LOCALES.get(tag) or LOCALES.get(tag.split("-")[0], "auto")


# -- refusals ---------------------------------------------------------------------------------------------------------


def refusal_of(answer: Answer) -> Refused | None:
    """What the answer surely refuses, whatever was asked; None when it does not.

    Only what carries Stripe's own error counts: an answer of something in between tells nothing, save "too many".
    """
    error = _error(answer)
    if answer.status == 429 or (answer.status == 400 and error.get("code") == "rate_limit"):
        return Refused(Reason.RATE_LIMITED, answer.retry_after or AFTER_TOO_MANY, _told(answer))
    if not error or error.get("type") == "idempotency_error" or error.get("code") == "idempotency_key_in_use":
        return None
    if answer.status in {401, 403}:
        return Refused(Reason.NOT_AUTHORISED, None, _told(answer))
    if answer.status == 402 and error.get("type") == "card_error":
        return Refused(Reason.NEEDS_CUSTOMER if _wants_its_holder(error) else Reason.DECLINED, None, _told(answer))
    if answer.status in {400, 402} and error.get("code") in DECLINES:
        return Refused(Reason.DECLINED, None, _told(answer))
    if answer.status in {400, 404} and error.get("type") == "invalid_request_error":
        return Refused(_reason(error), None, _told(answer))
    return None


def _reason(error: Mapping[str, Any]) -> Reason:
    code, param = error.get("code"), error.get("param")
    if code == "charge_already_refunded":
        return Reason.ALREADY_REFUNDED
    if param == "payment_method":
        return Reason.METHOD_GONE
    if code == "resource_missing" and param != "customer":
        return Reason.UNKNOWN_PAYMENT
    return Reason.BAD_REQUEST


def unknown_of(answer: Answer) -> Unknown:
    """An answer that nobody listed, in a few words for staff."""
    return Unknown(_told(answer))


def was_not_in_that_state(answer: Answer) -> bool:
    """Whether closing was refused because of how the thing stands: looking at it tells how that is."""
    return answer.status == 400 and _error(answer).get("type") == "invalid_request_error"


# -- payments ---------------------------------------------------------------------------------------------------------


def started_of(answer: Answer, *, key: str, is_live: bool) -> Outcome[Payment]:
    """The payment just asked for. Refused only if nothing can come of what was asked.

    A declined card leaves an intent behind that could be tried again, but only with its client secret, which leaves
    Stripe for nobody.
    """
    refused = refusal_of(answer)
    left_behind = _error(answer).get("payment_intent")
    if refused and isinstance(left_behind, dict):
        if left_behind.get("status") not in {"requires_payment_method", "canceled"}:
            return Unknown(f"refused, but the intent it left can still be paid: {refused.detail}")
        return refused
    outcome = payment_of(answer, is_live=is_live)
    if isinstance(outcome, Done) and outcome.value.key != key:
        return Unknown("a payment of another key than was asked")
    return outcome


def payment_of(answer: Answer, *, is_live: bool) -> Outcome[Payment]:
    """A hosted session, with its intent expanded, or a payment intent."""

    def read(body: Mapping[str, Any]) -> Payment:
        _same_mode(body, is_live)
        kind = body.get("object")
        if kind == "checkout.session":
            return _session(body)
        if kind == "payment_intent":
            return _intent(body)
        raise Unreadable("neither a session nor an intent")

    return _read(answer, read)


def _session(body: Mapping[str, Any]) -> Payment:
    reference, key = _text(body, "id"), _session_key(body)
    intent = body.get("payment_intent")
    is_hidden = isinstance(intent, str)
    if not isinstance(intent, dict):
        intent = {}
    status = body.get("status")
    if status == "open":
        return Payment(reference, key, PaymentState.OPEN, url=_text(body, "url"), declined=_declined(intent))
    if status not in {"complete", "expired"} or is_hidden:
        raise Unreadable("a session of an unlisted status, or whose intent was not shown")
    match intent.get("status"):
        case "succeeded" if body.get("payment_status") == "paid":
            return _paid(reference, key, intent)
        case "processing":
            return Payment(reference, key, PaymentState.PROCESSING)
        case "requires_action" if status == "complete":
            slip = _slip(intent)
            state = PaymentState.OPEN if slip else PaymentState.PROCESSING
            return Payment(reference, key, state, url=slip)
        case "requires_payment_method" | "canceled":
            return Payment(reference, key, PaymentState.CLOSED, declined=_declined(intent))
        case None if status == "expired":
            return Payment(reference, key, PaymentState.CLOSED)
    raise Unreadable("a session and an intent that do not agree")


def _intent(body: Mapping[str, Any]) -> Payment:
    reference, key, declined = _text(body, "id"), _key(body), _declined(body)
    wants_holder = _wants_its_holder(body.get("last_payment_error"))
    match body.get("status"):
        case "succeeded":
            return _paid(reference, key, body)
        case "processing":
            return Payment(reference, key, PaymentState.PROCESSING)
        case "canceled":
            return Payment(reference, key, PaymentState.CLOSED, declined=declined, needs_customer=wants_holder)
        case "requires_payment_method" if declined:
            return Payment(reference, key, PaymentState.CLOSED, declined=declined, needs_customer=wants_holder)
        case "requires_action" | "requires_confirmation" | "requires_payment_method":
            # The latter two are seen only while the ask is still being worked on: it may yet be paid.
            return Payment(reference, key, PaymentState.OPEN, url=_page(body), declined=declined)
    raise Unreadable("an intent of an unlisted status")


def _paid(reference: str, key: str, intent: Mapping[str, Any]) -> Payment:
    charge, paid = _text(intent, "id"), _money(intent, "amount_received")
    if paid.minor == 0:
        raise Unreadable("paid, but nothing was received")
    return Payment(reference, key, PaymentState.PAID, charge=charge, paid=paid, saved_method=_saved(intent))


def _saved(intent: Mapping[str, Any]) -> SavedMethod | None:
    """What this payment kept; None when nothing was to be kept, or it cannot be read: the money counts more."""
    method = intent.get("payment_method")
    if not intent.get("setup_future_usage") or not isinstance(method, dict):
        return None
    try:
        match method.get("type"):
            case "card" if isinstance(card := method.get("card"), dict):
                expires = _whole(card, "exp_year"), _whole(card, "exp_month")
                return SavedMethod(_text(method, "id"), _text(card, "last4"), _text(card, "brand"), expires)
            case "paypal" if isinstance(account := method.get("paypal"), dict):
                return SavedMethod(_text(method, "id"), masked(str(account.get("payer_email") or "")))
    except Unreadable:
        return None
    return None


def _page(intent: Mapping[str, Any]) -> str:
    """Where the card's holder shows the bank that it is them; "" when there is no page for it."""
    action = intent.get("next_action")
    redirect = action.get("redirect_to_url") if isinstance(action, dict) else None
    url = redirect.get("url") if isinstance(redirect, dict) else None
    return url if isinstance(url, str) else ""


def _slip(intent: Mapping[str, Any]) -> str:
    """The page of the slip that is paid in a shop; "" when it is no such payment."""
    action = intent.get("next_action")
    slip = action.get("konbini_display_details") if isinstance(action, dict) else None
    url = slip.get("hosted_voucher_url") if isinstance(slip, dict) else None
    return url if isinstance(url, str) else ""


def intent_of(answer: Answer) -> str:
    """The id of the intent behind a session, "" when nobody has tried to pay."""
    intent = answer.body.get("payment_intent") if isinstance(answer.body, dict) else None
    id = intent.get("id") if isinstance(intent, dict) else intent
    return id if isinstance(id, str) else ""


def _declined(intent: Mapping[str, Any]) -> str:
    """Stripe's words for why the last try failed, without its sentences: those may name the card's holder."""
    error = intent.get("last_payment_error")
    if not isinstance(error, dict):
        return ""
    words = _word(error.get("code")), _word(error.get("decline_code"))
    return " ".join(dict.fromkeys(word for word in words if word)) or "declined"


def _wants_its_holder(error: object) -> bool:
    """Whether the bank refused only because nobody was there to confirm; told by either of Stripe's two codes."""
    return isinstance(error, dict) and "authentication_required" in (error.get("code"), error.get("decline_code"))


def _session_key(body: Mapping[str, Any]) -> str:
    reference = body.get("client_reference_id")
    return reference if isinstance(reference, str) and reference else _key(body)


def _key(body: Mapping[str, Any]) -> str:
    metadata = body.get("metadata")
    key = metadata.get("key") if isinstance(metadata, dict) else None
    return key if isinstance(key, str) else ""


# -- lists ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first.

    Args:
        rows: those of exactly our key.
        after: where the next page begins, "" when this is the last.
    """

    rows: tuple[Mapping[str, Any], ...]
    after: str


def page_of(answer: Answer, *, key: str) -> Outcome[Page]:
    """One page of sessions, intents or refunds; the key is compared here, exactly."""

    def read(body: Mapping[str, Any]) -> Page:
        rows, more = body.get("data"), body.get("has_more")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not isinstance(more, bool):
            raise Unreadable("no list")
        if more and not rows:
            raise Unreadable("an empty page that is not the last")
        ids = [_text(row, "id") for row in rows]
        return Page(tuple(row for row in rows if key and _session_key(row) == key), ids[-1] if more else "")

    return _read(answer, read)


def reference_of(row: Mapping[str, Any]) -> str:
    """The id of a row of a ``Page``."""
    return str(row["id"])


def likeliest(payments: Sequence[Payment]) -> Payment:
    """Of several payments under one key the one that moved money, or else still can."""
    order = [PaymentState.PAID, PaymentState.PROCESSING, PaymentState.OPEN, PaymentState.CLOSED]
    return min(payments, key=lambda one: order.index(one.state))


# -- refunds ----------------------------------------------------------------------------------------------------------


def refund_of(answer: Answer) -> Outcome[Refund]:
    """GET /v1/refunds/{id}."""
    return _read(answer, refund_row)


def refunded_of(answer: Answer, *, key: str, money: Money) -> Outcome[Refund]:
    """The refund just asked for (POST /v1/refunds); one of something else is ``Unknown``."""
    outcome = refund_of(answer)
    if isinstance(outcome, Done) and (outcome.value.key, outcome.value.money) != (key, money):
        return Unknown("a refund of something else than was asked")
    return outcome


def refund_row(row: Mapping[str, Any]) -> Refund:
    """A refund as listed; raises ``Unreadable``."""
    state = REFUND_STATES.get(str(row.get("status")))
    if row.get("object") != "refund" or state is None:
        raise Unreadable("no refund of a listed status")
    why = _word(row.get("failure_reason")) or _word(row.get("pending_reason"))
    return Refund(_text(row, "id"), _key(row), state, _money(row, "amount"), why)


# -- what was settled -------------------------------------------------------------------------------------------------

SETTLED_KINDS: Mapping[str, SettledKind] = {
    "charge": SettledKind.PAYMENT,
    "payment": SettledKind.PAYMENT,
    "refund": SettledKind.REFUND,
    "payment_refund": SettledKind.REFUND,
    "refund_failure": SettledKind.REFUND,
    "payment_failure_refund": SettledKind.REFUND,
    "adjustment": SettledKind.DISPUTE,
    "stripe_fee": SettledKind.FEE,
    "payout": SettledKind.PAYOUT,
}


def settled_on(day: date, after: str = "") -> dict[str, Any]:
    """A page of what moved in the balance on that day, UTC (GET /v1/balance_transactions)."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    made = {"gte": _seconds(begin), "lt": _seconds(begin + timedelta(days=1))}
    return {"created": made, "expand": ["data.source"]} | _page_after(after)


def settled_of(answer: Answer) -> Outcome[tuple[tuple[Settled, ...], str]]:
    """The rows of one page, and where the next begins ("" when this is the last)."""

    def read(body: Mapping[str, Any]) -> tuple[tuple[Settled, ...], str]:
        rows, more = body.get("data"), body.get("has_more")
        if not isinstance(rows, list) or not isinstance(more, bool) or (more and not rows):
            raise Unreadable("no list")
        return tuple(_settled(row) for row in rows), _text(rows[-1], "id") if more else ""

    return _read(answer, read)


def _settled(row: Mapping[str, Any]) -> Settled:
    """What the charge or refund behind the row moved, in its own currency: the balance may be kept in another."""
    kind, source = SETTLED_KINDS.get(str(row.get("type")), SettledKind.OTHER), row.get("source")
    amount, currency = row.get("amount"), _text(row, "currency").upper()
    if not isinstance(amount, int):
        raise Unreadable("no amount")
    fee = Money(_whole(row, "fee"), currency)
    key = charge = reference = ""
    if isinstance(source, dict):
        key, charge = _key(source), _word(source.get("payment_intent"))
        reference = _text(source, "id") if kind == SettledKind.REFUND else ""
        if kind in {SettledKind.PAYMENT, SettledKind.REFUND}:
            moved = _money(source, "amount_captured" if kind == SettledKind.PAYMENT else "amount")
            amount, currency = moved.minor if amount >= 0 else -moved.minor, moved.currency
    at = datetime.fromtimestamp(_whole(row, "created"), UTC)
    return Settled(_text(row, "id"), kind, Money(amount, currency), fee, at, key, charge, reference)


# -- customers and what they keep -------------------------------------------------------------------------------------


def payer_of(answer: Answer, *, is_live: bool) -> Outcome[str]:
    """The customer of POST /v1/customers."""

    def read(body: Mapping[str, Any]) -> str:
        _same_mode(body, is_live)
        if body.get("object") != "customer":
            raise Unreadable("no customer")
        return _text(body, "id")

    return _read(answer, read)


def forgotten_of(answer: Answer, *, is_live: bool) -> Outcome[None]:
    """Whether a saved method (POST /v1/payment_methods/{id}/detach, or GET) is nobody's any more."""

    def read(body: Mapping[str, Any]) -> None:
        _same_mode(body, is_live)
        if body.get("object") != "payment_method" or body.get("customer") is not None:
            raise Unreadable("a saved method that somebody still has")

    return _read(answer, read)


# -- webhooks ---------------------------------------------------------------------------------------------------------


def event_of(*, body: bytes, signature: str, secrets: Sequence[str], now: datetime, is_live: bool) -> Event:
    """Verify the signature over the raw body, then translate.

    Done here because the SDK's own check reads the computer's clock, and lets signatures from the future pass.

    Args:
        secrets: any one of them may have signed: while a secret is exchanged, two are good.

    Raises:
        Forged: not to be believed, for whatever reason; nothing is read from the body before it is verified.
    """
    _verify(body, signature, secrets, now)
    told = _json(body)
    try:
        if not isinstance(told, dict) or told.get("object") != "event":
            raise Unreadable("signed, but no event")
        if told.get("livemode") is not is_live:
            raise Unreadable("of the other mode")
        return _event(told)
    except Unreadable as seen:
        raise Forged(str(seen)) from None


def _verify(body: bytes, signature: str, secrets: Sequence[str], now: datetime) -> None:
    items = [item.strip().partition("=") for item in signature.split(",")]
    stamps = [value for name, _, value in items if name == "t"]
    signed = [value for name, _, value in items if name == "v1"]
    if len(stamps) != 1 or not re.fullmatch(r"[0-9]{1,12}", stamps[0]) or not signed:
        raise Forged("no readable signature")
    said = [value.encode() for value in signed]
    made = [_hmac(secret, stamps[0], body) for secret in secrets]
    if not any(hmac.compare_digest(one, other) for one in said for other in made):
        raise Forged("signed by somebody else")
    if abs(now.timestamp() - int(stamps[0])) > SIGNATURE_TOLERANCE.total_seconds():
        raise Forged("signed too long ago, or in the future")


def _hmac(secret: str, stamp: str, body: bytes) -> bytes:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest().encode()


def _event(told: Mapping[str, Any]) -> Event:
    kind, data = _text(told, "type"), told.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    if not isinstance(about, dict):
        raise Unreadable("an event about nothing")
    key, charge = _about(about)
    return Event(
        id=_text(told, "id"),
        kind=kind,
        key=key,
        reference=str(about.get("id") or ""),
        charge=charge,
        matters=kind in MATTERS,
        created_at=_moment(told, "created"),
        is_dispute=kind == DISPUTED,
    )


def _about(about: Mapping[str, Any]) -> tuple[str, str]:
    """Our key of the payment, and the intent that took its money; "" for what the object does not name."""
    intent = about.get("payment_intent")
    charge = intent if isinstance(intent, str) else ""
    match about.get("object"):
        case "checkout.session":
            return _session_key(about), charge
        case "payment_intent":
            return _key(about), _text(about, "id")
        case "charge":
            return _key(about), charge  # Stripe copies the intent's metadata to its charge
        case _:
            return "", charge  # a refund's key is the refund's own, not the payment's


# -- leaves -----------------------------------------------------------------------------------------------------------


def _read(answer: Answer, read: Callable[[Mapping[str, Any]], T]) -> Outcome[T]:
    if refused := refusal_of(answer):
        return refused
    if answer.status != 200 or not isinstance(answer.body, dict):
        return unknown_of(answer)
    try:
        return Done(read(answer.body))
    except Unreadable as seen:
        return Unknown(f"status 200: {seen}")


def _same_mode(body: Mapping[str, Any], is_live: bool) -> None:
    if body.get("livemode") is not is_live:
        raise Unreadable("an object of the other mode (test or live)")


def _told(answer: Answer) -> str:
    """An answer in a few words for staff: Stripe's codes, never its sentences."""
    error = _error(answer)
    words = [_word(error.get(name)) for name in ("type", "code", "decline_code", "param")]
    if answer.body is None:
        words.append("without JSON")
    return " ".join(word for word in (f"status {answer.status}", *words, answer.request) if word)


def _error(answer: Answer) -> Mapping[str, Any]:
    error = answer.body.get("error") if isinstance(answer.body, dict) and answer.status != 200 else None
    return error if isinstance(error, dict) else {}


def _word(value: Any) -> str:
    """A machine's word of theirs; "" for anything that could be a sentence."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.\[\]-]{1,80}", value) else ""


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"no {name}")
    return value


def _whole(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Unreadable(f"no {name}")
    return value


def _money(row: Mapping[str, Any], name: str) -> Money:
    currency = _text(row, "currency")
    if not re.fullmatch(r"[a-z]{3}", currency):
        raise Unreadable("an amount without a currency")
    return Money(_whole(row, name), currency.upper())


def _moment(row: Mapping[str, Any], name: str) -> datetime:
    seconds = _whole(row, name)
    if seconds >= 10**11:
        raise Unreadable(f"no {name}")
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _json(content: bytes) -> Any:
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError):
        return None


def _retry_after(header: str) -> timedelta | None:
    """Whole seconds; at most a day, so that a slip of theirs stops nothing for good."""
    return timedelta(seconds=min(int(header), 86_400)) if header.isascii() and header.isdigit() else None
