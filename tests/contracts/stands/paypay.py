"""PayPay and a person in Tokyo."""

from __future__ import annotations

import csv
import io
from datetime import timedelta, timezone
from typing import Any

from sandbox.transport import InProcess
from sandbox.wallets.paypay import KEY, MERCHANT, SECRET, PayPayTill, paypay
from tests.contracts.stands import Clock
from tests.contracts.stands.on_till import OnTill
from xuka.connectors.payments.paypay.connector import PayPay
from xuka.kernel.money import Money
from xuka.payments.contract import Payment

NAMES = "決済番号 加盟店ID 屋号 店舗ID 店舗名 端末番号/PosID 取引ステータス 取引日時 取引金額 レシート番号 支払い方法"
COLUMNS = (*NAMES.split(), "マーチャント決済ID", "支払い詳細")
JST = timezone(timedelta(hours=9))


class Stand(OnTill):
    method = "paypay"
    monies = (Money(2980, "JPY"),)
    posts = False
    wire = (
        "timeout_before",
        "timeout_after",
        "drop_before",
        "drop_after",
        "error_before",
        "error_after",
        "garbage_after",
        "rate_limited",
    )
    captures = False
    cannot = ("fail a refund",)  # PayPay tries again until it arrives

    def __init__(self) -> None:
        self.clock = Clock()
        self.till: PayPayTill = PayPayTill(now=self.clock.now)
        self.transport = InProcess(paypay(self.till))
        self.provider = self.another()

    def another(self, **settings: Any) -> PayPay:
        given: dict[str, Any] = {
            "base_url": "http://wallet.test",
            "api_key": KEY,
            "api_secret": SECRET,
            "merchant_id": MERCHANT,
            "transport": self.transport,
            "monotonic": self.clock.monotonic,
        }
        return PayPay(**given | settings)

    def bill_of(self, payment: Payment) -> str:
        bill = self.till.by_key(payment.key)
        assert bill is not None
        return bill.id

    def statement(self) -> bytes:
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(COLUMNS)
        for bill in self.till.bills.values():
            if bill.paid_at is None:
                continue
            rows = [("取引完了", bill.paid_at, bill.captured, bill.key)]
            rows += [("返金完了", one.at, -one.amount, one.key) for one in bill.refunds if one.state == "done"]
            for status, at, amount, key in rows:
                moment = at.astimezone(JST).isoformat()
                where = [bill.charge, MERCHANT, "国際カード", "1", "東京", "0"]
                out.writerow([*where, status, moment, amount, "", "PayPay残高", key, ""])
        return text.getvalue().encode("cp932")
