"""What only LINE Pay does: its signature, ids of 19 digits, whole dollars, no cancel, no keys of refunds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import linepay
import pytest

from sandbox.wallets.line_pay import CHANNEL, SECRET
from tests.contracts.stands import BEGIN
from tests.contracts.stands.line_pay import Stand
from xuka.connectors.payments.line_pay import wire
from xuka.connectors.payments.line_pay.connector import LinePay
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Forged,
    Misconfigured,
    Payment,
    PaymentState,
    Reason,
    Refund,
    RefundState,
    Settled,
    SettledKind,
    UnreadableStatement,
)

KEY = "xuka-5f0a3c1e9a554f0e8d8c0d2f5a7b9c11"
BACK = "xuka-11c9b7a5f2d00c8d8e0f459a1e3c0a5f"
DOLLARS = Money(59900, "TWD")
ASK = Ask(
    key=KEY,
    method="line_pay",
    money=DOLLARS,
    asked_at=BEGIN,
    pay_by=BEGIN + timedelta(hours=1),
    description="臺灣 7 天無限量",
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


def test_a_person_approves_and_only_our_confirmation_takes_the_money() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    assert len(payment.reference) == 19
    assert payment == Payment(
        payment.reference, KEY, PaymentState.OPEN, url=f"http://wallet.test/pay/{payment.reference}"
    )
    assert done(stand.provider.look(reference=payment.reference)).state == PaymentState.OPEN

    stand.pay(payment)
    assert done(stand.provider.look(reference=payment.reference)).state == PaymentState.APPROVED
    assert stand.captured(KEY) == {}

    taken = done(stand.provider.capture(key=KEY, reference=payment.reference, money=DOLLARS))
    assert taken == Payment(payment.reference, KEY, PaymentState.PAID, charge=payment.reference, paid=DOLLARS), (
        "points and balance together"
    )
    assert done(stand.provider.look(reference=payment.reference)) == taken
    assert done(stand.provider.capture(key=KEY, reference=payment.reference, money=DOLLARS)) == taken, "once"
    assert done(stand.provider.find(key=KEY, asked_at=BEGIN, is_hosted=True)) == taken
    assert stand.captured(KEY) == {"TWD": 59900}


def test_on_a_phone_the_address_opens_the_app() -> None:
    stand = Stand()
    assert done(stand.provider.start(replace(ASK, device="phone"))).url.startswith("line://pay/payment/")


def test_its_signature_is_that_of_the_community_library_too() -> None:
    theirs = linepay.LinePayApi(CHANNEL, SECRET)
    for path, content in [
        ("/v3/payments/request", '{"amount": 599, "name": "臺灣"}'),
        ("/v3/payments", f"orderId={KEY}"),
        ("/v3/payments/requests/2023042201206549310/check", ""),
    ]:
        said = theirs.sign({}, path, content)
        ours = wire.signed(SECRET, path, content, said["X-LINE-Authorization-Nonce"])
        assert ours == said["X-LINE-Authorization"]
    # printf %s 'secret/v3/paymentsorderId=1nonce' | openssl dgst -sha256 -hmac secret -binary | base64
    assert wire.signed("secret", "/v3/payments", "orderId=1", "nonce") == "+uUXuOHGcpvF/pJtnUI940eYdbgzTgciOirQU0k/0BE="


def test_what_is_signed_with_another_key_is_refused_there() -> None:
    stand = Stand()
    refused = stand.another(channel_secret="another").start(ASK)
    assert refused == Refused(Reason.NOT_AUTHORISED, None, "code 1106")
    assert stand.bills() == 0


def test_a_number_of_19_digits_stays_what_it_is_and_amounts_are_exact() -> None:
    answer = wire.answer_of(
        status=200,
        content=b'{"returnCode":"0000","info":{"transactionId":2023042201206549311,"paymentUrl":{"web":"https://w"}}}',
    )
    assert done(wire.started_of(answer, key=KEY, on_phone=False)).reference == "2023042201206549311"

    numbers = {Money(59900, "TWD"): "599", Money(1999, "THB"): "19.99", Money(20000, "THB"): "200"}
    assert {money: json.dumps(wire.number(money)) for money in numbers} == numbers
    stand = Stand()
    for money in (Money(59950, "TWD"), Money(100, "JPY"), Money(100, "EUR")):
        refused = stand.provider.start(replace(ASK, money=money))
        assert isinstance(refused, Refused), money
        assert refused.reason == Reason.BAD_REQUEST
    assert stand.transport.requests == [], "nothing was asked"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"markets": ("JP",)}, "ended in Japan in April 2025"),
        ({"markets": ("BE",)}, "TW and TH only"),
        ({"markets": ()}, "TW and TH only"),
        ({"channel_secret": " "}, "missing"),
    ],
)
def test_it_is_offered_in_taiwan_and_thailand_only(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as caught:
        Stand().another(**settings)
    assert SECRET not in str(caught.value)
    (method,) = Stand().another(markets=("TW",)).methods()
    assert (method.name, method.markets, dict(method.limits)) == (
        "line_pay",
        frozenset({"TW"}),
        {"TWD": (100, 99_999_900)},
    )
    assert not method.can_be_saved


def test_only_the_real_address_moves_money() -> None:
    keys = {"channel_id": CHANNEL, "channel_secret": SECRET}
    assert LinePay(**keys).is_live
    assert not LinePay(base_url="https://sandbox-api-pay.line.me", **keys).is_live
    assert not Stand().provider.is_live
    assert SECRET not in repr(LinePay(**keys))


def test_a_second_ask_of_one_key_begins_no_second_payment() -> None:
    stand = Stand()
    stand.fault("timeout_after", endpoint="start")
    assert isinstance(stand.provider.start(ASK), Unknown)
    assert stand.provider.start(ASK) == Unknown("status 200 code 1172")
    assert done(stand.provider.find(key=KEY, asked_at=BEGIN, is_hosted=True)) is None, "not confirmed: nobody paid"
    assert stand.bills() == 1


def test_what_is_not_confirmed_counts_as_closed_and_takes_nothing() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    stand.pay(payment)
    for _ in range(2):
        assert done(stand.provider.close(reference=payment.reference)).state == PaymentState.CLOSED
    stand.clock.push(minutes=20)
    assert done(stand.provider.look(reference=payment.reference)).state == PaymentState.CLOSED
    late = stand.provider.capture(key=KEY, reference=payment.reference, money=DOLLARS)
    assert done(late).state == PaymentState.CLOSED
    assert stand.captured(KEY) == {}


def test_a_balance_too_low_leaves_it_open_and_another_amount_is_refused() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    stand.pay(payment)
    other = stand.provider.capture(key=KEY, reference=payment.reference, money=Money(59800, "TWD"))
    assert other == Refused(Reason.BAD_REQUEST, None, "code 1153")
    stand.fault("capture_declined")
    declined = done(stand.provider.capture(key=KEY, reference=payment.reference, money=DOLLARS))
    assert (declined.state, declined.declined) == (PaymentState.OPEN, "code 1142")
    again = done(stand.provider.capture(key=KEY, reference=payment.reference, money=DOLLARS))
    assert again.state == PaymentState.OPEN, "not approved again yet"
    assert stand.captured(KEY) == {}


def test_a_refund_is_found_by_its_sum_unless_it_is_known_to_be_another() -> None:
    stand = Stand()
    payment, part = paid(stand), Money(10000, "TWD")

    def found(money: Money, *others: str) -> Refund | None:
        return done(stand.provider.find_refund(key=BACK, charge=payment.charge, money=money, others=others))

    assert found(part) is None
    stand.fault("timeout_after", endpoint="refund")
    assert isinstance(stand.provider.refund(key=BACK, charge=payment.charge, money=part), Unknown)
    first = found(part)
    assert first is not None
    assert first == Refund(first.reference, BACK, RefundState.DONE, part)
    assert done(stand.provider.look_refund(reference=first.reference)) == replace(first, key="")
    assert found(Money(20000, "TWD")) is None, "of another sum"
    assert found(part, first.reference) is None, "another's"
    second = done(stand.provider.refund(key=KEY, charge=payment.charge, money=part))
    assert found(part, first.reference) == replace(second, key=BACK)
    assert found(part, second.reference) == first
    assert found(part, first.reference, second.reference) is None
    assert stand.refunded(KEY) == {"TWD": 20000}
    again = stand.provider.refund(key=BACK, charge=payment.charge, money=DOLLARS)
    assert again == Refused(Reason.ALREADY_REFUNDED, None, "code 1164")


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b'{"returnCode":"0199"}'),
        (200, b'{"returnCode":"9000"}'),
        (200, b'{"returnCode":0}'),
        (200, b"<html>"),
        (200, b"[]"),
        (500, b'{"returnCode":"0000"}'),
        (404, b'{"returnCode":"1104"}'),
    ],
)
def test_what_is_not_listed_is_unknown(status: int, content: bytes) -> None:
    provider = Stand().another(transport=httpx.MockTransport(lambda request: httpx.Response(status, content=content)))
    outcomes = [
        provider.start(ASK),
        provider.look(reference="2023042201206549310"),
        provider.capture(key=KEY, reference="2023042201206549310", money=DOLLARS),
        provider.find(key=KEY, asked_at=BEGIN, is_hosted=True),
        provider.close(reference="2023042201206549310"),
        provider.refund(key=BACK, charge="2023042201206549310", money=DOLLARS),
        provider.look_refund(reference="2023042201206549310"),
        provider.find_refund(key=BACK, charge="2023042201206549310"),
    ]
    assert [type(one) for one in outcomes] == [Unknown] * 8


def test_there_are_no_notices_and_a_statement_is_read_from_a_file() -> None:
    stand = Stand()
    payment = paid(stand)
    stand.provider.refund(key=BACK, charge=payment.charge, money=Money(10000, "TWD"))
    with pytest.raises(Forged):
        stand.provider.read_webhook(body=b"{}", headers={}, now=BEGIN)
    first, second = stand.provider.read_statement(content=stand.statement())
    assert first == Settled(
        payment.charge, SettledKind.PAYMENT, DOLLARS, Money(300, "TWD"), BEGIN, key=KEY, charge=payment.charge
    )
    assert (second.kind, second.money) == (SettledKind.REFUND, Money(-10000, "TWD"))
    assert second.reference == second.id
    assert stand.provider.settlements(day=datetime(2026, 3, 1, tzinfo=UTC).date()) == Refused(Reason.BY_FILE)
    for content in (b"", b"a,b\n1,2\n", b"\xff\xfe", stand.statement().replace(b"599.00", b"lots")):
        with pytest.raises(UnreadableStatement):
            stand.provider.read_statement(content=content)
