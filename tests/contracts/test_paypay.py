"""What only PayPay does: its SDK without pkg_resources, codes of five minutes, numbers of ours everywhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from sandbox.wallets.paypay import KEY as API_KEY
from sandbox.wallets.paypay import MERCHANT, SECRET
from tests.contracts.stands import BEGIN
from tests.contracts.stands.paypay import Stand
from xuka.connectors.payments.paypay.connector import PayPay
from xuka.connectors.payments.paypay.sdk import Client
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Forged,
    Misconfigured,
    Payment,
    PaymentState,
    Reason,
    RefundState,
    Settled,
    SettledKind,
    UnreadableStatement,
)

KEY = "xuka-5f0a3c1e9a554f0e8d8c0d2f5a7b9c11"
BACK = "xuka-11c9b7a5f2d00c8d8e0f459a1e3c0a5f"
YEN = Money(2980, "JPY")
ASK = Ask(
    key=KEY,
    method="paypay",
    money=YEN,
    asked_at=BEGIN,
    pay_by=BEGIN + timedelta(hours=1),
    description="日本 7日間 使い放題",
    return_url="https://shop.test/back",
    language="ja",
)


def done(outcome: Any) -> Any:
    assert isinstance(outcome, Done), outcome
    return outcome.value


def paid(stand: Stand) -> Payment:
    payment = done(stand.provider.start(ASK))
    stand.pay(payment)
    return done(stand.provider.look(reference=payment.reference))


def test_the_sdk_signs_as_documented_and_leaves_nothing_behind() -> None:
    said = Client(auth=("key", "secret")).auth_header(
        "key", "secret", "POST", "/v2/codes", "application/json", '{"a":1}'
    )
    scheme, key, signature, nonce, epoch, digest = said.split(":")
    assert (scheme, key) == ("hmac OPA-Auth", "key")
    assert digest == base64.b64encode(hashlib.md5(b'application/json{"a":1}').digest()).decode()
    text = f"/v2/codes\nPOST\n{nonce}\n{epoch}\napplication/json\n{digest}"
    assert signature == base64.b64encode(hmac.digest(b"secret", text.encode(), "sha256")).decode()
    module = sys.modules.get("pkg_resources")
    assert module is None or module.__file__, "the stand-in for the import is gone"


def test_a_page_on_a_desk_and_the_app_on_a_phone_and_the_money_moves_at_once() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    key, code = payment.reference.split("/")
    assert (key, payment.url) == (KEY, f"http://wallet.test/pay/{code}")
    assert stand.till.bills[code].told["asked"] == {
        "merchantPaymentId": KEY,
        "codeType": "ORDER_QR",
        "amount": {"amount": 2980, "currency": "JPY"},
        "orderDescription": "日本 7日間 使い放題",
        "isAuthorization": False,
        "redirectUrl": "https://shop.test/back",
        "redirectType": "WEB_LINK",
        "requestedAt": 1772366400,
    }
    stand.pay(payment)
    seen = done(stand.provider.look(reference=payment.reference))
    assert (seen.state, seen.paid, len(seen.charge)) == (PaymentState.PAID, YEN, 20)
    phone = done(stand.provider.start(replace(ASK, key=BACK, device="phone")))
    assert phone.url.startswith("paypay://payment?link_key=")


def test_a_code_that_died_unpaid_is_closed_and_its_number_is_not_used_again() -> None:
    stand = Stand()
    payment = done(stand.provider.start(ASK))
    stand.clock.push(minutes=5)
    assert done(stand.provider.look(reference=payment.reference)).state == PaymentState.CLOSED
    assert done(stand.provider.start(ASK)).state == PaymentState.CLOSED
    assert done(stand.provider.find(key=KEY, asked_at=BEGIN, is_hosted=True)) is None
    assert stand.bills() == 1


def test_a_code_whose_id_nobody_heard_is_closed_by_sending_back_what_comes() -> None:
    stand = Stand()
    stand.fault("timeout_after", endpoint="start")
    assert isinstance(stand.provider.start(ASK), Unknown)
    found = done(stand.provider.find(key=KEY, asked_at=BEGIN, is_hosted=True))
    assert found == Payment(f"{KEY}/", KEY, PaymentState.OPEN)
    assert done(stand.provider.close(reference=found.reference)).state == PaymentState.CLOSED
    assert ("DELETE", f"/v2/payments/{KEY}") in stand.transport.requests
    with pytest.raises(LookupError):
        stand.pay(found)
    assert stand.captured(KEY) == {}


def test_a_refund_is_accepted_first_and_tried_until_it_arrives() -> None:
    stand = Stand()
    charge = paid(stand).charge
    stand.fault("refund_pending")
    refund = done(stand.provider.refund(key=BACK, charge=charge, money=Money(980, "JPY")))
    assert (refund.reference, refund.state) == (f"{BACK}/{charge}", RefundState.PENDING)
    stand.settle_refund(BACK, ok=False)
    assert done(stand.provider.look_refund(reference=refund.reference)).state == RefundState.PENDING
    stand.settle_refund(BACK, ok=True)
    assert done(stand.provider.look_refund(reference=refund.reference)).state == RefundState.DONE
    too_much = stand.provider.refund(key=KEY, charge=charge, money=YEN)
    assert too_much == Refused(Reason.BAD_REQUEST, None, "status 400 INVALID_PARAMS")
    another = stand.provider.refund(key=BACK, charge=charge, money=Money(981, "JPY"))
    assert isinstance(another, Unknown), "the same number is the same refund, of another amount"


def test_who_may_use_it_and_for_how_much() -> None:
    (method,) = Stand().provider.methods()
    assert (method.name, method.markets, dict(method.limits), dict(method.per_day)) == (
        "paypay",
        frozenset({"JP"}),
        {"JPY": (1, 500_000)},
        {"JPY": 500_000},
    )
    for settings in ({"markets": ("JP", "BE")}, {"merchant_id": ""}, {"api_secret": " "}):
        with pytest.raises(Misconfigured) as caught:
            Stand().another(**settings)
        assert SECRET not in str(caught.value)
    keys = {"api_key": API_KEY, "api_secret": SECRET, "merchant_id": MERCHANT}
    assert PayPay(**keys).is_live
    assert not PayPay(base_url="https://apigw.sandbox.paypay.ne.jp", **keys).is_live
    assert SECRET not in repr(PayPay(**keys))
    refused = Stand().another(api_secret="another").start(ASK)
    assert refused == Refused(Reason.NOT_AUTHORISED, None, "status 401 UNAUTHORIZED")


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b'{"resultInfo": {"code": "SUCCESS"}, "data": {"status": "AUTHORIZED"}}'),
        (200, b'{"resultInfo": {"code": "SUCCESS"}, "data": {"status": "SETTLED"}}'),
        (200, b'{"resultInfo": {"code": "SUCCESS"}, "data": null}'),
        (200, b'{"resultInfo": {"code": "UNHEARD_OF"}}'),
        (400, b'{"resultInfo": {"code": "UNHEARD_OF"}}'),
        (500, b'{"resultInfo": {"code": "INTERNAL_SERVER_ERROR"}}'),
        (502, b"<html>"),
        (200, b"[]"),
        (401, b""),
    ],
)
def test_what_is_not_listed_is_unknown_and_printed_nowhere(
    status: int, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    provider = Stand().another(transport=httpx.MockTransport(lambda request: httpx.Response(status, content=content)))
    outcomes = [
        provider.start(ASK),
        provider.look(reference=f"{KEY}/04-1"),
        provider.find(key=KEY, asked_at=BEGIN, is_hosted=True),
        provider.close(reference=f"{KEY}/04-1"),
        provider.refund(key=BACK, charge="1", money=YEN),
        provider.look_refund(reference=f"{BACK}/1"),
        provider.find_refund(key=BACK, charge="1"),
    ]
    assert [type(one) for one in outcomes] == [Unknown] * 7
    assert capsys.readouterr().out == ""


def test_there_are_no_notices_to_believe_and_both_of_its_files_are_read() -> None:
    stand = Stand()
    with pytest.raises(Forged):
        stand.provider.read_webhook(body=b'{"state": "COMPLETED"}', headers={}, now=BEGIN)
    charge = paid(stand).charge
    done(stand.provider.refund(key=BACK, charge=charge, money=Money(980, "JPY")))
    came, went = stand.provider.read_statement(content=stand.statement())
    none = Money(0, "JPY")
    assert came == Settled(charge, SettledKind.PAYMENT, YEN, none, BEGIN, key=KEY, charge=charge)
    reference = f"{BACK}/{charge}"
    back = Money(-980, "JPY")
    assert went == Settled(reference, SettledKind.REFUND, back, none, BEGIN, BACK, charge, reference)

    names = "取引番号,加盟店ID,屋号,取引ステータス,取引日時,取引金額,加盟店決済ID\n"
    download = f"{names}1,{MERCHANT},店,取引完了,2026/03/01 21:00:00,2980,{KEY}\n2,{MERCHANT},店,取引失敗,-,1,x\n"
    assert stand.provider.read_statement(content=download.encode()) == [replace(came, id="1", charge="1")]
    for content in (
        download.replace(MERCHANT, "58"),
        download.replace("取引完了", "謎"),
        download.replace("2980", "x"),
    ):
        with pytest.raises(UnreadableStatement):
            stand.provider.read_statement(content=content.encode())
