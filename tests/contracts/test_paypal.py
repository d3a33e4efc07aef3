"""What only PayPal does: a token for every call, orders that we capture, notices that it verifies itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from paypalserversdk.configuration import Configuration

from sandbox.wallets.paypal import CLIENT, SECRET, WEBHOOK
from tests.contracts.stands import BEGIN
from tests.contracts.stands.paypal import Stand
from xuka.connectors.payments.paypal import wire
from xuka.connectors.payments.paypal.connector import PayPal
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    CannotVerify,
    Forged,
    Misconfigured,
    Payment,
    PaymentState,
    Reason,
    SavedMethod,
    Settled,
    SettledKind,
)

KEY = "xuka-5f0a3c1e9a554f0e8d8c0d2f5a7b9c11"
OTHER_KEY = "xuka-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
BACK = "xuka-11c9b7a5f2d00c8d8e0f459a1e3c0a5f"
ORDER, CAPTURE, REFUND = "5O190127TN364715T", "3C679366HH908993F", "1JU08902781691411"
TOKEN = "9me21520kn045363h"
EUROS = Money(1999, "EUR")
ASK = Ask(
    key=KEY,
    method="paypal",
    money=EUROS,
    asked_at=BEGIN,
    pay_by=BEGIN + timedelta(hours=1),
    description="比利时 7 天无限量",
    return_url="https://shop.test/back",
    language="zh-Hans",
)


def done(outcome: Any) -> Any:
    assert isinstance(outcome, Done), outcome
    return outcome.value


def paid(stand: Stand, ask: Ask = ASK) -> Payment:
    payment = done(stand.provider.start(ask))
    stand.pay(payment)
    return done(stand.provider.capture(key=ask.key, reference=payment.reference, money=ask.money))


def calls(stand: Stand, path: str) -> int:
    return sum(one == path for _, one in stand.transport.requests)


def test_an_order_is_asked_for_once_by_its_key_and_taken_once_after_approval() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    page = f"http://wallet.test/pay/{payment.reference}"
    assert payment == Payment(payment.reference, KEY, PaymentState.OPEN, url=page)
    assert list(stand.till.asked) == [KEY]
    assert done(stand.provider.start(ASK)) == payment
    asked = stand.till.bills[payment.reference].told["asked"]
    assert asked["purchase_units"] == [
        {
            "custom_id": KEY,
            "invoice_id": KEY,
            "description": "比利时 7 天无限量",
            "amount": {"currency_code": "EUR", "value": "19.99"},
        }
    ]
    assert asked["payment_source"]["paypal"]["experience_context"]["locale"] == "zh-CN"

    early = stand.provider.capture(key=KEY, reference=payment.reference, money=EUROS)
    assert done(early).state == PaymentState.OPEN, "not approved yet"
    stand.pay(payment)
    taken = done(stand.provider.capture(key=KEY, reference=payment.reference, money=EUROS))
    assert (taken.state, taken.paid) == (PaymentState.PAID, EUROS)
    assert done(stand.provider.capture(key=KEY, reference=payment.reference, money=EUROS)) == taken, "once"
    assert stand.captured(KEY) == {"EUR": 1999}


def test_a_decline_opens_it_again_and_the_second_approval_is_taken() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    stand.pay(payment)
    stand.fault("capture_declined")
    declined = done(stand.provider.capture(key=KEY, reference=payment.reference, money=EUROS))
    assert (declined.state, declined.declined, declined.url) == (PaymentState.OPEN, "INSTRUMENT_DECLINED", payment.url)
    stand.pay(payment)
    assert done(stand.provider.capture(key=KEY, reference=payment.reference, money=EUROS)).paid == EUROS


def test_an_order_that_died_is_closed_and_what_is_no_id_is_unknown() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    stand.clock.push(hours=3)
    for outcome in (
        stand.provider.look(reference=payment.reference),
        stand.provider.close(reference=payment.reference),
        stand.provider.capture(key=KEY, reference=payment.reference, money=EUROS),
    ):
        assert done(outcome).state == PaymentState.CLOSED
    assert stand.provider.look(reference="../tokens") == Refused(Reason.UNKNOWN_PAYMENT, None, "no id of PayPal's")
    assert ("GET", "/v2/checkout/orders/../tokens") not in stand.transport.requests


def test_another_order_under_an_invoice_that_was_paid_is_not_taken() -> None:
    stand = Stand()
    paid(stand)
    stand.till.asked.clear()  # PayPal forgot the request id: six hours
    second = done(stand.provider.start(ASK))
    stand.pay(second)
    taken = stand.provider.capture(key=KEY, reference=second.reference, money=EUROS)
    assert taken == Unknown("status 422 DUPLICATE_INVOICE_ID")
    assert stand.captured(KEY) == {"EUR": 1999}


def test_two_connectors_in_one_process_each_keep_their_own_address() -> None:
    first, second = Stand(), Stand()
    before = {name: dict(servers) for name, servers in Configuration.environments.items()}
    hosts: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(503)

    away = [second.another(base_url=f"http://{host}.test", transport=httpx.MockTransport(refuse)) for host in "ab"]
    assert done(first.provider.start(ASK)).key == KEY
    assert [type(one.start(ASK)) for one in (*away, *away)] == [Unknown] * 4
    assert hosts == ["a.test", "b.test", "a.test", "b.test"]
    assert done(first.provider.find(key=KEY, asked_at=BEGIN, is_hosted=True)) is None
    assert {name: dict(servers) for name, servers in Configuration.environments.items()} == before


def test_a_token_serves_until_a_tenth_of_its_time_is_left_or_it_is_taken_back() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    stand.clock.push(hours=2)
    done(stand.provider.look(reference=payment.reference))
    assert calls(stand, "/v1/oauth2/token") == 1
    stand.clock.push(hours=6, minutes=7)
    done(stand.provider.look(reference=payment.reference))
    assert calls(stand, "/v1/oauth2/token") == 2, "nine hours, less a tenth"
    stand.till.tokens.clear()
    done(stand.provider.look(reference=payment.reference))
    assert calls(stand, "/v1/oauth2/token") == 3
    wrong = stand.another(client_secret="wrong")
    assert wrong.start(ASK) == Refused(Reason.NOT_AUTHORISED, None, "status 401 invalid_client")


def test_who_may_use_it_and_for_how_much() -> None:
    (method,) = Stand().provider.methods()
    assert (method.name, method.markets, method.can_be_saved) == ("paypal", frozenset({"BE", "JP", "TW"}), True)
    (method,) = PayPal(client_id=CLIENT, client_secret=SECRET, webhook_id=WEBHOOK).methods()
    assert method.can_be_saved is False, "unless the seller says that PayPal allows it"
    assert set(method.limits) == {"EUR", "USD", "GBP", "HKD", "JPY", "TWD"}
    wrong: tuple[dict[str, Any], ...] = ({"markets": ()}, {"client_id": ""}, {"client_secret": " "}, {"webhook_id": ""})
    for settings in (*wrong, {"keeps": "no"}):
        with pytest.raises(Misconfigured) as caught:
            Stand().another(**settings)
        assert SECRET not in str(caught.value)
    keys = {"client_id": CLIENT, "client_secret": SECRET, "webhook_id": WEBHOOK}
    assert PayPal(**keys).is_live
    assert not PayPal(base_url="https://api-m.sandbox.paypal.com", **keys).is_live
    assert SECRET not in repr(PayPal(**keys))


def test_amounts_are_exact_and_whole_where_paypal_takes_no_decimals() -> None:
    values = {
        Money(1999, "EUR"): "19.99",
        Money(2000, "EUR"): "20.00",
        Money(2980, "JPY"): "2980",
        Money(59900, "TWD"): "599",
    }
    assert {money: wire.amount(money)["value"] for money in values} == values
    stand = Stand()
    before = list(stand.transport.requests)
    for money in (Money(59950, "TWD"), Money(100, "CNY"), Money(0, "EUR"), Money(1_000_001, "EUR")):
        refused = stand.provider.start(replace(ASK, money=money))
        assert isinstance(refused, Refused), money
        assert refused.reason == Reason.BAD_REQUEST
    assert stand.transport.requests == before, "nothing was asked"


UNIT = {"custom_id": KEY, "amount": {"currency_code": "EUR", "value": "19.99"}}
AMOUNT = {"amount": {"currency_code": "EUR", "value": "19.99"}}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"id": ORDER, "status": "SHIPPED", "purchase_units": [UNIT]}),
        (200, {"id": ORDER, "status": "COMPLETED", "purchase_units": [UNIT]}),
        (200, {"id": ORDER, "status": "APPROVED", "purchase_units": [UNIT, UNIT]}),
        (
            200,
            {
                "id": ORDER,
                "status": "COMPLETED",
                "purchase_units": [UNIT | {"payments": {"captures": [AMOUNT | {"id": CAPTURE, "status": "SEIZED"}]}}],
            },
        ),
        (200, {"id": REFUND, "status": "UNHEARD_OF", "custom_id": BACK} | AMOUNT),
        (200, None),
        (202, {}),
        (409, {"name": "RESOURCE_CONFLICT"}),
        (422, {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": "UNHEARD_OF"}]}),
        (500, {"name": "INTERNAL_SERVER_ERROR"}),
        (500, {"name": "RESOURCE_NOT_FOUND"}),
    ],
)
def test_what_is_not_listed_is_unknown(status: int, body: Any) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/oauth2/token":
            return httpx.Response(200, json={"access_token": "A21", "expires_in": 32400})
        return httpx.Response(status, json=body)

    provider = Stand().another(transport=httpx.MockTransport(answer))
    outcomes = [
        provider.start(ASK),
        provider.look(reference=ORDER),
        provider.capture(key=KEY, reference=ORDER, money=EUROS),
        provider.find(key=KEY, asked_at=BEGIN, is_hosted=True),
        provider.close(reference=ORDER),
        provider.refund(key=BACK, charge=CAPTURE, money=EUROS),
        provider.look_refund(reference=REFUND),
        provider.find_refund(key=BACK, charge=CAPTURE),
        provider.settlements(day=BEGIN.date()),
        provider.forget_method(reference=TOKEN),
    ]
    assert [type(one) for one in outcomes] == [Unknown] * 10


# -- what is kept -------------------------------------------------------------------------------------------------


def keeps(stand: Stand, payer: str = "xuka-payer", key: str = OTHER_KEY) -> str:
    """Somebody pays and has their account kept; the token."""
    payment = paid(stand, replace(ASK, key=key, payer=payer, save_method=True))
    assert payment.saved_method is not None
    return payment.saved_method.reference


def charged(stand: Stand, token: str, **changed: Any) -> Payment:
    ask = replace(ASK, saved_method=token, **changed)
    begun = done(stand.provider.start(ask))
    assert begun == Payment(begun.reference, ask.key, PaymentState.APPROVED)
    return done(stand.provider.capture(key=ask.key, reference=begun.reference, money=ask.money))


class Overheard(httpx.BaseTransport):
    """Remembers every request that goes by."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self.inner = inner
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.inner.handle_request(request)

    def said(self) -> list[tuple[str, str, Any]]:
        """Method, path and body of what was asked about orders."""
        orders = [one for one in self.requests if one.url.path.startswith("/v2/checkout/orders")]
        return [(one.method, one.url.path, json.loads(one.content) if one.content else None) for one in orders]


def test_an_account_is_kept_for_our_own_word_of_its_owner_once_the_money_was_taken() -> None:
    stand = Stand()
    before = list(stand.transport.requests)
    payer = done(stand.provider.make_payer(key="xuka-1f6c0f2f1a9b4c55a7d2c2b0c4b9e6aa"))
    assert payer == "xuka-1f6c0f2f1a9b4c55a7d2c2b0c4b9e6aa"
    assert stand.transport.requests == before, "nothing was asked"
    payment = done(stand.provider.start(replace(ASK, payer=payer, save_method=True)))
    asked = stand.till.bills[payment.reference].told["asked"]["payment_source"]["paypal"]
    assert asked["attributes"] == {
        "customer": {"merchant_customer_id": payer},
        "vault": {
            "store_in_vault": "ON_SUCCESS",
            "usage_type": "MERCHANT",
            "customer_type": "CONSUMER",
            "usage_pattern": "UNSCHEDULED_PREPAID",
            "permit_multiple_payment_tokens": True,
        },
    }
    stand.pay(payment)
    assert stand.till.vault == {}, "not before the money was taken"
    taken = done(stand.provider.capture(key=KEY, reference=payment.reference, money=EUROS))
    assert list(stand.till.vault.values()) == [payer]
    assert taken.saved_method == SavedMethod(next(iter(stand.till.vault)), "b***@sandbox.test")
    assert done(stand.provider.look(reference=payment.reference)) == taken


@pytest.mark.parametrize(("off_session", "initiator"), [(False, "CUSTOMER"), (True, "MERCHANT")])
def test_what_is_kept_is_named_only_when_the_money_is_taken(off_session: bool, initiator: str) -> None:
    stand = Stand()
    token = keeps(stand)
    line = Overheard(stand.transport)
    stand.provider = stand.another(transport=line)
    payment = charged(stand, token, off_session=off_session)
    assert (payment.state, payment.paid, stand.captured(KEY)) == (PaymentState.PAID, EUROS, {"EUR": 1999})
    order = f"/v2/checkout/orders/{payment.reference}"
    unit = {
        "reference_id": f"kept:{initiator.lower()}:{token}",
        "custom_id": KEY,
        "invoice_id": KEY,
        "description": "比利时 7 天无限量",
        "amount": {"currency_code": "EUR", "value": "19.99"},
    }
    credential = {"payment_initiator": initiator, "usage": "SUBSEQUENT", "usage_pattern": "UNSCHEDULED_PREPAID"}
    source = {"paypal": {"vault_id": token, "stored_credential": credential}}
    assert line.said() == [
        ("POST", "/v2/checkout/orders", {"intent": "CAPTURE", "purchase_units": [unit]}),
        ("POST", f"{order}/capture", None),
        ("GET", order, None),
        ("POST", f"{order}/capture", {"payment_source": source}),
    ]
    assert line.requests[-1].headers["PayPal-Request-Id"] == f"{KEY}-charge"


def test_what_a_person_approved_is_taken_with_one_call_as_ever() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    stand.pay(payment)
    before = len(stand.transport.requests)
    done(stand.provider.capture(key=KEY, reference=payment.reference, money=EUROS))
    assert stand.transport.requests[before:] == [("POST", f"/v2/checkout/orders/{payment.reference}/capture")]


def test_a_decline_whose_answer_was_lost_is_told_again_and_nothing_is_tried_twice() -> None:
    stand = Stand()
    begun = done(stand.provider.start(replace(ASK, saved_method=keeps(stand), off_session=True)))
    stand.fault("decline_saved")
    stand.fault("timeout_after", endpoint="charge")
    lost = stand.provider.capture(key=KEY, reference=begun.reference, money=EUROS)
    assert isinstance(lost, Unknown)
    assert done(stand.provider.look(reference=begun.reference)) == begun
    seen = done(stand.provider.capture(key=KEY, reference=begun.reference, money=EUROS))
    assert seen == Payment(begun.reference, KEY, PaymentState.CLOSED, declined="INSTRUMENT_DECLINED")
    assert (stand.till.happened["decline_saved"], stand.captured(KEY)) == (1, {})


def test_what_was_begun_and_not_taken_within_three_hours_costs_nothing() -> None:
    stand = Stand()
    begun = done(stand.provider.start(replace(ASK, saved_method=keeps(stand))))
    stand.clock.push(hours=3)
    seen = done(stand.provider.capture(key=KEY, reference=begun.reference, money=EUROS))
    assert seen == Payment(begun.reference, "", PaymentState.CLOSED)
    assert stand.captured(KEY) == {}


def test_another_order_under_an_invoice_that_was_charged_is_not_taken() -> None:
    stand = Stand()
    token = keeps(stand)
    charged(stand, token)
    stand.till.asked.clear()  # PayPal forgot the request ids: six hours
    stand.till.answered.clear()
    second = done(stand.provider.start(replace(ASK, saved_method=token)))
    taken = stand.provider.capture(key=KEY, reference=second.reference, money=EUROS)
    assert taken == Unknown("status 422 DUPLICATE_INVOICE_ID")
    assert stand.captured(KEY) == {"EUR": 1999}


def test_two_customers_who_share_an_account_each_have_their_own_and_one_forgets_only_theirs() -> None:
    stand = Stand()
    hers, his = keeps(stand, "xuka-her"), keeps(stand, "xuka-him", BACK)
    assert hers != his
    assert stand.provider.forget_method(reference=hers) == Done(None)
    assert stand.till.vault == {his: "xuka-him"}
    assert charged(stand, his).state == PaymentState.PAID


def test_where_nothing_is_kept_what_was_kept_before_is_still_forgotten() -> None:
    stand = Stand()
    token = keeps(stand)
    stand.provider = stand.another(keeps=False)
    refused = stand.provider.make_payer(key="xuka-payer")
    assert refused == Refused(Reason.BAD_REQUEST, None, "nothing is kept at PayPal")
    assert stand.provider.forget_method(reference=token) == Done(None)
    assert stand.till.vault == {}
    for reference in ("", "../orders/1", "a b"):
        before = list(stand.transport.requests)
        gone = Refused(Reason.METHOD_GONE, None, "no id of what PayPal keeps")
        assert stand.provider.forget_method(reference=reference) == gone
        assert stand.transport.requests == before, "nothing was asked"
    unreadable = stand.provider.start(replace(ASK, saved_method="../1"))
    assert unreadable == Refused(Reason.BAD_REQUEST, None, "no id of what PayPal keeps")


def test_a_seller_whom_paypal_has_not_allowed_it_is_refused_and_nothing_begins() -> None:
    stand = Stand()
    stand.till.may_vault = False
    refused = stand.provider.start(replace(ASK, payer="xuka-payer", save_method=True))
    assert refused == Refused(Reason.NOT_AUTHORISED, None, "status 403 NOT_AUTHORIZED")
    assert stand.bills() == 0
    assert done(stand.provider.start(ASK)).state == PaymentState.OPEN, "without keeping it goes as ever"


def order(mark: str, status: str = "CREATED") -> dict[str, Any]:
    return {"id": ORDER, "status": status, "purchase_units": [UNIT | {"reference_id": mark}]}


def told(capture: tuple[int, Any], order: tuple[int, Any]) -> PayPal:
    """A connector to a PayPal that answers a charge like this, and shows the order like that."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/oauth2/token":
            return httpx.Response(200, json={"access_token": "A21", "expires_in": 32400})
        if request.method == "GET":
            return httpx.Response(order[0], json=order[1])
        not_approved = (422, {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": "ORDER_NOT_APPROVED"}]})
        status, body = capture if request.content else not_approved
        return httpx.Response(status, json=body)

    return Stand().another(transport=httpx.MockTransport(answer))


BY_MERCHANT, BY_CUSTOMER = f"kept:merchant:{TOKEN}", f"kept:customer:{TOKEN}"


def charge(issue: str, mark: str, status: int = 422) -> Payment:
    """What a charge comes to that PayPal refuses with this word."""
    body = {"name": "INVALID_REQUEST" if status == 400 else "UNPROCESSABLE_ENTITY", "details": [{"issue": issue}]}
    return done(told((status, body), (200, order(mark))).capture(key=KEY, reference=ORDER, money=EUROS))


def test_every_listed_word_ends_a_charge_and_tells_why() -> None:
    closed = Payment(ORDER, KEY, PaymentState.CLOSED)
    wanted = {"PAYER_ACTION_REQUIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"}
    gone = {
        "AGREEMENT_ALREADY_CANCELLED",
        "BILLING_AGREEMENT_NOT_FOUND",
        "IDENTIFIER_NOT_FOUND",
        "INVALID_VAULT_ID",
        "TOKEN_ID_NOT_FOUND",
    }
    assert (wanted, gone) == (wire.PAYER_WANTED, wire.GONE)
    assert len(wire.DECLINED) == 10
    for issue in wire.DECLINED | gone:
        seen = charge(issue, BY_MERCHANT)
        assert seen == replace(closed, declined=issue, needs_customer=issue in wanted, method_gone=issue in gone)
        assert charge(issue, BY_CUSTOMER) == replace(seen, needs_customer=False), "they are there"
    for issue in gone:
        assert charge(issue, BY_MERCHANT, 400).method_gone


def test_an_order_that_is_there_tells_that_what_was_not_found_is_what_was_kept() -> None:
    missing = (404, {"name": "RESOURCE_NOT_FOUND", "details": [{"issue": "INVALID_RESOURCE_ID"}]})
    seen = told(missing, (200, order(BY_MERCHANT))).capture(key=KEY, reference=ORDER, money=EUROS)
    closed = Payment(ORDER, KEY, PaymentState.CLOSED, declined="RESOURCE_NOT_FOUND", method_gone=True)
    assert seen == Done(closed)
    assert told(missing, missing).capture(key=KEY, reference=ORDER, money=EUROS) == Done(
        Payment(ORDER, "", PaymentState.CLOSED)
    )
    nobodys = told((404, {}), (200, order(BY_MERCHANT))).capture(key=KEY, reference=ORDER, money=EUROS)
    assert nobodys == Unknown("status 404"), "not PayPal's words"


def test_a_capture_too_early_of_what_reads_approved_is_looked_at_again_later() -> None:
    provider = told((500, None), (200, order("default", "APPROVED")))
    early = provider.capture(key=KEY, reference=ORDER, money=EUROS)
    assert early == Unknown("status 422 ORDER_NOT_APPROVED")


def test_an_order_to_be_charged_reads_as_it_stands() -> None:
    def read(mark: str, status: str) -> Payment:
        return done(wire.order_of(wire.Answer(200, order(mark, status))))

    assert read(BY_MERCHANT, "CREATED") == Payment(ORDER, KEY, PaymentState.APPROVED)
    wanted = Payment(ORDER, KEY, PaymentState.CLOSED, declined="PAYER_ACTION_REQUIRED")
    assert read(BY_CUSTOMER, "PAYER_ACTION_REQUIRED") == wanted
    assert read(BY_MERCHANT, "PAYER_ACTION_REQUIRED") == replace(wanted, needs_customer=True)
    assert read(BY_MERCHANT, "VOIDED").state == PaymentState.CLOSED
    for mark in ("default", "kept", "kept:", "kept:nobody:1", f"kept:merchant:{TOKEN}/"):
        assert read(mark, "CREATED").state == PaymentState.OPEN, "an order like any other"
        assert wire.charge_asked(wire.Answer(200, order(mark))) is None
    for status in ("APPROVED", "COMPLETED", "VOIDED", "PAYER_ACTION_REQUIRED"):
        assert wire.charge_asked(wire.Answer(200, order(BY_MERCHANT, status))) is None


@pytest.mark.parametrize(
    "vault",
    [
        {"status": "APPROVED"},
        {"status": "APPROVED", "id": TOKEN},
        {"status": "CREATED", "id": TOKEN},
        {"status": "VAULTED"},
        {"status": "VAULTED", "id": "no id"},
        {"id": TOKEN},
        [],
    ],
)
def test_what_paypal_has_not_kept_yet_is_not_kept_here_and_the_money_is_booked(vault: Any) -> None:
    captures = [AMOUNT | {"id": CAPTURE, "status": "COMPLETED"}]
    body = order("default", "COMPLETED") | {
        "payment_source": {"paypal": {"email_address": "buyer@sandbox.test", "attributes": {"vault": vault}}}
    }
    body["purchase_units"][0]["payments"] = {"captures": captures}
    seen = done(wire.order_of(wire.Answer(200, body)))
    assert seen == Payment(ORDER, KEY, PaymentState.PAID, charge=CAPTURE, paid=EUROS)


# -- webhooks -----------------------------------------------------------------------------------------------------


def test_paypal_itself_says_whether_it_signed_over_the_very_bytes() -> None:
    stand = Stand()
    payment = paid(stand)
    done(stand.provider.refund(key=BACK, charge=payment.charge, money=Money(500, "EUR")))
    (approved, at), (taken, _), (refunded, _) = stand.webhooks()
    read = stand.provider.read_webhook
    assert "\\u" not in wire.to_verify(body=approved, headers=at, webhook_id=WEBHOOK, now=BEGIN).decode()
    assert approved in wire.to_verify(body=approved, headers=at, webhook_id=WEBHOOK, now=BEGIN)
    event = read(body=approved, headers=at, now=BEGIN)
    assert (event.kind, event.key, event.reference) == ("CHECKOUT.ORDER.APPROVED", KEY, payment.reference)
    assert (event.created_at, event.matters, event.is_dispute) == (BEGIN, True, False)
    assert (wire.event_of(taken).key, wire.event_of(taken).charge) == (KEY, payment.charge)
    assert (wire.event_of(refunded).key, wire.event_of(refunded).charge) == ("", payment.charge)

    asked = calls(stand, "/v1/notifications/verify-webhook-signature")
    for header in ("paypal-transmission-sig", "paypal-cert-url", "paypal-transmission-time"):
        with pytest.raises(Forged):
            read(body=approved, headers=at | {header: ""}, now=BEGIN)
    for late in (timedelta(days=3, minutes=6), timedelta(minutes=-6)):
        with pytest.raises(Forged):
            read(body=approved, headers=at, now=BEGIN + late)
    assert calls(stand, "/v1/notifications/verify-webhook-signature") == asked, "not worth a question"
    for body, headers in (
        (approved.replace(b"APPROVED", b"approved"), at),
        (approved.replace(b": ", b":"), at),
        (approved, at | {"paypal-transmission-sig": "x"}),
        (approved, at | {"paypal-transmission-id": "69cd13f0-0"}),
    ):
        with pytest.raises(Forged):
            read(body=body, headers=headers, now=BEGIN)
    with pytest.raises(Forged):
        stand.another(webhook_id="ANOTHER").read_webhook(body=approved, headers=at, now=BEGIN)


def test_while_paypal_does_not_answer_a_notice_is_to_be_delivered_again() -> None:
    stand = Stand()
    stand.pay(done(stand.provider.start(ASK)))
    ((body, headers),) = stand.webhooks()
    for kind in stand.wire:
        stand.fault(kind, endpoint="verify")
        with pytest.raises(CannotVerify):
            stand.provider.read_webhook(body=body, headers=headers, now=BEGIN)
    stand.till.tokens.clear()
    stand.fault("timeout_before", endpoint="token")
    with pytest.raises(CannotVerify):
        stand.provider.read_webhook(body=body, headers=headers, now=BEGIN)
    assert stand.provider.read_webhook(body=body, headers=headers, now=BEGIN).key == KEY


def test_a_dispute_is_told_to_staff_and_other_kinds_matter_to_nobody() -> None:
    event = {"id": "WH-1", "create_time": "2026-03-01T12:00:00Z", "event_type": "CUSTOMER.DISPUTE.CREATED"}
    about = {"dispute_id": "PP-D-1", "disputed_transactions": [{"seller_transaction_id": CAPTURE}]}
    told = wire.event_of(json.dumps(event | {"resource": about}).encode())
    assert (told.charge, told.is_dispute, told.matters) == (CAPTURE, True, True)
    other = wire.event_of(json.dumps(event | {"event_type": "VAULT.PAYMENT-TOKEN.CREATED", "resource": {}}).encode())
    assert (other.matters, other.is_dispute) == (False, False)


# -- settlement ---------------------------------------------------------------------------------------------------


def test_a_day_is_settled_once_the_report_reaches_its_end() -> None:
    stand = Stand()
    payment = paid(stand)
    refund = done(stand.provider.refund(key=BACK, charge=payment.charge, money=Money(500, "EUR")))
    assert stand.provider.settlements(day=BEGIN.date()) == Unknown(
        "PayPal's report does not reach the end of the day yet"
    )
    stand.clock.push(days=1)
    assert done(stand.provider.settlements(day=BEGIN.date())) == [
        Settled(
            f"{payment.charge}/T0006",
            SettledKind.PAYMENT,
            EUROS,
            Money(35, "EUR"),
            BEGIN,
            key=KEY,
            charge=payment.charge,
        ),
        Settled(
            f"{refund.reference}/T1107",
            SettledKind.REFUND,
            Money(-500, "EUR"),
            Money(0, "EUR"),
            BEGIN,
            key=BACK,
            charge=payment.charge,
            reference=refund.reference,
        ),
    ]
    assert done(stand.provider.settlements(day=datetime(2026, 2, 28, tzinfo=UTC).date())) == []


def test_every_page_of_a_day_is_read_and_codes_say_what_moved() -> None:
    codes = {
        "T0006": SettledKind.PAYMENT,
        "T1107": SettledKind.REFUND,
        "T1106": SettledKind.DISPUTE,
        "T1201": SettledKind.DISPUTE,
        "T0106": SettledKind.FEE,
        "T0400": SettledKind.PAYOUT,
        "T9999": SettledKind.OTHER,
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/oauth2/token":
            return httpx.Response(200, json={"access_token": "A21", "expires_in": 32400})
        page = int(request.url.params["page"])
        row = {
            "transaction_id": f"ID{page}",
            "transaction_event_code": list(codes)[page - 1],
            "transaction_status": "S",
            "transaction_initiation_date": "2026-03-01T12:00:00+0000",
            "transaction_amount": {"currency_code": "JPY", "value": "-500"},
            "fee_amount": {"currency_code": "JPY", "value": "-40.00"},
        }
        denied = row | {"transaction_status": "D"}
        details = [{"transaction_info": row}, {"transaction_info": denied}]
        reaches = "2026-03-02T00:00:00+0000"
        body = {"transaction_details": details, "total_pages": len(codes), "last_refreshed_datetime": reaches}
        return httpx.Response(200, json=body)

    provider = Stand().another(transport=httpx.MockTransport(answer))
    rows = done(provider.settlements(day=BEGIN.date()))
    assert [row.kind for row in rows] == list(codes.values())
    assert {(row.money, row.fee) for row in rows} == {(Money(-500, "JPY"), Money(40, "JPY"))}
