"""What is only Alipay's: RSA2, trades that begin when they are opened, notices, bills in GBK."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
from alipay import AliPay

from sandbox.wallets.alipay import APP_ID
from sandbox.wallets.keys import pair
from tests.contracts.stands import BEGIN
from tests.contracts.stands.alipay import Stand
from tests.contracts.test_payment_contract import BACK, KEY, OTHER_KEY, asked, done, find, look, paid, start
from xuka.connectors.payments.alipay import connector, wire
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown
from xuka.payments.contract import Forged, Misconfigured, PaymentState, Reason, SettledKind

ORDER = "xuka_5f0a3c1e9a554f0e8d8c0d2f5a7b9c11"
SECRET = pair("shop").private
FIXTURES = Path(connector.__file__).parent / "fixtures"


@pytest.fixture
def stand() -> Stand:
    return Stand()


def answer(body: dict[str, Any], code: str = "10000") -> wire.Answer:
    return wire.Answer(code, str(body.get("sub_code", "")), {"code": code, **body})


# -- signatures ---------------------------------------------------------------------------------------------------


def test_signatures_are_those_that_openssl_makes_and_its_keys_are_read_as_they_are() -> None:
    known = json.loads((FIXTURES / "rsa2_known_answer.json").read_text())
    mine, theirs = connector._private(known["private_key_pkcs1"]), connector._public(known["public_key"])
    assert wire.sign(known["text"], mine) == known["signature"]
    assert wire.is_signed(known["text"], known["signature"], theirs)
    changed = known["signature"][:-6] + "AAAA=="
    for text, signature in ((known["text"] + " ", known["signature"]), (known["text"], changed), (known["text"], "")):
        assert not wire.is_signed(text, signature, theirs)


def test_an_answer_is_verified_over_its_text_as_it_came() -> None:
    key = connector._public(pair("shop").public)

    def read(text: str) -> wire.Answer | Unknown:
        return wire.answer_of(status=200, content=text.encode(), method=wire.QUERY, key=key)

    raw = '{"code" : "10000","out_trade_no":"a\\/b",  "msg":"成功"}'
    sign = wire.sign(raw, connector._private(SECRET))
    seen = read(f'{{"alipay_trade_query_response":{raw},"sign":"{sign}"}}')
    assert isinstance(seen, wire.Answer)
    assert seen.body["out_trade_no"] == "a/b"
    assert isinstance(read(f'{{"alipay_trade_query_response": {raw} , "sign":"{sign}"}}'), wire.Answer)
    unsigned = Unknown("an answer that Alipay has not signed")
    assert read(f'{{"alipay_trade_query_response":{raw.replace("a", "A")},"sign":"{sign}"}}') == unsigned
    assert read(f'{{"alipay_trade_query_response":{raw}}}') == unsigned
    assert read('{"alipay_trade_query_response":{"code":"40004","sub_code":"ACQ.TRADE_NOT_EXIST"}}') == unsigned
    gateway = read('{"error_response":{"code":"40002","sub_code":"isv.invalid-app-id"}}')
    assert isinstance(gateway, wire.Answer)
    assert wire.not_done(gateway) == Refused(Reason.NOT_AUTHORISED, None, "code 40002 isv.invalid-app-id")
    for other in ("", "[]", "{}", "null", '{"alipay_trade_query_response":[1]}', '{"alipay_trade_close_response":{}}'):
        assert isinstance(read(other), Unknown)


def community() -> AliPay:
    """python-alipay-sdk with the shop's key and Alipay's: a second opinion, which our code never imports."""
    return AliPay(
        appid=APP_ID,
        app_notify_url=None,
        app_private_key_string=SECRET,
        alipay_public_key_string=pair("alipay").public,
        sign_type="RSA2",
    )


def told_by(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))


def test_requests_are_signed_as_the_community_library_signs_them(stand: Stand) -> None:
    asked_there: list[httpx.Request] = []

    def overheard(request: httpx.Request) -> httpx.Response:
        asked_there.append(request)
        return stand.transport.handle_request(request)

    provider = stand.another(transport=httpx.MockTransport(overheard))
    opened = done(provider.start(asked(stand)))
    stand.pay(opened)
    bought = done(provider.look(reference=opened.reference))
    done(provider.refund(key=BACK, charge=bought.charge, money=Money(5, "CNY")))
    address = done(provider.start(asked(stand, key=OTHER_KEY, device="phone"))).url
    requests = [told_by(f"{one.url.query.decode()}&{one.content.decode()}".strip("&")) for one in asked_there]
    requests.append(told_by(urlsplit(address).query))
    assert {"alipay.trade.precreate", "alipay.trade.query", "alipay.trade.refund", "alipay.trade.wap.pay"} <= {
        one["method"] for one in requests
    }
    for one in requests:
        signature = one.pop("sign")
        assert told_by(community().sign_data(dict(one)))["sign"] == signature
        assert told_by(community().sign_data(one | {"timestamp": "2026-03-01 20:00:01"}))["sign"] != signature


def test_the_community_library_believes_the_stand_ins_notices_and_no_changed_one(stand: Stand) -> None:
    told = told_by(notice(stand).decode())
    signature = told.pop("sign")
    assert community().verify(dict(told), signature)
    assert not community().verify(told | {"total_amount": "0.01"}, signature)
    forged = wire.sign(wire.in_order(told), connector._private(SECRET))
    assert not community().verify(dict(told), forged), "signed with the shop's key, not with Alipay's"


def test_a_stranger_is_told_so_and_looking_tells_nothing(stand: Stand) -> None:
    for settings in ({"private_key": pair("nobody").private}, {"app_id": "9021000000000000"}):
        stranger = stand.another(**settings)
        refused = stranger.start(asked(stand))
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.retry_after) == (Reason.NOT_AUTHORISED, None)
        assert isinstance(stranger.find(key=KEY, asked_at=BEGIN, is_hosted=True), Unknown)
        assert isinstance(stranger.find_refund(key=KEY, charge="1"), Unknown)
    assert stand.bills() == 0
    deaf = stand.another(alipay_public_key=pair("nobody").public)
    assert deaf.start(asked(stand)) == Unknown("an answer that Alipay has not signed")


@pytest.mark.parametrize("name", ["private_key", "alipay_public_key", "app_id", "seller_id", "notify_url"])
@pytest.mark.parametrize("value", ["", "c2VjcmV0"])
def test_what_cannot_be_used_is_said_without_repeating_it(stand: Stand, name: str, value: str) -> None:
    if value and "key" not in name:
        return
    with pytest.raises(Misconfigured) as refused:
        stand.another(**{name: value})
    assert "c2VjcmV0" not in str(refused.value)


def test_money_moves_only_at_the_real_gateway(stand: Stand) -> None:
    assert stand.another(base_url="https://openapi.alipay.com/gateway.do").is_live
    assert not stand.another(base_url="https://openapi-sandbox.dl.alipaydev.com/gateway.do").is_live


def test_logs_and_the_connectors_own_words_hold_no_key_and_no_description(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stand.fault("error_after")
    stand.provider.start(asked(stand))
    paid(stand)
    for secret in ("PRIVATE", SECRET.splitlines()[1], asked(stand).description):
        assert secret not in caplog.text + repr(stand.provider) + str(vars(stand.provider))


# -- what is asked ------------------------------------------------------------------------------------------------


def test_keys_and_amounts_are_written_as_alipay_takes_them() -> None:
    assert wire.order_of(KEY) == ORDER
    assert (wire.key_of(ORDER), wire.key_of("20150320010101001"), wire.key_of(KEY)) == (KEY, "", "")
    assert [wire.yuan(Money(minor, "CNY")) for minor in (1, 10, 100, 1999, 10_000_000_000)] == [
        "0.01", "0.10", "1.00", "19.99", "100000000.00",
    ]  # fmt: skip
    for text, currency, minor in (("19.9", "CNY", 1990), ("0.01", "CNY", 1), ("1999.00", "JPY", 1999)):
        assert wire.money_of(text, currency) == Money(minor, currency)
    for text, currency in (("19.999", "CNY"), ("0.5", "JPY"), ("", "CNY"), (None, "CNY"), ("NaN", "CNY")):
        with pytest.raises(wire.Unreadable):
            wire.money_of(text, currency)


def test_it_can_be_paid_until_its_time_in_beijing_to_the_second(stand: Stand) -> None:
    def until(pay_by: timedelta) -> str:
        return wire.order_asked(asked(stand, pay_by=BEGIN + pay_by))["time_expire"]

    assert until(timedelta(hours=2)) == "2026-03-01 22:00:00"
    assert until(timedelta(hours=2, milliseconds=1)) == "2026-03-01 22:00:01"
    assert until(timedelta(seconds=5)) == "2026-03-01 20:01:00"
    assert until(timedelta(days=30)) == "2026-03-16 20:00:00"
    assert wire.order_asked(asked(stand, description="7 days/unlimited=&"))["subject"] == "7 days unlimited  "


def test_a_phone_gets_an_address_without_a_call_and_the_same_again(stand: Stand) -> None:
    opened = start(stand, device="phone")
    told = {name: values[0] for name, values in parse_qs(urlsplit(opened.url).query).items()}
    content = json.loads(told["biz_content"])
    assert (told["method"], told["timestamp"]) == ("alipay.trade.wap.pay", "2026-03-01 20:00:00")
    assert (told["return_url"], told["notify_url"]) == ("http://shop.test/back", "http://shop.test/webhooks/alipay/")
    assert (content["out_trade_no"], content["total_amount"]) == (ORDER, "19.99")
    assert start(stand, device="phone") == opened
    assert stand.transport.requests == []
    assert stand.bills() == 0


def test_other_content_under_the_same_key_is_unknown(stand: Stand) -> None:
    opened = start(stand)
    assert stand.provider.start(asked(stand, money=Money(2000, "CNY"))) == Unknown(
        "code 40004 ACQ.CONTEXT_INCONSISTENT"
    )
    assert start(stand) == opened


# -- a trade begins when it is opened -------------------------------------------------------------------------------


def test_a_code_that_nobody_has_read_is_open_until_its_time_is_over(stand: Stand) -> None:
    opened = start(stand)
    assert find(stand) == Done(None)
    closing = done(stand.provider.close(reference=opened.reference))
    assert (closing.state, look(stand, opened).state) == (PaymentState.OPEN, PaymentState.OPEN)
    stand.clock.push(hours=2)
    assert look(stand, opened).state == PaymentState.OPEN  # their clock may be a little behind
    stand.clock.push(minutes=1)
    assert look(stand, opened).state == PaymentState.CLOSED
    assert done(stand.provider.close(reference=opened.reference)).state == PaymentState.CLOSED


def test_a_code_that_was_read_is_found_and_closed_at_once(stand: Stand) -> None:
    opened = start(stand)
    stand.bill(opened)
    found = done(find(stand))
    assert (found.key, found.state) == (KEY, PaymentState.OPEN)
    assert done(stand.provider.close(reference=found.reference)).state == PaymentState.CLOSED
    assert look(stand, opened).state == PaymentState.CLOSED


def test_only_listed_words_are_understood() -> None:
    def seen(**body: Any) -> Any:
        told = {"out_trade_no": ORDER, "trade_no": "2026030122001", "total_amount": "19.99", **body}
        return wire.payment_of(answer(told), order=ORDER, reference=ORDER)

    assert seen(trade_status="WAIT_BUYER_PAY").value.state == PaymentState.OPEN
    assert seen(trade_status="TRADE_FINISHED").value.paid == Money(1999, "CNY")
    assert seen(trade_status="TRADE_CLOSED").value.state == PaymentState.CLOSED
    assert seen(trade_status="TRADE_CLOSED", send_pay_date="2026-03-01 20:00:00").value.state == PaymentState.PAID
    for body in (
        {"trade_status": "TRADE_PENDING"},
        {"trade_status": None},
        {"trade_status": "trade_success"},
        {"trade_status": "TRADE_SUCCESS", "out_trade_no": "xuka_" + "0" * 32},
        {"trade_status": "TRADE_SUCCESS", "trade_no": 2026030122001},
        {"trade_status": "TRADE_SUCCESS", "total_amount": "19.999"},
        {"trade_status": "TRADE_SUCCESS", "trans_currency": "yuan"},
    ):
        assert isinstance(seen(**body), Unknown), body
    refund = {"refund_status": "REFUND_PROCESSING", "trade_no": "1", "out_request_no": ORDER, "refund_amount": "1.00"}
    assert isinstance(wire.refund_of(answer(refund), charge="1", request=ORDER), Unknown)
    done_to_another = refund | {"refund_status": "REFUND_SUCCESS", "trade_no": "2"}
    assert isinstance(wire.refund_of(answer(done_to_another), charge="1", request=ORDER), Unknown)
    assert wire.refund_of(answer({}), charge="1", request=ORDER) == Done(None)


@pytest.mark.parametrize(
    ("code", "sub_code", "reason"),
    [
        ("40004", "ACQ.SYSTEM_ERROR", None),
        ("40004", "ACQ.SOMETHING_NEW", None),
        ("40004", "", None),
        ("20000", "isp.unknow-error", None),
        ("20000", "aop.ACQ.SYSTEM_ERROR", None),
        ("10003", "", None),
        ("50000", "", None),
        ("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH", Reason.BAD_REQUEST),
        ("40004", "ACQ.TRADE_HAS_FINISHED", Reason.REFUND_TOO_LATE),
        ("40004", "ACQ.TRADE_NOT_EXIST", Reason.UNKNOWN_PAYMENT),
        ("40006", "isv.insufficient-isv-permissions", Reason.NOT_AUTHORISED),
        ("40002", "isv.invalid-signature", Reason.NOT_AUTHORISED),
        ("40001", "isv.missing-method", Reason.BAD_REQUEST),
        ("40005", "isv.method-call-limited", Reason.RATE_LIMITED),
    ],
)
def test_only_listed_codes_are_refusals(code: str, sub_code: str, reason: Reason | None) -> None:
    outcome = wire.not_done(answer({"sub_code": sub_code}, code))
    if reason is None:
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, Refused)
        later = timedelta(seconds=5) if reason == Reason.RATE_LIMITED else None
        assert (outcome.reason, outcome.retry_after) == (reason, later)


# -- notices ------------------------------------------------------------------------------------------------------


def notice(stand: Stand) -> bytes:
    paid(stand)
    return stand.webhooks()[0][0]


def signed_anew(body: bytes, **changed: str) -> bytes:
    """The notice with other words, and a signature of Alipay's that fits them."""
    told = {name: value for name, value in parse_qsl(body.decode()) if name not in {"sign", "sign_type"}} | changed
    sign = wire.sign(wire.in_order(told), connector._private(pair("alipay").private))
    return urlencode(told | {"sign": sign, "sign_type": "RSA2"}).encode()


def test_a_notice_says_where_to_look_and_is_answered_with_success(stand: Stand) -> None:
    body = notice(stand)
    event = stand.provider.read_webhook(body=body, headers={}, now=BEGIN)
    assert (event.kind, event.key, event.matters, event.created_at) == ("TRADE_SUCCESS", KEY, True, BEGIN)
    assert len(event.charge) == 28
    assert stand.provider.webhook_answer == "success"
    waits = signed_anew(body, trade_status="WAIT_BUYER_PAY")
    assert not stand.provider.read_webhook(body=waits, headers={}, now=BEGIN).matters


@pytest.mark.parametrize(
    "changed",
    [{"app_id": "9021000000000000"}, {"seller_id": "2088000000000000"}, {"notify_time": "now"}, {"notify_id": ""}],
)
def test_a_notice_of_somebody_else_is_not_believed(stand: Stand, changed: dict[str, str]) -> None:
    body = notice(stand)
    assert stand.provider.read_webhook(body=signed_anew(body), headers={}, now=BEGIN).key == KEY
    with pytest.raises(Forged):
        stand.provider.read_webhook(body=signed_anew(body, **changed), headers={}, now=BEGIN)


def test_a_notice_is_believed_within_five_minutes_and_only_whole(stand: Stand) -> None:
    body, read = notice(stand), stand.provider.read_webhook
    for minutes, believed in ((-6, False), (-5, True), (5, True), (6, False)):
        if believed:
            assert read(body=body, headers={}, now=BEGIN + timedelta(minutes=minutes)).key == KEY
        else:
            with pytest.raises(Forged):
                read(body=body, headers={}, now=BEGIN + timedelta(minutes=minutes))
    for changed in (body + b"&refund_fee=1", body + b"&app_id=1", body.replace(b"19.99", b"99.99"), body + b"&"):
        with pytest.raises(Forged):
            read(body=changed, headers={}, now=BEGIN)


# -- bills --------------------------------------------------------------------------------------------------------

TRADE = "2026030122001400000000000001"
BILL = f"""#支付宝业务明细查询
#账号：[20880000000000000156]
#-----------------------------------------业务明细列表----------------------------------------
支付宝交易号,商户订单号,业务类型,商品名称,完成时间,商家实收（元）,退款批次号/请求号,服务费（元）,备注
{TRADE}\t,{ORDER}\t,交易,"七天, 无限",2026-03-01 20:00:30,35.80,,-0.21,
{TRADE}\t,{ORDER}\t,退款,七天,2026-03-02 00:10:00,-5.80,{BACK.replace("-", "_")}\t,0.03,
2026030122001400000000000002\t,POS-17\t,交易,帽子,2026-03-01 21:00:00,0.90,,0.00,
#-----------------------------------------业务明细列表结束------------------------------------
#导出时间：[2026年03月02日 09:00:00]
"""


def test_a_bill_is_read_to_the_fen_with_fees_and_what_of_them_came_back(stand: Stand) -> None:
    came, went, fee, other = stand.provider.read_statement(content=BILL.encode("gbk"))
    assert (came.kind, came.money, came.fee) == (SettledKind.PAYMENT, Money(3580, "CNY"), Money(21, "CNY"))
    assert (came.key, came.charge, came.at) == (KEY, TRADE, datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC))
    assert (went.kind, went.money, went.fee) == (SettledKind.REFUND, Money(-580, "CNY"), Money(0, "CNY"))
    assert (went.key, went.reference) == (BACK, f"{TRADE}/{BACK.replace('-', '_')}")
    assert (fee.kind, fee.money) == (SettledKind.FEE, Money(3, "CNY"))
    assert (other.key, other.money) == ("", Money(90, "CNY"))


def test_the_bill_of_a_day_is_there_the_next_morning(stand: Stand) -> None:
    day = date(2026, 3, 1)
    early = stand.provider.settlements(day=day)
    assert isinstance(early, Refused)
    assert early.retry_after == timedelta(hours=14)  # it is 20:00 in Beijing
    payment = paid(stand)
    stand.clock.push(hours=14)
    rows = done(stand.provider.settlements(day=day))
    assert [(row.kind, row.key, row.charge) for row in rows] == [(SettledKind.PAYMENT, KEY, payment.charge)]
    for kind in stand.wire:
        stand.fault(kind)
        assert not isinstance(stand.provider.settlements(day=day), Done), kind
        stand.heal()


def test_a_day_without_trades_has_an_empty_bill(stand: Stand) -> None:
    stand.clock.push(days=2)
    assert stand.provider.settlements(day=date(2026, 3, 1)) == Done(())


# -- refunds ------------------------------------------------------------------------------------------------------


def test_a_refund_that_did_not_move_is_asked_again_under_its_number_and_goes_once(stand: Stand) -> None:
    payment, part = paid(stand), Money(500, "CNY")
    stand.fault("refund_pending")
    first = stand.provider.refund(key=BACK, charge=payment.charge, money=part)
    assert first == Unknown("taken, but nothing of this amount was given back yet")
    stand.settle_refund(BACK, ok=False)
    assert stand.provider.find_refund(key=BACK, charge=payment.charge) == Done(None)
    again = done(stand.provider.refund(key=BACK, charge=payment.charge, money=part))
    assert again.reference == f"{payment.charge}/{BACK.replace('-', '_')}"
    assert done(stand.provider.refund(key=BACK, charge=payment.charge, money=part)) == again
    assert isinstance(stand.provider.refund(key=BACK, charge=payment.charge, money=Money(501, "CNY")), Unknown)
    assert stand.refunded(KEY) == {"CNY": 500}


def test_all_that_was_given_back_still_counts_as_paid(stand: Stand) -> None:
    payment = paid(stand)
    done(stand.provider.refund(key=BACK, charge=payment.charge, money=Money(1999, "CNY")))
    assert look(stand, payment) == payment
    assert done(stand.provider.start(asked(stand))) == replace(payment, qr="")
    refused = stand.provider.refund(key=OTHER_KEY, charge=payment.charge, money=Money(1, "CNY"))
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.ALREADY_REFUNDED
