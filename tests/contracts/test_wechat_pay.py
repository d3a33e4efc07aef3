"""What is only WeChat Pay's: API v3 signatures, sealed notices, numbers of 32 characters, bills with grave accents."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from wechatpayv3.utils import rsa_sign

from sandbox.wallets import wechat_pay as far
from sandbox.wallets.keys import pair, signer
from tests.contracts.stands import BEGIN
from tests.contracts.stands.wechat_pay import Stand
from tests.contracts.test_payment_contract import (
    BACK,
    KEY,
    OTHER_KEY,
    arrived,
    asked,
    done,
    find,
    look,
    paid,
    refund,
    start,
)
from xuka.connectors.payments.alipay import connector as alipay
from xuka.connectors.payments.wechat_pay import connector, wire
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown
from xuka.payments.contract import Forged, Misconfigured, PaymentState, Reason, RefundState, SettledKind

ORDER = "5f0a3c1e9a554f0e8d8c0d2f5a7b9c11"
PART = Money(500, "CNY")


@pytest.fixture
def stand() -> Stand:
    return Stand()


# -- signatures ---------------------------------------------------------------------------------------------------


def test_the_package_signs_as_openssl_does() -> None:
    known = json.loads((Path(alipay.__file__).parent / "fixtures" / "rsa2_known_answer.json").read_text())
    assert rsa_sign(alipay._private(known["private_key_pkcs1"]), known["text"]) == known["signature"]


def test_a_stranger_is_told_so_and_looking_tells_nothing(stand: Stand) -> None:
    for settings in ({"private_key": pair("nobody").private}, {"certificate_serial": "0A"}, {"merchant_id": "19"}):
        stranger = stand.another(**settings)
        refused = stranger.start(asked(stand))
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.retry_after) == (Reason.NOT_AUTHORISED, None)
        assert isinstance(stranger.find(key=KEY, asked_at=BEGIN, is_hosted=True), Unknown)
        assert isinstance(stranger.find_refund(key=KEY, charge="1"), Unknown)
    assert stand.bills() == 0
    for settings in ({"platform_key": pair("nobody").public}, {"platform_key_id": "PUB_KEY_ID_2"}):
        assert stand.another(**settings).start(asked(stand)) == Unknown("an answer that WeChat Pay has not signed")


def test_a_platform_certificate_is_its_key_under_its_serial_number() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com")])
    key = signer(pair("wechat_pay").private)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(0x5157F09EFDC096).not_valid_before(BEGIN).not_valid_after(BEGIN + timedelta(days=1))
    pem = made.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
    assert connector._platform(pem, "") == (pair("wechat_pay").public, "5157F09EFDC096")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("private_key", "c2VjcmV0"),
        ("platform_key", "c2VjcmV0"),
        ("platform_key", "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----"),
        ("platform_key_id", ""),
        ("api_v3_key", "c2VjcmV0"),
        ("app_id", ""),
        ("notify_url", ""),
    ],
)
def test_what_cannot_be_used_is_said_without_repeating_it(stand: Stand, name: str, value: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        stand.another(**{name: value})
    assert "c2VjcmV0" not in str(refused.value)


def test_logs_and_the_connectors_own_words_hold_no_key_and_no_description(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stand.fault("error_after")
    stand.provider.start(asked(stand))
    payment = paid(stand)
    done(refund(stand, payment.charge, PART))
    for body, headers in stand.webhooks():
        stand.provider.read_webhook(body=body, headers=headers, now=BEGIN)
    secrets = ("PRIVATE", pair("shop").private.splitlines()[1], far.API_V3_KEY, asked(stand).description, "203.0.113.7")
    for secret in secrets:
        assert secret not in caplog.text + repr(stand.provider) + str(vars(stand.provider))
    assert stand.another(base_url="https://api.mch.weixin.qq.com").is_live


# -- what is asked ------------------------------------------------------------------------------------------------


def test_an_order_is_numbered_by_32_characters_of_our_key_and_ends_in_beijing(stand: Stand) -> None:
    assert (wire.order_of(KEY), wire.key_of(ORDER), wire.key_of(ORDER.upper()), wire.key_of("1")) == (
        ORDER,
        KEY,
        "",
        "",
    )

    def until(pay_by: timedelta) -> str:
        return wire.order_asked(asked(stand, pay_by=BEGIN + pay_by))["time_expire"]

    assert until(timedelta(hours=2)) == "2026-03-01T22:00:00+08:00"
    assert until(timedelta(0)) == "2026-03-01T20:01:00+08:00"
    assert until(timedelta(days=30)) == "2026-03-08T20:00:00+08:00"
    assert len(wire.order_asked(asked(stand, description="七" * 200))["description"]) == 127


def test_a_phone_is_led_to_a_page_that_comes_back_and_a_desk_or_an_unknown_address_gets_a_code(stand: Stand) -> None:
    phone = start(stand, device="phone")
    assert phone.url.startswith("http://wallet.test/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=")
    assert phone.url.endswith("&redirect_url=http%3A%2F%2Fshop.test%2Fback")
    for number, changed in enumerate(({"device": "desk"}, {"device": "phone", "client_ip": ""})):
        other = start(stand, key=f"xuka-{number:032x}", **changed)
        assert (other.url, other.qr[:23]) == ("", "http://wallet.test/pay/")


def test_the_same_number_again_tells_how_the_first_stands(stand: Stand) -> None:
    opened = start(stand)
    assert start(stand) == opened
    other = stand.provider.start(asked(stand, money=Money(2000, "CNY")))
    assert other == Unknown("asked before, with other content: OUT_TRADE_NO_USED")
    stand.pay(opened)
    assert start(stand) == look(stand, opened)
    second = start(stand, key=OTHER_KEY)
    done(stand.provider.close(reference=second.reference))
    assert start(stand, key=OTHER_KEY).state == PaymentState.CLOSED
    assert stand.bills() == 2


def test_closing_what_is_not_there_is_not_taken_for_closed(stand: Stand) -> None:
    refused = stand.provider.close(reference=ORDER)  # they say 204 all the same
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.UNKNOWN_PAYMENT
    assert find(stand) == Done(None)


def test_only_listed_words_are_understood() -> None:
    def seen(**body: Any) -> Any:
        told = {"out_trade_no": ORDER, "appid": "wx", "mchid": "19", "transaction_id": "42", "trade_state": "SUCCESS"}
        told |= {"amount": {"total": 1999, "currency": "CNY"}} | body
        return wire.payment_of(wire.Answer(200, told), order=ORDER, app_id="wx", merchant="19")

    assert seen().value.paid == Money(1999, "CNY")
    assert seen(trade_state="REFUND").value.state == PaymentState.PAID
    assert seen(trade_state="NOTPAY").value.state == PaymentState.OPEN
    for body in (
        {"trade_state": "USERPAYING"},
        {"trade_state": "ACCEPT"},
        {"trade_state": None},
        {"appid": "wy"},
        {"mchid": "20"},
        {"out_trade_no": ORDER[::-1]},
        {"transaction_id": 42},
        {"amount": {"total": "1999", "currency": "CNY"}},
        {"amount": {"total": 1999, "currency": "yuan"}},
        {"amount": None},
    ):
        assert isinstance(seen(**body), Unknown), body
    told = {"out_refund_no": BACK, "transaction_id": "42", "status": "SUCCESS", "amount": {"refund": 5}}
    assert isinstance(wire.refund_of(wire.Answer(200, told), key=BACK, charge="42"), Done)
    for body in ({"status": "CHANGE"}, {"out_refund_no": OTHER_KEY}, {"transaction_id": "43"}, {"amount": {}}):
        assert isinstance(wire.refund_of(wire.Answer(200, told | body), key=BACK, charge="42"), Unknown), body


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (500, "SYSTEM_ERROR", None),
        (502, "PARAM_ERROR", None),
        (202, "USER_PAYING", None),
        (400, "SOMETHING_NEW", None),
        (404, "", None),
        (400, "PARAM_ERROR", Reason.BAD_REQUEST),
        (403, "NOT_ENOUGH", Reason.BAD_REQUEST),
        (403, "NO_AUTH", Reason.NOT_AUTHORISED),
        (404, "ORDER_NOT_EXIST", Reason.UNKNOWN_PAYMENT),
        (429, "FREQUENCY_LIMITED", Reason.RATE_LIMITED),
    ],
)
def test_only_listed_codes_are_refusals(status: int, code: str, reason: Reason | None) -> None:
    outcome = wire.not_done(wire.Answer(status, {"code": code, "message": "…"}))
    assert (outcome.reason if isinstance(outcome, Refused) else None) == reason


# -- refunds ------------------------------------------------------------------------------------------------------


def test_a_refund_is_pending_when_asked_and_done_when_looked_at(stand: Stand) -> None:
    charge = paid(stand).charge
    assert len(charge) == 28
    first = done(refund(stand, charge, PART))
    assert (first.reference, first.state) == (BACK, RefundState.PENDING)
    assert done(stand.provider.look_refund(reference=BACK)).state == RefundState.DONE
    stand.fault("refund_pending")
    done(refund(stand, charge, PART, OTHER_KEY))
    stand.settle_refund(OTHER_KEY, ok=False)
    failed = arrived(stand, charge, OTHER_KEY)
    assert failed is not None
    assert (failed.state, failed.why) == (RefundState.FAILED, "abnormal")


def test_of_a_refund_without_an_answer_nobody_knows_even_after_too_many(stand: Stand) -> None:
    for number, kind in enumerate(stand.wire):
        key = f"xuka-{number:032x}"
        charge = paid(stand, key=key).charge
        stand.fault(kind, endpoint="refund")
        assert isinstance(refund(stand, charge, PART, key), Unknown), kind
        found = arrived(stand, charge, key)
        assert (found.money if found else None) == (PART if kind.endswith("_after") else None), kind
        done(refund(stand, charge, PART, key))
        assert stand.refunded(key) == {"CNY": 500}, kind


# -- notices ------------------------------------------------------------------------------------------------------


def notice(stand: Stand) -> tuple[bytes, dict[str, str]]:
    paid(stand)
    return stand.webhooks()[0]


def test_a_notice_says_where_to_look(stand: Stand) -> None:
    payment = paid(stand)
    done(refund(stand, payment.charge, PART))
    told = [stand.provider.read_webhook(body=body, headers=headers, now=BEGIN) for body, headers in stand.webhooks()]
    assert [(one.kind, one.key, one.charge, one.reference, one.matters, one.created_at) for one in told] == [
        ("TRANSACTION.SUCCESS", KEY, payment.charge, ORDER, True, BEGIN),
        ("REFUND.SUCCESS", KEY, payment.charge, BACK, True, BEGIN),
    ]
    assert stand.provider.webhook_answer == ""


def test_a_notice_is_believed_only_whole_fresh_and_from_their_key_and_nobody_is_asked(stand: Stand) -> None:
    body, headers = notice(stand)
    before, read = list(stand.transport.requests), stand.provider.read_webhook
    for minutes in (-5, 5):
        assert read(body=body, headers=headers, now=BEGIN + timedelta(minutes=minutes)).key == KEY
    for minutes in (-6, 6):
        with pytest.raises(Forged):
            read(body=body, headers=headers, now=BEGIN + timedelta(minutes=minutes))
    for name in ("timestamp", "nonce", "signature", "serial"):
        for value in ("", "1", "WECHATPAY/SIGNTEST/x"):
            with pytest.raises(Forged):
                read(body=body, headers=headers | {f"wechatpay-{name}": value}, now=BEGIN)
    with pytest.raises(Forged):
        read(body=body, headers=headers | {"wechatpay-signature-type": "WECHATPAY2-SM2-WITH-SM3"}, now=BEGIN)
    assert stand.transport.requests == before


@pytest.mark.parametrize(
    "settings", [{"merchant_id": "1900000110"}, {"app_id": "wx0000000000000000"}, {"api_v3_key": "f" * 32}]
)
def test_a_notice_of_somebody_else_is_not_believed(stand: Stand, settings: dict[str, str]) -> None:
    body, headers = notice(stand)
    with pytest.raises(Forged):
        stand.another(**settings).read_webhook(body=body, headers=headers, now=BEGIN)


# -- bills --------------------------------------------------------------------------------------------------------


def row(*cells: str) -> str:
    return ",".join(f"`{cell}" for cell in cells)


BILL = "\r\n".join(
    [
        far.COLUMNS,
        row(
            "2026-03-01 20:00:30", "wx", "19", "0", "", "42", ORDER, "o", "NATIVE", "SUCCESS", "CMB", "CNY", "35.00",
            "0.80", "0", "0", "0.00", "0.00", "", "", "七天, 无限", "", "0.21480", "0.60%", "35.80", "0.00", "",
        ),
        row(
            "2026-03-01 21:00:00", "wx", "19", "0", "", "42", ORDER, "o", "NATIVE", "REFUND", "CMB", "CNY", "0.00",
            "0.00", "50", BACK, "5.00", "0.00", "ORIGINAL", "SUCCESS", "七天", "", "-0.03000", "0.60%", "0.00", "5.80",
            "",
        ),
        row(
            "2026-03-01 22:00:00", "wx", "19", "0", "", "43", "POS-17", "o", "MICROPAY", "REVOKED", "CMB", "CNY",
            "0.00", "0.00", "0", "0", "0.00", "0.00", "", "", "帽子", "", "0.00000", "0.60%", "1.00", "0.00", "",
        ),
        "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额",
        row("3", "35.00", "5.00", "0.00", "0.18480", "36.80", "5.80"),
        "",
    ]
)  # fmt: skip


def test_a_bill_is_read_to_the_fen_with_fees_and_what_of_them_came_back(stand: Stand) -> None:
    came, went, fee = stand.provider.read_statement(content=BILL.encode())
    assert (came.kind, came.money, came.fee) == (SettledKind.PAYMENT, Money(3580, "CNY"), Money(21, "CNY"))
    assert (came.key, came.charge, came.at) == (KEY, "42", datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC))
    assert (went.kind, went.money, went.key, went.reference) == (SettledKind.REFUND, Money(-580, "CNY"), BACK, BACK)
    assert (fee.kind, fee.money) == (SettledKind.FEE, Money(3, "CNY"))


def test_the_bill_of_a_day_is_there_the_next_morning_and_is_the_one_that_was_signed_for(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = date(2026, 3, 1)
    early = stand.provider.settlements(day=day)
    assert isinstance(early, Refused)
    assert early.retry_after == timedelta(hours=14, minutes=30)  # it is 20:00 in Beijing
    stand.clock.push(hours=14, minutes=30)
    assert stand.provider.settlements(day=day) == Done(())
    payment = paid(stand)
    rows = done(stand.provider.settlements(day=day))
    assert [(one.kind, one.key, one.charge) for one in rows] == [(SettledKind.PAYMENT, KEY, payment.charge)]
    for kind in stand.wire:
        stand.fault(kind)
        assert not isinstance(stand.provider.settlements(day=day), Done), kind
        stand.heal()
    bills = iter([stand.till.statement(), BILL.encode()])
    monkeypatch.setattr(stand.till, "statement", lambda: next(bills))
    assert stand.provider.settlements(day=day) == Unknown("a bill that is not the one that was signed for")
