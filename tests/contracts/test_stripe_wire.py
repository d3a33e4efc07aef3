"""Stripe's documented shapes, read by ``wire.py``: exact values, and whatever is unlisted is unknown."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xuka.connectors.payments.stripe import wire
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown
from xuka.payments.contract import Ask, Event, Forged, Payment, PaymentState, Reason, Refund, RefundState, SavedMethod

FIXTURES = Path(wire.__file__).parent / "fixtures"
KEY = "xuka-0b6c1f0e8d6f4f2ab3d2f6a1c9e07a55"
REFUND_KEY = "xuka-7d1b2c3a4e5f4a6b8c9d0e1f2a3b4c5d"
SESSION, INTENT = "cs_test_a1PfSession", "pi_3PfPayment"
EUROS = Money(1999, "EUR")
CARD = SavedMethod("pm_1PfKeptCard", "4242", "visa", (2029, 12))
ASKED_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ASK = Ask(
    key=KEY,
    method="card",
    money=EUROS,
    asked_at=ASKED_AT,
    pay_by=ASKED_AT + timedelta(hours=2),
    description="比利时 7 天无限量",
    return_url="https://shop.test/back",
    language="zh-Hans",
)
SAVED = replace(ASK, payer="cus_PfNobody", saved_method="pm_1PfKeptCard")


def kept(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def documented(name: str, *, under: int | None = None, **changed: Any) -> wire.Answer:
    """A documented answer; ``under`` replaces its HTTP status, ``changed`` top-level fields of its body."""
    one = kept(name)
    content = json.dumps(one["body"] | changed).encode()
    return wire.answer_of(status=under or one["status"], content=content, headers=one["headers"])


def seen(name: str, **changed: Any) -> Any:
    return wire.payment_of(documented(name, **changed), is_live=False)


def started(name: str) -> Any:
    return wire.started_of(documented(name), key=KEY, is_live=False)


def test_every_fixture_says_where_it_comes_from() -> None:
    found = sorted(FIXTURES.glob("*.json"))
    assert len(found) > 40
    for path in found:
        one = json.loads(path.read_text())
        assert one["source"].startswith("stripe 16.1.0: stripe/"), path.name
        assert one["note"], path.name


# -- what is asked ----------------------------------------------------------------------------------------------------


def test_a_page_is_asked_for_in_minor_units_under_our_key_and_in_the_persons_language() -> None:
    assert wire.session_asked(ASK) == {
        "mode": "payment",
        "client_reference_id": KEY,
        "metadata": {"key": KEY},
        "payment_method_types": ["card"],
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": "eur",
                    "unit_amount": 1999,
                    "product_data": {"name": "比利时 7 天无限量"},
                },
            }
        ],
        "payment_intent_data": {"metadata": {"key": KEY}},
        "adaptive_pricing": {"enabled": False},
        "locale": "zh",
        "success_url": "https://shop.test/back",
        "cancel_url": "https://shop.test/back",
        "expires_at": int((ASKED_AT + timedelta(hours=2, minutes=5)).timestamp()),
    }


def test_a_card_is_kept_only_with_consent_and_for_a_customer() -> None:
    asked = wire.session_asked(replace(ASK, payer="cus_PfNobody", save_method=True))
    assert asked["customer"] == "cus_PfNobody"
    assert asked["payment_intent_data"] == {"metadata": {"key": KEY}, "setup_future_usage": "off_session"}
    assert "setup_future_usage" not in wire.session_asked(replace(ASK, payer="cus_PfNobody"))["payment_intent_data"]
    with pytest.raises(AssertionError):
        wire.session_asked(replace(ASK, save_method=True))


def test_a_kept_card_is_charged_at_once_while_its_holder_is_there() -> None:
    assert wire.intent_asked(replace(SAVED, money=Money(2980, "JPY"))) == {
        "amount": 2980,
        "currency": "jpy",
        "customer": "cus_PfNobody",
        "payment_method": "pm_1PfKeptCard",
        "payment_method_types": ["card"],
        "confirm": True,
        "off_session": False,
        "description": "比利时 7 天无限量",
        "return_url": "https://shop.test/back",
        "metadata": {"key": KEY},
        "expand": ["payment_method"],
    }


@pytest.mark.parametrize(
    ("pay_by", "expires_after"),
    [
        (timedelta(minutes=5), timedelta(minutes=35)),
        (timedelta(minutes=30), timedelta(minutes=35)),
        (timedelta(hours=2), timedelta(hours=2, minutes=5)),
        (timedelta(days=3), timedelta(hours=23, minutes=55)),
    ],
)
def test_a_page_lives_as_long_as_it_can_be_paid_within_stripes_limits(
    pay_by: timedelta, expires_after: timedelta
) -> None:
    asked = wire.session_asked(replace(ASK, pay_by=ASKED_AT + pay_by))
    assert asked["expires_at"] == int((ASKED_AT + expires_after).timestamp())


@pytest.mark.parametrize(
    ("language", "locale"),
    [("zh-Hans", "zh"), ("ja", "ja"), ("fr", "fr"), ("nl-BE", "nl"), ("en", "en"), ("xx", "auto"), ("", "auto")],
)
def test_the_page_speaks_the_persons_language(language: str, locale: str) -> None:
    assert wire.session_asked(replace(ASK, language=language))["locale"] == locale


def test_refunds_and_customers_carry_our_key_and_nobodys_data() -> None:
    assert wire.refund_asked(key=REFUND_KEY, charge=INTENT, money=Money(500, "EUR")) == {
        "payment_intent": INTENT,
        "amount": 500,
        "metadata": {"key": REFUND_KEY},
    }
    assert wire.payer_asked(KEY) == {"metadata": {"key": KEY}}


def test_a_payment_is_looked_for_wherever_its_key_was_good() -> None:
    asked = int(ASKED_AT.timestamp())
    made = {"gte": asked - 600, "lte": asked + 24 * 3600 + 600}
    assert wire.made_around(ASKED_AT) == {"created": made, "limit": 100}
    assert wire.made_around(ASKED_AT, "cs_1") == {"created": made, "limit": 100, "starting_after": "cs_1"}


# -- payments ---------------------------------------------------------------------------------------------------------

OPEN_PAGE = "https://checkout.stripe.com/c/pay/cs_test_a1PfSession"
BANK_PAGE = "https://hooks.stripe.com/3d_secure_2/hosted?merchant=acct_1"
SEEN = {
    "session_open": Payment(SESSION, KEY, PaymentState.OPEN, url=OPEN_PAGE),
    "session_open_declined": Payment(
        SESSION, KEY, PaymentState.OPEN, url=OPEN_PAGE, declined="card_declined insufficient_funds"
    ),
    "session_paid": Payment(SESSION, KEY, PaymentState.PAID, charge=INTENT, paid=EUROS),
    "session_paid_card_kept": Payment(SESSION, KEY, PaymentState.PAID, charge=INTENT, paid=EUROS, saved_method=CARD),
    "session_paid_jpy": Payment(SESSION, KEY, PaymentState.PAID, charge=INTENT, paid=Money(2980, "JPY")),
    "session_processing": Payment(SESSION, KEY, PaymentState.PROCESSING),
    "session_never_came": Payment(SESSION, KEY, PaymentState.CLOSED, declined="payment_intent_payment_attempt_failed"),
    "session_expired": Payment(SESSION, KEY, PaymentState.CLOSED),
    "session_expired_after_a_try": Payment(
        SESSION, KEY, PaymentState.CLOSED, declined="card_declined insufficient_funds"
    ),
    "intent_paid": Payment(INTENT, KEY, PaymentState.PAID, charge=INTENT, paid=EUROS),
    "intent_asks_the_bank": Payment(INTENT, KEY, PaymentState.OPEN, url=BANK_PAGE),
    "intent_processing": Payment(INTENT, KEY, PaymentState.PROCESSING),
    "intent_declined": Payment(INTENT, KEY, PaymentState.CLOSED, declined="card_declined insufficient_funds"),
    "intent_refused_by_holder": Payment(
        INTENT, KEY, PaymentState.CLOSED, declined="payment_intent_authentication_failure"
    ),
    "intent_canceled": Payment(INTENT, KEY, PaymentState.CLOSED),
    "intent_in_the_making": Payment(INTENT, KEY, PaymentState.OPEN),
}


@pytest.mark.parametrize("name", SEEN)
def test_a_payment_is_read(name: str) -> None:
    assert seen(name) == Done(SEEN[name])


def test_every_documented_payment_is_tested() -> None:
    names = {path.stem for path in FIXTURES.glob("*.json") if path.stem.startswith(("session_", "intent_"))}
    assert names == {*SEEN, "session_hidden_intent"}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("session_hidden_intent", {}),
        ("session_paid", {"payment_status": "unpaid"}),
        ("session_paid", {"payment_status": "no_payment_required"}),
        ("session_paid", {"payment_intent": None}),
        ("session_paid", {"status": "archived"}),
        ("session_paid", {"id": None}),
        ("session_open", {"url": None}),
        ("intent_paid", {"status": "requires_capture"}),
        ("intent_paid", {"status": "frozen"}),
        ("intent_paid", {"amount_received": 0}),
        ("intent_paid", {"amount_received": 19.99}),
        ("intent_paid", {"amount_received": True}),
        ("intent_paid", {"currency": "EURO"}),
        ("intent_paid", {"object": "setup_intent"}),
    ],
)
def test_a_payment_of_an_unlisted_shape_is_unknown(name: str, changed: dict[str, Any]) -> None:
    assert isinstance(seen(name, **changed), Unknown)


@pytest.mark.parametrize("name", ["session_paid", "session_open", "intent_paid"])
def test_a_payment_of_the_other_mode_is_unknown(name: str) -> None:
    other = Unknown("status 200: an object of the other mode (test or live)")
    assert wire.payment_of(documented(name), is_live=True) == other
    assert seen(name, livemode=True) == other
    assert seen(name, livemode=None) == other


def test_what_was_captured_counts_and_not_what_was_asked() -> None:
    less = seen("intent_paid", amount_received=1000, currency="usd")
    assert isinstance(less, Done)
    assert less.value.paid == Money(1000, "USD")


def test_a_card_that_cannot_be_read_takes_nothing_from_the_money() -> None:
    intent = kept("session_paid_card_kept")["body"]["payment_intent"]
    for method in ({**intent["payment_method"], "card": {"brand": "visa"}}, "pm_1PfKeptCard", None):
        paid = seen("session_paid_card_kept", payment_intent={**intent, "payment_method": method})
        assert paid == Done(SEEN["session_paid"])


def test_a_kept_paypal_account_is_known_by_what_of_its_address_may_be_shown() -> None:
    intent = kept("session_paid_card_kept")["body"]["payment_intent"]

    def saved(method: Any) -> Any:
        paid = seen("session_paid_card_kept", payment_intent={**intent, "payment_method": method})
        assert isinstance(paid, Done)
        return paid.value.saved_method

    account = {"id": "pm_1PfKeptAccount", "object": "payment_method", "type": "paypal"}
    for email, known_by in (("xiaoyu@example.com", "x***@example.com"), (None, ""), ("@", ""), ("xiaoyu", "")):
        told = account | {"paypal": {"payer_email": email, "payer_id": "GDJ8UJYYKGDQE"}}
        assert saved(told) == SavedMethod("pm_1PfKeptAccount", known_by)
    assert saved(account | {"type": "sepa_debit", "sepa_debit": {"last4": "3000"}}) is None


# -- starting ---------------------------------------------------------------------------------------------------------


def test_what_was_asked_for_is_started() -> None:
    assert started("session_open") == Done(SEEN["session_open"])
    assert started("intent_asks_the_bank") == Done(SEEN["intent_asks_the_bank"])


def test_an_answer_about_another_key_is_unknown() -> None:
    other = wire.started_of(documented("session_open"), key=f"{KEY}-2", is_live=False)
    assert other == Unknown("a payment of another key than was asked")


def test_a_declined_card_is_refused_with_the_codes_and_without_the_sentence() -> None:
    refused = started("error_declined")
    assert refused == Refused(
        Reason.DECLINED, None, "status 402 card_error card_declined insufficient_funds req_1PfGhIjKlMnOpQ"
    )


@pytest.mark.parametrize("codes", [{"code": "authentication_required"}, {"decline_code": "authentication_required"}])
def test_a_bank_that_wants_the_holder_says_so_by_either_code(codes: dict[str, str]) -> None:
    error = kept("error_declined")["body"]["error"] | codes
    refused = wire.started_of(documented("error_declined", error=error), key=KEY, is_live=False)
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.NEEDS_CUSTOMER


@pytest.mark.parametrize("status", [400, 402])
def test_a_wallet_declines_in_words_of_its_own(status: int) -> None:
    error = {"type": "invalid_request_error", "code": "payment_method_provider_decline", "message": "…"}
    for code in ("payment_method_customer_decline", "payment_intent_payment_attempt_failed"):
        assert wire.refusal_of(wire.Answer(status, {"error": error | {"code": code}})) == Refused(
            Reason.DECLINED, None, f"status {status} invalid_request_error {code}"
        )
    left = error | {"payment_intent": {"id": "pi_1", "object": "payment_intent", "status": "requires_action"}}
    assert isinstance(wire.started_of(wire.Answer(status, {"error": left}), key=KEY, is_live=False), Unknown)


def test_a_card_is_declined_only_when_nothing_can_come_of_it_any_more() -> None:
    assert isinstance(started("error_declined_elsewhere"), Unknown)


EVERY_ERROR = {
    "error_declined": (Reason.DECLINED, None),
    "error_declined_elsewhere": (Reason.DECLINED, None),
    "error_card_gone": (Reason.METHOD_GONE, None),
    "error_no_such_session": (Reason.UNKNOWN_PAYMENT, None),
    "error_no_such_customer": (Reason.BAD_REQUEST, None),
    "error_bad_amount": (Reason.BAD_REQUEST, None),
    "error_other_content": None,
    "error_key_in_use": None,
    "error_too_many": (Reason.RATE_LIMITED, timedelta(seconds=5)),
    "error_too_many_for_a_minute": (Reason.RATE_LIMITED, timedelta(seconds=60)),
    "error_rate_limit_of_old": (Reason.RATE_LIMITED, timedelta(seconds=5)),
    "error_wrong_key": (Reason.NOT_AUTHORISED, None),
    "error_not_permitted": (Reason.NOT_AUTHORISED, None),
    "error_server": None,
    "error_not_open": (Reason.BAD_REQUEST, None),
    "error_cannot_cancel": (Reason.BAD_REQUEST, None),
    "error_already_refunded": (Reason.ALREADY_REFUNDED, None),
    "error_refund_too_much": (Reason.BAD_REQUEST, None),
    "error_detached": (Reason.BAD_REQUEST, None),
}


@pytest.mark.parametrize("name", EVERY_ERROR)
def test_an_error_is_refused_or_unknown(name: str) -> None:
    expected = EVERY_ERROR[name]
    outcome = wire.refund_of(documented(name))
    if expected is None:
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry_after) == expected


def test_every_documented_error_is_tested() -> None:
    assert {path.stem for path in FIXTURES.glob("error_*.json")} == set(EVERY_ERROR)


@pytest.mark.parametrize("name", EVERY_ERROR)
def test_no_sentence_no_secret_and_nobodys_data_is_told(name: str) -> None:
    told = str(wire.refund_of(documented(name)))
    for part in ("buyer@", "Buyer", "sk_test", "Your card", "No such", "_secret_", "4242"):
        assert part not in told


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_a_refusal_without_stripes_own_error_tells_nothing(status: int) -> None:
    for content in (b"", b"<html>", b"[]", b'{"error": "no"}', b'{"message": "no"}'):
        answer = wire.answer_of(status=status, content=content, headers={})
        assert isinstance(wire.refund_of(answer), Unknown)


@pytest.mark.parametrize("status", [200, 201, 202, 301, 302, 405, 409, 410, 418, 422, 424, 500, 502, 503, 504])
def test_an_unlisted_status_is_unknown(status: int) -> None:
    for name in ("error_bad_amount", "error_declined", "error_wrong_key"):
        assert isinstance(started_with(name, status), Unknown)


def started_with(name: str, status: int) -> Any:
    return wire.started_of(documented(name, under=status), key=KEY, is_live=False)


@given(
    status=st.sampled_from([200, 400, 401, 402, 403, 404, 409, 429, 500]),
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["object", "data", "error", "id", "status", "payment_intent", "metadata", "has_more"]),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ),
)
@settings(max_examples=100)
def test_no_answer_makes_a_reader_fall_over(status: int, body: Any) -> None:
    answer = wire.answer_of(status=status, content=json.dumps(body).encode(), headers={})
    for outcome in (
        wire.payment_of(answer, is_live=False),
        wire.started_of(answer, key=KEY, is_live=False),
        wire.page_of(answer, key=KEY),
        wire.refund_of(answer),
        wire.payer_of(answer, is_live=False),
        wire.forgotten_of(answer, is_live=False),
    ):
        assert isinstance(outcome, Refused | Unknown)


@given(content=st.binary(max_size=60))
@settings(max_examples=100)
def test_no_bytes_make_a_reader_fall_over(content: bytes) -> None:
    answer = wire.answer_of(status=200, content=content, headers={"retry-after": "soon", "request-id": "\n"})
    assert (answer.retry_after, answer.request) == (None, "")
    assert isinstance(wire.payment_of(answer, is_live=False), Unknown)


# -- lists, refunds, customers ----------------------------------------------------------------------------------------


def test_a_list_gives_exactly_our_key_and_where_the_next_page_begins() -> None:
    page = wire.page_of(documented("sessions"), key=KEY)
    assert isinstance(page, Done)
    assert [wire.reference_of(row) for row in page.value.rows] == [SESSION]
    assert page.value.after == "cs_test_a1PfByHand"
    for look_alike in (KEY.upper(), KEY[:-1], f"{KEY} ", ""):
        nothing = wire.page_of(documented("sessions"), key=look_alike)
        assert isinstance(nothing, Done)
        assert nothing.value.rows == ()


@pytest.mark.parametrize(
    "changed", [{"has_more": None}, {"data": None}, {"data": ["re_1"]}, {"data": [], "has_more": True}, {"data": [{}]}]
)
def test_a_list_of_an_unlisted_shape_is_unknown(changed: dict[str, Any]) -> None:
    assert isinstance(wire.page_of(documented("refunds", **changed), key=REFUND_KEY), Unknown)


def test_of_several_payments_the_one_that_moved_money_counts() -> None:
    closed, open_, paid = SEEN["session_expired"], SEEN["session_open"], SEEN["session_paid"]
    processing = SEEN["session_processing"]
    assert wire.likeliest([closed, open_, paid, processing]) == paid
    assert wire.likeliest([closed, open_, processing]) == processing
    assert wire.likeliest([closed, open_]) == open_


@pytest.mark.parametrize(
    ("name", "state", "why"),
    [
        ("refund_done", RefundState.DONE, ""),
        ("refund_pending", RefundState.PENDING, "processing"),
        ("refund_needs_action", RefundState.PENDING, ""),
        ("refund_failed", RefundState.FAILED, "expired_or_canceled_card"),
        ("refund_canceled", RefundState.FAILED, ""),
    ],
)
def test_a_refund_is_read(name: str, state: RefundState, why: str) -> None:
    expected = Refund("re_3PfRefund", REFUND_KEY, state, Money(500, "EUR"), why)
    assert wire.refund_of(documented(name)) == Done(expected)


@pytest.mark.parametrize(
    "changed", [{"status": "lost"}, {"status": None}, {"amount": "500"}, {"object": "charge"}, {"currency": ""}]
)
def test_a_refund_of_an_unlisted_shape_is_unknown(changed: dict[str, Any]) -> None:
    assert isinstance(wire.refund_of(documented("refund_done", **changed)), Unknown)


def test_a_refund_of_something_else_than_was_asked_is_unknown() -> None:
    answer = documented("refund_done")
    money = Money(500, "EUR")
    assert isinstance(wire.refunded_of(answer, key=REFUND_KEY, money=money), Done)
    for key, asked in ((f"{REFUND_KEY}-2", money), (REFUND_KEY, Money(501, "EUR")), (REFUND_KEY, Money(500, "USD"))):
        outcome = wire.refunded_of(answer, key=key, money=asked)
        assert outcome == Unknown("a refund of something else than was asked")


def test_a_customer_and_a_forgotten_card_are_read() -> None:
    assert wire.payer_of(documented("customer"), is_live=False) == Done("cus_PfNobody")
    assert isinstance(wire.payer_of(documented("customer"), is_live=True), Unknown)
    assert wire.forgotten_of(documented("card_detached"), is_live=False) == Done(None)
    assert isinstance(wire.forgotten_of(documented("card_attached"), is_live=False), Unknown)
    assert isinstance(wire.forgotten_of(documented("card_detached"), is_live=True), Unknown)


# -- webhooks ---------------------------------------------------------------------------------------------------------

SECRET, OLD_SECRET = "whsec_new", "whsec_old"
NOW = ASKED_AT + timedelta(minutes=5)


def signed(body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> str:
    stamp = int(at.timestamp())
    return f"t={stamp},v1={hmac.new(secret.encode(), f'{stamp}.'.encode() + body, hashlib.sha256).hexdigest()}"


def told(body: bytes, signature: str, *, now: datetime = NOW, is_live: bool = False) -> Event:
    return wire.event_of(body=body, signature=signature, secrets=(SECRET, OLD_SECRET), now=now, is_live=is_live)


def event_body(name: str, **changed: Any) -> bytes:
    return json.dumps(kept(f"event_{name}")["body"] | changed, ensure_ascii=False).encode()


EVENTS = {
    "session_completed": ("checkout.session.completed", KEY, SESSION, INTENT, True),
    "intent_paid": ("payment_intent.succeeded", KEY, INTENT, INTENT, True),
    "charge_refunded": ("charge.refunded", KEY, "ch_3PfCharge", INTENT, True),
    "refund_failed": ("refund.failed", "", "re_3PfRefund", INTENT, True),
    "dispute_created": ("charge.dispute.created", "", "du_1PfDispute", INTENT, True),
    "customer_created": ("customer.created", "", "cus_PfNobody", "", False),
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_says_where_to_look(name: str) -> None:
    body = event_body(name)
    kind, key, reference, charge, matters = EVENTS[name]
    assert told(body, signed(body)) == Event(
        id=kept(f"event_{name}")["body"]["id"],
        kind=kind,
        key=key,
        reference=reference,
        charge=charge,
        matters=matters,
        created_at=ASKED_AT + timedelta(seconds=61),
        is_dispute=name == "dispute_created",
    )


def test_every_kind_that_can_change_something_matters() -> None:
    for kind in wire.MATTERS:
        body = event_body("intent_paid", type=kind)
        assert told(body, signed(body)).matters
    body = event_body("intent_paid", type="payment_intent.requires_action")
    assert not told(body, signed(body)).matters


def test_while_a_secret_is_exchanged_either_of_them_is_good() -> None:
    body = event_body("intent_paid")
    new, old = signed(body), signed(body, secret=OLD_SECRET)
    both = f"{new},{old.split(',')[1]}"
    foreign = f"{signed(body, secret='whsec_else')},{new.split(',')[1]},v0=abc"
    for signature in (new, old, both, foreign):
        assert told(body, signature).kind == "payment_intent.succeeded"


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_a_signature_is_good_for_five_minutes(seconds: int) -> None:
    body = event_body("intent_paid")
    assert told(body, signed(body, at=NOW + timedelta(seconds=seconds))).key == KEY


@pytest.mark.parametrize("seconds", [-3600, -301, 301, 3600])
def test_a_signature_of_another_time_is_forged(seconds: int) -> None:
    body = event_body("intent_paid")
    with pytest.raises(Forged):
        told(body, signed(body, at=NOW + timedelta(seconds=seconds)))


def _bad_signatures() -> dict[str, str]:
    good = signed(event_body("intent_paid"))
    stamp, mac = good.split(",")
    return {
        "none": "",
        "of somebody else": signed(event_body("intent_paid"), secret="whsec_else"),
        "of an empty secret": signed(event_body("intent_paid"), secret=""),
        "of another body": signed(event_body("refund_failed")),
        "without a time": mac,
        "with two times": f"{stamp},{good}",
        "with another time": f"t={int(stamp[2:]) + 1},{mac}",
        "with a time that is no number": f"t=now,{mac}",
        "with a time in other digits": f"t={stamp[2:].translate({48 + n: 0x660 + n for n in range(10)})},{mac}",
        "with a negative time": f"t=-{stamp[2:]},{mac}",
        "of an older scheme only": f"{stamp},{mac.replace('v1', 'v0')}",
        "cut short": good[:-1],
        "in capitals": f"{stamp},v1={mac[3:].upper()}",
        "of other than ASCII": f"{stamp},v1=é",
        "empty": f"{stamp},v1=",
        "garbage": "=,=,t",
    }


@pytest.mark.parametrize("how", _bad_signatures())
def test_what_nobody_signed_is_forged(how: str) -> None:
    with pytest.raises(Forged):
        told(event_body("intent_paid"), _bad_signatures()[how])


def test_one_changed_byte_is_forged() -> None:
    body = event_body("intent_paid")
    with pytest.raises(Forged):
        told(body.replace(b"1999", b"9999", 1), signed(body))
    with pytest.raises(Forged):
        told(body + b" ", signed(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        event_body("intent_paid", object="charge"),
        event_body("intent_paid", object="v2.core.event"),
        event_body("intent_paid", id=""),
        event_body("intent_paid", type=None),
        event_body("intent_paid", created="today"),
        event_body("intent_paid", created=10**20),
        event_body("intent_paid", data=None),
        event_body("intent_paid", data={"object": []}),
    ],
)
def test_what_is_signed_but_no_event_is_forged(body: bytes) -> None:
    with pytest.raises(Forged):
        told(body, signed(body))


def test_an_event_of_the_other_mode_is_forged() -> None:
    test, live = event_body("intent_paid"), event_body("intent_paid", livemode=True)
    assert told(live, signed(live), is_live=True).key == KEY
    for body, is_live in ((test, True), (live, False), (event_body("intent_paid", livemode=None), False)):
        with pytest.raises(Forged):
            told(body, signed(body), is_live=is_live)


@given(signature=st.text(max_size=80), body=st.binary(max_size=40))
@settings(max_examples=100)
def test_whatever_a_stranger_sends_is_forged(signature: str, body: bytes) -> None:
    with pytest.raises(Forged):
        told(body, signature)


def test_the_sdks_own_signature_is_good() -> None:
    from stripe import WebhookSignature

    body = event_body("intent_paid")
    stamp = int(NOW.timestamp())
    header = WebhookSignature.generate_signature_header(body.decode(), SECRET, stamp)
    assert header == signed(body)
    assert told(body, header).key == KEY
